//! The server's part of the opening handshake (RFC 6455 §4.2): whether a request offers a WebSocket, and the answer.

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version, header};
use sha1::{Digest, Sha1};

use super::permessage_deflate::{DeflateParameters, DeflatePolicy};

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
    /// `Sec-WebSocket-Accept`; `None` by HTTP/2, which has none (RFC 8441 §5).
    pub accept: Option<HeaderValue>,
    /// What to answer about compression, if it is offered and wanted.
    pub deflate: Option<DeflateParameters>,
    /// The fields `Sec-WebSocket-Protocol`.
    protocols: Vec<HeaderValue>,
}

/// The answer to a handshake that is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrongHandshake {
    /// 400, or 426 if it asks for another version than 13, which the answer then has to name (RFC 6455 §4.4).
    pub status: StatusCode,
    /// For the log.
    pub what: &'static str,
}

impl WrongHandshake {
    const fn bad(what: &'static str) -> Self {
        let status = StatusCode::BAD_REQUEST;
        Self { status, what }
    }
}

impl WebSocketOffer {
    /// Whether the client offers a subprotocol. Names are compared as they are (RFC 6455 §11.3.4).
    #[must_use]
    pub fn has_protocol(&self, name: &[u8]) -> bool {
        let mut offered = self.protocols.iter().flat_map(elements);
        !name.is_empty() && offered.any(|offered| offered == name)
    }

    /// Makes the header fields of an application those of the response that accepts the WebSocket (101, or 200 by HTTP/2): its
    /// own fields about the connection are replaced.
    pub fn accept_with(&self, headers: &mut HeaderMap) {
        for name in [
            header::UPGRADE,
            header::CONNECTION,
            header::SEC_WEBSOCKET_ACCEPT,
        ] {
            headers.remove(name);
        }
        if let Some(accept) = &self.accept {
            headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
            headers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
            headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept.clone());
        }
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

/// Reads the head of a request. `deflate` is what is agreed to about compression.
///
/// It offers a WebSocket if both `Upgrade` and `Connection` say so: either alone means nothing (RFC 9110 §7.8). That of a
/// stream of HTTP/2 is the head of an extended `CONNECT` for a WebSocket (RFC 8441 §5), with the method as if it were `GET`.
#[must_use]
pub fn check(
    method: &Method,
    version: Version,
    headers: &HeaderMap,
    deflate: DeflatePolicy,
) -> Handshake {
    let is_stream = version == Version::HTTP_2;
    if !is_stream
        && (!has_token(headers, &header::UPGRADE, b"websocket")
            || !has_token(headers, &header::CONNECTION, b"upgrade"))
    {
        return Handshake::NotAnOffer;
    }
    match offer(method, version, headers, deflate) {
        Ok(offer) => Handshake::Offer(Box::new(offer)),
        Err(wrong) => Handshake::Wrong(wrong),
    }
}

fn offer(
    method: &Method,
    version: Version,
    headers: &HeaderMap,
    deflate: DeflatePolicy,
) -> Result<WebSocketOffer, WrongHandshake> {
    if method != Method::GET {
        return Err(WrongHandshake::bad(
            "a WebSocket handshake whose method is not GET",
        ));
    }
    if !matches!(version, Version::HTTP_11 | Version::HTTP_2) {
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
    let accept = match version {
        Version::HTTP_2 => None,
        _ => Some(answer_to_key(headers)?),
    };
    let Ok(deflate) = DeflateParameters::negotiated(headers, deflate) else {
        return Err(WrongHandshake::bad(
            "a WebSocket handshake with malformed extensions",
        ));
    };
    let protocols = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL);
    Ok(WebSocketOffer {
        accept,
        deflate,
        protocols: protocols.iter().cloned().collect(),
    })
}

/// The value of `Sec-WebSocket-Accept` for the key of a client.
fn answer_to_key(headers: &HeaderMap) -> Result<HeaderValue, WrongHandshake> {
    let key = only(headers, &header::SEC_WEBSOCKET_KEY).filter(|key| is_key(key));
    let Some(key) = key else {
        return Err(WrongHandshake::bad(
            "a WebSocket handshake whose key is not 16 bytes in Base64",
        ));
    };
    HeaderValue::try_from(accept(key)).map_err(|_| WrongHandshake::bad("a WebSocket handshake"))
}

/// The value of a field that stands there once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a [u8]> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.as_bytes().trim_ascii();
    values.next().is_none().then_some(value)
}

/// The elements of a list.
pub(super) fn elements(field: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    let elements = field.as_bytes().split(|byte| *byte == b',');
    elements.map(<[u8]>::trim_ascii)
}

/// Whether one of the fields of this name lists a token, in any case.
pub(super) fn has_token(headers: &HeaderMap, name: &HeaderName, token: &[u8]) -> bool {
    let mut listed = headers.get_all(name).iter().flat_map(elements);
    listed.any(|listed| listed.eq_ignore_ascii_case(token))
}

fn is_key(key: &[u8]) -> bool {
    let mut nonce = [0; 18];
    BASE_64.decode_slice(key, &mut nonce) == Ok(16)
}

/// The value of `Sec-WebSocket-Accept` (RFC 6455 §4.2.2).
pub(super) fn accept(key: &[u8]) -> String {
    let hash = Sha1::new().chain_update(key).chain_update(SUFFIX);
    BASE_64.encode(hash.finalize())
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName, HeaderValue, Method, Version};

    use super::{DeflatePolicy, Handshake, WebSocketOffer, check};

    /// RFC 6455 §1.2.
    const STANDARD: &str = "Host: server.example.com
Upgrade: websocket
Connection: Upgrade
Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==
Origin: http://example.com
Sec-WebSocket-Protocol: chat, superchat
Sec-WebSocket-Version: 13";

    fn headers(fields: &str) -> HeaderMap {
        let fields = fields.lines().map(|field| {
            let (name, value) = field.split_once(": ").expect("a field");
            let name = HeaderName::from_bytes(name.as_bytes()).expect("a name");
            (name, HeaderValue::from_str(value).expect("a value"))
        });
        fields.collect()
    }

    fn checked(fields: &str) -> Handshake {
        check(
            &Method::GET,
            Version::HTTP_11,
            &headers(fields),
            DeflatePolicy::EachMessage,
        )
    }

    fn offer(fields: &str) -> Box<WebSocketOffer> {
        match checked(fields) {
            Handshake::Offer(offer) => offer,
            other @ (Handshake::NotAnOffer | Handshake::Wrong(_)) => {
                panic!("{other:?}: {fields}")
            }
        }
    }

    fn wrong(handshake: Handshake) -> (u16, &'static str) {
        match handshake {
            Handshake::Wrong(wrong) => (wrong.status.as_u16(), wrong.what),
            other @ (Handshake::NotAnOffer | Handshake::Offer(_)) => panic!("{other:?}"),
        }
    }

    /// The standard's handshake, with something in place of something else.
    fn with(from: &str, to: &str) -> String {
        assert!(STANDARD.contains(from));
        STANDARD.replace(from, to)
    }

    /// RFC 6455 §1.3 has the value.
    #[test]
    fn the_answer_to_the_standards_handshake() {
        let offer = offer(STANDARD);
        let accept = HeaderValue::from_static("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert_eq!(offer.accept, Some(accept));
        assert_eq!(offer.deflate, None);
        for (name, is_offered) in [
            ("chat", true),
            ("superchat", true),
            ("Chat", false),
            ("", false),
            ("chat, superchat", false),
        ] {
            assert_eq!(offer.has_protocol(name.as_bytes()), is_offered, "{name}");
        }
        let mut fields = headers(
            "Content-Length: 5\nTransfer-Encoding: chunked\nConnection: close\nUpgrade: h2c\nSet-Cookie: a=b\n\
             Sec-WebSocket-Accept: mine\nSec-WebSocket-Extensions: x\nSec-WebSocket-Version: 13\nSec-WebSocket-Key: k\n\
             Sec-WebSocket-Protocol: chat",
        );
        offer.accept_with(&mut fields);
        let expected = headers(
            "Connection: Upgrade\nUpgrade: websocket\nSet-Cookie: a=b\n\
             Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\nSec-WebSocket-Protocol: chat",
        );
        assert_eq!(fields, expected);
    }

    /// Tokens in any case, in any element of any of the fields, and keys with white space around them.
    #[test]
    fn correct_handshakes() {
        for fields in [
            with("Upgrade: websocket", "Upgrade: WebSocket"),
            with("Upgrade: websocket", "Upgrade: h2c, websocket"),
            with("Upgrade: websocket", "Upgrade: h2c\nUpgrade: websocket"),
            // Firefox.
            with("Connection: Upgrade", "Connection: keep-alive, Upgrade"),
            with("Connection: Upgrade", "Connection: close,,\tUPGRADE "),
            with(
                "Connection: Upgrade",
                "Connection: keep-alive\nConnection: upgrade",
            ),
            with("Key: ", "Key:   "),
            with("Host: server", "Content-Length: 0\nHost: server"),
            // RFC 6455 §4.1 has this key, whose last character has bits too many.
            with("dGhlIHNhbXBsZSBub25jZQ==", "AQIDBAUGBwgJCgsMDQ4PEC=="),
        ] {
            drop(offer(&fields));
        }
        let several = with(
            "chat, superchat",
            "chat,,\nSec-WebSocket-Protocol: mqtt , wamp.2.json",
        );
        let several = offer(&several);
        for name in ["chat", "mqtt", "wamp.2.json"] {
            assert!(several.has_protocol(name.as_bytes()), "{name}");
        }
        assert!(!several.has_protocol(b"superchat"));
        assert!(!several.has_protocol(b""));
    }

    #[test]
    fn requests_without_offer() {
        for fields in [
            with("Upgrade: websocket\n", ""),
            with("Connection: Upgrade\n", ""),
            with("Upgrade: websocket", "Upgrade: websockets"),
            with("Upgrade: websocket", "Upgrade: websocket/13"),
            with("Connection: Upgrade", "Connection: upgraded"),
            with("Connection: Upgrade", "Connection: no-upgrade, close"),
        ] {
            assert_eq!(checked(&fields), Handshake::NotAnOffer, "{fields}");
        }
    }

    #[test]
    fn wrong_handshakes() {
        let key = "a WebSocket handshake whose key is not 16 bytes in Base64";
        for value in [
            "",
            "short",
            "dGhlIHNhbXBsZSBub25jZQ",
            "dGhlIHNhbXBsZSBub25jZTE=",
            "dGhlIHNhbXBsZSBub25j",
            "dGhlIHNhbXBsZSBub25jZTEyMw==",
            "dGhlIHNhbXBsZSBub25j-_==",
            "dGhlIHNh bXBsZSBub25jZQ==",
        ] {
            let fields = with("dGhlIHNhbXBsZSBub25jZQ==", value);
            assert_eq!(wrong(checked(&fields)), (400, key), "{value}");
        }
        let line = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
        assert_eq!(wrong(checked(&with(&format!("{line}\n"), ""))), (400, key));
        let twice = with(line, &format!("{line}\n{line}"));
        assert_eq!(wrong(checked(&twice)), (400, key));

        let version = "a WebSocket handshake whose version is not 13";
        let line = "Sec-WebSocket-Version: 13";
        for fields in [
            with(line, "Sec-WebSocket-Version: 8"),
            with(line, "Sec-WebSocket-Version: 013"),
            with(line, "Sec-WebSocket-Version: 13, 8"),
            with(line, &format!("{line}\n{line}")),
            with(&format!("\n{line}"), ""),
        ] {
            assert_eq!(wrong(checked(&fields)), (426, version), "{fields}");
        }
        let body = "a WebSocket handshake with a body";
        for field in ["Content-Length: 1", "Transfer-Encoding: chunked"] {
            let fields = format!("{STANDARD}\n{field}");
            assert_eq!(wrong(checked(&fields)), (400, body), "{field}");
        }
        let malformed = format!("{STANDARD}\nSec-WebSocket-Extensions: a b");
        let what = "a WebSocket handshake with malformed extensions";
        assert_eq!(wrong(checked(&malformed)), (400, what));

        let fields = headers(STANDARD);
        for method in [Method::POST, Method::HEAD, Method::CONNECT] {
            let checked = check(
                &method,
                Version::HTTP_11,
                &fields,
                DeflatePolicy::EachMessage,
            );
            let what = "a WebSocket handshake whose method is not GET";
            assert_eq!(wrong(checked), (400, what), "{method}");
        }
        for version in [Version::HTTP_10, Version::HTTP_3] {
            let checked = check(&Method::GET, version, &fields, DeflatePolicy::EachMessage);
            let what = "a WebSocket handshake that is not HTTP/1.1";
            assert_eq!(wrong(checked), (400, what), "{version:?}");
        }
    }

    /// RFC 8441 §5.1.
    #[test]
    fn a_stream_has_no_key_and_gets_no_answer_to_it() {
        let fields = headers("Sec-WebSocket-Protocol: chat\nSec-WebSocket-Version: 13");
        let Handshake::Offer(offer) = check(
            &Method::GET,
            Version::HTTP_2,
            &fields,
            DeflatePolicy::EachMessage,
        ) else {
            panic!("it offers a WebSocket");
        };
        let mut answer = headers("Sec-WebSocket-Accept: mine\nSec-WebSocket-Protocol: chat");
        offer.accept_with(&mut answer);
        assert_eq!(answer, headers("Sec-WebSocket-Protocol: chat"));
        let old = headers("Sec-WebSocket-Version: 8");
        let refused = check(
            &Method::GET,
            Version::HTTP_2,
            &old,
            DeflatePolicy::EachMessage,
        );
        assert_eq!(wrong(refused).0, 426);
    }

    /// Compression is answered where it is offered and wanted.
    #[test]
    fn compression() {
        let fields = format!("{STANDARD}\nSec-WebSocket-Extensions: permessage-deflate");
        let mut answer = HeaderMap::new();
        offer(&fields).accept_with(&mut answer);
        assert_eq!(
            answer["sec-websocket-extensions"],
            "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
        );
        let unwanted = check(
            &Method::GET,
            Version::HTTP_11,
            &headers(&fields),
            DeflatePolicy::Declined,
        );
        let Handshake::Offer(unwanted) = unwanted else {
            panic!("{unwanted:?}");
        };
        assert_eq!(unwanted.deflate, None);
    }
}
