//! The settings of gunicorn, from a file or from a command line.

use crate::import::imported_site::{ImportedApplication, ImportedSite, ListenProtocol, Placed};
use crate::import::imported_text::{ImportedText, leading_number, quoted_text};
use crate::import::listen_url::listen_url;
use crate::import::servers::said::{Said, SaidValue};
use crate::syntax::{Place, Span};

/// The names that are looked for in a file.
pub const SETTINGS: &[&str] = &[
    "access_log_format",
    "accesslog",
    "backlog",
    "bind",
    "ca_certs",
    "capture_output",
    "casefold_http_method",
    "cert_reqs",
    "certfile",
    "chdir",
    "check_config",
    "child_exit",
    "ciphers",
    "daemon",
    "disable_redirect_access_to_syslog",
    "do_handshake_on_connect",
    "dogstatsd_tags",
    "enable_stdio_inheritance",
    "errorlog",
    "forwarded_allow_ips",
    "forwarder_headers",
    "graceful_timeout",
    "group",
    "header_map",
    "initgroups",
    "keepalive",
    "keyfile",
    "limit_request_field_size",
    "limit_request_fields",
    "limit_request_line",
    "logconfig",
    "logconfig_dict",
    "logconfig_json",
    "logger_class",
    "loglevel",
    "max_requests",
    "max_requests_jitter",
    "nworkers_changed",
    "on_exit",
    "on_reload",
    "on_starting",
    "paste",
    "permit_obsolete_folding",
    "permit_unconventional_http_method",
    "permit_unconventional_http_version",
    "pidfile",
    "post_fork",
    "post_request",
    "post_worker_init",
    "pre_exec",
    "pre_fork",
    "pre_request",
    "preload_app",
    "print_config",
    "proc_name",
    "proxy_allow_ips",
    "proxy_protocol",
    "pythonpath",
    "raw_env",
    "raw_paste_global_conf",
    "reload",
    "reload_engine",
    "reload_extra_files",
    "reuse_port",
    "secure_scheme_headers",
    "sendfile",
    "spew",
    "ssl_context",
    "ssl_version",
    "statsd_host",
    "statsd_prefix",
    "strip_header_spaces",
    "suppress_ragged_eofs",
    "syslog",
    "syslog_addr",
    "syslog_facility",
    "syslog_prefix",
    "threads",
    "timeout",
    "tmp_upload_dir",
    "umask",
    "user",
    "when_ready",
    "worker_abort",
    "worker_class",
    "worker_connections",
    "worker_exit",
    "worker_int",
    "worker_tmp_dir",
    "workers",
    "wsgi_app",
];

/// What is always so here, or has no meaning here.
pub const ALWAYS: &[&str] = &[
    // Output of the application is in the log.
    "capture_output",
    "disable_access_log_redirection",
    "disable_redirect_access_to_syslog",
    "enable_stdio_inheritance",
    // The file that was read.
    "config",
    // The name is that of `proc_name`.
    "default_proc_name",
    "initgroups",
    // Workers are replaced after ±10 % of `runner.workers.max_requests`.
    "max_requests_jitter",
    // They belong to `reload`.
    "reload_engine",
    "reload_extra_files",
    "reuse_port",
    "sendfile",
    // A worker has no file that shows that it is alive.
    "worker_tmp_dir",
];

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
        if !take_one(one, said, is_asgi, site) && !ALWAYS.contains(&one.name.as_str()) {
            leave(one, site);
        }
    }
    addresses(said, site, place);
    if value_of(said, "workers").is_none() {
        let workers = ImportedText::of_expression("int(os.environ.get('WEB_CONCURRENCY', 1))");
        site.set_workers(&workers, place);
    }
    let named = said.iter().find(|one| one.name == "wsgi_app");
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
    // What is code has a value only there.
    if one.value == SaidValue::Code {
        return false;
    }
    match one.name.as_str() {
        // Together with others.
        "bind" | "wsgi_app" => {}
        "workers" => match &text {
            Some(text) => site.set_workers(text, place),
            None => return false,
        },
        "worker_class" => worker_class(one, said, is_asgi, site),
        "threads" => match is_asgi {
            true => site.leave(
                place,
                "a worker has one thread that calls an ASGI application",
            ),
            false => number(site, "runner.workers.threads"),
        },
        "worker_connections" => {
            if is_asgi {
                number(site, "runner.asgi.concurrency");
            }
        }
        "timeout" => number(site, "runner.request.timeout"),
        "graceful_timeout" => number(site, "runner.stop_timeout"),
        "keepalive" | "keep_alive" => number(site, "runner.http.keep_alive"),
        "max_requests" => number(site, "runner.workers.max_requests"),
        "limit_request_line" => larger(&text, site, "runner.http.max_target", 256, place),
        "limit_request_fields" => larger(&text, site, "runner.http.max_fields", 1, place),
        "limit_request_field_size" => larger(&text, site, "runner.http.max_field", 1, place),
        "preload_app" | "preload" => {
            if !one.value.is_on() {
                site.set("runner.workers.preload", "False", place);
            }
        }
        "chdir" => {
            if let Some(folder) = &text {
                site.set_text("runner.workers.directory", folder, place);
                site.path.insert(0, Placed::new(folder.clone(), place));
            }
        }
        "pythonpath" => {
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
        "raw_env" | "env" => {
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
        "pidfile" | "pid" => path(site, "runner.supervise.pid_file"),
        "user" | "group" => {
            if let Some(text) = &text {
                site.set_identity(&format!("runner.{}", one.name), text, place);
            }
        }
        "umask" => match text
            .as_ref()
            .and_then(|text| text.literal()?.parse::<u32>().ok())
        {
            Some(0) => {}
            None => return matches!(one.value, SaidValue::Nothing),
            Some(mask) => site.set("runner.umask", quoted_text(&format!("{mask:o}")), place),
        },
        "accesslog" | "access_logfile" => match &one.value {
            SaidValue::Nothing => site.set("runner.log.access", "False", place),
            _ => match text.as_ref().and_then(ImportedText::literal) {
                Some("-" | "/dev/stdout" | "/dev/stderr" | "/proc/self/fd/1") => {
                    site.set("runner.log.access", "True", place);
                }
                Some(_) | None => path(site, "runner.log.access_file"),
            },
        },
        // What goes to standard error stays there.
        "errorlog" | "error_logfile" | "log_file" | "logfile" => {
            let target = text.as_ref().and_then(ImportedText::literal);
            return matches!(target, Some("-" | "/dev/stderr" | "/proc/self/fd/2"))
                || one.value == SaidValue::Nothing;
        }
        "loglevel" | "log_level" => {
            return text.as_ref().and_then(ImportedText::literal) == Some("info");
        }
        "proc_name" | "name" => path(site, "runner.log.name"),
        "forwarded_allow_ips" => {
            let Some(addresses) = text.as_ref().and_then(ImportedText::literal) else {
                return false;
            };
            let all = ["0.0.0.0/0", "::/0"];
            let list: Vec<String> = match addresses {
                "*" => all.map(quoted_text).to_vec(),
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
        "certfile" => path(site, "runner.tls.cert"),
        "keyfile" => path(site, "runner.tls.key"),
        "ca_certs" => path(site, "runner.tls.client_ca"),
        "proxy_protocol" => {
            if one.value.is_on() {
                site.set("runner.http.proxy_protocol", "True", place);
            }
        }
        "daemon" | "reload" => return !one.value.is_on(),
        _ => return matches!(one.value, SaidValue::Nothing | SaidValue::Flag(false)),
    }
    true
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
                site.listen(ListenProtocol::Http, url, &bound.place);
            }
        }
        return;
    }
    let default = "'0.0.0.0:' + os.environ['PORT'] if 'PORT' in os.environ else '127.0.0.1:8000'";
    let scheme = if is_tls { "https://" } else { "tcp://" };
    let url = ImportedText::of_text_expression(default).after(scheme);
    site.listen(ListenProtocol::Http, url, place);
}

/// What has no equivalent: why.
fn leave(one: &Said, site: &mut ImportedSite) {
    let name = &one.name;
    let why = match name.as_str() {
        "daemon" => {
            "a server stays in the foreground: let the service manager start it (`supervise`)"
        }
        "reload" => "`launch` reloads when files change; a server does at `runner reload`",
        "statsd_host" | "statsd_prefix" | "dogstatsd_tags" => {
            "metrics are at `runner.status.http`, for Prometheus"
        }
        "logconfig"
        | "logconfig_dict"
        | "logconfig_json"
        | "syslog"
        | "syslog_addr"
        | "syslog_prefix"
        | "syslog_facility"
        | "errorlog"
        | "error_logfile"
        | "log_file"
        | "logfile"
        | "loglevel"
        | "log_level"
        | "logger_class"
        | "log_config"
        | "log_syslog"
        | "log_syslog_to"
        | "log_syslog_prefix"
        | "log_syslog_facility"
        | "log_config_json" => "the log goes to standard error; `runner.log.*` says what is in it",
        "access_log_format" | "access_logformat" => {
            "the access log has one of the forms that `runner.log.access` names: 'common', 'combined', 'json'"
        }
        "secure_scheme_headers" | "forwarder_headers" => {
            "fields of proxies are those that `runner.http.forwarded` names"
        }
        "backlog" => "the backlog of a socket is what the system allows (`net.core.somaxconn`)",
        "threads" => "a worker has one thread that calls an ASGI application",
        "paste" | "paste_global_conf" => {
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
        "on_starting" | "on_reload" | "when_ready" | "pre_fork" | "post_fork"
        | "post_worker_init" | "worker_int" | "worker_abort" | "pre_exec" | "pre_request"
        | "post_request" | "child_exit" | "worker_exit" | "nworkers_changed" | "on_exit" => {
            "it is code that gunicorn calls: `runner.before_start` runs commands, and ASGI's lifespan runs code in each worker"
        }
        _ => {
            return site.leave(&one.place, format!("`{name}` has no equivalent"));
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
