//! `FastCGI`: an application behind a web server, by FastCGI.

use std::process::ExitCode;

use crate::command::arguments::{Arguments, Options};
use crate::command::failure::Failure;
use crate::command::front::Gateway;
use crate::command::graph::{self, Application, Node};
use crate::command::line::{Line, Origin, Scope};
use crate::command::plan::{Announcement, Plan, Recipe};
use crate::command::serve::{take_socket_url, unless_passed};
use crate::command::{Entry, Kind, no_options, serving, settings};
use crate::gateway::socket::activation;
use crate::gateway::socket::url::{ALL_PASSED, Descriptor, SocketUrl};
use crate::supervisor::supervision::Supervision;

/// The table's row.
pub const ENTRY: Entry = Entry {
    name: "FastCGI",
    usage: "[SOCKET_URL] NAME_OR_URL",
    about: "Serves an application by FastCGI, behind a web server",
    help: "\
SOCKET_URL is `tcp://host:port`, `unix:/path`, `fd.socket:NUMBER` or, for sockets
that systemd passes, `fd.socket:NAME`. Without it, requests are accepted on all
that systemd passes, or else on standard input (`fd.socket:stdin`), the socket
that mod_fcgid, lighttpd and spawn-fcgi hand to the programs that they start.
SIGTERM, SIGUSR1 and SIGINT let the application finish what it is doing;
SIGHUP reads it and its files anew, as with `serve`; SIGQUIT writes to the log
what it is doing for each request.",
    kind: Kind::Command {
        options: Options::BeforeWords,
        arguments: no_options,
        resolve: |scope, arguments| {
            let gateway = resolve(scope, arguments)?;
            Ok(Node::FastCgi(Box::new(gateway)))
        },
    },
};

/// The socket that process managers hand over.
pub const STANDARD_INPUT: SocketUrl = SocketUrl::Descriptor(Descriptor {
    number: 0,
    family: None,
    protocol: None,
});

/// An application and where it is served by FastCGI.
#[derive(Debug)]
pub struct FastCgi {
    /// The settings.
    pub scope: Scope,
    /// Where to listen.
    pub url: SocketUrl,
    /// Where that was written; `None` for standard input, which need not be.
    pub url_origin: Option<Origin>,
    /// The application.
    pub application: Application,
    /// How it is supervised, if it is.
    pub supervision: Option<Supervision>,
}

fn resolve(scope: Scope, mut arguments: Arguments) -> Result<FastCgi, Failure> {
    let (url, url_origin) = match take_socket_url(&scope, &mut arguments.line)? {
        Some((url, origin)) => (unless_passed(url, &origin), Some(origin)),
        None if activation::is_there() => (ALL_PASSED, None),
        None => (STANDARD_INPUT, None),
    };
    if arguments.line.words.is_empty() {
        return Err(arguments.missing("NAME_OR_URL"));
    }
    let line: Line = std::mem::take(&mut arguments.line);
    let (application, rest) = graph::application(&scope, line)?;
    arguments.line = rest;
    arguments.finish()?;
    Ok(FastCgi {
        scope,
        url,
        url_origin,
        application,
        supervision: None,
    })
}

impl FastCgi {
    /// Serves until it is told to stop.
    ///
    /// # Errors
    /// It cannot listen there, or the application cannot be started.
    pub fn run(self) -> Result<ExitCode, Failure> {
        serving::run(self.plan()?)
    }

    /// What is to be done for that.
    ///
    /// # Errors
    /// There is no Python for the application, or no user as it is to be, or `FCGI_WEB_SERVER_ADDRS` makes no sense.
    pub fn plan(self) -> Result<Plan, Failure> {
        let gateway = Gateway::FastCgi(settings::fastcgi(&self.scope.configuration)?);
        let recipe = Recipe::of(&self.scope, &self.application, Vec::new())?;
        let told = Announcement::Nobody;
        Plan::new(
            &self.scope,
            self.url,
            gateway,
            told,
            recipe,
            self.supervision,
        )
    }
}
