//! The options of command lines, and those that servers have in common.

use crate::import::imported_site::{
    ImportedApplication, ImportedSite, ListenAddress, ListenProtocol, Placed,
};
use crate::import::imported_text::{ImportedText, quoted_text};
use crate::import::listen_url::host_and_port;
use crate::syntax::Place;

/// An option of a command line, or a word that is none.
pub(super) struct CommandOption<'a> {
    /// Its name without dashes; empty for a word.
    pub(super) name: String,
    pub(super) value: Option<&'a ImportedText>,
    pub(super) joined: Option<ImportedText>,
}

impl CommandOption<'_> {
    pub(super) fn text(&self) -> ImportedText {
        let text = self.joined.clone().or_else(|| self.value.cloned());
        text.unwrap_or_default()
    }
}

/// What a program's command lines look like.
pub(super) struct Form {
    /// Whether an option takes no value, by its long name. What begins with `no-` takes none.
    pub(super) is_flag: fn(&str) -> bool,
    /// Letters and what they are short for.
    pub(super) letters: &'static [(char, &'static str)],
}

/// The options and words of a command line.
pub(super) fn options<'a>(words: &'a [ImportedText], form: &Form) -> Vec<CommandOption<'a>> {
    let mut found = Vec::new();
    let mut rest = words.iter().peekable();
    while let Some(word) = rest.next() {
        let beginning = word.beginning();
        let (name, joined) = if let Some(long) = beginning.strip_prefix("--") {
            match long.split_once('=') {
                Some((name, _)) => {
                    let value = word.without_beginning(&format!("--{name}="));
                    (name.to_owned(), value)
                }
                None => (long.to_owned(), None),
            }
        } else if let Some(short) = beginning.strip_prefix('-').filter(|it| !it.is_empty()) {
            let letter = short.chars().next().unwrap_or_default();
            let known = form.letters.iter().find(|(it, _)| *it == letter);
            let name = known.map_or_else(|| letter.to_string(), |(_, name)| (*name).to_owned());
            let value = word.without_beginning(&format!("-{letter}"));
            (name, value.filter(|value| !value.is_empty()))
        } else {
            found.push(CommandOption {
                name: String::new(),
                value: Some(word),
                joined: None,
            });
            continue;
        };
        let is_flag = (form.is_flag)(&name) || name.starts_with("no-");
        let value = match joined.is_none() && !is_flag {
            true => rest.next(),
            false => None,
        };
        found.push(CommandOption {
            name,
            value,
            joined,
        });
    }
    found
}

/// The name of an application by which a command line ends.
pub(super) fn application(
    name: Option<&ImportedText>,
    is_asgi: bool,
    object: &str,
    is_factory: bool,
    place: &Place,
    site: &mut ImportedSite,
) {
    let Some(name) = name.and_then(ImportedText::literal) else {
        return site.miss(place, "no application is named");
    };
    let name = match is_factory && !name.ends_with(')') {
        true => format!("{name}()"),
        false => name.to_owned(),
    };
    let application = ImportedApplication::imported(is_asgi, &name, Some(object));
    site.application = Some(Placed::new(application, place));
}

/// Options of what is always so here, or has no meaning here.
pub const ALWAYS: &[&str] = &[
    // HTTP/2 is spoken to clients that ask for it.
    "http2",
    // Both are always there, and no field tells which server it is.
    "date-header",
    "no-server-header",
    "no-server-name",
    // Fields of proxies are read of those that `runner.http.trusted_proxies` names.
    "no-proxy-headers",
    // The log has colors if it is read at a terminal.
    "use-colors",
    "no-use-colors",
    "log",
    "v",
    "verbosity",
    // There is no reload while it serves, nor a debugger.
    "no-reload",
    "no-debugger",
    // Workers are replaced, and WSGI applications have threads.
    "respawn-failed-workers",
    "respawn-interval",
    "timeout-worker-healthcheck",
    "with-threads",
    // Workers are replaced after ±10 % of `runner.workers.max_requests`.
    "limit-max-requests-jitter",
    "max-requests-jitter",
    "verbose",
];

/// Options that have no equivalent, and why.
const WHY_LEFT: &[(&[&str], &str)] = &[
    (
        &[
            "log-level",
            "log-config",
            "log-file",
            "error-log",
            "error-logfile",
            "no-log",
        ],
        "the log goes to standard error; `runner.log.*` says what is in it",
    ),
    (
        &["access-log-fmt", "access-logformat", "log-fmt"],
        "the access log has one of the forms that `runner.log.access` names: 'common', 'combined', 'json'",
    ),
    (
        &["http", "ws", "no-ws", "worker-class", "loop"],
        "HTTP and WebSockets are always there, and `runner.asgi.loop` names the event loop",
    ),
    (
        &["backlog"],
        "the backlog of a socket is what the system allows (`net.core.somaxconn`)",
    ),
    (
        &["server-header", "no-date-header", "ident"],
        "the fields of responses are those of the application, with a `Date` and no `Server`",
    ),
    (
        &["h11-max-incomplete-event-size"],
        "`runner.http.max_head` is the largest head of a request",
    ),
    (
        &[
            "runtime-threads",
            "runtime-mode",
            "runtime-blocking-threads",
            "blocking-threads-idle-timeout",
            "task-impl",
            "backpressure",
            "rss-samples",
            "asyncio-threads",
        ],
        "it is of the inside of that server",
    ),
    (
        &[
            "metrics",
            "metrics-address",
            "metrics-port",
            "metrics-scrape-interval",
            "statsd-host",
            "statsd-prefix",
        ],
        "metrics are at `runner.status.http`, for Prometheus",
    ),
    (
        &[
            "ssl-version",
            "ssl-ciphers",
            "ciphers",
            "ssl-protocol-min",
            "ssl-cert-reqs",
            "cert-reqs",
            "verify-mode",
            "ssl-client-verify",
        ],
        "TLS is 1.2 and 1.3 with safe ciphers; `runner.tls.client_auth` asks for certificates",
    ),
    (
        &["ssl-keyfile-password", "keyfile-password"],
        "the key has no password here: its file is one that only the user of the server can read",
    ),
    (
        &["header", "server-name"],
        "the fields of responses are those of the application, and hosts are keys of `commands.Routes`",
    ),
    (
        &["fd"],
        "sockets that are handed over, as by a socket unit of systemd, are used without being named",
    ),
    (
        &["daemon"],
        "a server stays in the foreground: let the service manager start it (`supervise`)",
    ),
    (&["quic-bind"], "HTTP/3 is not spoken: clients use HTTP/2"),
    (
        &["config"],
        "what the file says is not read: write it as options, behind `runner import --`",
    ),
    (
        &["debug", "debugger"],
        "a server does not debug: `runner launch` shows exceptions",
    ),
];

/// Options that servers have in common, by the names that uvicorn and granian give them. Returns false for others.
pub(super) fn common(option: &CommandOption<'_>, site: &mut ImportedSite, place: &Place) -> bool {
    let text = option.text();
    match option.name.as_str() {
        "workers" => site.set_workers(&text, place),
        "ssl-certfile" | "ssl-certificate" | "certfile" => {
            site.set_text("runner.tls.cert", &text, place);
        }
        "ssl-keyfile" | "keyfile" => site.set_text("runner.tls.key", &text, place),
        "ssl-ca-certs" | "ca-certs" | "ssl-ca" => {
            site.set_text("runner.tls.client_ca", &text, place);
        }
        "ssl-crl" => site.set_text("runner.tls.client_crl", &text, place),
        "uds-permissions" | "unix-socket-perms" => {
            site.set_text("runner.socket.mode", &text, place);
        }
        "http2-max-concurrent-streams" => site.set_number("runner.http.max_streams", &text, place),
        "limit-max-requests" | "max-requests" => {
            site.set_number("runner.workers.max_requests", &text, place);
        }
        "timeout-keep-alive" | "keep-alive" => {
            site.set_number("runner.http.keep_alive", &text, place);
        }
        "timeout-graceful-shutdown" | "graceful-timeout" => {
            site.set_number("runner.stop_timeout", &text, place);
        }
        "workers-kill-timeout" => duration("runner.stop_timeout", &text, site, place),
        "limit-concurrency" => site.set_number("runner.asgi.concurrency", &text, place),
        "no-access-log" => site.set("runner.log.access", "False", place),
        "ws-max-size" | "websocket-max-message-size" => {
            site.set_number("runner.websocket.max_message", &text, place);
        }
        "app-dir" => site.path.push(Placed::new(text, place)),
        "working-dir" | "working-directory" => {
            site.set_text("runner.workers.directory", &text, place);
            site.path.push(Placed::new(text, place));
        }
        "ws-per-message-deflate" => match text.literal().map(str::to_ascii_lowercase).as_deref() {
            Some("false" | "0" | "no" | "off" | "f" | "n") => {
                site.set("runner.websocket.compression", "False", place);
            }
            _ => site.set("runner.websocket.compression", "True", place),
        },
        "pid-file" | "pid" => site.set_text("runner.supervise.pid_file", &text, place),
        "user" => site.set_identity("runner.user", &text, place),
        "group" => site.set_identity("runner.group", &text, place),
        "process-name" => site.set_text("runner.log.name", &text, place),
        "forwarded-allow-ips" | "trusted-proxy" => match text.literal() {
            Some("*") => {
                site.set("runner.http.trusted_proxies", "['0.0.0.0/0', '::/0']", place);
            }
            _ => site.set("runner.http.trusted_proxies", format!("[{}]", text.expression()), place),
        },
        // Those of its details, too.
        name if name == "reload" || name.starts_with("reload-") => {
            site.leave(place, "`launch` reloads when files change; a server does at `runner reload`");
        }
        "root-path" | "url-path-prefix" | "url-prefix" | "url-scheme" => site.leave(
            place,
            format!("`--{}`: paths are keys of `commands.Routes`, and proxies say them (`runner.http.forwarded`)", option.name),
        ),
        "env-file" | "env-files" => site.append("runner.environment_file", text, place),
        "access-log" => site.set("runner.log.access", "True", place),
        "access-logfile" => match text.literal() {
            Some("-") => site.set("runner.log.access", "True", place),
            Some(_) | None => site.set_text("runner.log.access_file", &text, place),
        },
        "lifespan" => site.set_text("runner.asgi.lifespan", &text, place),
        "ws-ping-interval" | "websocket-ping-interval" | "ping-interval" => {
            duration("runner.websocket.ping_interval", &text, site, place);
        }
        "ws-ping-timeout" | "ping-timeout" => {
            duration("runner.websocket.ping_timeout", &text, site, place);
        }
        "umask" => site.set_text("runner.umask", &text, place),
        name if ALWAYS.contains(&name) => {}
        // What the server chooses itself is chosen here, too.
        "http" if text.literal() == Some("1") => site.set("runner.http.http2", "False", place),
        "http" | "ws" | "worker-class" if matches!(text.literal(), Some("auto" | "")) => {}
        "loop" if matches!(text.literal(), Some("auto" | "asyncio" | "uvloop")) => {
            site.set_text("runner.asgi.loop", &text, place);
        }
        "log-level" | "log-file" | "error-logfile" if matches!(text.literal(), Some("info" | "-")) => {}
        name if name.starts_with("http1-") || name.starts_with("http2-") => {
            site.leave(place, format!("`--{name}`: it is of the inside of that server"));
        }
        name => match WHY_LEFT.iter().find(|(names, _)| names.contains(&name)) {
            Some((_, why)) => site.leave(place, format!("`--{name}`: {why}")),
            None => return false,
        },
    }
    true
}

/// Sets a setting to a time: seconds, with a fraction or without one, or a number with a unit, such as `30m`.
pub(super) fn duration(name: &str, text: &ImportedText, site: &mut ImportedSite, place: &Place) {
    let Some(literal) = text.literal() else {
        return site.set_number(name, text, place);
    };
    let is_seconds = literal
        .parse::<f64>()
        .is_ok_and(|it| it.is_finite() && it >= 0.0);
    let digits = literal.trim_end_matches(['s', 'm', 'h', 'd']);
    let has_unit = literal.len() - digits.len() == 1 && digits.parse::<u64>().is_ok();
    match (is_seconds, has_unit) {
        (true, _) => site.set(name, literal, place),
        (false, true) => site.set(name, quoted_text(literal), place),
        (false, false) => site.miss(place, format!("`{text}` is no number")),
    }
}

/// The processes of servers that ask the environment how many there are to be.
pub(super) fn workers_of_environment(site: &mut ImportedSite, place: &Place) {
    if !site.settings.contains_key("runner.workers.min") {
        let workers = ImportedText::of_expression("int(os.environ.get('WEB_CONCURRENCY', 1))");
        site.set_workers(&workers, place);
    }
}

/// What a command line does not say: they all have one process then, and an application may keep in it what all clients share.
pub(super) fn finish(
    host: Option<ImportedText>,
    port: Option<ImportedText>,
    default: &str,
    place: &Place,
    site: &mut ImportedSite,
) {
    if site.addresses.is_empty() {
        let host = host.unwrap_or_else(|| ImportedText::known("127.0.0.1"));
        let port = port.unwrap_or_else(|| ImportedText::known(default));
        site.listen(ListenProtocol::Http, host_and_port(&host, &port), place);
    }
    if !site.settings.contains_key("runner.workers.min") {
        site.set_workers(&ImportedText::known("1"), place);
    }
    let has_certificate = site.settings.contains_key("runner.tls.cert");
    // An address that says it itself says that others are meant without.
    let is_said = |it: &Placed<ListenAddress>| it.value.url.beginning().starts_with("https://");
    if has_certificate && !site.addresses.iter().any(is_said) {
        for address in &mut site.addresses {
            if let Some(rest) = address.value.url.without_beginning("tcp://") {
                address.value.url = rest.after("https://");
            }
        }
    }
}

pub(super) fn not_taken(option: &CommandOption<'_>, place: &Place, site: &mut ImportedSite) {
    site.leave(place, format!("`--{}` has no equivalent", option.name));
}
