//! Command lines of servers, by their programs.

use crate::import::Facts;
use crate::import::command_words::CommandWords;
use crate::import::gunicorn_settings::{self, Said, SaidValue};
use crate::import::imported_text::ImportedText;
use crate::import::listen_url::{host_and_port, listen_url};
use crate::import::section_lines::broken;
use crate::import::site::{ImportedApplication, ListenProtocol, Placed, Site};
use crate::import::uwsgi_options::{self, UwsgiOption};
use crate::syntax::{Diagnostic, Place};

/// The programs that serve applications, which a command line can be taken over from.
pub const SERVERS: &[&str] = &[
    "gunicorn",
    "uvicorn",
    "granian",
    "hypercorn",
    "daphne",
    "waitress-serve",
    "uwsgi",
    "flask",
    "fastapi",
];

/// An option of a command line, or a word that is none.
struct CommandOption<'a> {
    /// Its name without dashes; empty for a word.
    name: String,
    value: Option<&'a ImportedText>,
    joined: Option<ImportedText>,
}

impl CommandOption<'_> {
    fn text(&self) -> ImportedText {
        let text = self.joined.clone().or_else(|| self.value.cloned());
        text.unwrap_or_default()
    }
}

/// What a program's command lines look like.
struct Form {
    /// The long names of the options that take no value.
    flags: &'static [&'static str],
    /// Letters and what they are short for.
    letters: &'static [(char, &'static str)],
}

/// The site that a command line describes; `None` if its program is none that serves an application.
///
/// # Errors
/// A file that it names is broken.
pub fn site(
    command: &CommandWords,
    place: &Place,
    facts: &Facts<'_>,
) -> Result<Option<Site>, Diagnostic> {
    let Some((at, program)) = command.program() else {
        return Ok(None);
    };
    let words = &command.words[at + 1..];
    let mut site = Site::default();
    match program {
        "gunicorn" => gunicorn(words, place, facts, &mut site)?,
        "uvicorn" => uvicorn(words, place, &mut site),
        "fastapi" => fastapi(words, place, &mut site),
        "granian" => granian(words, place, &mut site),
        "hypercorn" => hypercorn(words, place, &mut site),
        "daphne" => daphne(words, place, &mut site),
        "waitress-serve" => waitress(words, place, &mut site),
        "flask" => flask(words, command, place, &mut site),
        "uwsgi" => uwsgi(words, place, &mut site),
        _ => return Ok(None),
    }
    for (name, value) in &command.environment {
        let pair = (name.clone(), value.clone());
        site.environment.push(Placed::new(pair, place));
    }
    Ok(Some(site))
}

/// The options and words of a command line.
fn options<'a>(words: &'a [ImportedText], form: &Form) -> Vec<CommandOption<'a>> {
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
        let is_flag = form.flags.contains(&name.as_str()) || name.starts_with("no-");
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

fn gunicorn(
    words: &[ImportedText],
    place: &Place,
    facts: &Facts<'_>,
    site: &mut Site,
) -> Result<(), Diagnostic> {
    const FORM: Form = Form {
        flags: &[
            "daemon",
            "preload",
            "reload",
            "spew",
            "check-config",
            "print-config",
            "capture-output",
            "log-syslog",
            "no-sendfile",
            "reuse-port",
            "enable-stdio-inheritance",
            "initgroups",
            "proxy-protocol",
            "disable-redirect-access-to-syslog",
            "do-handshake-on-connect",
            "suppress-ragged-eofs",
            "strip-header-spaces",
            "preload-app",
        ],
        letters: &[
            ('b', "bind"),
            ('w', "workers"),
            ('k', "worker-class"),
            ('t', "timeout"),
            ('c', "config"),
            ('e', "env"),
            ('n', "name"),
            ('u', "user"),
            ('g', "group"),
            ('m', "umask"),
            ('p', "pid"),
            ('D', "daemon"),
            ('R', "capture-output"),
        ],
    };
    let options = options(words, &FORM);
    let mut said = Vec::new();
    let config = options.iter().rev().find(|option| option.name == "config");
    if let Some(path) = config.map(CommandOption::text) {
        match path.literal() {
            Some(path) => {
                let path = path.strip_prefix("file:").unwrap_or(path);
                match (facts.gunicorn)(path)? {
                    Some(settings) => said = settings,
                    None => site.leave(
                        place,
                        format!("`{path}` is not here: what it says is missing"),
                    ),
                }
            }
            None => site.leave(place, "the path of the configuration file is not known"),
        }
    }
    let mut application = None;
    let mut binds = Vec::new();
    for option in &options {
        let text = option.text();
        match option.name.as_str() {
            "" if application.is_some() => {
                let surplus = format!("`{text}` follows the name of the application");
                let hint = "a name has no blanks: `module:object`";
                return Err(broken(place, surplus).with_hint(hint));
            }
            "" => application = option.value,
            "bind" => binds.push(text),
            name => said.push(Said {
                value: match FORM.flags.contains(&name) {
                    true => SaidValue::Flag(!name.starts_with("no-")),
                    false => SaidValue::Text(text),
                },
                name: name.replace('-', "_"),
                place: place.clone(),
            }),
        }
    }
    if !binds.is_empty() {
        said.push(Said {
            name: "bind".to_owned(),
            value: SaidValue::List(binds),
            place: place.clone(),
        });
    }
    let application = application.map(|name| (name, place));
    gunicorn_settings::take(&said, application, site, place);
    Ok(())
}

/// The name of an application by which a command line ends.
fn application(
    name: Option<&ImportedText>,
    is_asgi: bool,
    object: &str,
    is_factory: bool,
    place: &Place,
    site: &mut Site,
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

/// Options that servers have in common, by the names that uvicorn and granian give them. Returns false for others.
fn common(option: &CommandOption<'_>, site: &mut Site, place: &Place) -> bool {
    let text = option.text();
    match option.name.as_str() {
        "workers" => site.set_workers(&text, place),
        "ssl-certfile" | "ssl-certificate" | "certfile" => {
            site.set_text("runner.tls.cert", &text, place);
        }
        "ssl-keyfile" | "keyfile" => site.set_text("runner.tls.key", &text, place),
        "ssl-ca-certs" | "ca-certs" => site.set_text("runner.tls.client_ca", &text, place),
        "limit-max-requests" | "max-requests" => {
            site.set_number("runner.workers.max_requests", &text, place);
        }
        "timeout-keep-alive" | "keep-alive" => {
            site.set_number("runner.http.keep_alive", &text, place);
        }
        "timeout-graceful-shutdown" | "graceful-timeout" | "workers-kill-timeout" => {
            site.set_number("runner.stop_timeout", &text, place);
        }
        "limit-concurrency" => site.set_number("runner.asgi.concurrency", &text, place),
        "no-access-log" => site.set("runner.log.access", "False", place),
        "ws-max-size" | "websocket-max-message-size" => {
            site.set_number("runner.websocket.max_message", &text, place);
        }
        "app-dir" | "working-dir" | "working-directory" => {
            site.set_text("runner.workers.directory", &text, place);
            site.path.push(Placed::new(text, place));
        }
        "pid-file" | "pid" => site.set_text("runner.supervise.pid_file", &text, place),
        "user" => site.set_text("runner.user", &text, place),
        "group" => site.set_text("runner.group", &text, place),
        "process-name" => site.set_text("runner.log.name", &text, place),
        "forwarded-allow-ips" | "trusted-proxy" => match text.literal() {
            Some("*") => {
                site.set("runner.http.trusted_proxies", "['0.0.0.0/0', '::/0']", place);
            }
            _ => site.set("runner.http.trusted_proxies", format!("[{}]", text.expression()), place),
        },
        "reload" | "reload-dir" | "reload-paths" => {
            site.leave(place, "`launch` reloads when files change; a server does at `runner reload`");
        }
        "root-path" | "url-path-prefix" | "url-prefix" | "url-scheme" => site.leave(
            place,
            format!("`--{}`: paths are keys of `commands.Routes`, and proxies say them (`runner.http.forwarded`)", option.name),
        ),
        "env-file" | "env-files" => site.set_text("runner.environment_file", &text, place),
        "log-level" | "log-config" | "access-log" | "use-colors" | "no-use-colors" | "log" | "no-log"
        | "proxy-headers" | "no-proxy-headers" | "server-header" | "no-server-header"
        | "date-header" | "no-date-header" | "http" | "ws" | "loop" | "lifespan" | "backlog"
        | "h11-max-incomplete-event-size" | "no-ws" | "backpressure" | "runtime-threads"
        | "runtime-mode" | "runtime-blocking-threads" | "task-impl" | "respawn-failed-workers"
        | "respawn-interval" | "error-logfile" | "access-logfile" | "access-log-fmt"
        | "ws-ping-interval" | "ws-ping-timeout" | "ws-per-message-deflate" | "verbosity"
        | "version" | "debug" | "blocking-threads-idle-timeout" | "rss-samples" | "v"
        | "no-reload" | "debugger" | "no-debugger" | "with-threads" | "proxy-headers-host"
        | "log-file" | "ident" | "asyncio-threads" | "worker-class" => {}
        _ => return false,
    }
    true
}

fn finish(
    host: Option<ImportedText>,
    port: Option<ImportedText>,
    default: &str,
    place: &Place,
    site: &mut Site,
) {
    if site.addresses.is_empty() {
        let host = host.unwrap_or_else(|| ImportedText::known("127.0.0.1"));
        let port = port.unwrap_or_else(|| ImportedText::known(default));
        site.listen(ListenProtocol::Http, host_and_port(&host, &port), place);
    }
    if site.settings.contains_key("runner.tls.cert") {
        for address in &mut site.addresses {
            if let Some(rest) = address.value.url.without_beginning("tcp://") {
                address.value.url = rest.after("https://");
            }
        }
    }
}

fn not_taken(option: &CommandOption<'_>, place: &Place, site: &mut Site) {
    site.leave(place, format!("`--{}` has no equivalent", option.name));
}

fn uvicorn(words: &[ImportedText], place: &Place, site: &mut Site) {
    const FORM: Form = Form {
        flags: &[
            "reload",
            "factory",
            "access-log",
            "use-colors",
            "proxy-headers",
            "server-header",
            "date-header",
            "version",
            "help",
        ],
        letters: &[],
    };
    let (mut name, mut host, mut port) = (None, None, None);
    let (mut is_asgi, mut is_factory) = (true, false);
    for option in &options(words, &FORM) {
        match option.name.as_str() {
            "" => name = name.or(option.value),
            "host" => host = Some(option.text()),
            "port" => port = Some(option.text()),
            "uds" => {
                let url = option.text().after("unix:");
                site.listen(ListenProtocol::Http, url, place);
            }
            "factory" => is_factory = true,
            "interface" => is_asgi = option.text().literal() != Some("wsgi"),
            _ if common(option, site, place) => {}
            _ => not_taken(option, place, site),
        }
    }
    application(name, is_asgi, "app", is_factory, place, site);
    finish(host, port, "8000", place, site);
}

/// `fastapi run main.py`.
fn fastapi(words: &[ImportedText], place: &Place, site: &mut Site) {
    const FORM: Form = Form {
        flags: &["reload", "proxy-headers", "help"],
        letters: &[],
    };
    let (mut file, mut host, mut port) = (None, None, None);
    let mut object = "app".to_owned();
    for option in &options(words, &FORM) {
        let text = option.text();
        match option.name.as_str() {
            "" if matches!(text.literal(), Some("run" | "dev")) => {}
            "" => file = file.or(option.value),
            "host" => host = Some(text),
            "port" => port = Some(text),
            "app" => object = text.literal().unwrap_or_default().to_owned(),
            _ if common(option, site, place) => {}
            _ => not_taken(option, place, site),
        }
    }
    application(file, true, &object, false, place, site);
    let host = host.unwrap_or_else(|| ImportedText::known("0.0.0.0"));
    finish(Some(host), port, "8000", place, site);
}

fn granian(words: &[ImportedText], place: &Place, site: &mut Site) {
    const FORM: Form = Form {
        flags: &[
            "reload",
            "factory",
            "access-log",
            "log",
            "ws",
            "respawn-failed-workers",
            "help",
            "version",
            "static-path-precompressed",
        ],
        letters: &[],
    };
    let (mut name, mut host, mut port) = (None, None, None);
    let (mut interface, mut is_factory) = ("rsgi".to_owned(), false);
    let (mut mount, mut folder) = (None, None);
    for option in &options(words, &FORM) {
        let text = option.text();
        match option.name.as_str() {
            "" => name = name.or(option.value),
            "host" => host = Some(text),
            "port" => port = Some(text),
            "uds" => site.listen(ListenProtocol::Http, text.after("unix:"), place),
            "factory" => is_factory = true,
            "interface" => interface = text.literal().unwrap_or_default().to_owned(),
            "blocking-threads" => site.set_number("runner.workers.threads", &text, place),
            "workers-lifetime" => site.set_number("runner.workers.max_lifetime", &text, place),
            "workers-max-rss" => match text.number() {
                Some(number) => {
                    let bytes = format!("{number} * 1024 * 1024");
                    site.set("runner.workers.max_memory", bytes, place);
                }
                None => not_taken(option, place, site),
            },
            "static-path-route" => mount = Some(text),
            "static-path-mount" => folder = Some(text),
            "static-path-expires" | "static-path-dir-to-file" => not_taken(option, place, site),
            _ if common(option, site, place) => {}
            _ => not_taken(option, place, site),
        }
    }
    if let Some(folder) = folder.as_ref().and_then(ImportedText::literal) {
        let mount = mount.as_ref().and_then(ImportedText::literal);
        let mount = format!("{}/", mount.unwrap_or("/static").trim_end_matches('/'));
        let words = vec!["files".to_owned(), folder.to_owned()];
        site.routes.push(Placed::new((mount, words), place));
    }
    let (is_asgi, object) = match interface.as_str() {
        "wsgi" => (false, "app"),
        "rsgi" => {
            site.miss(
                place,
                "RSGI is only at Granian: most applications of it have ASGI, too",
            );
            (true, "app")
        }
        _ => (true, "app"),
    };
    if is_asgi {
        site.settings.remove("runner.workers.threads");
    }
    application(name, is_asgi, object, is_factory, place, site);
    finish(host, port, "8000", place, site);
}

fn hypercorn(words: &[ImportedText], place: &Place, site: &mut Site) {
    const FORM: Form = Form {
        flags: &["reload", "debug", "help"],
        letters: &[
            ('b', "bind"),
            ('w', "workers"),
            ('k', "worker-class"),
            ('c', "config"),
            ('g', "group"),
            ('u', "user"),
            ('p', "pid"),
            ('m', "umask"),
        ],
    };
    let mut name = None;
    for option in &options(words, &FORM) {
        match option.name.as_str() {
            "" => name = name.or(option.value),
            "bind" => {
                let url = listen_url(&option.text());
                site.listen(ListenProtocol::Http, url, place);
            }
            _ if common(option, site, place) => {}
            _ => not_taken(option, place, site),
        }
    }
    application(name, true, "app", false, place, site);
    finish(None, None, "8000", place, site);
}

fn daphne(words: &[ImportedText], place: &Place, site: &mut Site) {
    const FORM: Form = Form {
        flags: &["proxy-headers", "no-server-name", "help"],
        letters: &[
            ('b', "bind"),
            ('p', "port"),
            ('u', "unix-socket"),
            ('e', "endpoint"),
            ('v', "verbosity"),
            ('t', "http-timeout"),
        ],
    };
    let (mut name, mut host, mut port) = (None, None, None);
    for option in &options(words, &FORM) {
        let text = option.text();
        match option.name.as_str() {
            "" => name = name.or(option.value),
            "bind" => host = Some(text),
            "port" => port = Some(text),
            "unix-socket" => site.listen(ListenProtocol::Http, text.after("unix:"), place),
            "http-timeout" | "application-close-timeout" => {
                site.set_number("runner.request.timeout", &text, place);
            }
            "websocket_timeout" | "websocket-timeout" | "ping-interval" | "ping-timeout"
            | "access-log" => {}
            _ if common(option, site, place) => {}
            _ => not_taken(option, place, site),
        }
    }
    application(name, true, "application", false, place, site);
    finish(host, port, "8000", place, site);
}

fn waitress(words: &[ImportedText], place: &Place, site: &mut Site) {
    const FORM: Form = Form {
        flags: &["call", "help", "expose-tracebacks", "ipv4", "ipv6"],
        letters: &[],
    };
    let (mut name, mut host, mut port, mut is_factory) = (None, None, None, false);
    for option in &options(words, &FORM) {
        let text = option.text();
        match option.name.as_str() {
            "" => name = name.or(option.value),
            "call" => is_factory = true,
            "app" => name = name.or(option.value),
            "host" => host = Some(text),
            "port" => port = Some(text),
            "listen" => site.listen(ListenProtocol::Http, listen_url(&text), place),
            "unix-socket" => site.listen(ListenProtocol::Http, text.after("unix:"), place),
            "unix-socket-perms" => site.set_text("runner.socket.mode", &text, place),
            "threads" => site.set_number("runner.workers.threads", &text, place),
            "max-request-body-size" => site.set_number("runner.request.max_body", &text, place),
            "channel-timeout" | "connection-limit" | "cleanup-interval" | "ident" => {}
            _ if common(option, site, place) => {}
            _ => not_taken(option, place, site),
        }
    }
    application(name, false, "app", is_factory, place, site);
    let host = host.unwrap_or_else(|| ImportedText::known("0.0.0.0"));
    finish(Some(host), port, "8080", place, site);
}

/// `flask run`, whose application is named by `--app` or `FLASK_APP`.
fn flask(words: &[ImportedText], command: &CommandWords, place: &Place, site: &mut Site) {
    const FORM: Form = Form {
        flags: &["debug", "reload", "with-threads", "help"],
        letters: &[
            ('A', "app"),
            ('h', "host"),
            ('p', "port"),
            ('e', "env-file"),
        ],
    };
    let set = command
        .environment
        .iter()
        .find(|(name, _)| name == "FLASK_APP");
    let mut name = set.map(|(_, value)| value.clone());
    let (mut host, mut port) = (None, None);
    for option in &options(words, &FORM) {
        let text = option.text();
        match option.name.as_str() {
            "" => {}
            "app" => name = Some(text),
            "host" => host = Some(text),
            "port" => port = Some(text),
            "cert" => site.set_text("runner.tls.cert", &text, place),
            "key" => site.set_text("runner.tls.key", &text, place),
            _ if common(option, site, place) => {}
            _ => not_taken(option, place, site),
        }
    }
    // Flask looks for these itself.
    let name = name.unwrap_or_else(|| ImportedText::known("app"));
    application(Some(&name), false, "app", false, place, site);
    site.set("runner.workers.threads", "4", place);
    finish(host, port, "5000", place, site);
}

fn uwsgi(words: &[ImportedText], place: &Place, site: &mut Site) {
    const FORM: Form = Form {
        flags: &[
            "master",
            "enable-threads",
            "vacuum",
            "die-on-term",
            "single-interpreter",
            "need-app",
            "thunder-lock",
            "lazy-apps",
            "lazy",
            "strict",
            "no-orphans",
            "memory-report",
            "disable-logging",
            "auto-procname",
            "http-auto-chunked",
            "http-chunked-input",
            "http-keepalive",
            "ignore-sigpipe",
            "ignore-write-errors",
            "disable-write-exception",
            "log-x-forwarded-for",
            "manage-script-name",
            "catch-exceptions",
            "py-autoreload",
            "wsgi-disable-file-wrapper",
            "log-4xx",
            "log-5xx",
        ],
        letters: &[
            ('M', "master"),
            ('p', "processes"),
            ('s', "socket"),
            ('w', "module"),
            ('H', "home"),
            ('T', "enable-threads"),
            ('L', "disable-logging"),
            ('C', "chmod-socket"),
            ('z', "socket-timeout"),
        ],
    };
    let mut taken = Vec::new();
    for option in options(words, &FORM) {
        let text = option.text();
        match (option.name.as_str(), text.literal()) {
            ("" | "ini", Some(file)) => {
                site.miss(
                    place,
                    format!("what `{file}` says is not here: `runner import {file}`"),
                );
            }
            _ => taken.push(UwsgiOption {
                value: (!FORM.flags.contains(&option.name.as_str())).then_some(text),
                name: option.name,
                place: place.clone(),
                is_used: false,
            }),
        }
    }
    if !taken.is_empty() || site.left.is_empty() {
        site.add(uwsgi_options::site(&taken, &place.source));
    }
}
