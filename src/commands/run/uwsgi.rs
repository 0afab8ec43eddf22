//! `uwsgi`: serves an application by the uwsgi protocol, behind a web server.

use crate::commands::applications::application_words::take_application;
use crate::gateway::socket::activation;
use crate::gateway::socket::server_url::ServerUrl;
use crate::gateway::socket::url::{ALL_PASSED, SocketUrl};
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
    name: "uwsgi",
    usage: "[SOCKET_URL] NAME_OR_URL",
    summary: "Serves an application by uwsgi, behind a web server",
    help: "\
It is for web servers that pass requests on to uWSGI, which need no change:
`uwsgi_pass` of nginx, mod_proxy_uwsgi of Apache. SOCKET_URL is as for `FastCGI`;
it can be left out if systemd passes sockets.

The web server logs requests, serves static files, and sends the address of the
client (`REMOTE_ADDR`). `runner.log.access` has no effect. Where a response has
no `Content-Length`, a web server notices on a TCP socket alone that it broke
off.

Signals have the same meanings as for `serve`.",
    kind: EntryKind::Command {
        options: Options::BeforeWords,
        arguments: no_options,
        resolve: |scope, arguments| Ok(Box::new(resolve(scope, arguments)?)),
    },
};

/// An application and where it is served by uwsgi.
struct Uwsgi {
    scope: Scope,
    url: SocketUrl,
    /// Where the URL was written; `None` for the default.
    url_origin: Option<Origin>,
    application: ApplicationName,
}

fn resolve(scope: Scope, mut arguments: Arguments) -> Result<Uwsgi, Failure> {
    let (url, url_origin) = match take_socket_url(&scope, &mut arguments.line)? {
        Some((url, origin)) => (unless_passed(url, &origin), Some(origin)),
        None if activation::is_there() => (ALL_PASSED, None),
        None => return Err(arguments.missing("SOCKET_URL")),
    };
    let application = take_application(&scope, &mut arguments)?;
    arguments.finish()?;
    Ok(Uwsgi {
        scope,
        url,
        url_origin,
        application,
    })
}

impl Uwsgi {
    fn as_served(&self) -> Served {
        let endpoint = Endpoint {
            url: ServerUrl::clear(self.url.clone()),
            protocol: Protocol::Uwsgi,
        };
        let origin = self.url_origin.as_ref();
        Served::behind_web_server(&self.scope, &self.application, endpoint, origin)
    }
}

impl Node for Uwsgi {
    fn job(&self, supervision: Option<&Supervision>) -> Result<Job<'_>, Failure> {
        let mut plan = Plan::new(
            &self.scope,
            vec![ServerUrl::clear(self.url.clone())],
            Gateway::Uwsgi(gateway_options::uwsgi(&self.scope.configuration)),
            Audience::Log,
            Recipe::of(&self.scope, &self.application, &[])?,
            supervision,
        )?;
        plan.warnings.extend(self.as_served().circles());
        Ok(Job::Serve(Box::new(plan)))
    }

    fn draw(&self, depth: usize, tree: &mut Vec<Branch>) {
        tree.push(Branch::new(depth, ENTRY.name));
        let origin = match &self.url_origin {
            Some(origin) => self.scope.place(origin),
            None => DEFAULT.to_owned(),
        };
        tree.push(Branch::written(
            depth + 1,
            format!("uwsgi on {}", self.url),
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
