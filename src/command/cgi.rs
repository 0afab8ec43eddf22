//! `CGI`: an application that a web server starts anew for each request.

use std::process::ExitCode;
use std::sync::Arc;

use crate::command::arguments::{Arguments, Options};
use crate::command::failure::Failure;
use crate::command::fastcgi::{FastCgi, STANDARD_INPUT};
use crate::command::graph::{self, Application, Node};
use crate::command::identity::Identity;
use crate::command::line::Scope;
use crate::command::plan::{Readiness, Recipe};
use crate::command::signals::outlive_full_files;
use crate::command::temporary::Temporary;
use crate::command::{Entry, Kind, no_options, serving, settings};
use crate::gateway;
use crate::gateway::socket::listener::is_listening;

/// The table's row.
pub const ENTRY: Entry = Entry {
    name: "CGI",
    usage: "NAME_OR_URL",
    about: "Answers one CGI request, or serves by FastCGI if a web server hands over a socket",
    help: "\
The request is read from the environment and standard input, the answer
written to standard output. If standard input is a listening socket, it is the
same as `FastCGI NAME_OR_URL`. Further arguments are ignored: web servers make
them from the query (RFC 3875, section 4.4), so they are whatever a client
wants them to be.",
    kind: Kind::Command {
        options: Options::BeforeWords,
        arguments: no_options,
        resolve: |scope, arguments| {
            let gateway = resolve(scope, arguments)?;
            Ok(Node::Cgi(Box::new(gateway)))
        },
    },
};

/// An application that answers one request.
#[derive(Debug)]
pub struct Cgi {
    /// The settings.
    pub scope: Scope,
    /// The application.
    pub application: Application,
}

fn resolve(scope: Scope, mut arguments: Arguments) -> Result<Cgi, Failure> {
    if arguments.line.words.is_empty() {
        return Err(arguments.missing("NAME_OR_URL"));
    }
    let line = std::mem::take(&mut arguments.line);
    // What is left may come from the client.
    let (application, _) = graph::application(&scope, line)?;
    Ok(Cgi { scope, application })
}

impl Cgi {
    /// Answers one request.
    ///
    /// # Errors
    /// The application cannot be started. Nothing was answered then; the web server says so itself.
    pub fn run(self) -> Result<ExitCode, Failure> {
        match self.gateway() {
            Ok(gateway) => gateway.run(),
            Err(this) => this.answer(),
        }
    }

    /// Answers the request that this process was started for.
    fn answer(&self) -> Result<ExitCode, Failure> {
        let scope = &self.scope;
        let mut recipe = match Recipe::of(scope, &self.application, Vec::new())? {
            Recipe::Demo => Recipe::Demo,
            Recipe::Wsgi(options) => Recipe::Wsgi(Box::new(settings::for_one_request(*options))),
        };
        let mut options = settings::cgi(&scope.configuration);
        Identity::of(scope)?.assume()?;
        let folder = Temporary::of(&scope.configuration).find()?;
        Arc::make_mut(&mut options.spool).folder.clone_from(&folder);
        recipe.keep_in(folder);
        let patience = scope.configuration.duration("runner.stop_timeout");
        serving::runtime()?.block_on(async {
            outlive_full_files()?;
            let application = recipe.start(Readiness::First).await?;
            let served = gateway::cgi::serve(Arc::clone(&application), options).await;
            application.stop(patience).await;
            served?;
            Ok(ExitCode::SUCCESS)
        })
    }

    /// What it is where standard input is a listening socket: a server.
    ///
    /// # Errors
    /// It is none; the same again.
    pub fn gateway(self) -> Result<FastCgi, Box<Self>> {
        // What the system does not tell about is no listening socket.
        match is_listening(std::io::stdin()).unwrap_or(false) {
            true => Ok(FastCgi {
                scope: self.scope,
                url: STANDARD_INPUT,
                url_origin: None,
                application: self.application,
                supervision: None,
            }),
            false => Err(Box::new(self)),
        }
    }
}
