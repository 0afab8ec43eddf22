//! Where the body of a request ends, as the fields of its head say (RFC 9112 §6.3). The standard lets a recipient repair
//! some of what is refused here; each repair is a place where two servers may find two ends.

use http::StatusCode;

use crate::gateway::refusal::Refusal;

const WEB_SOCKET: &[u8] = b"websocket";

/// How a request tells where its body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::gateway::http) enum Framing {
    /// By the number of bytes, which may be 0.
    Length(u64),
    /// By chunks.
    Chunked,
}

/// The fields that tell where the body ends, and whether HTTP ends with the request.
#[derive(Debug, Default)]
pub(super) struct FramingFields {
    length: Option<u64>,
    is_chunked: bool,
    /// An `Upgrade` field names WebSockets.
    web_socket: bool,
}

impl FramingFields {
    /// Reads one field, in the order in which they come.
    ///
    /// # Errors
    /// The field leaves the end in doubt (400), its coding is not understood (501), or its length is no `u64` (413).
    pub(super) fn read(&mut self, name: &[u8], value: &[u8]) -> Result<(), Refusal> {
        match (name.first(), name.len()) {
            (Some(b'c' | b'C'), 14) if name.eq_ignore_ascii_case(b"content-length") => {
                if self.length.is_some() {
                    let reason = "there are several `Content-Length` fields";
                    return Err(Refusal::malformed(reason));
                }
                self.length = Some(read_length(value)?);
            }
            (Some(b't' | b'T'), 17) if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                if self.is_chunked {
                    let reason = "there are several `Transfer-Encoding` fields";
                    return Err(Refusal::malformed(reason));
                }
                if !value.eq_ignore_ascii_case(b"chunked") {
                    let reason = "the transfer coding is not `chunked`";
                    return Err(Refusal::new(StatusCode::NOT_IMPLEMENTED, reason));
                }
                self.is_chunked = true;
            }
            (Some(b'u' | b'U'), 7) if name.eq_ignore_ascii_case(b"upgrade") => {
                let mut parts = value.windows(WEB_SOCKET.len());
                self.web_socket |= parts.any(|part| part.eq_ignore_ascii_case(WEB_SOCKET));
            }
            _ => {}
        }
        Ok(())
    }

    /// Where the body ends, of a request of version 1.`minor`.
    ///
    /// # Errors
    /// The end is in doubt (400).
    pub(super) fn framing(&self, minor: u8) -> Result<Framing, Refusal> {
        match (self.is_chunked, self.length) {
            (false, length) => Ok(Framing::Length(length.unwrap_or_default())),
            // RFC 9112 §6.1: hyper drops the length and closes the connection after the answer, which is allowed; but
            // such a request is an attack.
            (true, Some(_)) => Err(Refusal::malformed(
                "there is a `Content-Length` beside `Transfer-Encoding`",
            )),
            // The same section: its framing is faulty.
            (true, None) if minor == 0 => Err(Refusal::malformed(
                "there is a `Transfer-Encoding` in a request of HTTP/1.0",
            )),
            (true, None) => Ok(Framing::Chunked),
        }
    }

    /// Whether the client may be asking for a WebSocket, so that no HTTP follows. Any mention of the name is enough here;
    /// whether the request is correct (RFC 6455 §4.2.1) is found out when hyper has read the head.
    pub(super) fn may_offer_web_socket(&self) -> bool {
        self.web_socket
    }
}

/// RFC 9110 §8.6: digits, and nothing else. It allows to read a list of equal numbers as one, which is not done.
fn read_length(value: &[u8]) -> Result<u64, Refusal> {
    let text = std::str::from_utf8(value).unwrap_or_default();
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Refusal::malformed("the `Content-Length` is not a number"));
    }
    // hyper uses the two largest numbers as marks, and everything above half of them is larger than any disk.
    let length = text.parse().ok().filter(|length| *length <= LARGEST);
    length.ok_or_else(|| {
        let reason = "the `Content-Length` is larger than any body";
        Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, reason)
    })
}

const LARGEST: u64 = u64::MAX / 2;

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::{Framing, FramingFields};
    use crate::gateway::refusal::Refusal;

    /// The framing of a request of HTTP/1.1 with these fields.
    fn framing(fields: &[(&str, &str)]) -> Result<Framing, StatusCode> {
        let mut read = FramingFields::default();
        let mut all = fields.iter();
        all.try_for_each(|(name, value)| read.read(name.as_bytes(), value.as_bytes()))
            .and_then(|()| read.framing(1))
            .map_err(|Refusal { status, .. }| status)
    }

    #[test]
    fn a_body_has_one_end() {
        let length = |text| framing(&[("Content-Length", text)]);
        assert_eq!(framing(&[("Host", "a")]), Ok(Framing::Length(0)));
        assert_eq!(length("007"), Ok(Framing::Length(7)));
        for text in [
            "", "+1", "-1", "1.0", "0x1", "1 1", "5, 5", "5,5", "\u{661}",
        ] {
            assert_eq!(length(text), Err(StatusCode::BAD_REQUEST), "{text}");
        }
        for text in [
            "9223372036854775808",
            "18446744073709551615",
            &"9".repeat(99),
        ] {
            assert_eq!(length(text), Err(StatusCode::PAYLOAD_TOO_LARGE), "{text}");
        }
        let coding = |text| framing(&[("TRANSFER-encoding", text)]);
        assert_eq!(coding("Chunked"), Ok(Framing::Chunked));
        for text in [
            "",
            "gzip",
            "chunked, chunked",
            "chunked,",
            "gzip, chunked",
            "\"chunked\"",
            "chunked;a",
        ] {
            assert_eq!(coding(text), Err(StatusCode::NOT_IMPLEMENTED), "{text}");
        }
        let (one, chunked) = (("content-length", "1"), ("transfer-encoding", "chunked"));
        for fields in [
            [one, one],
            [one, chunked],
            [chunked, one],
            [chunked, chunked],
        ] {
            assert_eq!(framing(&fields), Err(StatusCode::BAD_REQUEST), "{fields:?}");
        }
    }
}
