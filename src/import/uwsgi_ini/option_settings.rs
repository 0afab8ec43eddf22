//! The options of uWSGI, as settings of ours.

use std::sync::Arc;

use crate::import::imported_site::{ImportedSite, ListenProtocol, Placed};
use crate::import::imported_text::{ImportedText, leading_number};
use crate::import::listen_url::listen_url;
use crate::import::shell_command::as_program;
use crate::import::uwsgi_ini::listen_sockets::{Sockets, https, owner};
use crate::import::uwsgi_ini::named_parts::{NamedParts, finish, last};
use crate::import::uwsgi_ini::why_left::{self, UwsgiOption};
use crate::syntax::{Place, Source};

/// The site that the options describe.
#[must_use]
pub(in crate::import) fn site(options: &[UwsgiOption], source: &Arc<Source>) -> ImportedSite {
    let mut site = ImportedSite::default();
    let mut application = NamedParts::default();
    let names: Vec<String> = options.iter().map(|option| option.name.clone()).collect();
    let sockets = Sockets::of(options);
    for option in options {
        if !take(option, &sockets, &mut site, &mut application) {
            why_left::leave(option, &names, &mut site);
        }
    }
    finish(&mut site, &application, source);
    site
}

/// Whether a flag says yes: uWSGI takes any value but these for yes.
fn is_on(value: Option<&ImportedText>) -> bool {
    !matches!(
        value
            .and_then(ImportedText::literal)
            .map(str::to_lowercase)
            .as_deref(),
        Some("false" | "0" | "off" | "no")
    )
}

/// Takes an option over. Returns false if it has no equivalent.
fn take(
    option: &UwsgiOption,
    sockets: &Sockets<'_>,
    site: &mut ImportedSite,
    application: &mut NamedParts,
) -> bool {
    let place = &option.place;
    let empty = ImportedText::default();
    let value = option.value.as_ref().unwrap_or(&empty);
    match option.name.as_str() {
        name if why_left::ALWAYS.contains(&name) => {}
        "module" | "wsgi" | "w" => last(&mut application.module, value, place, site),
        "wsgi-file" | "file" => last(&mut application.file, value, place, site),
        "callable" => last(&mut application.callable, value, place, site),
        "mount" => application.mounts.push((value.clone(), place.clone())),
        "chdir" | "chdir2" => last(&mut application.directory, value, place, site),
        "http" | "http-socket" | "http11-socket" | "httprouter" => {
            let url = listen_url(&sockets.address(value));
            site.listen(ListenProtocol::Http, url, place);
        }
        "https" | "https-socket" => https(value, sockets, site, place),
        "socket" | "s" => match sockets.protocol {
            Some(protocol) => {
                let url = listen_url(&sockets.address(value));
                site.listen(protocol, url, place);
            }
            None => site.miss(place, "a server speaks HTTP, FastCGI or uwsgi here"),
        },
        "uwsgi-socket" => {
            let url = listen_url(&sockets.address(value));
            site.listen(ListenProtocol::Uwsgi, url, place);
        }
        "fastcgi-socket" => {
            let url = listen_url(&sockets.address(value));
            site.listen(ListenProtocol::FastCgi, url, place);
        }
        // Where the sockets are.
        "protocol" | "socket-protocol" if sockets.protocol.is_some() => {}
        "shared-socket" | "undeferred-shared-socket" if sockets.is_used(value) => {}
        "http-to-https" => {
            let url = listen_url(&sockets.address(value));
            let url = url.without_beginning("tcp://").unwrap_or(url);
            site.listen(ListenProtocol::Http, url.after("http://"), place);
            site.set("runner.tls.redirect", "True", place);
        }
        "processes" | "workers" | "p" => last(&mut application.processes, value, place, site),
        "cheaper" => last(&mut application.cheaper, value, place, site),
        "threads" => site.set_number("runner.workers.threads", value, place),
        "gevent" | "asyncio" | "async" => last(&mut application.gevent, value, place, site),
        "http-timeout" => last(&mut application.router_timeout, value, place, site),
        "pythonpath" | "python-path" | "pp" => {
            site.path.push(Placed::new(value.clone(), place));
        }
        "home" | "virtualenv" | "venv" | "pyhome" | "H" => {
            let python = value.clone().before("/bin/python");
            site.set_text("runner.python", &python, place);
        }
        "env" => environment(value, site, place),
        "harakiri" | "http-harakiri" => site.set_number("runner.request.timeout", value, place),
        "max-requests" => site.set_number("runner.workers.max_requests", value, place),
        "max-worker-lifetime" => site.set_number("runner.workers.max_lifetime", value, place),
        "reload-on-rss" | "evil-reload-on-rss" => {
            mebibytes("runner.workers.max_memory", value, site, place);
        }
        "reload-on-as" | "evil-reload-on-as" | "limit-as" => {
            mebibytes("runner.workers.limits.memory", value, site, place);
        }
        "limit-nproc" => site.set_number("runner.workers.limits.processes", value, place),
        "lazy-apps" | "lazy" => {
            if is_on(option.value.as_ref()) {
                site.set("runner.workers.preload", "False", place);
            }
        }
        "uid" => site.set_identity("runner.user", value, place),
        "gid" => site.set_identity("runner.group", value, place),
        "umask" => site.set_text("runner.umask", value, place),
        "chmod-socket" | "chmod" => {
            let mode = match value.is_empty() {
                true => ImportedText::known("666"),
                false => value.clone(),
            };
            site.set_text("runner.socket.mode", &mode, place);
        }
        "chown-socket" => owner(value, site, place),
        "pidfile" | "pidfile2" | "safe-pidfile" => {
            site.set_text("runner.supervise.pid_file", value, place);
        }
        "buffer-size" => {
            // Less than ours is no wish to refuse what ours takes.
            let size = value.literal().and_then(leading_number);
            if size.is_none_or(|size| size > 65_536) {
                site.set_number("runner.http.max_head", value, place);
            }
        }
        "limit-post" => site.set_number("runner.request.max_body", value, place),
        "http-keepalive" => {
            // A flag has it last as long as it does here.
            let time = value.literal().and_then(leading_number);
            let is_flag = matches!(value.literal(), Some("" | "true" | "yes" | "on"));
            if !is_flag && time.is_none_or(|time| time > 1) {
                site.set_number("runner.http.keep_alive", value, place);
            }
        }
        "reload-mercy" | "worker-reload-mercy" | "graceful-timeout" => {
            site.set_number("runner.stop_timeout", value, place);
        }
        "disable-logging" | "disable-logging2" | "L" => {
            if is_on(option.value.as_ref()) {
                application.quiet = Some(place.clone());
            }
        }
        "log-4xx" | "log-5xx" => {
            if is_on(option.value.as_ref()) {
                application
                    .errors
                    .push((option.name.clone(), place.clone()));
            }
        }
        "req-logger" => match value.without_beginning("file:") {
            Some(path) => site.set_text("runner.log.access_file", &path, place),
            None => return false,
        },
        "stats" | "stats-server" => {
            site.set_text("runner.status.http", &listen_url(value), place);
        }
        "touch-reload" | "touch-workers-reload" | "touch-chain-reload" => {
            site.append("runner.touch_reload", value.clone(), place);
        }
        "attach-daemon"
        | "attach-daemon2"
        | "smart-attach-daemon"
        | "smart-attach-daemon2"
        | "legion-attach-daemon"
        | "legion-attach-daemon2"
        | "legion-smart-attach-daemon"
        | "legion-smart-attach-daemon2" => daemon(&option.name, value, site, place),
        "exec-asap" | "exec-pre-jail" | "exec-post-jail" | "exec-pre-app" => {
            before_start(value, site, place);
        }
        "hook-asap" | "hook-pre-app" | "hook-pre-jail" | "hook-as-user" | "hook-as-root" => {
            match value.without_beginning("exec:") {
                Some(command) => before_start(&command, site, place),
                None => return false,
            }
        }
        "http-enable-proxy-protocol" | "enable-proxy-protocol" => {
            // uWSGI believes any client.
            if is_on(option.value.as_ref()) {
                site.miss(
                    place,
                    "name the proxies in `runner.http.trusted_proxies`, and set `runner.http.proxy_protocol = True`",
                );
            }
        }
        "https-export-cert" => site.set("runner.tls.export_cert", "True", place),
        "http-websockets" if !is_on(option.value.as_ref()) => {}
        "websocket-max-size" | "websockets-max-size" => {
            match value.literal().and_then(leading_number) {
                Some(size) => site.set("runner.websocket.max_message", format!("'{size}k'"), place),
                None => return false,
            }
        }
        "cheaper-overload" => site.set_number("runner.workers.start_interval", value, place),
        "static-map" | "static-map2" => {
            let Some((mount, folder)) = value.literal().and_then(|it| it.split_once('=')) else {
                return false;
            };
            let mount = format!("{}/", mount.trim().trim_end_matches('/'));
            let words = vec!["files".to_owned(), folder.trim().to_owned()];
            site.routes.push(Placed::new((mount, words), place));
        }
        _ => return false,
    }
    true
}

/// `NAME=VALUE`; a name alone is set to nothing.
fn environment(value: &ImportedText, site: &mut ImportedSite, place: &Place) {
    let beginning = value.beginning().to_owned();
    let Some((name, _)) = beginning.split_once('=') else {
        return site.leave(place, "it has no `NAME=VALUE`");
    };
    if let Some(value) = value.without_beginning(&format!("{name}=")) {
        let pair = (name.trim().to_owned(), value);
        site.environment.push(Placed::new(pair, place));
    }
}

/// A number of megabytes, which are 1024 × 1024 bytes at uWSGI.
fn mebibytes(name: &str, value: &ImportedText, site: &mut ImportedSite, place: &Place) {
    match value.literal().and_then(leading_number) {
        Some(number) => site.set(name, format!("'{number}M'"), place),
        None => match value.number() {
            Some(number) => site.set(name, format!("{number} * 1024 * 1024"), place),
            None => site.miss(place, format!("`{value}` is no number")),
        },
    }
}

/// A program beside the application: a command, of `smart-attach-daemon` behind its pid file; of `attach-daemon2` and its
/// relatives, one of several `key=value`.
fn daemon(name: &str, value: &ImportedText, site: &mut ImportedSite, place: &Place) {
    let Some(text) = value.literal() else {
        return site.leave(place, "write it into `runner.supervise.programs`");
    };
    let is_smart = name.contains("smart");
    let command = match (name.ends_with('2'), is_smart) {
        (true, _) => text.split(',').find_map(|pair| {
            let (key, command) = pair.split_once('=')?;
            ["cmd", "command", "exec"]
                .contains(&key.trim())
                .then_some(command)
        }),
        (false, true) => text.split_once(' ').map(|(_, command)| command),
        (false, false) => Some(text),
    };
    let Some(command) = command.map(str::trim).filter(|command| !command.is_empty()) else {
        return site.leave(place, "it has no command");
    };
    if is_smart {
        site.leave(
            place,
            "the program must stay in the foreground: leave out what sends it to the background",
        );
    }
    // uWSGI runs it in a shell, as it does what is before the start.
    site.programs.push(Placed::new(as_program(command), place));
}

fn before_start(value: &ImportedText, site: &mut ImportedSite, place: &Place) {
    match value.literal() {
        Some(command) => site
            .before_start
            .push(Placed::new(as_program(command), place)),
        None => site.leave(place, "write it into `runner.before_start`"),
    }
}
