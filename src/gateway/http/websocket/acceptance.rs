//! The opening handshake (RFC 6455 §4.2): whether a request offers a WebSocket, and the response 101 to a client whose
//! offer the application has accepted.

use http::{HeaderMap, HeaderValue, StatusCode, header};

use crate::gateway::body::response_body::log_misfit;
use crate::gateway::http::access_log::LogLine;
use crate::gateway::refusal::Refusal;
use crate::interface::{Request, RequestName, WebSocket};
use crate::protocol::websocket::decoder::Decoder;
use crate::protocol::websocket::encoder::Encoder;
use crate::protocol::websocket::handshake::{self, Handshake, WebSocketOffer};
use crate::protocol::websocket::permessage_deflate::DeflatePolicy;

/// The characters of a path that a line of the log shows.
const LONGEST_PATH: usize = 200;

/// A WebSocket that a request offers.
pub(in crate::gateway::http) struct OfferedWebSocket {
    pub offer: WebSocketOffer,
    /// The path of the request, for the log: without the query, which may hold secrets, and escaped.
    pub path: Box<str>,
}

/// A WebSocket that is open once the response 101 is written.
pub(in crate::gateway::http) struct AcceptedWebSocket {
    pub socket: WebSocket,
    pub decoder: Decoder,
    pub encoder: Encoder,
    /// The path of its request, for the log.
    pub path: Box<str>,
    /// The request, where the application names it.
    pub about: Option<RequestName>,
    /// Its line is written when the WebSocket is closed, as for any response.
    pub log_line: Option<Box<LogLine>>,
}

impl AcceptedWebSocket {
    /// The WebSocket of a request, as it was offered, for messages of at most so many bytes.
    pub(in crate::gateway::http) fn new(
        (socket, about): (WebSocket, Option<RequestName>),
        offered: OfferedWebSocket,
        max_message: usize,
        log_line: Option<Box<LogLine>>,
    ) -> Box<Self> {
        let OfferedWebSocket { offer, path } = offered;
        Box::new(Self {
            socket,
            decoder: Decoder::new(max_message, offer.deflate),
            encoder: Encoder::new(offer.deflate),
            path,
            about,
            log_line,
        })
    }
}

/// The WebSocket that a request offers. `is_ending` if its connection is to end: then none is opened, since it would have
/// to be closed at once.
///
/// # Errors
/// The offer is wrong (400, or 426 where another version may be tried), or comes at the end (503).
pub(in crate::gateway::http) fn offered(
    request: &Request,
    deflate: DeflatePolicy,
    is_ending: bool,
) -> Result<Option<Box<OfferedWebSocket>>, Refusal> {
    let checked = handshake::check(&request.method, request.version, &request.headers, deflate);
    match checked {
        Handshake::NotAnOffer => Ok(None),
        Handshake::Wrong(wrong) => Err(Refusal::new(wrong.status, wrong.what)),
        Handshake::Offer(_) if is_ending => {
            let reason = "a WebSocket handshake on a connection that is about to end";
            Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, reason))
        }
        Handshake::Offer(offer) => Ok(Some(Box::new(OfferedWebSocket {
            offer: *offer,
            path: shown_path(&request.target),
        }))),
    }
}

/// The path of a request target as the log shows it.
fn shown_path(target: &[u8]) -> Box<str> {
    let path = target.split(|byte| *byte == b'?').next();
    let path = String::from_utf8_lossy(path.unwrap_or_default());
    let mut shown: String = path.chars().take(LONGEST_PATH).collect();
    if shown.len() < path.len() {
        shown.push('…');
    }
    shown.escape_debug().to_string().into_boxed_str()
}

/// Completes the response to an offer of another version (RFC 6455 §4.4, RFC 9110 §15.5.22).
pub(in crate::gateway::http) fn demand_version(headers: &mut HeaderMap) {
    for (name, value) in [
        (header::UPGRADE, "websocket"),
        (header::CONNECTION, "upgrade, close"),
        (header::SEC_WEBSOCKET_VERSION, "13"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

/// Makes the header fields of an application those of the response 101 to a request.
pub(in crate::gateway::http) fn complete(
    headers: &mut HeaderMap,
    offer: &WebSocketOffer,
    about: Option<&RequestName>,
) {
    let name = header::SEC_WEBSOCKET_PROTOCOL;
    let mut chosen = headers.get_all(&name).iter();
    let (first, second) = (chosen.next(), chosen.next());
    // Clients refuse a subprotocol that they have not offered, and several of them (RFC 6455 §4.1).
    if let Some(protocol) = first
        && (second.is_some() || !offer.has_protocol(protocol.as_bytes()))
    {
        log_misfit(
            about,
            format_args!(
                "the application accepted a WebSocket with the subprotocol {protocol:?}, which the client does not offer: it is left out"
            ),
        );
        headers.remove(name);
    }
    offer.accept_with(headers);
}
