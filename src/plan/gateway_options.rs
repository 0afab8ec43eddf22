//! Settings (`runner.http.*`, `runner.request.*`, `runner.log.access*`) to the options of gateways.

use std::env;
use std::sync::Arc;
use std::time::Duration;

use crate::config::{BooleanOrText, Configuration};
use crate::descriptor_limit;
use crate::gateway::body::spool::SpoolOptions;
use crate::gateway::cgi::CgiOptions;
use crate::gateway::fastcgi::{self, FastCgiOptions};
use crate::gateway::http::{
    AccessForm, AccessLogOptions, ContentCoding, HeadLimits, HttpOptions, ProxyOptions,
    WebSocketOptions,
};
use crate::gateway::socket::tls::tls_handshake::HandshakeLimits;
use crate::gateway::uwsgi::UwsgiOptions;
use crate::log::{AccessDestination, AccessFile, Facility};
use crate::own_file::folder_of;
use crate::permission;
use crate::plan::gateway::Audience;
use crate::plan::pages::STATUS_HTTP;
use crate::plan::user::USER;
use crate::syntax::Diagnostic;

/// The setting with the file of the access log.
pub const ACCESS_FILE: &str = "runner.log.access_file";

/// Whether HTTP/2 is spoken.
pub const HTTP2: &str = "runner.http.http2";

/// The setting that gives requests ids.
const REQUEST_ID: &str = "runner.http.request_id";

/// The options of the HTTP gateway.
#[must_use]
pub fn http(configuration: &Configuration, audience: Audience) -> HttpOptions {
    HttpOptions {
        connections: connections(configuration),
        spool: spool(configuration),
        access_log: access_log(configuration, audience).map(Arc::new),
        request_id: configuration.boolean(REQUEST_ID),
        head_limits: HeadLimits {
            head: count(configuration, "runner.http.max_head"),
            fields: count(configuration, "runner.http.max_fields"),
            field: count(configuration, "runner.http.max_field"),
            target: count(configuration, "runner.http.max_target"),
        },
        head_timeout: limit(configuration, "runner.http.head_timeout"),
        keep_alive: configuration.duration("runner.http.keep_alive"),
        keep_alive_requests: match configuration.integer("runner.http.keep_alive_requests") {
            0 => u64::MAX,
            limit => limit,
        },
        body_timeout: limit(configuration, "runner.http.body_timeout"),
        write_timeout: limit(configuration, "runner.http.write_timeout"),
        connections_per_address: match count(configuration, "runner.http.max_per_address") {
            0 => usize::MAX,
            limit => limit,
        },
        min_rate: configuration.integer("runner.http.min_rate"),
        compression: compression(configuration),
        // Set where there are pages to show it.
        measures: false,
        proxies: proxies(configuration),
        web_sockets: web_sockets(configuration),
        // Set where an address is for it: see [`crate::plan::tls`].
        tls: None,
        handshakes: HandshakeLimits {
            time: limit(configuration, "runner.tls.handshake_timeout"),
            number: match configuration.optional_integer("runner.tls.max_handshakes") {
                Some(most) => usize::try_from(most).unwrap_or(usize::MAX),
                None => connections(configuration) / 2,
            },
        },
        https_only: Arc::default(),
        http2: configuration.boolean(HTTP2),
        max_streams: u32::try_from(configuration.integer("runner.http.max_streams"))
            .unwrap_or(u32::MAX),
    }
}

/// How many bytes of all responses may be in memory.
#[must_use]
pub fn response_memory(configuration: &Configuration) -> usize {
    match count(configuration, "runner.response.max_memory") {
        0 => usize::MAX,
        limit => limit,
    }
}

/// The access log, if there is one.
fn access_log(configuration: &Configuration, audience: Audience) -> Option<AccessLogOptions> {
    let form = match configuration.boolean_or_text("runner.log.access") {
        Some(BooleanOrText::Boolean(false)) => return None,
        None if audience != Audience::Browser && !is_directed(configuration) => return None,
        None | Some(BooleanOrText::Boolean(true)) => {
            match configuration.text("runner.log.format").as_deref() {
                Some("json") => AccessForm::Json,
                Some(_) | None => AccessForm::Timed,
            }
        }
        Some(BooleanOrText::Text(form)) => match form.as_str() {
            "common" => AccessForm::Common,
            "combined" => AccessForm::Combined,
            _ => AccessForm::Json,
        },
    };
    let from = configuration.integer("runner.log.access_from");
    Some(AccessLogOptions {
        form,
        from: u16::try_from(from).unwrap_or(u16::MAX),
        without: configuration.texts("runner.log.access_without"),
    })
}

/// The codings that are named, in their order.
fn compression(configuration: &Configuration) -> Vec<ContentCoding> {
    let names = configuration.texts("runner.http.compress");
    let codings = names.iter().filter_map(|name| ContentCoding::named(name));
    codings.collect()
}

/// Whether the access log has a destination of its own.
fn is_directed(configuration: &Configuration) -> bool {
    configuration.path(ACCESS_FILE).is_some() || facility(configuration).is_some()
}

/// Where the access log goes. `name` is that of the program in the system's log.
#[must_use]
pub fn access_destination(configuration: &Configuration, name: &str) -> AccessDestination {
    AccessDestination {
        file: configuration.path(ACCESS_FILE).map(AccessFile::new),
        syslog: facility(configuration).map(|facility| (facility, name.to_owned())),
    }
}

/// What will keep the file of the access log from being opened, as far as it is known where nothing runs: an error where
/// that holds for every user.
#[must_use]
pub fn access_file_problem(configuration: &Configuration) -> Option<Diagnostic> {
    let path = configuration.path(ACCESS_FILE)?;
    let folder = folder_of(&path);
    let absent = match (path.is_dir(), folder.is_dir()) {
        (true, _) => Some(format!("`{}` is a folder", path.display())),
        (false, false) => Some(format!("there is no folder `{}`", folder.display())),
        (false, true) => None,
    };
    if let Some(message) = absent {
        let mut mistake = configuration.complain(ACCESS_FILE, message, None);
        mistake.code = "setting/missing";
        return Some(mistake);
    }
    // Root makes the file for another user.
    let is_by_root = configuration.text(USER).is_some();
    let refusal = match path.exists() {
        true => permission::no_appending(&path),
        false => permission::no_writing(folder),
    };
    let refusal = refusal.filter(|_| !is_by_root)?;
    let message = format!("the access log cannot be opened: the present user {refusal}");
    let mut doubt = configuration.complain(ACCESS_FILE, message, None);
    doubt.code = "setting/missing";
    Some(doubt.warning())
}

fn facility(configuration: &Configuration) -> Option<Facility> {
    match configuration.boolean_or_text("runner.log.access_syslog")? {
        BooleanOrText::Boolean(is_wanted) => is_wanted.then(Facility::default),
        BooleanOrText::Text(name) => Facility::named(&name),
    }
}

const TRUSTED_PROXIES: &str = "runner.http.trusted_proxies";

/// What is believed of proxies in front.
fn proxies(configuration: &Configuration) -> ProxyOptions {
    let Some(proxies) = configuration.optional_texts(TRUSTED_PROXIES) else {
        return ProxyOptions::default();
    };
    let fields = configuration.optional_texts("runner.http.forwarded");
    // Any proxy sets these; what else a request says of its host and path may be the client's.
    let fields = fields.unwrap_or_else(|| {
        ["X-Forwarded-For", "X-Forwarded-Proto"]
            .map(str::to_owned)
            .into()
    });
    let begin_connections = configuration.boolean("runner.http.proxy_protocol");
    ProxyOptions::new(&proxies, &fields, begin_connections)
}

fn web_sockets(configuration: &Configuration) -> WebSocketOptions {
    WebSocketOptions {
        max_message: match configuration.integer("runner.websocket.max_message") {
            0 => NO_LIMIT,
            limit => usize::try_from(limit).map_or(NO_LIMIT, |limit| limit.min(NO_LIMIT)),
        },
        ping_interval: configuration.duration("runner.websocket.ping_interval"),
        ping_timeout: limit(configuration, "runner.websocket.ping_timeout"),
        compression: configuration.boolean("runner.websocket.compression"),
        context_takeover: configuration.boolean("runner.websocket.keep_context"),
    }
}

/// A time limit: 0 is none.
fn limit(configuration: &Configuration, name: &'static str) -> Duration {
    match configuration.duration(name) {
        Duration::ZERO => FOR_EVER,
        limit => limit.min(FOR_EVER),
    }
}

fn count(configuration: &Configuration, name: &'static str) -> usize {
    usize::try_from(configuration.integer(name)).unwrap_or(usize::MAX)
}

/// More bytes than any message can have.
const NO_LIMIT: usize = isize::MAX.unsigned_abs();

/// Longer than any connection lasts, and short enough to be added to a time.
const FOR_EVER: Duration = Duration::from_secs(100 * 365 * 86_400);

/// The options of the FastCGI gateway. Process managers set in the environment which web servers may connect (FastCGI
/// specification, section 3.2).
///
/// # Errors
/// The variable does not hold addresses.
pub fn fastcgi(configuration: &Configuration) -> anyhow::Result<FastCgiOptions> {
    let allowed = env::var("FCGI_WEB_SERVER_ADDRS").unwrap_or_default();
    Ok(FastCgiOptions {
        web_servers: fastcgi::web_servers(&allowed)?,
        connections: connections(configuration),
        spool: spool(configuration),
        request_id: configuration.boolean(REQUEST_ID),
        ..FastCgiOptions::default()
    })
}

/// The options of the uwsgi gateway.
#[must_use]
pub fn uwsgi(configuration: &Configuration) -> UwsgiOptions {
    UwsgiOptions {
        connections: connections(configuration),
        spool: spool(configuration),
        request_id: configuration.boolean(REQUEST_ID),
        ..UwsgiOptions::default()
    }
}

const CONNECTIONS: &str = "runner.http.max_connections";

/// The default for `runner.http.max_connections`.
const MOST_CONNECTIONS: u64 = 10_000;

/// The limit on connections: the setting, or the default, within the limit on open files.
fn connections(configuration: &Configuration) -> usize {
    let room = room(configuration);
    let count = match configuration.optional_integer(CONNECTIONS) {
        Some(wanted) => wanted.min(room),
        None => MOST_CONNECTIONS.min(room),
    };
    usize::try_from(count).unwrap_or(usize::MAX)
}

/// A warning if there is no room for as many connections as are wanted.
#[must_use]
pub fn warning(configuration: &Configuration) -> Option<String> {
    let wanted = configuration.optional_integer(CONNECTIONS)?;
    let room = room(configuration);
    (wanted > room).then(|| {
        format!("{CONNECTIONS} is {wanted}, but the limit on open files leaves room for {room}")
    })
}

/// How many connections the limit on open files leaves room for.
fn room(configuration: &Configuration) -> u64 {
    let threads = configuration.integer("runner.workers.threads");
    let workers = configuration.integer("runner.workers.max");
    match descriptor_limit::most() {
        Some(limit) => {
            let pages = configuration.text(STATUS_HTTP).map_or(0, |_| PAGES);
            room_for_connections(limit.saturating_sub(pages), workers, threads)
        }
        None => u64::MAX,
    }
}

/// Descriptors for the master's own pages, which are served when there is no room for clients: see [`crate::pages`].
const PAGES: u64 = crate::pages::MOST_CONNECTIONS as u64 + 4;

/// How many connections a limit on open files leaves room for. Each may need a second descriptor, for the body of its
/// request or response. Reserved are four descriptors and six a thread for each worker and for its replacement in a
/// reload, and 64 for logs, sockets, configuration files and watched processes.
fn room_for_connections(limit: u64, workers: u64, threads: u64) -> u64 {
    let worker = threads.saturating_mul(6).saturating_add(4);
    let reserve = workers
        .saturating_mul(2)
        .saturating_mul(worker)
        .saturating_add(64);
    // If the limit is far too low, each side gets half.
    let left = limit.saturating_sub(reserve.min(limit / 2));
    (left / 2).max(1)
}

/// The options of the CGI gateway.
#[must_use]
pub fn cgi(configuration: &Configuration) -> CgiOptions {
    CgiOptions {
        spool: spool(configuration),
        request_id: configuration.boolean(REQUEST_ID),
    }
}

/// Where request bodies are kept.
fn spool(configuration: &Configuration) -> Arc<SpoolOptions> {
    Arc::new(SpoolOptions {
        // Replaced when the server has its user: see [`crate::plan::temporary`].
        folder: env::temp_dir(),
        limit: match configuration.integer("runner.request.max_body") {
            0 => u64::MAX,
            limit => limit,
        },
        disk: Arc::default(),
    })
}

#[cfg(test)]
mod tests {
    use super::room_for_connections;
    use crate::config::{SETTINGS, SettingKind};
    use crate::gateway::http::ContentCoding;

    #[test]
    fn each_name_of_a_coding_has_one() {
        let setting = SETTINGS
            .iter()
            .find(|setting| setting.name == "runner.http.compress");
        let Some(SettingKind::Choices(names)) = setting.map(|setting| setting.kind) else {
            panic!("there is no such setting");
        };
        for name in names {
            let coding = ContentCoding::named(name);
            assert_eq!(coding.map(ContentCoding::name), Some(*name));
        }
    }

    #[test]
    fn there_is_a_reserve_for_ourselves() {
        for (limit, workers, threads, expected) in [
            (1024, 4, 1, 440),
            (1024, 4, 4, 368),
            (256, 4, 1, 64),
            (1_048_576, 64, 100, 485_600),
            (64, 10_000, 1000, 16),
            (1, 1, 1, 1),
            (u64::MAX, u64::MAX, u64::MAX, u64::MAX / 4 + 1),
        ] {
            let found = room_for_connections(limit, workers, threads);
            assert_eq!(found, expected, "{limit} {workers} {threads}");
            // Room for a connection and its file, and for the master itself.
            assert!(limit < 4 || found.saturating_mul(2) <= limit);
        }
    }
}
