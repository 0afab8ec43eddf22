//! `CGI`: answers one request. The web server starts a process for each.

use crate::commands::applications::application_words::take_application_with;
use crate::commands::run::fastcgi::{FastCgi, STANDARD_INPUT};
use crate::gateway::socket::listener::is_listening;
use crate::graph::entry::{Arguments, Entry, EntryKind, Options, no_options};
use crate::graph::node::{Branch, Job, Node, Served, draw_application};
use crate::line::failure::Failure;
use crate::line::scope::Scope;
use crate::line::word::{Origin, Word};
use crate::plan::application::ApplicationName;
use crate::plan::one_request::OneRequest;
use crate::supervisor::supervision::Supervision;

/// The table's row.
pub const ENTRY: Entry = Entry {
    name: "CGI",
    usage: "NAME_OR_URL",
    summary: "Answers one CGI request, or serves FastCGI on a passed socket",
    help: "\
Reads the request from the environment and standard input, and writes the
response to standard output. If standard input is a listening socket, this is
the same as `FastCGI NAME_OR_URL`.

Further arguments are ignored: web servers take them from the query (RFC 3875,
section 4.4), so the client chooses them. So the options of an application stand
before its first word here, as in `CGI files --listing FOLDER`, unless a file
has them.",
    kind: EntryKind::Command {
        options: Options::BeforeWords,
        arguments: no_options,
        resolve: |scope, arguments| Ok(Box::new(resolve(scope, arguments)?)),
    },
};

/// An application that answers one request, or serves FastCGI on standard input.
struct Cgi {
    scope: Scope,
    application: ApplicationName,
}

fn resolve(scope: Scope, mut arguments: Arguments) -> Result<Cgi, Failure> {
    let is_typed = |word: &Word| word.origin == Origin::CommandLine;
    // The client may have chosen words that were typed, so that none behind another is an option.
    let place = match arguments.line.words.first().is_some_and(is_typed) {
        true => Options::BeforeWords,
        false => {
            arguments.line.words.retain(|word| !is_typed(word));
            Options::BeforeDashes
        }
    };
    let application = take_application_with(&scope, &mut arguments, place)?;
    Ok(Cgi { scope, application })
}

impl Node for Cgi {
    fn job(&self, supervision: Option<&Supervision>) -> Result<Job<'_>, Failure> {
        // If the system cannot tell, standard input is not a listening socket.
        if !is_listening(std::io::stdin()).unwrap_or(false) {
            let request = OneRequest::new(&self.scope, &self.application, &[])?;
            return Ok(Job::Answer(Box::new(request)));
        }
        let server = FastCgi {
            scope: self.scope.clone(),
            url: STANDARD_INPUT,
            url_origin: None,
            application: self.application.clone(),
        };
        server.plan(supervision)
    }

    fn draw(&self, depth: usize, tree: &mut Vec<Branch>) {
        tree.push(Branch::new(depth, ENTRY.name));
        let gateway = "CGI on the environment and standard input";
        tree.push(Branch::new(depth + 1, gateway));
        draw_application(&self.scope, &self.application, depth + 2, tree);
    }

    fn served(&self) -> Option<Served> {
        Some(Served {
            scope: self.scope.clone(),
            application: self.application.clone(),
            arguments: Vec::new(),
            endpoints: Vec::new(),
            is_behind_web_server: true,
            takes_passed: false,
        })
    }
}
