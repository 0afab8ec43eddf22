//! The command lines of servers that are not gunicorn or uWSGI.

use crate::import::imported_site::{ImportedSite, ListenProtocol, Placed};
use crate::import::imported_text::{ImportedText, quoted_text};
use crate::import::listen_url::{host_and_port, listen_url};
use crate::import::servers::command_options::{
    Form, application, common, duration, finish, not_taken, options,
};
use crate::import::servers::command_words::CommandWords;
use crate::syntax::Place;

pub(super) fn granian(words: &[ImportedText], place: &Place, site: &mut ImportedSite) {
    const FORM: Form = Form {
        is_flag: |name| {
            matches!(
                name,
                "access-log"
                    | "factory"
                    | "http1-keep-alive"
                    | "http1-pipeline-flush"
                    | "http2-adaptive-window"
                    | "log"
                    | "metrics"
                    | "reload"
                    | "reload-ignore-worker-failure"
                    | "respawn-failed-workers"
                    | "ssl-client-verify"
                    | "version"
                    | "ws"
            )
        },
        letters: &[],
    };
    let (mut name, mut host, mut port) = (None, None, None);
    let (mut interface, mut is_factory) = ("rsgi".to_owned(), false);
    let (mut mounts, mut folders) = (Vec::new(), Vec::new());
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
            "workers-lifetime" => duration("runner.workers.max_lifetime", &text, site, place),
            "workers-max-rss" => match text.number() {
                Some(number) => {
                    let bytes = format!("{number} * 1024 * 1024");
                    site.set("runner.workers.max_memory", bytes, place);
                }
                None => not_taken(option, place, site),
            },
            "http1-header-read-timeout" => match text.number() {
                Some(number) => {
                    let time = quoted_text(&format!("{number}ms"));
                    site.set("runner.http.head_timeout", time, place);
                }
                None => not_taken(option, place, site),
            },
            "static-path-route" => mounts.push(text),
            "static-path-mount" => folders.push(text),
            "static-path-expires" | "static-path-dir-to-file" => not_taken(option, place, site),
            _ if common(option, site, place) => {}
            _ => not_taken(option, place, site),
        }
    }
    if mounts.len() > folders.len() {
        site.leave(
            place,
            "`--static-path-route` belongs to `--static-path-mount`",
        );
    }
    for (number, folder) in folders.iter().enumerate() {
        let mount = mounts.get(number).and_then(ImportedText::literal);
        let mount = format!("{}/", mount.unwrap_or("/static").trim_end_matches('/'));
        match folder.literal() {
            Some(folder) => {
                let words = vec!["files".to_owned(), folder.to_owned()];
                site.routes.push(Placed::new((mount, words), place));
            }
            None => site.leave(
                place,
                "write the folder of `--static-path-mount` into a route",
            ),
        }
    }
    let (is_asgi, object) = match interface.as_str() {
        "wsgi" => (false, "app"),
        "asginl" => {
            site.set("runner.asgi.lifespan", "'off'", place);
            (true, "app")
        }
        "asgi" => (true, "app"),
        "rsgi" => {
            site.miss(
                place,
                "RSGI is only at Granian: most applications of it have ASGI, too",
            );
            (true, "app")
        }
        _ => {
            site.leave(
                place,
                "`--interface`: an application is one of ASGI or of WSGI",
            );
            (true, "app")
        }
    };
    if is_asgi && site.settings.remove("runner.workers.threads").is_some() {
        site.leave(
            place,
            "`--blocking-threads`: a worker has one thread that calls an ASGI application",
        );
    }
    application(name, is_asgi, object, is_factory, place, site);
    finish(host, port, "8000", place, site);
}

pub(super) fn hypercorn(words: &[ImportedText], place: &Place, site: &mut ImportedSite) {
    const FORM: Form = Form {
        is_flag: |name| matches!(name, "daemon" | "debug" | "help" | "reload"),
        letters: &[
            ('b', "bind"),
            ('w', "workers"),
            ('k', "worker-class"),
            ('c', "config"),
            ('g', "group"),
            ('u', "user"),
            ('p', "pid"),
            ('m', "umask"),
            ('D', "daemon"),
            ('h', "help"),
        ],
    };
    let (mut name, mut plain) = (None, Vec::new());
    for option in &options(words, &FORM) {
        match option.name.as_str() {
            "" => name = name.or(option.value),
            "bind" => {
                let url = listen_url(&option.text());
                site.listen(ListenProtocol::Http, url, place);
            }
            "insecure-bind" => plain.push(listen_url(&option.text())),
            // They are those of Unix sockets.
            "group" => site.set_identity("runner.socket.group", &option.text(), place),
            "user" | "umask" => site.leave(
                place,
                format!(
                    "`--{}`: a Unix socket is its server's, with `runner.socket.mode`",
                    option.name
                ),
            ),
            "read-timeout" => site.set_number("runner.http.body_timeout", &option.text(), place),
            // Of Hypercorn it is the file.
            "access-log" => access_log(&option.text(), site, place),
            _ if common(option, site, place) => {}
            _ => not_taken(option, place, site),
        }
    }
    application(name, true, "app", false, place, site);
    finish(None, None, "8000", place, site);
    for url in plain {
        let url = match url.without_beginning("tcp://") {
            Some(rest) => rest.after("http://"),
            None => url,
        };
        site.listen(ListenProtocol::Http, url, place);
    }
}

/// A file of an access log, or `-`.
fn access_log(file: &ImportedText, site: &mut ImportedSite, place: &Place) {
    match file.literal() {
        Some("-") => site.set("runner.log.access", "True", place),
        Some(_) | None => site.set_text("runner.log.access_file", file, place),
    }
}

pub(super) fn daphne(words: &[ImportedText], place: &Place, site: &mut ImportedSite) {
    const FORM: Form = Form {
        is_flag: |name| matches!(name, "help" | "proxy-headers"),
        letters: &[
            ('b', "bind"),
            ('p', "port"),
            ('u', "unix-socket"),
            ('e', "endpoint"),
            ('v', "verbosity"),
            ('t', "http-timeout"),
            ('s', "server-name"),
            ('h', "help"),
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
            "http-timeout" => site.set_number("runner.request.timeout", &text, place),
            "application-close-timeout" => {
                site.set_number("runner.asgi.disconnect_grace", &text, place);
            }
            // Of Daphne it is the file.
            "access-log" => access_log(&text, site, place),
            "proxy-headers" => site.leave(
                place,
                "`--proxy-headers`: Daphne believes all clients; name your proxies in `runner.http.trusted_proxies`",
            ),
            "endpoint" => endpoint(&text, place, site),
            _ if common(option, site, place) => {}
            _ => not_taken(option, place, site),
        }
    }
    application(name, true, "application", false, place, site);
    finish(host, port, "8000", place, site);
}

/// An endpoint as Twisted writes it: `tcp:port=80:interface=0.0.0.0`, `unix:/run/a.sock`, `ssl:443:privateKey=…`.
fn endpoint(text: &ImportedText, place: &Place, site: &mut ImportedSite) {
    let parts = text
        .literal()
        .map(|text| text.split(':').collect::<Vec<_>>());
    let parts = parts.unwrap_or_default();
    let named = |name: &str, position: usize| {
        let mut pairs = parts.iter().filter_map(|part| part.split_once('='));
        let by_name = pairs.find(|(it, _)| *it == name).map(|(_, value)| value);
        by_name.or_else(|| parts.get(position).copied().filter(|it| !it.contains('=')))
    };
    let is_escaped = parts.iter().any(|part| part.contains('\\'));
    let (scheme, port) = (parts.first().copied(), named("port", 1));
    match (scheme, port) {
        _ if is_escaped => {}
        (Some("tcp"), Some(port)) => {
            let host = ImportedText::known(named("interface", usize::MAX).unwrap_or_default());
            let url = host_and_port(&host, &ImportedText::known(port));
            return site.listen(ListenProtocol::Http, url, place);
        }
        (Some("unix"), _) => {
            if let Some(path) = named("address", 1) {
                let url = ImportedText::known(path).after("unix:");
                return site.listen(ListenProtocol::Http, url, place);
            }
        }
        (Some("ssl"), Some(port)) => {
            if let Some(key) = named("privateKey", usize::MAX) {
                let certificate = named("certKey", usize::MAX).unwrap_or(key);
                let path = |path: &str| ImportedText::known(path);
                site.set_text("runner.tls.key", &path(key), place);
                site.set_text("runner.tls.cert", &path(certificate), place);
                let host = path(named("interface", usize::MAX).unwrap_or_default());
                let url = host_and_port(&host, &path(port));
                let url = url
                    .without_beginning("tcp://")
                    .unwrap_or(url)
                    .after("https://");
                return site.listen(ListenProtocol::Http, url, place);
            }
        }
        _ => {}
    }
    site.miss(
        place,
        format!("`{text}` is no address that is known: write it into `url`"),
    );
}

pub(super) fn waitress(words: &[ImportedText], place: &Place, site: &mut ImportedSite) {
    const FORM: Form = Form {
        is_flag: |name| {
            matches!(
                name,
                "asyncore-use-poll"
                    | "call"
                    | "clear-untrusted-proxy-headers"
                    | "expose-tracebacks"
                    | "help"
                    | "ipv4"
                    | "ipv6"
                    | "log-socket-errors"
                    | "log-untrusted-proxy-headers"
            )
        },
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
            "connection-limit" => site.set_number("runner.http.max_connections", &text, place),
            "channel-timeout" => site.set_number("runner.http.keep_alive", &text, place),
            "threads" => site.set_number("runner.workers.threads", &text, place),
            "max-request-body-size" => site.set_number("runner.request.max_body", &text, place),
            _ if common(option, site, place) => {}
            _ => not_taken(option, place, site),
        }
    }
    if !site.settings.contains_key("runner.workers.threads") {
        site.set("runner.workers.threads", "4", place);
    }
    application(name, false, "app", is_factory, place, site);
    let host = host.unwrap_or_else(|| ImportedText::known("0.0.0.0"));
    finish(Some(host), port, "8080", place, site);
}

/// `flask run`, whose application is named by `--app` or `FLASK_APP`.
pub(super) fn flask(
    words: &[ImportedText],
    command: &CommandWords,
    place: &Place,
    site: &mut ImportedSite,
) {
    const FORM: Form = Form {
        is_flag: |name| {
            matches!(
                name,
                "debug" | "debugger" | "reload" | "with-threads" | "without-threads"
            )
        },
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
    let (mut host, mut port, mut has_threads) = (None, None, true);
    for option in &options(words, &FORM) {
        let text = option.text();
        match option.name.as_str() {
            "" => {}
            "app" => name = Some(text),
            "host" => host = Some(text),
            "port" => port = Some(text),
            "without-threads" => has_threads = false,
            "extra-files" | "exclude-patterns" => site.leave(
                place,
                format!(
                    "`--{}`: `launch` watches the files of the application",
                    option.name
                ),
            ),
            "cert" if matches!(text.literal(), Some("adhoc")) => site.leave(
                place,
                "`--cert adhoc`: a server has certificates of its own; `launch --tls` makes one for this machine",
            ),
            "cert" => site.set_text("runner.tls.cert", &text, place),
            "key" => site.set_text("runner.tls.key", &text, place),
            _ if common(option, site, place) => {}
            _ => not_taken(option, place, site),
        }
    }
    if name.is_none() {
        site.leave(
            place,
            "Flask looks for the application itself: `app:app` is a guess",
        );
    }
    let name = name.unwrap_or_else(|| ImportedText::known("app"));
    application(Some(&name), false, "app", false, place, site);
    if has_threads {
        site.set("runner.workers.threads", "4", place);
    }
    finish(host, port, "5000", place, site);
}
