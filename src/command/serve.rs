//! `serve`: an application by HTTP.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::Arg;

use crate::command::arguments::{Arguments, Options};
use crate::command::failure::Failure;
use crate::command::front::Gateway;
use crate::command::graph::{self, Application, Node};
use crate::command::line::{Line, Origin, Scope, Word};
use crate::command::plan::{Announcement, Plan, Recipe};
use crate::command::{Entry, Kind, serving, settings};
use crate::eval::Value;
use crate::gateway::socket::activation;
use crate::gateway::socket::url::{ALL_PASSED, Host, InvalidSocketUrl, SocketUrl};
use crate::supervisor::supervision::Supervision;

/// What stands behind `serve` and `launch`.
pub const USAGE: &str = "[-p PORT] [--host HOST] [SOCKET_URL] NAME_OR_URL [-- ARGS...]";

/// The table's row.
pub const ENTRY: Entry = Entry {
    name: "serve",
    usage: USAGE,
    about: "Serves an application by HTTP",
    help: "\
It listens at `peak.tools.server.url` (`url` for short; any free port of
localhost unless it is set), or at SOCKET_URL: `tcp://host:port`, `unix:/path`,
`fd.socket:NUMBER`, or `fd.socket:NAME` for sockets that systemd passes; if it
passes any, and no URL is on the command line, all of them. The options may
stand anywhere before `--`, so that `./app.ini -p 9000` works. Once the
application answers, its address is printed on standard error. SIGTERM and
SIGINT let it finish what it is doing (for `runner.stop_timeout` at most); a
second SIGINT ends it at once. SIGQUIT writes to the log what the application
is doing for each request. Signals that mean nothing to it, such as SIGUSR1, do
not end it.

SIGHUP reads the files and the application anew. The new version is started
beside the one that serves and takes its place once its workers are ready; if
anything about it fails, the log says what, and the old one goes on. No
connection is closed for it; a new `url` is served before the old one is given
up. If `runner` itself was replaced, the new program takes over the sockets
once it serves; unless systemd can be told so, the first process stays, without
workers, passes signals on, and ends as the newest one does. (When a terminal is
closed, SIGHUP ends what was started in it.)

ARGS are the application's own arguments (Python's `sys.argv`).",
    kind: Kind::Command {
        options: Options::BeforeDashes,
        arguments: options,
        resolve: |scope, arguments| {
            let serve = resolve(scope, arguments, Audience::Anybody)?;
            Ok(Node::Serve(Box::new(serve)))
        },
    },
};

/// The property that says where to serve.
const URL: &str = "peak.tools.server.url";

/// For whom an application is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// `serve`: whoever asks.
    Anybody,
    /// `launch`: somebody in front of a browser.
    Browser,
}

/// An application and where it is served by HTTP.
#[derive(Debug)]
pub struct Serve {
    /// The settings.
    pub scope: Scope,
    /// For whom.
    pub audience: Audience,
    /// Where to listen.
    pub url: SocketUrl,
    /// Where that was written.
    pub url_origin: Origin,
    /// The application.
    pub application: Application,
    /// The application's own arguments.
    pub arguments: Vec<OsString>,
    /// How it is supervised, if it is.
    pub supervision: Option<Supervision>,
}

/// Adds the options.
#[must_use]
pub fn options(command: clap::Command) -> clap::Command {
    command
        .arg(
            Arg::new("port")
                .short('p')
                .long("port")
                .value_name("PORT")
                .help("Listen on this TCP port (0 for any free one)")
                .value_parser(port),
        )
        .arg(
            Arg::new("host")
                .long("host")
                .value_name("HOST")
                .help("Listen on the addresses of this host (`*` for all)"),
        )
}

/// The value of `-p`.
fn port(text: &str) -> Result<u16, String> {
    text.parse()
        .map_err(|_| "a number from 0 to 65535".to_owned())
}

/// Finds out what is served where.
///
/// # Errors
/// Wrong usage; no such application; a socket URL that is none.
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
    if arguments.line.words.is_empty() {
        return Err(arguments.missing("NAME_OR_URL"));
    }
    let line = std::mem::take(&mut arguments.line);
    let (application, rest) = graph::application(&scope, line)?;
    arguments.line = rest;
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
        supervision: None,
    })
}

/// Takes the first word if it is a socket URL.
///
/// # Errors
/// It begins like one but is none.
pub fn take_socket_url(
    scope: &Scope,
    line: &mut Line,
) -> Result<Option<(SocketUrl, Origin)>, Failure> {
    let is_url = |word: &Word| {
        let text = word.text.to_ascii_lowercase();
        ["http://", "tcp:", "udp:", "unix:", "unix.dg:", "fd.socket:"]
            .iter()
            .any(|scheme| text.starts_with(scheme))
    };
    if !line.words.first().is_some_and(is_url) {
        return Ok(None);
    }
    let word = line.words.remove(0);
    if word.exact.to_str().is_none() {
        let message = format!("the socket URL `{}` is not UTF-8", word.text);
        return Err(scope.mistake(&word.origin, message, None));
    }
    let url = parse_url(scope, &word.text, &word.origin)?;
    Ok(Some((url, word.origin)))
}

/// The sockets that a service manager passes instead of a URL, if it does: it has opened what the URL says, or what
/// takes its place. What was typed, or names sockets that are passed, stays as it is.
#[must_use]
pub fn unless_passed(url: SocketUrl, origin: &Origin) -> SocketUrl {
    match (&url, origin) {
        (_, Origin::CommandLine)
        | (SocketUrl::Descriptor(_) | SocketUrl::Passed(_) | SocketUrl::Nowhere, _) => url,
        (SocketUrl::Tcp { .. } | SocketUrl::Unix(_), Origin::Property(_) | Origin::Alias(..)) => {
            match activation::is_there() {
                true => ALL_PASSED,
                false => url,
            }
        }
    }
}

fn parse_url(scope: &Scope, text: &str, origin: &Origin) -> Result<SocketUrl, Failure> {
    let url: SocketUrl = text.parse().map_err(|invalid: InvalidSocketUrl| {
        scope.mistake(origin, invalid.message, invalid.hint)
    })?;
    Ok(url.relative_to(&scope.folder(origin)))
}

/// The URL that is set; there is always one, unless somebody has set it to `None`.
///
/// # Errors
/// It makes no sense.
pub fn configured_url(scope: &Scope) -> Result<(SocketUrl, Origin), Failure> {
    let origin = Origin::Property(URL.into());
    match scope.get(URL)? {
        Some(Value::Str(text) | Value::Link(text)) => {
            Ok((parse_url(scope, &text, &origin)?, origin))
        }
        Some(_) | None => Err(scope.mistake(
            &origin,
            format!("the value of `{URL}` is not a string"),
            Some("write `url = 'tcp://localhost:8000'`".to_owned()),
        )),
    }
}

/// A URL with another port or host. Those make sense with TCP only, so that is what comes out.
fn override_url(
    url: SocketUrl,
    port: Option<u16>,
    host: Option<String>,
) -> Result<SocketUrl, InvalidSocketUrl> {
    let (old_host, old_port) = match url {
        SocketUrl::Tcp { host, port } => (host, port),
        SocketUrl::Unix(_)
        | SocketUrl::Descriptor(_)
        | SocketUrl::Passed(_)
        | SocketUrl::Nowhere => (Host::Name("localhost".to_owned()), 0),
    };
    let port = port.unwrap_or(old_port);
    let Some(host) = host else {
        return Ok(SocketUrl::Tcp {
            host: old_host,
            port,
        });
    };
    let needs_brackets = host.contains(':') && !host.starts_with('[');
    let url = match needs_brackets {
        true => format!("tcp://[{host}]:{port}"),
        false => format!("tcp://{host}:{port}"),
    };
    url.parse().map_err(|_: InvalidSocketUrl| InvalidSocketUrl {
        message: format!("`{host}` is no host"),
        hint: match host.rsplit_once(':') {
            Some((name, port)) if port.parse::<u16>().is_ok() && !name.contains(':') => {
                Some(format!("write `--host {name} -p {port}`"))
            }
            Some(_) | None => None,
        },
    })
}

impl Serve {
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
    /// There is no Python for the application.
    pub fn plan(self) -> Result<Plan, Failure> {
        let gateway = Gateway::Http(settings::http(&self.scope.configuration, self.audience));
        let recipe = Recipe::of(&self.scope, &self.application, self.arguments)?;
        let told = match self.audience {
            Audience::Anybody => Announcement::Log,
            Audience::Browser => Announcement::Browser,
        };
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_change_a_part_of_the_url() {
        let cases = [
            ("tcp://h:1", Some(2), None, "tcp://h:2"),
            ("tcp://h:1", None, Some("g"), "tcp://g:1"),
            ("tcp://h:1", Some(2), Some("g"), "tcp://g:2"),
            ("tcp://h:1", None, Some("::1"), "tcp://[::1]:1"),
            ("tcp://h:1", None, Some("[::1]"), "tcp://[::1]:1"),
            ("tcp://h:1", None, Some("*"), "tcp://*:1"),
            ("unix:/s", Some(2), None, "tcp://localhost:2"),
            ("fd.socket:3", None, Some("g"), "tcp://g:0"),
        ];
        for (url, port, host, expected) in cases {
            let url = url.parse().unwrap();
            let changed = override_url(url, port, host.map(str::to_owned)).unwrap();
            assert_eq!(changed.to_string(), expected);
        }
        let url = "tcp://h:1".parse().unwrap();
        assert!(override_url(url, None, Some("a/b".to_owned())).is_err());
    }
}
