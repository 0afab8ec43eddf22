//! What the parts of one HTTP connection share: the CGI variables of the connection, and what each
//! part has to know of the others to end the connection well.

use std::fmt::Display;
use std::net::SocketAddr;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use tokio::sync::watch;

use crate::clients::{ClientAddress, ClientEnd};
use crate::gateway::connection_limit::Permit;
use crate::gateway::graceful_stop::Stop;
use crate::gateway::http::file_parts::FileParts;
use crate::gateway::http::http_options::HttpOptions;
use crate::gateway::http::shadow_parser::{self, ShadowParser};
use crate::gateway::http::websocket::acceptance::AcceptedWebSocket;
use crate::gateway::refusal::{Refusal, RefusedHead};
use crate::gateway::socket::stream::{Peer, Stream};
use crate::gateway::socket::tls::TlsSetup;
use crate::gateway::socket::tls::tls_handshake::Handshakes;
use crate::gateway::socket::url::Host;
use crate::interface::{Application, Connection, RequestIds, RequestName, Scheme, TlsConnection};
use crate::log::{LogKind, LogSubject};
use crate::protocol::cgi::path_info;
use crate::protocol::proxy::proxy_head::{ProxiedAddresses, ProxyHead};

/// What all connections of a gateway share that were accepted under the same options.
#[derive(Clone)]
pub(super) struct GatewayState {
    pub application: Arc<dyn Application>,
    pub options: HttpOptions,
    pub scheme: Scheme,
    /// Where the scheme is `https`.
    pub handshakes: Option<Arc<Handshakes>>,
    pub host: Option<Host>,
    pub port: Option<String>,
    /// The path of the Unix socket, if it listens on one.
    pub socket: Option<Arc<str>>,
    pub generation: Arc<Generation>,
}

/// The connections that were accepted under the same terms: they end together.
#[derive(Debug, Default)]
pub(super) struct Generation {
    /// Ends them.
    pub stop: Stop,
    /// How TLS is spoken once others follow: the clients have to be accepted by that, too.
    present_tls: watch::Sender<Option<TlsSetup>>,
}

/// What all parts of one connection share. Of HTTP/2, each stream has one of its own beside that of the connection: a stream is
/// there what a connection is to HTTP/1.
pub(super) struct ConnectionState {
    pub gateway: Arc<GatewayState>,
    pub connection: Arc<Connection>,
    /// The peer is a trusted proxy.
    pub is_from_proxy: bool,
    pub parser: Arc<Mutex<ShadowParser>>,
    pub permit: Permit,
    /// The client may be sending something that the gateway will not read.
    pub unread: AtomicBool,
    /// A response without a length has ended early, or a file cannot be sent to its end.
    pub broken: AtomicBool,
    /// The client has not taken all that hyper wants to write. A response that is over for its application may not be for its
    /// client.
    pub is_behind: AtomicBool,
    /// The request whose response was begun last.
    answered: Mutex<Option<RequestName>>,
    /// What follows the response 101 that hyper is writing.
    accepted: Mutex<Option<Box<AcceptedWebSocket>>>,
    /// Parts of files that the system is to send; `None` where it cannot.
    pub file_parts: Option<FileParts>,
}

impl ConnectionState {
    /// The state of a new connection.
    pub(super) fn new(
        gateway: Arc<GatewayState>,
        stream: &Stream,
        peer: Peer,
        permit: Permit,
    ) -> Self {
        let connection = gateway.connection(stream, peer);
        Self::of(gateway, connection, peer, permit)
    }

    /// The state of a new connection whose client is another one than its peer.
    pub(super) fn announced(
        gateway: Arc<GatewayState>,
        stream: &Stream,
        peer: Peer,
        permit: Permit,
        head: ProxyHead,
    ) -> Self {
        let (client, reached) = match head.addresses {
            ProxiedAddresses::Own => (peer, None),
            ProxiedAddresses::Unix => (Peer::Unix, None),
            ProxiedAddresses::Tcp {
                source,
                destination,
            } => (Peer::Tcp(source), Some(destination)),
        };
        let mut connection = gateway.connection(stream, client);
        if let Some(reached) = reached {
            connection.server_port = reached.port().to_string();
            connection.server_socket = None;
            if matches!(gateway.host, Some(Host::Any)) {
                connection.server_name = bracketed(reached);
            }
        }
        if head.is_tls {
            connection.scheme = Scheme::Https;
        }
        Self::of(gateway, connection, client, permit)
    }

    /// The same, over TLS.
    #[must_use]
    pub(super) fn over_tls(mut self, tls: Option<Arc<TlsConnection>>) -> Self {
        Arc::make_mut(&mut self.connection).tls = tls;
        self.file_parts = None;
        self
    }

    fn of(
        gateway: Arc<GatewayState>,
        connection: Connection,
        client: Peer,
        permit: Permit,
    ) -> Self {
        Self {
            connection: Arc::new(connection),
            is_from_proxy: gateway.options.proxies.trusts(client),
            parser: Arc::new(Mutex::new(ShadowParser::new(
                gateway.options.head_limits,
                gateway.options.spool.limit,
                gateway.options.http2,
            ))),
            gateway,
            permit,
            unread: AtomicBool::new(false),
            broken: AtomicBool::new(false),
            is_behind: AtomicBool::new(false),
            answered: Mutex::default(),
            accepted: Mutex::default(),
            file_parts: Some(FileParts::default()),
        }
    }

    /// The state of a new stream of a connection.
    pub(super) fn of_stream(&self) -> Self {
        Self {
            gateway: Arc::clone(&self.gateway),
            connection: Arc::clone(&self.connection),
            is_from_proxy: self.is_from_proxy,
            // Of HTTP/2 it sees nothing.
            parser: Arc::clone(&self.parser),
            permit: self.permit.of_stream(),
            unread: AtomicBool::new(false),
            broken: AtomicBool::new(false),
            is_behind: AtomicBool::new(false),
            answered: Mutex::default(),
            accepted: Mutex::default(),
            file_parts: None,
        }
    }

    /// Whether the connection is to end after the request that is under way.
    pub(super) fn is_ending(&self) -> bool {
        self.gateway.generation.stop.manner().is_some() || self.permit.should_close()
    }

    /// Whether the request that is under way is the last one that the connection may have.
    pub(super) fn has_answered_enough(&self) -> bool {
        let options = &self.gateway.options;
        options.keep_alive.is_zero()
            || shadow_parser::lock(&self.parser).begun() >= options.keep_alive_requests
    }

    /// Waits until the request that has come may begin, since its client has its share of all connections.
    ///
    /// # Errors
    /// It takes too long, or another connection is to have the place of this one (503).
    pub(super) async fn turn(&self) -> Result<(), Refusal> {
        tokio::select! {
            biased;
            has_turn = self.permit.begin_in_turn() => match has_turn {
                true => Ok(()),
                false => Err(Refusal::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "its client has requests on as many connections as it may (runner.http.max_connections)",
                )),
            },
            // No more connections come in that would want its place.
            _ = self.gateway.generation.stop.begun() => {
                self.permit.begin_in_any_case();
                Ok(())
            }
        }
    }

    /// The connection becomes a WebSocket when hyper has ended.
    pub(super) fn accept(&self, web_socket: Box<AcceptedWebSocket>) {
        // A client that is not waited for has no reason to close.
        self.permit.begin_in_any_case();
        *self.accepted() = Some(web_socket);
    }

    /// What the connection is to be, if it is a WebSocket.
    pub(super) fn take_accepted(&self) -> Option<Box<AcceptedWebSocket>> {
        self.accepted().take()
    }

    fn accepted(&self) -> MutexGuard<'_, Option<Box<AcceptedWebSocket>>> {
        // No operation under the lock leaves it half done.
        self.accepted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes which request is answered now.
    pub(super) fn note_answered(&self, name: Option<RequestName>) {
        *self.answered() = name;
    }

    fn answered(&self) -> MutexGuard<'_, Option<RequestName>> {
        // No operation under the lock leaves it half done.
        self.answered.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Names a request that is refused, with the application that would answer it.
    pub(super) fn refused(
        &self,
        refusal: Refusal,
        connection: &Arc<Connection>,
        (method, target, headers): (&Method, &[u8], &HeaderMap),
    ) -> RefusedHead {
        let host = headers.get(header::HOST).map(HeaderValue::as_bytes);
        let host = host.unwrap_or(connection.server_name.as_bytes());
        let (path, _) = path_info::split_query(target);
        let path = path_info::decode(Bytes::copy_from_slice(path));
        let application = &self.gateway.application;
        let application = path
            .filter(|path| path.starts_with(b"/"))
            .and_then(|path| application.name_for(host, &path));
        let name = RequestName::refused(method.clone(), target, connection, application);
        let name = Some(Box::new(name));
        RefusedHead { refusal, name }
    }

    /// What a line of the log about the connection is about.
    pub(super) fn subject(&self) -> LogSubject<'_> {
        LogSubject::connection_from(self.connection.remote_addr.network())
    }

    /// Logs that the connection was closed, or one of its streams, since the client takes a response too slowly.
    pub(super) fn log_slow_client(&self, closed: &str) {
        let client = self.client_name();
        let (rate, limit) = match self.gateway.options.min_rate {
            0 => ("nothing".to_owned(), ""),
            rate => (
                format!("less than {rate} bytes a second"),
                " (runner.http.min_rate)",
            ),
        };
        let name = self.answered().clone();
        let (about, response) = match &name {
            Some(name) => (name.subject(), format!("the response to {name}")),
            None => (self.subject(), "a response".to_owned()),
        };
        crate::log_of!(
            LogKind::Closed,
            about = about,
            "closed {closed} from {client}: it takes {rate} of {response}{limit}"
        );
    }

    /// Logs that a request was refused of which nothing is known but the client.
    pub(super) fn log_refusal(&self, reason: impl Display) {
        let client = self.client_name();
        crate::log_of!(
            LogKind::Refused,
            about = self.subject(),
            "refused a request from {client}: {reason}"
        );
    }

    /// Logs that a request was refused, and names it as far as it is known.
    pub(super) fn log_refused(&self, refused: &RefusedHead, ids: Option<&RequestIds>) {
        let RefusedHead { refusal, name } = refused;
        let client = self.client_name();
        let (about, named) = match (name, ids) {
            (Some(name), _) => (name.subject(), format!(", {name}")),
            (None, Some(ids)) => {
                let about = LogSubject {
                    client: self.subject().client,
                    ..ids.subject()
                };
                (about, format!(" ({ids})"))
            }
            (None, None) => (self.subject(), String::new()),
        };
        crate::log_of!(
            LogKind::Refused,
            about = about,
            "refused a request from {client}: {refusal}{named}"
        );
    }

    /// The client, as log lines name it.
    pub(super) fn client_name(&self) -> &str {
        match self.connection.remote_addr.as_str() {
            "" => "a local process",
            address => address,
        }
    }
}

impl Generation {
    /// Others follow, to which TLS is spoken in this way.
    pub(super) fn followed_by(&self, tls: Option<&TlsSetup>) {
        self.present_tls.send_replace(tls.cloned());
    }
}

impl GatewayState {
    /// Checks that the client of a connection over TLS would be accepted now, whatever held when it was.
    ///
    /// # Errors
    /// It would not, or would be known by another certificate. It may ask again on a connection of its own (421, RFC 9110
    /// §15.5.20).
    pub(super) fn check_acceptance(&self, connection: &Connection) -> Result<(), Refusal> {
        let Some(session) = &connection.tls else {
            return Ok(());
        };
        let present = self.generation.present_tls.borrow();
        match present.as_ref().is_none_or(|tls| tls.accepts(session)) {
            true => Ok(()),
            false => {
                let reason = "since a reload, its client is not accepted any more";
                Err(Refusal::new(StatusCode::MISDIRECTED_REQUEST, reason))
            }
        }
    }

    /// Ready when a reload has come since which the client of a connection is not accepted any more.
    pub(super) async fn not_accepted(&self, connection: &Connection) {
        let mut present = self.generation.present_tls.subscribe();
        while self.check_acceptance(connection).is_ok() {
            // Never fails: `self` has the sender.
            let _ = present.changed().await;
        }
    }

    /// The CGI variables of a connection.
    fn connection(&self, stream: &Stream, peer: Peer) -> Connection {
        let server_name = match &self.host {
            // Listening on every address: the one that the client has reached.
            Some(Host::Any) => stream.local_address().map_or("*".to_owned(), bracketed),
            Some(host) => host.to_string(),
            None => "localhost".to_owned(),
        };
        let (remote_addr, remote_port) = match peer {
            Peer::Tcp(address) => (address.ip().into(), address.port().to_string()),
            Peer::Unix => (ClientAddress::default(), String::new()),
        };
        Connection {
            scheme: self.scheme,
            server_name,
            server_port: self.port.clone().unwrap_or_else(|| match self.scheme {
                Scheme::Http => "80".to_owned(),
                Scheme::Https => "443".to_owned(),
            }),
            server_socket: self.socket.clone(),
            server_addr: stream
                .local_address()
                .map(|address| address.ip().to_canonical().to_string())
                .unwrap_or_default(),
            remote_addr,
            remote_port,
            client_end: ClientEnd::default(),
            tls: None,
        }
    }
}

/// An address as it stands in a URL.
fn bracketed(address: SocketAddr) -> String {
    match address {
        SocketAddr::V4(address) => address.ip().to_string(),
        SocketAddr::V6(address) => address.ip().to_ipv4_mapped().map_or_else(
            || format!("[{}]", address.ip()),
            |address| address.to_string(),
        ),
    }
}
