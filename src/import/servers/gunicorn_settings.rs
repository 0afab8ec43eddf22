//! The settings of gunicorn, from a file or from a command line.

use crate::import::imported_site::{ImportedApplication, ImportedSite, ListenProtocol, Placed};
use crate::import::imported_text::{ImportedText, leading_number, quoted_text};
use crate::import::listen_url::listen_url;
use crate::import::servers::command_options::workers_of_environment;
use crate::import::servers::gunicorn_names::{ALWAYS, SETTINGS};
use crate::import::servers::said::{Said, SaidValue};
use crate::syntax::{Place, Span, did_you_mean};

/// Takes settings over; `application` is that of a command line. `place` stands for what nothing was said about.
pub fn take(
    said: &[Said],
    application: Option<(&ImportedText, &Place)>,
    site: &mut ImportedSite,
    place: &Place,
) {
    let class = value_of(said, "worker_class");
    let class = class.and_then(SaidValue::text);
    let class = class
        .as_ref()
        .and_then(ImportedText::literal)
        .unwrap_or("sync");
    let is_asgi = class.contains("uvicorn") || class.contains("asgi") || class.contains("Uvicorn");
    site.is_asgi = is_asgi;
    for one in said {
        if let SaidValue::Lost(why) = &one.value {
            site.leave(&one.place, why);
            continue;
        }
        if !take_one(one, said, is_asgi, site) && !ALWAYS.contains(&one.name.as_str()) {
            leave(one, site);
        }
    }
    addresses(said, site, place);
    if value_of(said, "workers").is_none() {
        workers_of_environment(site, place);
    }
    let named = said.iter().rev().find(|one| one.name == "wsgi_app");
    let from_file = named.and_then(|one| Some((one.value.text()?, one.place.clone())));
    let application = application
        .map(|(name, place)| (name.clone(), place.clone()))
        .or(from_file);
    match application {
        Some((name, place)) => match name.literal() {
            Some(name) => {
                let application = ImportedApplication::imported(is_asgi, name, None);
                site.application = Some(Placed::new(application, &place));
            }
            None => site.miss(&place, "the application's name is not known: write it into `app`"),
        },
        None => site.lack_application(
            place,
            "no application is named: add it behind `--`, as in `runner import gunicorn.conf.py -- package.module:object`",
        ),
    }
}

fn value_of<'a>(said: &'a [Said], name: &str) -> Option<&'a SaidValue> {
    let one = said.iter().rev().find(|one| one.name == name)?;
    (one.value != SaidValue::Nothing).then_some(&one.value)
}

/// Takes a setting over. Returns false if it has no equivalent.
fn take_one(one: &Said, said: &[Said], is_asgi: bool, site: &mut ImportedSite) -> bool {
    let place = &one.place;
    let text = one.value.text();
    let number = |site: &mut ImportedSite, name: &str| {
        if let Some(text) = &text {
            site.set_number(name, text, place);
        }
    };
    let path = |site: &mut ImportedSite, name: &str| match &text {
        Some(text) if !text.is_empty() => site.set_text(name, text, place),
        Some(_) | None => {}
    };
    let has_text = !matches!(one.value, SaidValue::Flag(_) | SaidValue::List(_));
    match one.name.as_str() {
        // What is code has a value only there.
        _ if one.value == SaidValue::Code => return false,
        // Nothing is what it is without the setting, but for the access log.
        "accesslog" => return access_log(one, site),
        _ if one.value == SaidValue::Nothing => {}
        // Together with others.
        "bind" | "wsgi_app" if !matches!(one.value, SaidValue::Flag(_)) => {}
        "protocol" if has_text && protocol(said).is_some() => {}
        "protocol" => site.miss(place, "a server speaks HTTP, FastCGI or uwsgi here"),
        // One that is none says nothing, as at gunicorn.
        "threads" if text.as_ref().and_then(ImportedText::literal) == Some("0") => {
            site.leave(place, "`threads`: a worker has one thread at least");
        }
        "workers" => match &text {
            Some(text) => site.set_workers(text, place),
            None => return false,
        },
        "worker_class" if has_text => worker_class(one, said, is_asgi, site),
        "threads" if has_text => match is_asgi {
            true => site.leave(
                place,
                "a worker has one thread that calls an ASGI application",
            ),
            false => number(site, "runner.workers.threads"),
        },
        "worker_connections" if is_asgi && has_text => number(site, "runner.asgi.concurrency"),
        "timeout" if has_text => number(site, "runner.request.timeout"),
        "graceful_timeout" if has_text => number(site, "runner.stop_timeout"),
        "keepalive" if has_text => number(site, "runner.http.keep_alive"),
        "max_requests" if has_text => number(site, "runner.workers.max_requests"),
        "http2_max_concurrent_streams" if has_text => number(site, "runner.http.max_streams"),
        "asgi_disconnect_grace_period" if has_text => number(site, "runner.asgi.disconnect_grace"),
        "websocket_max_message_size" if has_text => number(site, "runner.websocket.max_message"),
        "asgi_loop" if has_text => path(site, "runner.asgi.loop"),
        "asgi_lifespan" if has_text => path(site, "runner.asgi.lifespan"),
        "http_protocols" if has_text => {
            let protocols = text
                .as_ref()
                .and_then(ImportedText::literal)
                .unwrap_or_default();
            let has = |wanted: &str| protocols.split(',').any(|it| it.trim() == wanted);
            if has("h3") {
                site.leave(place, "HTTP/3 is not spoken: clients use HTTP/2");
            }
            let http2 = if has("h2") { "True" } else { "False" };
            site.set("runner.http.http2", http2, place);
        }
        "limit_request_line" if has_text => {
            larger(&text, site, "runner.http.max_target", 256, place);
        }
        "limit_request_fields" if has_text => {
            larger(&text, site, "runner.http.max_fields", 1, place);
        }
        "limit_request_field_size" if has_text => {
            larger(&text, site, "runner.http.max_field", 1, place);
        }
        "preload_app" => {
            if !one.value.is_on() {
                site.set("runner.workers.preload", "False", place);
            }
        }
        "chdir" if has_text => {
            if let Some(folder) = &text {
                site.set_text("runner.workers.directory", folder, place);
                site.path.insert(0, Placed::new(folder.clone(), place));
            }
        }
        "pythonpath" if !matches!(one.value, SaidValue::Flag(_)) => {
            for folders in one.value.texts() {
                match folders.literal() {
                    Some(several) => {
                        let each = several.split(',').map(ImportedText::known);
                        site.path.extend(each.map(|it| Placed::new(it, place)));
                    }
                    None => site.path.push(Placed::new(folders, place)),
                }
            }
        }
        "raw_env" if !matches!(one.value, SaidValue::Flag(_)) => {
            for pair in one.value.texts() {
                let beginning = pair.beginning().to_owned();
                if let Some((name, _)) = beginning.split_once('=')
                    && let Some(value) = pair.without_beginning(&format!("{name}="))
                {
                    let pair = (name.to_owned(), value);
                    site.environment.push(Placed::new(pair, place));
                } else {
                    site.leave(place, format!("`{pair}` is no `NAME=VALUE`"));
                }
            }
        }
        "pidfile" if has_text => path(site, "runner.supervise.pid_file"),
        "user" | "group" if has_text => {
            if let Some(text) = &text {
                site.set_identity(&format!("runner.{}", one.name), text, place);
            }
        }
        "umask" => match text.as_ref().and_then(|text| mask(text.literal()?)) {
            Some(0) => {}
            None => return false,
            Some(mask) => site.set("runner.umask", quoted_text(&format!("{mask:o}")), place),
        },
        // What goes to standard error stays there.
        "errorlog" => {
            let target = text.as_ref().and_then(ImportedText::literal);
            return matches!(target, Some("-" | "/dev/stderr" | "/proc/self/fd/2"));
        }
        "loglevel" => {
            return text.as_ref().and_then(ImportedText::literal) == Some("info");
        }
        "proc_name" if has_text => path(site, "runner.log.name"),
        "forwarded_allow_ips" => match text.as_ref().and_then(ImportedText::literal) {
            Some(addresses) => proxies(addresses, site, place),
            None => return false,
        },
        // Of the PROXY protocol, with which the addresses of proxies are one list.
        "proxy_allow_ips" if value_of(said, "forwarded_allow_ips").is_none() => {
            match text.as_ref().and_then(ImportedText::literal) {
                Some(addresses) => proxies(addresses, site, place),
                None => return false,
            }
        }
        "certfile" if has_text => path(site, "runner.tls.cert"),
        "keyfile" if has_text => path(site, "runner.tls.key"),
        "ca_certs" if has_text => path(site, "runner.tls.client_ca"),
        "proxy_protocol" => {
            let mode = text.as_ref().and_then(ImportedText::literal);
            if mode.map_or(one.value.is_on(), |mode| mode != "off") {
                site.set("runner.http.proxy_protocol", "True", place);
                let allows = |name: &str| value_of(said, name).is_some();
                if !allows("proxy_allow_ips") && !allows("forwarded_allow_ips") {
                    proxies("127.0.0.1,::1", site, place);
                }
            }
        }
        "daemon" | "reload" if !matches!(one.value, SaidValue::List(_)) => {
            return !one.value.is_on();
        }
        _ => return one.value == SaidValue::Flag(false),
    }
    true
}

/// What `protocol` says that addresses speak; `None` if nothing here does.
fn protocol(said: &[Said]) -> Option<ListenProtocol> {
    let text = value_of(said, "protocol").and_then(SaidValue::text);
    match text.as_ref().map(|it| it.literal().unwrap_or_default()) {
        None | Some("http") => Some(ListenProtocol::Http),
        Some("uwsgi") => Some(ListenProtocol::Uwsgi),
        Some("fastcgi") => Some(ListenProtocol::FastCgi),
        Some(_) => None,
    }
}

/// Where requests are logged. Returns false if it has no equivalent.
fn access_log(one: &Said, site: &mut ImportedSite) -> bool {
    let place = &one.place;
    match &one.value {
        SaidValue::Nothing => site.set("runner.log.access", "False", place),
        SaidValue::Text(text) => match text.literal() {
            Some("-" | "/dev/stdout" | "/dev/stderr" | "/proc/self/fd/1") => {
                site.set("runner.log.access", "True", place);
            }
            Some("") => {}
            Some(_) | None => site.set_text("runner.log.access_file", text, place),
        },
        SaidValue::Flag(_) | SaidValue::List(_) | SaidValue::Code | SaidValue::Lost(_) => {
            return false;
        }
    }
    true
}

/// The proxies that are believed, with commas between them.
fn proxies(addresses: &str, site: &mut ImportedSite, place: &Place) {
    let list: Vec<String> = match addresses {
        "*" => ["0.0.0.0/0", "::/0"].map(quoted_text).to_vec(),
        _ => {
            let each = addresses.split(',').map(str::trim);
            each.filter(|it| !it.is_empty()).map(quoted_text).collect()
        }
    };
    if !list.is_empty() {
        let list = format!("[{}]", list.join(", "));
        site.set("runner.http.trusted_proxies", list, place);
    }
}

/// A mask of rights, as gunicorn reads it: decimal, or octal behind a `0`.
fn mask(text: &str) -> Option<u32> {
    let digits = text.strip_prefix("0o").or_else(|| text.strip_prefix('0'));
    match digits {
        Some("") => Some(0),
        Some(digits) => u32::from_str_radix(digits, 8).ok(),
        None => text.parse().ok(),
    }
}

/// A limit that is set if it is within ours; 0 is gunicorn's word for none.
fn larger(
    text: &Option<ImportedText>,
    site: &mut ImportedSite,
    name: &str,
    least: u64,
    place: &Place,
) {
    let Some(text) = text else { return };
    match text.literal().and_then(leading_number) {
        Some(number) if number < least => {
            site.leave(
                place,
                format!("`{name}` has its usual value: it is {least} at least"),
            );
        }
        _ => site.set_number(name, text, place),
    }
}

fn worker_class(one: &Said, said: &[Said], is_asgi: bool, site: &mut ImportedSite) {
    let text = one.value.text();
    let class = text
        .as_ref()
        .and_then(ImportedText::literal)
        .unwrap_or_default();
    let has_threads = value_of(said, "threads").is_some();
    match class {
        "sync" | "gthread" | "" => {}
        _ if is_asgi => {}
        "gevent" | "eventlet" | "gevent_wsgi" | "gevent_pywsgi" | "egg:gunicorn#gevent"
        | "egg:gunicorn#eventlet" => {
            if !has_threads {
                site.set("runner.workers.threads", "8", &one.place);
            }
            site.leave(
                &one.place,
                format!("there is no {class}: each worker has threads instead, as many as `runner.workers.threads`"),
            );
        }
        "tornado" => site.miss(&one.place, "an application of Tornado runs only in Tornado's server: keep it running by `upstream http exec:`"),
        _ => site.leave(&one.place, format!("there is no worker `{class}`")),
    }
}

fn addresses(said: &[Said], site: &mut ImportedSite, place: &Place) {
    let is_tls = value_of(said, "certfile").is_some();
    let spoken = |url: ImportedText| match url.without_beginning("tcp://") {
        Some(rest) if is_tls => rest.after("https://"),
        Some(_) | None => url,
    };
    let protocol = protocol(said).unwrap_or(ListenProtocol::Http);
    let bound = said.iter().rev().find(|one| one.name == "bind");
    if let Some(bound) = bound.filter(|one| !one.value.texts().is_empty()) {
        for texts in bound.value.texts() {
            // A text can have several, with commas between them.
            let each: Vec<ImportedText> = match texts.literal() {
                Some(texts) => {
                    let each = texts.split(',').map(str::trim);
                    each.map(ImportedText::known).collect()
                }
                None => vec![texts],
            };
            for address in each {
                let url = spoken(listen_url(&address));
                site.listen(protocol, url, &bound.place);
            }
        }
        return;
    }
    let default = "'0.0.0.0:' + os.environ['PORT'] if 'PORT' in os.environ else '127.0.0.1:8000'";
    let scheme = if is_tls { "https://" } else { "tcp://" };
    let url = ImportedText::of_text_expression(default).after(scheme);
    site.listen(protocol, url, place);
}

/// What has no equivalent: why.
fn leave(one: &Said, site: &mut ImportedSite) {
    let name = &one.name;
    let why = match name.as_str() {
        "daemon" => {
            "a server stays in the foreground: let the service manager start it (`supervise`)"
        }
        "reload" => "`launch` reloads when files change; a server does at `runner reload`",
        "statsd_host" | "statsd_prefix" | "dogstatsd_tags" | "enable_backlog_metric" => {
            "metrics are at `runner.status.http`, for Prometheus"
        }
        "logconfig" | "logconfig_dict" | "logconfig_json" | "syslog" | "syslog_addr"
        | "syslog_prefix" | "syslog_facility" | "errorlog" | "loglevel" | "logger_class" => {
            "the log goes to standard error; `runner.log.*` says what is in it"
        }
        "access_log_format" => {
            "the access log has one of the forms that `runner.log.access` names: 'common', 'combined', 'json'"
        }
        "secure_scheme_headers" | "forwarder_headers" => {
            "fields of proxies are those that `runner.http.forwarded` names"
        }
        "backlog" => "the backlog of a socket is what the system allows (`net.core.somaxconn`)",
        "threads" => "a worker has one thread that calls an ASGI application",
        "paste" | "raw_paste_global_conf" => {
            "an application of Paste is made by a function: name one that does it"
        }
        "ssl_version"
        | "ciphers"
        | "do_handshake_on_connect"
        | "suppress_ragged_eofs"
        | "cert_reqs"
        | "ssl_context" => {
            "TLS is 1.2 and 1.3 with safe ciphers; `runner.tls.client_auth` asks for certificates"
        }
        "worker_connections" => {
            "a worker has as many requests at a time as it has threads: `runner.workers.threads`"
        }
        "root_path" => {
            "paths are keys of `commands.Routes`, and proxies say them (`runner.http.forwarded`)"
        }
        "control_socket" | "control_socket_mode" => {
            "`runner.status.url` is the socket that `runner status` asks"
        }
        "dirty_apps"
        | "dirty_workers"
        | "dirty_timeout"
        | "dirty_threads"
        | "dirty_graceful_timeout"
        | "on_dirty_starting"
        | "dirty_post_fork"
        | "dirty_worker_init"
        | "dirty_worker_exit" => {
            "work beside requests is a program of its own: `runner.supervise.programs`"
        }
        "on_starting" | "on_reload" | "when_ready" | "pre_fork" | "post_fork"
        | "post_worker_init" | "worker_int" | "worker_abort" | "pre_exec" | "pre_request"
        | "post_request" | "child_exit" | "worker_exit" | "nworkers_changed" | "on_exit" => {
            "it is code that gunicorn calls: `runner.before_start` runs commands, and ASGI's lifespan runs code in each worker"
        }
        _ if SETTINGS.contains(&name.as_str()) => {
            return site.leave(&one.place, format!("`{name}` has no equivalent"));
        }
        _ => {
            let meant = did_you_mean(name, SETTINGS.iter().copied());
            let hint = meant.map(|meant| format!("; {meant}")).unwrap_or_default();
            let why = format!("gunicorn has no setting `{name}`{hint}");
            return site.leave(&one.place, why);
        }
    };
    // A line with several settings does not show which one is meant.
    let Span { start, .. } = one.place.span;
    let line = one
        .place
        .source
        .text
        .get(start as usize..)
        .unwrap_or_default();
    let is_alone = line.starts_with(name.as_str()) || line.starts_with("def ");
    match is_alone {
        true => site.leave(&one.place, why),
        false => site.leave(&one.place, format!("`{name}`: {why}")),
    }
}
