//! The options of uWSGI, as settings of ours.

use std::sync::Arc;

use crate::import::imported_site::{
    ApplicationObject, ImportedApplication, ImportedSite, ListenProtocol, Placed,
};
use crate::import::imported_text::{ImportedText, leading_number};
use crate::import::listen_url::listen_url;
use crate::import::section_lines::whole;
use crate::import::uwsgi_ini::why_left::{self, UwsgiOption};
use crate::syntax::{Place, Source};

/// What takes part in naming the application, and the options that are read together.
#[derive(Default)]
struct NamedParts {
    module: Option<(ImportedText, Place)>,
    file: Option<(ImportedText, Place)>,
    callable: Option<String>,
    directory: Option<(ImportedText, Place)>,
    processes: Option<(ImportedText, Place)>,
    cheaper: Option<(ImportedText, Place)>,
    gevent: Option<(ImportedText, Place)>,
}

/// The site that the options describe.
#[must_use]
pub(in crate::import) fn site(options: &[UwsgiOption], source: &Arc<Source>) -> ImportedSite {
    let mut site = ImportedSite::default();
    let mut application = NamedParts::default();
    let names: Vec<String> = options.iter().map(|option| option.name.clone()).collect();
    for option in options {
        if !take(option, &mut site, &mut application) {
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
fn take(option: &UwsgiOption, site: &mut ImportedSite, application: &mut NamedParts) -> bool {
    let place = &option.place;
    let empty = ImportedText::default();
    let value = option.value.as_ref().unwrap_or(&empty);
    let here = || Some((value.clone(), place.clone()));
    match option.name.as_str() {
        name if why_left::ALWAYS.contains(&name) => {}
        "module" | "wsgi" | "w" => application.module = here(),
        "wsgi-file" | "file" => application.file = here(),
        "callable" => application.callable = value.literal().map(str::to_owned),
        "chdir" | "chdir2" => application.directory = here(),
        "http" | "http-socket" | "http11-socket" | "httprouter" => {
            let url = listen_url(value);
            site.listen(ListenProtocol::Http, url, place);
        }
        "https" | "https-socket" => https(value, site, place),
        "socket" | "uwsgi-socket" | "s" | "suwsgi-socket" => {
            site.listen(ListenProtocol::Uwsgi, listen_url(value), place);
        }
        "fastcgi-socket" => site.listen(ListenProtocol::FastCgi, listen_url(value), place),
        "processes" | "workers" | "p" => application.processes = here(),
        "cheaper" => application.cheaper = here(),
        "cheaper-initial" | "cheaper-step" | "cheaper-overload" => {}
        "threads" => site.set_number("runner.workers.threads", value, place),
        "gevent" | "asyncio" | "async" => application.gevent = here(),
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
            if size.is_some_and(|size| size > 65_536) {
                site.set_number("runner.http.max_head", value, place);
            }
        }
        "limit-post" => site.set_number("runner.request.max_body", value, place),
        "http-keepalive" => {
            if value
                .literal()
                .and_then(leading_number)
                .is_some_and(|time| time > 1)
            {
                site.set_number("runner.http.keep_alive", value, place);
            }
        }
        "reload-mercy" | "worker-reload-mercy" | "graceful-timeout" => {
            site.set_number("runner.stop_timeout", value, place);
        }
        "disable-logging" | "disable-logging2" | "L" => {
            if is_on(option.value.as_ref()) {
                site.set("runner.log.access", "False", place);
            }
        }
        "log-4xx" => site.set("runner.log.access_from", "400", place),
        "log-5xx" => site.set("runner.log.access_from", "500", place),
        "req-logger" => match value.without_beginning("file:") {
            Some(path) => site.set_text("runner.log.access_file", &path, place),
            None => return false,
        },
        "stats" | "stats-server" => {
            site.set_text("runner.status.http", &listen_url(value), place);
        }
        "touch-reload" | "touch-workers-reload" | "touch-chain-reload" => {
            site.set_text("runner.touch_reload", value, place);
        }
        "attach-daemon" | "attach-daemon2" | "smart-attach-daemon" | "legion-attach-daemon" => {
            daemon(value, site, place);
        }
        "exec-asap" | "exec-pre-jail" | "exec-post-jail" | "exec-pre-app" => {
            before_start(value, site, place);
        }
        "hook-asap" | "hook-pre-app" | "hook-pre-jail" | "hook-as-user" | "hook-as-root" => {
            match value.without_beginning("exec:") {
                Some(command) => before_start(&command, site, place),
                None => return false,
            }
        }
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

/// `ADDRESS,CERTIFICATE,KEY[,CIPHERS[,CA]]`.
fn https(value: &ImportedText, site: &mut ImportedSite, place: &Place) {
    let Some(text) = value.literal() else {
        return site.leave(
            place,
            "write the address into `url`, and set `runner.tls.cert`",
        );
    };
    let mut parts = text.split(',');
    let address = ImportedText::known(parts.next().unwrap_or_default());
    let url = listen_url(&address);
    let url = match url.without_beginning("tcp://") {
        Some(rest) => rest.after("https://"),
        None => url,
    };
    site.listen(ListenProtocol::Http, url, place);
    for name in ["runner.tls.cert", "runner.tls.key"] {
        if let Some(path) = parts.next() {
            site.set_text(name, &ImportedText::known(path), place);
        }
    }
    if parts.next().is_some() {
        site.leave(place, "ciphers are those of TLS 1.2 and 1.3 that are safe; `runner.tls.client_ca` is for certificates of clients");
    }
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

/// `USER[:GROUP]` of a socket.
fn owner(value: &ImportedText, site: &mut ImportedSite, place: &Place) {
    let text = value.literal().unwrap_or_default();
    let (user, group) = match text.split_once(':') {
        Some((user, group)) => (user, Some(group)),
        None => (text, None),
    };
    if !user.is_empty() {
        site.leave(
            place,
            "the socket belongs to the user of the server (`runner.user`); others connect by its group and mode",
        );
    }
    if let Some(group) = group {
        site.set_identity("runner.socket.group", &ImportedText::known(group), place);
    }
}

/// A program beside the application. `smart-attach-daemon` has its pid file in front.
fn daemon(value: &ImportedText, site: &mut ImportedSite, place: &Place) {
    let Some(text) = value.literal() else {
        return site.leave(place, "write it into `runner.supervise.programs`");
    };
    let command = match text.split_once(' ') {
        Some((first, rest)) if first.ends_with(".pid") => rest.trim_start(),
        _ => text,
    };
    site.programs.push(Placed::new(command.to_owned(), place));
}

fn before_start(value: &ImportedText, site: &mut ImportedSite, place: &Place) {
    match value.literal() {
        Some(command) => site
            .before_start
            .push(Placed::new(command.to_owned(), place)),
        None => site.leave(place, "write it into `runner.before_start`"),
    }
}

/// What several options say together.
fn finish(site: &mut ImportedSite, application: &NamedParts, source: &Arc<Source>) {
    if let Some((folder, place)) = &application.directory {
        site.set_text("runner.workers.directory", folder, place);
        // The folder that uWSGI is in is one that Python imports from.
        site.path.insert(0, Placed::new(folder.clone(), place));
    }
    let callable = application.callable.as_deref();
    let named = |object: ApplicationObject, place: &Place| {
        let application = ImportedApplication {
            is_asgi: false,
            object,
        };
        Some(Placed::new(application, place))
    };
    if let (Some(_), Some((_, place))) = (&application.module, &application.file) {
        site.leave(
            place,
            "`module` names the application: this one is not served",
        );
    }
    site.application = match (&application.module, &application.file) {
        (Some((module, place)), _) => match module.literal() {
            Some(module) => {
                let (name, behind) = module.split_once([' ', '\t']).unwrap_or((module, ""));
                if !behind.is_empty() {
                    site.leave(place, format!("`{}` is no part of the name", behind.trim()));
                }
                let application = ImportedApplication::imported(false, name, callable);
                Some(Placed::new(application, place))
            }
            None => {
                site.miss(
                    place,
                    "the application's name is not known: write it into `app`",
                );
                None
            }
        },
        (None, Some((path, place))) => {
            let path = match &application.directory {
                Some((folder, _)) if !path.beginning().starts_with('/') => {
                    path.clone().after("/").joined_after(folder)
                }
                _ => path.clone(),
            };
            let object = callable.map(str::to_owned);
            named(ApplicationObject::File(path, object), place)
        }
        (None, None) => {
            let why = "no application is named (`module`, `wsgi-file`)";
            site.miss(&whole(source), why);
            None
        }
    };
    let known = |text: &ImportedText| text.literal().and_then(leading_number);
    match (&application.processes, &application.cheaper) {
        (None, Some((_, place))) => {
            site.leave(place, "it belongs to `workers`, which is not there");
        }
        (Some((most, place)), Some((least, cheaper)))
            if known(least)
                .zip(known(most))
                .is_some_and(|(least, most)| least > most) =>
        {
            site.set_workers(most, place);
            site.miss(
                cheaper,
                format!("`cheaper` is greater than `{most}`, the number of workers"),
            );
        }
        (Some((most, place)), Some((least, cheaper))) => {
            site.set_number("runner.workers.min", least, cheaper);
            site.set_number("runner.workers.max", most, place);
        }
        (Some((count, place)), None) => site.set_workers(count, place),
        (None, None) => {}
    }
    if let Some((count, place)) = &application.gevent {
        let threads = count.literal().and_then(leading_number);
        if !site.settings.contains_key("runner.workers.threads") {
            let threads = threads.unwrap_or(8).clamp(1, 64);
            site.set("runner.workers.threads", threads.to_string(), place);
        }
        site.leave(place, "there is no gevent: each worker has threads instead, as many as `runner.workers.threads`");
    }
}
