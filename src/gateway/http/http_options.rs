//! The options of the HTTP gateway, which `plan/gateway_options.rs` fills from the settings.

use std::sync::Arc;
use std::time::Duration;

use crate::gateway::body::spool::SpoolOptions;
use crate::gateway::graceful_stop::Manner;
use crate::gateway::http::access_log::AccessLogOptions;
use crate::gateway::http::https_only::https_options::HttpsOnly;
use crate::gateway::http::shadow_parser::head_limits::HeadLimits;
use crate::gateway::socket::stream::Peer;
use crate::gateway::socket::tls::TlsSetup;
use crate::gateway::socket::tls::tls_handshake::HandshakeLimits;
use crate::interface::Scheme;
use crate::protocol::content_coding::ContentCoding;
use crate::protocol::proxy::forwarded::{ForwardedField, ProxyTrust};
use crate::protocol::proxy::trusted_proxies::TrustedProxies;
use crate::protocol::websocket::permessage_deflate::DeflatePolicy;

/// Options of the HTTP gateway.
#[derive(Clone, Debug)]
pub struct HttpOptions {
    /// Where request bodies are kept, and the largest one that is accepted (413).
    pub spool: Arc<SpoolOptions>,
    /// Which responses are logged, and how; `None` if there is no access log.
    pub access_log: Option<Arc<AccessLogOptions>>,
    /// Whether each request has an id, in the environ, the response and the log.
    pub request_id: bool,
    /// How large the head of a request may be (414, 431).
    pub head_limits: HeadLimits,
    /// The longest time from the first byte of a head, or from the beginning of a connection, to the end of the head (408).
    pub head_timeout: Duration,
    /// The longest time in which a connection is idle between two requests; 0 closes it after each response.
    pub keep_alive: Duration,
    /// The most requests on a connection.
    pub keep_alive_requests: u64,
    /// The longest time in which a client sends nothing of a request body (408).
    pub body_timeout: Duration,
    /// The longest time in which a client takes nothing of a response.
    pub write_timeout: Duration,
    /// Bytes a second that a client must send of a body (408) and take of a response on average, once these times are
    /// used up; 0 for no minimum.
    pub min_rate: u64,
    /// The most open connections. Beyond it, the connection that was idle for the longest time is closed for each new
    /// one; where none is idle, new ones wait in the system's queue.
    pub connections: usize,
    /// The codings that responses may be compressed by, the preferred one first; none to leave all of them as they are.
    pub compression: Vec<ContentCoding>,
    /// Whether the application is told of the end of each response, for metrics.
    pub measures: bool,
    /// The proxies in front.
    pub proxies: ProxyOptions,
    /// The most open connections of one client address (503).
    pub connections_per_address: usize,
    /// What WebSockets may do.
    pub web_sockets: WebSocketOptions,
    /// How TLS is spoken where the listener speaks it.
    pub tls: Option<TlsSetup>,
    /// The limits of handshakes of TLS.
    pub handshakes: HandshakeLimits,
    /// What brings clients from http to https.
    pub https_only: Arc<HttpsOnly>,
    /// Whether a client in clear text may begin with HTTP/2. By TLS, [`TlsSetup`] decides.
    pub http2: bool,
    /// The most requests of a connection by HTTP/2 at a time.
    pub max_streams: u32,
}

impl HttpOptions {
    /// How connections end that were accepted under these options, where others hold from now on: those of clients that would
    /// perhaps not be accepted ([`GatewayState::check_acceptance`] asks), or not be spoken to in the same way. `None` if they may
    /// go on.
    ///
    /// [`GatewayState::check_acceptance`]: crate::gateway::http::connection_state::GatewayState::check_acceptance
    pub(super) fn ending(&self, new: &Self, scheme: Scheme) -> Option<Manner> {
        let accepts_the_same = match (&self.tls, &new.tls) {
            (Some(old), Some(new)) => scheme == Scheme::Http || old.accepts_the_same(new),
            _ => true,
        };
        if !accepts_the_same {
            return Some(Manner::Drain);
        }
        let is_same = self.proxies == new.proxies && (new.http2 || !self.http2);
        (!is_same).then_some(Manner::Retire)
    }
}

/// What is believed of proxies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProxyOptions {
    /// The trusted proxies, and the fields that they set; `None` if the application decides what it believes.
    pub(super) trust: Option<Arc<ProxyTrust>>,
    /// Whether they begin each connection with a head of the PROXY protocol.
    pub(super) begin_connections: bool,
}

impl ProxyOptions {
    /// Trusts the proxies in a list of networks (`10.0.0.0/8`) and `unix`; the names of the fields that they set, and
    /// whether they speak the PROXY protocol.
    #[must_use]
    pub fn new(proxies: &[String], fields: &[String], begin_connections: bool) -> Self {
        let is_set = |field: &ForwardedField| fields.iter().any(|name| field.name() == **name);
        let fields = ForwardedField::ALL.into_iter().filter(is_set).collect();
        let proxies = TrustedProxies::new(proxies);
        Self {
            trust: Some(Arc::new(ProxyTrust { proxies, fields })),
            begin_connections,
        }
    }

    /// Whether a peer is a trusted proxy.
    pub(super) fn trusts(&self, peer: Peer) -> bool {
        let trust = self.trust.as_ref();
        trust.is_some_and(|trust| trust.proxies.contains(peer.address()))
    }
}

/// Options of WebSockets.
#[derive(Clone, Copy, Debug)]
pub struct WebSocketOptions {
    /// The largest message of a client, in bytes (close code 1009).
    pub max_message: usize,
    /// The time between two pings; 0 for none.
    pub ping_interval: Duration,
    /// The longest time in which a client sends nothing after a ping.
    pub ping_timeout: Duration,
    /// Whether messages are compressed if the client can do so (RFC 7692).
    pub compression: bool,
    /// Whether compressed messages may point back to earlier ones of the WebSocket (RFC 7692 §7.1.1).
    pub context_takeover: bool,
}

impl WebSocketOptions {
    pub(super) fn deflate_policy(&self) -> DeflatePolicy {
        match (self.compression, self.context_takeover) {
            (false, _) => DeflatePolicy::Declined,
            (true, false) => DeflatePolicy::EachMessage,
            (true, true) => DeflatePolicy::ContextTakeover,
        }
    }
}

impl Default for WebSocketOptions {
    fn default() -> Self {
        Self {
            max_message: 16 * 1024 * 1024,
            ping_interval: Duration::from_secs(20),
            ping_timeout: Duration::from_secs(20),
            compression: true,
            context_takeover: true,
        }
    }
}

impl Default for HttpOptions {
    fn default() -> Self {
        Self {
            spool: Arc::default(),
            access_log: None,
            request_id: false,
            head_limits: HeadLimits::default(),
            head_timeout: Duration::from_secs(30),
            keep_alive: Duration::from_secs(75),
            keep_alive_requests: u64::MAX,
            body_timeout: Duration::from_secs(60),
            write_timeout: Duration::from_secs(60),
            min_rate: 500,
            connections: 10_000,
            compression: Vec::new(),
            measures: false,
            proxies: ProxyOptions::default(),
            connections_per_address: usize::MAX,
            web_sockets: WebSocketOptions::default(),
            tls: None,
            handshakes: HandshakeLimits {
                time: Duration::from_secs(10),
                number: 5_000,
            },
            https_only: Arc::default(),
            http2: true,
            max_streams: 100,
        }
    }
}
