//! The server's part of the opening handshake (RFC 6455 §4.2): whether a request offers a WebSocket, and the answer.

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version, header};
use sha1::{Digest, Sha1};

use super::permessage_deflate::DeflateParameters;

/// What is appended to a key (RFC 6455 §1.3).
const SUFFIX: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The bits that a last character may have too many are ignored: the key in the example of RFC 6455 §4.1 has some.
const BASE_64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true),
);

/// What the head of a request says of a WebSocket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Handshake {
    /// It offers none.
    NotAnOffer,
    /// It offers one, correctly.
    Offer(Box<WebSocketOffer>),
    /// It offers one, wrongly.
    Wrong(WrongHandshake),
}

/// A WebSocket that a client offers, and the answer that accepts it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebSocketOffer {
    /// `Sec-WebSocket-Accept`.
    pub accept: HeaderValue,
    /// What to answer about compression, if it is offered and wanted.
    pub deflate: Option<DeflateParameters>,
    /// The fields `Sec-WebSocket-Protocol`.
    protocols: Vec<HeaderValue>,
}

/// The answer to a handshake that is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrongHandshake {
    /// 400, or 426 if only another version would do.
    pub status: StatusCode,
    /// For the log.
    pub what: &'static str,
}

impl WrongHandshake {
    const fn bad(what: &'static str) -> Self {
        let status = StatusCode::BAD_REQUEST;
        Self { status, what }
    }

    /// The fields that the answer has to have (RFC 6455 §4.4, RFC 9110 §15.5.22).
    #[must_use]
    pub fn fields(&self) -> &'static [(&'static str, &'static str)] {
        match self.status {
            StatusCode::UPGRADE_REQUIRED => &[
                ("upgrade", "websocket"),
                ("connection", "upgrade"),
                ("sec-websocket-version", "13"),
            ],
            _ => &[],
        }
    }
}

impl WebSocketOffer {
    /// Whether the client offers a subprotocol. Names are compared as they are (RFC 6455 §11.3.4).
    #[must_use]
    pub fn has_protocol(&self, name: &[u8]) -> bool {
        let mut offered = self.protocols.iter().flat_map(elements);
        offered.any(|offered| offered == name)
    }

    /// Makes the header fields of an application those of the response 101 that accepts the WebSocket: its own fields about
    /// the connection are replaced.
    pub fn accept_with(&self, headers: &mut HeaderMap) {
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, self.accept.clone());
        match self.deflate {
            Some(deflate) => headers.insert(header::SEC_WEBSOCKET_EXTENSIONS, deflate.answer()),
            None => headers.remove(header::SEC_WEBSOCKET_EXTENSIONS),
        };
        // A version belongs into a refusal, and a 101 has no body (RFC 9110 §8.6, RFC 9112 §6.1).
        let others = [
            header::SEC_WEBSOCKET_VERSION,
            header::SEC_WEBSOCKET_KEY,
            header::CONTENT_LENGTH,
            header::TRANSFER_ENCODING,
        ];
        for other in others {
            headers.remove(other);
        }
    }
}

/// Reads the head of a request. `compression` if permessage-deflate is wanted.
///
/// It offers a WebSocket if both `Upgrade` and `Connection` say so: either alone means nothing (RFC 9110 §7.8).
#[must_use]
pub fn check(
    method: &Method,
    version: Version,
    headers: &HeaderMap,
    compression: bool,
) -> Handshake {
    if !has_token(headers, &header::UPGRADE, b"websocket")
        || !has_token(headers, &header::CONNECTION, b"upgrade")
    {
        return Handshake::NotAnOffer;
    }
    match offer(method, version, headers, compression) {
        Ok(offer) => Handshake::Offer(Box::new(offer)),
        Err(wrong) => Handshake::Wrong(wrong),
    }
}

fn offer(
    method: &Method,
    version: Version,
    headers: &HeaderMap,
    compression: bool,
) -> Result<WebSocketOffer, WrongHandshake> {
    if method != Method::GET {
        return Err(WrongHandshake::bad(
            "a WebSocket handshake whose method is not GET",
        ));
    }
    if version != Version::HTTP_11 {
        return Err(WrongHandshake::bad(
            "a WebSocket handshake that is not HTTP/1.1",
        ));
    }
    // Its bytes would stand where frames are expected.
    let is_empty = |length: &HeaderValue| length == "0";
    if headers.contains_key(header::TRANSFER_ENCODING)
        || !headers.get_all(header::CONTENT_LENGTH).iter().all(is_empty)
    {
        return Err(WrongHandshake::bad("a WebSocket handshake with a body"));
    }
    if only(headers, &header::SEC_WEBSOCKET_VERSION) != Some(b"13") {
        return Err(WrongHandshake {
            status: StatusCode::UPGRADE_REQUIRED,
            what: "a WebSocket handshake whose version is not 13",
        });
    }
    let key = only(headers, &header::SEC_WEBSOCKET_KEY).filter(|key| is_key(key));
    let Some(key) = key else {
        return Err(WrongHandshake::bad(
            "a WebSocket handshake whose key is not 16 bytes in Base64",
        ));
    };
    let Ok(deflate) = DeflateParameters::negotiated(headers) else {
        return Err(WrongHandshake::bad(
            "a WebSocket handshake with malformed extensions",
        ));
    };
    let Ok(accept) = HeaderValue::try_from(accept(key)) else {
        return Err(WrongHandshake::bad("a WebSocket handshake"));
    };
    let protocols = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL);
    Ok(WebSocketOffer {
        accept,
        deflate: deflate.filter(|_| compression),
        protocols: protocols.iter().cloned().collect(),
    })
}

/// The value of a field that stands there once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a [u8]> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.as_bytes().trim_ascii();
    values.next().is_none().then_some(value)
}

/// The elements of a list.
fn elements(field: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    let elements = field.as_bytes().split(|byte| *byte == b',');
    elements.map(<[u8]>::trim_ascii)
}

/// Whether one of the fields of this name lists a token, in any case.
fn has_token(headers: &HeaderMap, name: &HeaderName, token: &[u8]) -> bool {
    let mut listed = headers.get_all(name).iter().flat_map(elements);
    listed.any(|listed| listed.eq_ignore_ascii_case(token))
}

fn is_key(key: &[u8]) -> bool {
    let mut nonce = [0; 18];
    BASE_64.decode_slice(key, &mut nonce) == Ok(16)
}

/// The value of `Sec-WebSocket-Accept` (RFC 6455 §4.2.2).
fn accept(key: &[u8]) -> String {
    let hash = Sha1::new().chain_update(key).chain_update(SUFFIX);
    BASE_64.encode(hash.finalize())
}
