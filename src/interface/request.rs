//! A request as an application sees it, complete, from any gateway.

use std::fmt;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Version};
use tokio::sync::mpsc::Sender;

use crate::clients::{ClientAddress, ClientEnd, ClientNetwork, WaitingClient};
use crate::interface::body_file::BodyFile;
use crate::interface::tls_connection::TlsConnection;
use crate::log::{LogKind, LogSubject};
use crate::log_of;

/// One complete request. The gateway has received all of it, body included, before an application
/// sees it.
#[derive(Debug, Default)]
pub struct Request {
    /// `REQUEST_METHOD`.
    pub method: Method,
    /// The request target as the client sent it, path and query, percent-encoded (`REQUEST_URI`).
    pub target: Bytes,
    /// `SCRIPT_NAME`: the decoded path at which the application is mounted; empty at the root.
    pub script_name: Bytes,
    /// `PATH_INFO`: the decoded rest of the path.
    pub path_info: Bytes,
    /// `QUERY_STRING`: the part after the `?`, as it was sent; empty if there is none.
    pub query: Bytes,
    /// `SERVER_PROTOCOL`.
    pub version: Version,
    /// The header fields, without any that the gateway refuses to pass on.
    pub headers: HeaderMap,
    /// The body.
    pub body: RequestBody,
    /// The connection on which it came in.
    pub connection: Arc<Connection>,
    /// Further CGI variables that a web server in front of runner has set (`REMOTE_USER`, `DOCUMENT_ROOT`, …), in its
    /// order. The fields above define none of them.
    pub variables: Vec<(Bytes, Bytes)>,
    /// Where `wsgi.errors` goes for this request.
    pub errors: Errors,
    /// What lines of the log about it name, if they are to.
    pub ids: Option<Arc<RequestIds>>,
    /// The application that answers it, by its name in lines of the log, where a server has several.
    pub application: Option<Arc<str>>,
    /// Where it is noted what becomes of it, if the gateway shows that.
    pub notes: Option<Arc<RequestNotes>>,
    /// The client asks for a WebSocket, correctly, and the gateway can speak its protocol (RFC 6455 §4.2.1): a response
    /// whose body is [`ResponseBody::WebSocket`](crate::interface::ResponseBody::WebSocket) is possible.
    pub offers_web_socket: bool,
}

/// How long a request waited for a worker, and how long the worker was at it, as far as that is known; and the application that
/// answers it.
#[derive(Debug)]
pub struct RequestNotes {
    application: OnceLock<Arc<str>>,
    /// In microseconds; the largest number if it is not known.
    queued: AtomicU64,
    service: AtomicU64,
}

/// A time that is not known.
const UNKNOWN: u64 = u64::MAX;

impl Default for RequestNotes {
    fn default() -> Self {
        Self {
            application: OnceLock::new(),
            queued: AtomicU64::new(UNKNOWN),
            service: AtomicU64::new(UNKNOWN),
        }
    }
}

impl RequestNotes {
    /// Notes the name of the application. The first one stands.
    pub fn set_application(&self, name: &Arc<str>) {
        self.application.get_or_init(|| Arc::clone(name));
    }

    /// The name of the application that answers it, where a server has several.
    #[must_use]
    pub fn application(&self) -> Option<&str> {
        self.application.get().map(|name| &**name)
    }

    /// Notes both times.
    pub fn set(&self, queued: Duration, service: Duration) {
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(UNKNOWN);
        self.queued.store(micros(queued), Relaxed);
        self.service.store(micros(service), Relaxed);
    }

    /// How long it waited for a worker.
    #[must_use]
    pub fn queued(&self) -> Option<Duration> {
        known(&self.queued)
    }

    /// How long the worker was at it.
    #[must_use]
    pub fn service(&self) -> Option<Duration> {
        known(&self.service)
    }
}

fn known(micros: &AtomicU64) -> Option<Duration> {
    let micros = micros.load(Relaxed);
    (micros != UNKNOWN).then(|| Duration::from_micros(micros))
}

/// What a request is known by in the log, here and in other systems.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestIds {
    /// `X-Request-Id`: visible ASCII, at most 128 bytes.
    pub request: HeaderValue,
    /// The trace id of `traceparent`, if the client has sent one (W3C Trace Context, §3.2.2.3): 32 hexadecimal digits.
    pub trace: Option<String>,
}

impl RequestIds {
    /// The request id as text.
    #[must_use]
    pub fn request(&self) -> &str {
        self.request.to_str().unwrap_or_default()
    }

    /// The members of a line of the log about the request, where lines are objects.
    #[must_use]
    pub fn subject(&self) -> LogSubject<'_> {
        LogSubject {
            request_id: Some(self.request()),
            trace_id: self.trace.as_deref(),
            ..LogSubject::default()
        }
    }

    /// The same for a request that may have no id.
    #[must_use]
    pub fn subject_of(ids: Option<&Self>) -> LogSubject<'_> {
        ids.map_or_else(LogSubject::default, Self::subject)
    }
}

/// How a line of the log names them.
impl fmt::Display for RequestIds {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "request {}", self.request())?;
        match &self.trace {
            Some(trace) => write!(formatter, ", trace {trace}"),
            None => Ok(()),
        }
    }
}

/// The characters of a target that a line of the log shows.
const LONGEST_TARGET: usize = 200;

/// A request's method, target, ids and application, as lines of the log name it. The target is a copy, so that the buffer in
/// which the request came is free for the next one.
#[derive(Clone, Debug, Default)]
pub struct RequestName {
    method: Method,
    target: Arc<[u8]>,
    ids: Option<Arc<RequestIds>>,
    application: Option<Arc<str>>,
    connection: Arc<Connection>,
}

impl fmt::Display for RequestName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let target = self.target();
        write!(formatter, "{} ", self.method)?;
        match target.char_indices().nth(LONGEST_TARGET) {
            Some((end, _)) => write!(formatter, "{}…", &target[..end])?,
            None => formatter.write_str(&target)?,
        }
        match &self.ids {
            Some(ids) => write!(formatter, " ({ids})"),
            None => Ok(()),
        }
    }
}

impl RequestName {
    /// What a request is called.
    #[must_use]
    pub fn of(request: &Request) -> Self {
        Self {
            method: request.method.clone(),
            target: Arc::from(&*request.target),
            ids: request.ids.clone(),
            application: request.application.clone(),
            connection: Arc::clone(&request.connection),
        }
    }

    /// What a request is called that is refused, which has this name of an application.
    #[must_use]
    pub fn refused(
        method: Method,
        target: &[u8],
        connection: &Arc<Connection>,
        application: Option<Arc<str>>,
    ) -> Self {
        Self {
            method,
            target: Arc::from(target),
            ids: None,
            application,
            connection: Arc::clone(connection),
        }
    }

    /// Adds the ids of the request.
    pub fn set_ids(&mut self, ids: Option<Arc<RequestIds>>) {
        self.ids = ids;
    }

    /// The name of the application, where a server has several.
    #[must_use]
    pub fn application(&self) -> Option<&Arc<str>> {
        self.application.as_ref()
    }

    /// Who the request comes from, if that is known by an address.
    #[must_use]
    pub fn client(&self) -> Option<ClientNetwork> {
        self.connection.remote_addr.network()
    }

    /// Whether the client has ended its side of the connection, and so may have gone away.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.connection.client_end.has_come()
    }

    /// The client, for a queue in which the request waits.
    #[must_use]
    pub fn waiting_client(&self) -> WaitingClient {
        WaitingClient {
            network: self.client(),
            end: self.connection.client_end.clone(),
        }
    }

    /// The method.
    #[must_use]
    pub fn method(&self) -> &str {
        self.method.as_str()
    }

    /// Whether the request may be sent once more (RFC 9110 §9.2.2).
    #[must_use]
    pub fn is_idempotent(&self) -> bool {
        self.method.is_idempotent()
    }

    /// The target, escaped for a terminal.
    #[must_use]
    pub fn target(&self) -> String {
        let target = String::from_utf8_lossy(&self.target);
        target.escape_debug().to_string()
    }

    /// What a line of the log is about that names the request.
    #[must_use]
    pub fn subject(&self) -> LogSubject<'_> {
        LogSubject {
            application: self.application.as_deref(),
            client: self.client(),
            ..RequestIds::subject_of(self.ids.as_deref())
        }
    }
}

/// Writes a line of the log about the response to a request, which it names first where it is known.
pub fn log_response(kind: LogKind, about: Option<&RequestName>, what: fmt::Arguments<'_>) {
    match about {
        Some(name) => log_of!(kind, about = name.subject(), "{name}: {what}"),
        None => log_of!(kind, about = LogSubject::default(), "{what}"),
    }
}

/// The body of a request.
#[derive(Debug, Default)]
pub enum RequestBody {
    /// No body, or one without bytes.
    #[default]
    Empty,
    /// A small body.
    Bytes(Bytes),
    /// A large body: a file whose offset is at its start.
    File {
        /// Open for reading.
        file: BodyFile,
        /// Its size in bytes.
        length: u64,
    },
}

impl RequestBody {
    /// The number of bytes (`CONTENT_LENGTH`).
    #[must_use]
    pub fn length(&self) -> u64 {
        match self {
            Self::Empty => 0,
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File { length, .. } => *length,
        }
    }
}

/// `wsgi.url_scheme`; `HTTPS` is `on` for the second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scheme {
    /// `http`
    #[default]
    Http,
    /// `https`
    Https,
}

impl Scheme {
    /// The scheme as it begins a URL.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// The variables that all requests of a connection have in common, as CGI has them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Connection {
    /// The scheme that the client used.
    pub scheme: Scheme,
    /// `SERVER_NAME`: the configured host, or that of the web server in front.
    pub server_name: String,
    /// `SERVER_PORT`; `80` on a Unix socket, which has no port but CGI demands one.
    pub server_port: String,
    /// The Unix socket that the client has reached, if nobody says where else it asked: ASGI has its path in place of a host
    /// and a port.
    pub server_socket: Option<Arc<str>>,
    /// The IP address that the client has reached (`SERVER_ADDR`); empty on a Unix socket, or if it is not known.
    pub server_addr: String,
    /// `REMOTE_ADDR`; empty on a Unix socket.
    pub remote_addr: ClientAddress,
    /// `REMOTE_PORT`; empty where it is not known.
    pub remote_port: String,
    /// Whether the client has ended its side of it.
    pub client_end: ClientEnd,
    /// What is known of the connection if it is over TLS.
    pub tls: Option<Arc<TlsConnection>>,
}

/// Where an application's `wsgi.errors` goes for one request.
#[derive(Clone, Debug, Default)]
pub enum Errors {
    /// To the log.
    #[default]
    Log,
    /// To the gateway, which sends it to the web server (`FCGI_STDERR`). If the channel is full, to the log: the worker
    /// never waits.
    Gateway(Sender<Bytes>),
}
