//! `FastCGI`: serves an application by FastCGI, behind a web server.

use crate::commands::applications::application_words::take_application;
use crate::gateway::socket::activation;
use crate::gateway::socket::server_url::ServerUrl;
use crate::gateway::socket::url::{ALL_PASSED, Descriptor, SocketUrl};
use crate::graph::entry::{Arguments, Entry, EntryKind, Options, no_options};
use crate::graph::node::{Branch, Job, Node, Served, draw_application};
use crate::line::failure::Failure;
use crate::line::scope::{DEFAULT, Scope};
use crate::line::word::Origin;
use crate::plan::Plan;
use crate::plan::address::{take_socket_url, unless_passed};
use crate::plan::application::ApplicationName;
use crate::plan::application::recipe::Recipe;
use crate::plan::gateway::{Audience, Endpoint, Gateway, Protocol};
use crate::plan::gateway_options;
use crate::supervisor::supervision::Supervision;

/// The table's row.
pub const ENTRY: Entry = Entry {
    name: "FastCGI",
    usage: "[SOCKET_URL] NAME_OR_URL",
    summary: "Serves an application by FastCGI, behind a web server",
    help: "\
SOCKET_URL is `tcp://HOST:PORT`, `unix:PATH`, `fd.socket:NUMBER`, or
`fd.socket:NAME` for a socket that systemd passes. Without it, requests are
accepted on all sockets that systemd passes, or else on standard input
(`fd.socket:stdin`): the socket that mod_fcgid, lighttpd and spawn-fcgi hand to
the programs that they start. nginx connects to `unix:PATH` (`fastcgi_pass`).

The web server logs requests, serves static files, and sends the address of the
client (`REMOTE_ADDR`). `runner.log.access` has no effect.

SIGTERM, SIGUSR1 and SIGINT stop the server once it has finished its requests.
SIGHUP reads the files and the application again, as for `serve`. SIGQUIT writes
to the log what the application is doing for each request.",
    kind: EntryKind::Command {
        options: Options::BeforeWords,
        arguments: no_options,
        resolve: |scope, arguments| Ok(Box::new(resolve(scope, arguments)?)),
    },
};

/// The socket that process managers pass.
pub const STANDARD_INPUT: SocketUrl = SocketUrl::Descriptor(Descriptor {
    number: 0,
    family: None,
    protocol: None,
});

/// An application and where it is served by FastCGI.
pub struct FastCgi {
    /// The settings.
    pub scope: Scope,
    /// Where to listen.
    pub url: SocketUrl,
    /// Where the URL was written; `None` for the default.
    pub url_origin: Option<Origin>,
    /// The application.
    pub application: ApplicationName,
}

fn resolve(scope: Scope, mut arguments: Arguments) -> Result<FastCgi, Failure> {
    let (url, url_origin) = match take_socket_url(&scope, &mut arguments.line)? {
        Some((url, origin)) => (unless_passed(url, &origin), Some(origin)),
        None if activation::is_there() => (ALL_PASSED, None),
        None => (STANDARD_INPUT, None),
    };
    let application = take_application(&scope, &mut arguments)?;
    arguments.finish()?;
    Ok(FastCgi {
        scope,
        url,
        url_origin,
        application,
    })
}

impl FastCgi {
    fn as_served(&self) -> Served {
        let endpoint = Endpoint {
            url: ServerUrl::clear(self.url.clone()),
            protocol: Protocol::FastCgi,
        };
        let origin = self.url_origin.as_ref();
        Served::behind_web_server(&self.scope, &self.application, endpoint, origin)
    }

    /// The plan of the server.
    ///
    /// # Errors
    /// The application's Python or the user to run as does not exist, or `FCGI_WEB_SERVER_ADDRS` is malformed.
    pub fn plan(&self, supervision: Option<&Supervision>) -> Result<Job<'static>, Failure> {
        let gateway = Gateway::FastCgi(gateway_options::fastcgi(&self.scope.configuration)?);
        let audience = match self.url == STANDARD_INPUT {
            // The process manager that made the socket starts it again and again, and has a log of its own.
            true => Audience::Nobody,
            false => Audience::Log,
        };
        let mut plan = Plan::new(
            &self.scope,
            vec![ServerUrl::clear(self.url.clone())],
            gateway,
            audience,
            Recipe::of(&self.scope, &self.application, &[])?,
            supervision,
        )?;
        plan.warnings.extend(self.as_served().circles());
        Ok(Job::Serve(Box::new(plan)))
    }
}

impl Node for FastCgi {
    fn job(&self, supervision: Option<&Supervision>) -> Result<Job<'_>, Failure> {
        self.plan(supervision)
    }

    fn draw(&self, depth: usize, tree: &mut Vec<Branch>) {
        tree.push(Branch::new(depth, ENTRY.name));
        let origin = match &self.url_origin {
            Some(origin) => self.scope.place(origin),
            None => DEFAULT.to_owned(),
        };
        tree.push(Branch::written(
            depth + 1,
            format!("FastCGI on {}", self.url),
            origin,
        ));
        draw_application(&self.scope, &self.application, depth + 2, tree);
    }

    fn served(&self) -> Option<Served> {
        Some(self.as_served())
    }

    fn supervisable(&self) -> Option<&Scope> {
        Some(&self.scope)
    }
}
