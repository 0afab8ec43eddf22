//! `serve`: serves an application by HTTP.

use std::ffi::OsString;

use clap::Arg;

use crate::commands::run::application_words::take_application;
use crate::gateway::socket::url::SocketUrl;
use crate::graph::entry::{Arguments, Entry, EntryKind, Options};
use crate::graph::node::{Branch, Job, Node, Served, draw_application};
use crate::line::failure::Failure;
use crate::line::scope::Scope;
use crate::line::word::Origin;
use crate::plan::Plan;
use crate::plan::address::{
    configured_url, override_url, parse_port, take_socket_url, unless_passed,
};
use crate::plan::application::ApplicationName;
use crate::plan::application::Recipe;
use crate::plan::gateway::{Audience, Gateway};
use crate::plan::gateway_options;
use crate::supervisor::supervision::Supervision;

/// The usage of `serve` and `launch`.
pub const USAGE: &str = "[-p PORT] [--host HOST] [SOCKET_URL] NAME_OR_URL [-- ARGS...]";

/// The table's row.
pub const ENTRY: Entry = Entry {
    name: "serve",
    usage: USAGE,
    summary: "Serves an application by HTTP",
    help: "\
Listens on SOCKET_URL, or else on `peak.tools.server.url` (`url` for short),
which is any free port of localhost by default. SOCKET_URL is `tcp://HOST:PORT`,
`unix:PATH`, `fd.socket:NUMBER`, or `fd.socket:NAME` for a socket that systemd
passes. If systemd passes sockets and the command line has no URL, all of them
are used. Options may stand anywhere before `--`, so `./app.ini -p 9000` works.
The address is printed on standard error once the application answers. ARGS are
the application's own arguments (Python's `sys.argv`).

Behind a reverse proxy such as nginx, `REMOTE_ADDR` is the proxy's address, or
empty on a `unix:` socket. What the proxy adds to requests (`X-Forwarded-For`,
`X-Forwarded-Proto`) reaches the application as `HTTP_X_FORWARDED_FOR` and
`HTTP_X_FORWARDED_PROTO`. `runner` itself trusts no such field, since clients
can send it too. The application decides which proxies it trusts: in Django with
`SECURE_PROXY_SSL_HEADER`, in Flask with `ProxyFix` of werkzeug. The last
address in `HTTP_X_FORWARDED_FOR` is the one that the nearest proxy has added.

Static files are served by the application, or by nginx (`location /static/`),
which is faster.

SIGTERM and SIGINT stop the server once it has finished its requests, after
`runner.stop_timeout` at the latest; a second SIGINT stops it at once. SIGQUIT
writes to the log what the application is doing for each request. Signals that
have no meaning here, such as SIGUSR1, are ignored.

SIGHUP reads the configuration files and the application again. The new version
starts beside the old one and takes over once its workers are ready. Connections
stay open, and a new `url` is served before the old one is closed. If anything
fails, the log says what, and the old version continues. When a terminal closes,
SIGHUP stops what was started in it.

If `runner` itself was replaced, SIGHUP starts the new program, which takes over
the sockets once it serves. Unless systemd can be told of the new process, the
first one stays, without workers; it passes signals on and ends with the newest
one.",
    kind: EntryKind::Command {
        options: Options::BeforeDashes,
        arguments: options,
        resolve: |scope, arguments| Ok(Box::new(resolve(scope, arguments, Audience::Log)?)),
    },
};

/// An application and where it is served by HTTP.
pub struct Serve {
    scope: Scope,
    audience: Audience,
    url: SocketUrl,
    /// Where the URL was written.
    url_origin: Origin,
    application: ApplicationName,
    /// The application's own arguments.
    arguments: Vec<OsString>,
}

/// Adds the options of `serve` and `launch`.
#[must_use]
pub fn options(command: clap::Command) -> clap::Command {
    command
        .arg(
            Arg::new("port")
                .short('p')
                .long("port")
                .value_name("PORT")
                .help("Listen on this TCP port (0 for any free one)")
                .value_parser(parse_port),
        )
        .arg(
            Arg::new("host")
                .long("host")
                .value_name("HOST")
                .help("Listen on the addresses of this host (`*` for all)"),
        )
}

/// Resolves the application and its socket URL.
///
/// # Errors
/// Wrong usage, an unknown application, or a malformed socket URL.
pub fn resolve(
    scope: Scope,
    mut arguments: Arguments,
    audience: Audience,
) -> Result<Serve, Failure> {
    let written = take_socket_url(&scope, &mut arguments.line)?;
    let (url, url_origin) = match written {
        Some(written) => written,
        None => configured_url(&scope)?,
    };
    let port = arguments.options.get_one::<u16>("port").copied();
    let host = arguments.options.get_one::<String>("host").cloned();
    let (url, url_origin) = match port.is_some() || host.is_some() {
        true => (
            override_url(url, port, host)
                .map_err(|invalid| arguments.wrong(invalid.message, invalid.hint))?,
            Origin::CommandLine,
        ),
        false => (unless_passed(url, &url_origin), url_origin),
    };
    let application = take_application(&scope, &mut arguments)?;
    arguments.finish()?;
    Ok(Serve {
        scope,
        audience,
        url,
        url_origin,
        application,
        arguments: arguments
            .behind
            .into_iter()
            .map(|word| word.exact)
            .collect(),
    })
}

impl Node for Serve {
    fn job(&self, supervision: Option<&Supervision>) -> Result<Job<'_>, Failure> {
        let gateway = Gateway::Http(gateway_options::http(
            &self.scope.configuration,
            self.audience,
        ));
        let plan = Plan::new(
            &self.scope,
            self.url.clone(),
            gateway,
            self.audience,
            Recipe::of(&self.scope, &self.application, self.arguments.clone())?,
            supervision,
        )?;
        Ok(Job::Serve(Box::new(plan)))
    }

    fn draw(&self, depth: usize, tree: &mut Vec<Branch>) {
        let name = match self.audience {
            Audience::Browser => "launch",
            Audience::Log | Audience::Nobody => ENTRY.name,
        };
        tree.push(Branch::new(depth, name));
        let origin = self.scope.place(&self.url_origin);
        tree.push(Branch::written(
            depth + 1,
            format!("HTTP on {}", self.url),
            origin,
        ));
        draw_application(&self.scope, &self.application, depth + 2, tree);
    }

    fn served(&self) -> Option<Served> {
        Some(Served {
            scope: self.scope.clone(),
            application: self.application.clone(),
            arguments: self.arguments.clone(),
            is_behind_web_server: false,
        })
    }

    fn supervisable(&self) -> Option<&Scope> {
        // `launch` opens a browser for the user at the terminal, so nothing restarts it.
        (self.audience == Audience::Log).then_some(&self.scope)
    }
}
