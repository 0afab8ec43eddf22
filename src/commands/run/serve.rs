//! `serve`: serves an application by HTTP.

use std::ffi::OsString;
use std::sync::Arc;

use clap::Arg;

use crate::commands::applications::application_words::take_application;
use crate::graph::entry::{Arguments, Entry, EntryKind, Options};
use crate::graph::node::{Branch, Job, Node, Served, draw_application, with_options};
use crate::interface::Scheme;
use crate::line::failure::Failure;
use crate::line::scope::Scope;
use crate::line::word::Origin;
use crate::plan::Plan;
use crate::plan::address::{
    PlacedUrl, configured_urls, override_url, parse_port, take_urls, takes_passed, unless_passed,
};
use crate::plan::application::ApplicationName;
use crate::plan::application::recipe::Recipe;
use crate::plan::development::{Development, ReloadMode};
use crate::plan::gateway::{Audience, Endpoint, Gateway, Protocol};
use crate::plan::gateway_options;
use crate::plan::pages;
use crate::plan::tls::{self, TlsPlaces, https_settings};
use crate::supervisor::supervision::Supervision;
use crate::syntax::Diagnostic;

/// The usage of `serve` and `launch`.
pub const USAGE: &str = "[-p PORT] [--host HOST] [SOCKET_URL...] NAME_OR_URL [-- ARGS...]";

/// The option of `launch` for https.
pub const TLS: &str = "tls";

/// What is said of the certificate that `--tls` makes.
const THROW_AWAY: &str = "the certificate is made for this run: a browser warns of it once, and `curl -k` takes it; \
    `mkcert` makes one that they trust, for `runner.tls.cert`";

/// The table's row.
pub const ENTRY: Entry = Entry {
    name: "serve",
    usage: USAGE,
    summary: "Serves an application by HTTP",
    help: "\
Listens on each SOCKET_URL, or else on `peak.tools.server.url` (`url` for
short), which is any free port of localhost by default. SOCKET_URL is
`http://HOST:PORT` (or `tcp:`), `https://HOST:PORT` (with `runner.tls.cert`),
`unix:PATH`, `fd.socket:NUMBER`, or `fd.socket:NAME` for a socket that systemd
passes. If systemd passes sockets and the command line has no URL, all of them
are used; of several URLs in a file, each gets those that listen there. Options
may stand anywhere before `--`, so `./app.ini -p 9000` works; `-p` and `--host`
leave one address.
The address is printed on standard error once the application answers. ARGS are
the application's own arguments (Python's `sys.argv`).

Behind a reverse proxy such as nginx, `REMOTE_ADDR` is the proxy's address, or
empty on a `unix:` socket, until `runner.http.trusted_proxies` names the proxy:
`['unix']` for one that connects to a Unix socket. Then the address and scheme
of the client come from its fields (`X-Forwarded-For`, `X-Forwarded-Proto`).
Without the setting, such fields reach the application as they were sent, and it
decides what it trusts (`ProxyFix` of werkzeug). runner(1) has more about this
in BEHIND A PROXY.

Static files are served by the application, by `files FOLDER` in front of it
(`--fallback`), or by nginx (`location /static/`).

SIGTERM and SIGINT stop the server once it has finished its requests, after
`runner.stop_timeout` at the latest; a second SIGINT stops it at once. SIGQUIT
writes to the log what the application is doing for each request. SIGUSR2 and
SIGUSR1 open `runner.log.access_file` again by its name, where there is one.
Signals that have no meaning here, such as SIGALRM, are ignored.

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
    /// `--tls`: a certificate is made where the settings name none.
    makes_certificate: bool,
    urls: Vec<PlacedUrl>,
    application: ApplicationName,
    /// The application's own arguments.
    arguments: Vec<OsString>,
    /// What `launch` was told to reload.
    reload: Option<ReloadMode>,
    /// The options that were given and that its addresses do not show.
    options: Vec<String>,
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

/// Resolves the application and where it is served.
///
/// # Errors
/// Wrong usage, an unknown application, or a malformed socket URL.
pub fn resolve(
    scope: Scope,
    mut arguments: Arguments,
    audience: Audience,
) -> Result<Serve, Failure> {
    let mut urls = take_urls(&scope, &mut arguments.line)?;
    if urls.is_empty() {
        urls = configured_urls(&scope)?;
    }
    let port = arguments.options.get_one::<u16>("port").copied();
    let host = arguments.options.get_one::<String>("host").cloned();
    if port.is_some() || host.is_some() {
        // One address is asked for: where there are several, the first counts.
        let first = urls.swap_remove(0).url;
        let url = override_url(first, port, host)
            .map_err(|invalid| arguments.wrong(invalid.message, invalid.hint))?;
        let origin = Origin::CommandLine;
        urls = vec![PlacedUrl { url, origin }];
    }
    // Only `launch` has the option.
    let tls = arguments.options.try_get_one::<bool>(TLS);
    let makes_certificate = matches!(tls, Ok(Some(true)));
    if makes_certificate {
        for PlacedUrl { url, .. } in &mut urls {
            url.scheme = Scheme::Https;
        }
    }
    // Several URLs stay, and each gets those of the passed sockets that listen there.
    if let [PlacedUrl { url, origin }] = &mut *urls {
        url.socket = unless_passed(url.socket.clone(), origin);
    }
    let application = take_application(&scope, &mut arguments)?;
    arguments.finish()?;
    let mut options = arguments.options_of(arguments.entry.name);
    options.retain(|option| option.starts_with("--reload") || option == "--no-reload");
    Ok(Serve {
        scope,
        audience,
        makes_certificate,
        urls,
        application,
        arguments: arguments
            .behind
            .into_iter()
            .map(|word| word.exact)
            .collect(),
        reload: None,
        options,
    })
}

impl Serve {
    /// The same with what the command line of `launch` has instead of a setting.
    #[must_use]
    pub fn reloading(mut self, typed: Option<ReloadMode>) -> Self {
        self.reload = typed;
        self
    }

    fn as_served(&self) -> Served {
        let endpoints = self.urls.iter().map(|placed| Endpoint {
            url: placed.url.clone(),
            protocol: Protocol::Http,
        });
        Served {
            scope: self.scope.clone(),
            application: self.application.clone(),
            arguments: self.arguments.clone(),
            endpoints: endpoints.collect(),
            is_behind_web_server: false,
            takes_passed: takes_passed(&self.urls),
        }
    }

    fn tls_places(&self) -> TlsPlaces<'_> {
        TlsPlaces {
            urls: &self.urls,
            are_known: true,
            makes_certificate: self.makes_certificate,
        }
    }
}

impl Node for Serve {
    fn job(&self, supervision: Option<&Supervision>) -> Result<Job<'_>, Failure> {
        let settings = &self.scope.configuration;
        let mut options = gateway_options::http(settings, self.audience);
        let (setup, doubts) = tls::setup(&self.scope, self.tls_places())?;
        options.tls = setup;
        options.https_only = Arc::new(https_settings::https_only(settings, &self.urls));
        let mut plan = Plan::new(
            &self.scope,
            self.urls.iter().map(|placed| placed.url.clone()).collect(),
            Gateway::Http(options),
            self.audience,
            Recipe::of(&self.scope, &self.application, &self.arguments)?,
            supervision,
        )?;
        plan.warnings.extend(doubts);
        plan.warnings.extend(self.as_served().circles());
        if self.makes_certificate && !tls::has_certificate(&self.scope) {
            plan.note = Some(THROW_AWAY);
        }
        if self.audience == Audience::Browser {
            let development = Development::of(&self.scope, &self.application, self.reload);
            plan = plan.developing(development);
        }
        Ok(Job::Serve(Box::new(plan)))
    }

    fn draw(&self, depth: usize, tree: &mut Vec<Branch>) {
        let name = match self.audience {
            Audience::Browser => "launch",
            Audience::Log | Audience::Nobody => ENTRY.name,
        };
        tree.push(Branch::new(depth, with_options(name, name, &self.options)));
        let urls: Vec<String> = self.urls.iter().map(|it| it.url.to_string()).collect();
        let origin = self
            .urls
            .first()
            .map(|first| self.scope.place(&first.origin));
        tree.push(Branch::written(
            depth + 1,
            format!("HTTP on {}", urls.join(", ")),
            origin.unwrap_or_default(),
        ));
        draw_application(&self.scope, &self.application, depth + 2, tree);
    }

    fn address_problems(&self) -> Option<Vec<Diagnostic>> {
        let mut problems = tls::problems(&self.scope, self.tls_places());
        problems.extend(pages::problems(&self.scope, &self.urls));
        Some(problems)
    }

    fn served(&self) -> Option<Served> {
        Some(self.as_served())
    }

    fn supervisable(&self) -> Option<&Scope> {
        // `launch` opens a browser for the user at the terminal, so nothing restarts it.
        (self.audience == Audience::Log).then_some(&self.scope)
    }
}
