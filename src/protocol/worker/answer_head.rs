//! Heads of answers of workers. They are input from a process that runs an application, so that each of them is bounded and
//! checked.

use std::fmt;
use std::ops::Range;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use memchr::memchr;

use crate::protocol::cgi::response_head::is_reason;
use crate::protocol::worker::frame::Header;
use crate::protocol::worker::marshal::Malformed;

/// The status and header fields of an answer.
#[derive(Debug)]
pub struct AnswerHead {
    /// The status code.
    pub status: StatusCode,
    /// The reason phrase, where it is not the standard one.
    pub reason: Option<Bytes>,
    /// The header fields.
    pub headers: HeaderMap,
}

/// The most header fields of an answer. Clients accept far fewer (Python's own client 100), and a [`HeaderMap`] holds at most
/// 24 576.
const FIELDS_LIMIT: usize = 1000;

/// The largest head of an answer, in bytes: its status, and the names and values of its fields.
pub const HEAD_LIMIT: usize = 256 * 1024;

/// How much of a larger head a worker sends: enough to see that it is larger.
pub const LONGEST_HEAD: usize = HEAD_LIMIT + 1;

/// Why an answer of the application cannot be sent to a client, in words for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BadAnswer {
    /// It is not what HTTP allows.
    Malformed(String),
    /// Its head exceeds a limit.
    TooLarge(String),
}

impl BadAnswer {
    /// The status that the client gets instead.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Malformed(_) => StatusCode::INTERNAL_SERVER_ERROR,
            Self::TooLarge(_) => StatusCode::BAD_GATEWAY,
        }
    }
}

impl fmt::Display for BadAnswer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(reason) | Self::TooLarge(reason) => formatter.write_str(reason),
        }
    }
}

impl From<Malformed> for BadAnswer {
    fn from(_: Malformed) -> Self {
        Self::Malformed("it makes no sense".to_owned())
    }
}

fn too_large(what: &str, size: usize, limit: usize) -> BadAnswer {
    BadAnswer::TooLarge(format!(
        "its head has {size} {what}, and {limit} are the most"
    ))
}

/// Reads a whole answer: head and body.
///
/// # Errors
/// [`BadAnswer`] if it is not what HTTP allows.
pub fn answer(header: Header, payload: &Bytes) -> Result<(AnswerHead, Bytes), BadAnswer> {
    let head = head(header, payload)?;
    Ok((head, payload.slice(header.head..)))
}

/// Reads the head of an answer whose body comes in blocks, and the length of the body if the worker knows it.
///
/// # Errors
/// [`BadAnswer`] if it is not what HTTP allows.
pub fn begun(header: Header, payload: &Bytes) -> Result<(AnswerHead, Option<u64>), BadAnswer> {
    let head = head(header, payload)?;
    Ok((head, number_at(payload, header.head)))
}

/// Reads the head with which an offer of a WebSocket is accepted.
///
/// # Errors
/// [`BadAnswer`] if it is not what HTTP allows.
pub fn accepted(header: Header, payload: &Bytes) -> Result<AnswerHead, BadAnswer> {
    head_with(header, payload, |status| {
        status == StatusCode::SWITCHING_PROTOCOLS
    })
}

/// Reads an answer whose body is a file: head, offset and length.
///
/// # Errors
/// [`BadAnswer`] if it is not what HTTP allows.
pub fn file(header: Header, payload: &Bytes) -> Result<(AnswerHead, u64, u64), BadAnswer> {
    let head = head(header, payload)?;
    let number = |at| number_at(payload, header.head + at).ok_or(Malformed);
    Ok((head, number(0)?, number(8)?))
}

fn number_at(payload: &Bytes, at: usize) -> Option<u64> {
    let bytes = payload.get(at..)?.first_chunk()?;
    Some(u64::from_le_bytes(*bytes))
}

/// Reads the head of an answer.
///
/// # Errors
/// [`BadAnswer`] if it is not what HTTP allows.
pub fn head(header: Header, payload: &Bytes) -> Result<AnswerHead, BadAnswer> {
    head_with(header, payload, |status| !status.is_informational())
}

/// The same, with a status that is allowed.
fn head_with(
    header: Header,
    payload: &Bytes,
    is_allowed: fn(StatusCode) -> bool,
) -> Result<AnswerHead, BadAnswer> {
    if header.fields > FIELDS_LIMIT {
        return Err(too_large("header fields", header.fields, FIELDS_LIMIT));
    }
    if header.head > HEAD_LIMIT {
        let reason = format!("its head has more than {HEAD_LIMIT} bytes");
        return Err(BadAnswer::TooLarge(reason));
    }
    let text = payload.slice(..header.head);
    let mut parts = HeadParts {
        text: &text,
        rest: 0..text.len(),
        missing: 1 + 2 * header.fields,
    };
    let (status, reason) = read_status(&text.slice(parts.next()?), is_allowed)?;
    let full = |_| too_large("header fields", header.fields, FIELDS_LIMIT);
    let mut headers: HeaderMap = HeaderMap::try_with_capacity(header.fields).map_err(full)?;
    for _ in 0..header.fields {
        let name = &text[parts.next()?];
        let value = text.slice(parts.next()?);
        let Ok(name) = HeaderName::from_bytes(name) else {
            let reason = format!("{} is not a header name", quoted(name));
            return Err(BadAnswer::Malformed(reason));
        };
        let Ok(value) = HeaderValue::from_maybe_shared(value.clone()) else {
            let reason = format!("{} is not a value for header `{name}`", quoted(&value));
            return Err(BadAnswer::Malformed(reason));
        };
        // RFC 9110 §8.6: the same one twice counts once; of two that differ, none can be trusted.
        if name == header::CONTENT_LENGTH
            && let Some(earlier) = headers.get(&name)
        {
            if *earlier == value {
                continue;
            }
            let (earlier, value) = (quoted(earlier.as_bytes()), quoted(value.as_bytes()));
            let reason = format!("`Content-Length` is {earlier} and {value}");
            return Err(BadAnswer::Malformed(reason));
        }
        headers.try_append(name, value).map_err(full)?;
    }
    Ok(AnswerHead {
        status,
        reason,
        headers,
    })
}

/// Reads the parts of a head, which must be as many as announced.
struct HeadParts<'a> {
    text: &'a Bytes,
    rest: Range<usize>,
    missing: usize,
}

impl HeadParts<'_> {
    fn next(&mut self) -> Result<Range<usize>, BadAnswer> {
        self.missing -= 1;
        let start = self.rest.start;
        let length = memchr(0, &self.text[self.rest.clone()]);
        match (length, self.missing) {
            (Some(length), 1..) => {
                self.rest.start = start + length + 1;
                Ok(start..start + length)
            }
            (None, 0) => Ok(self.rest.clone()),
            _ => Err(BadAnswer::Malformed(
                "its headers are not all pairs, or the status or one of them contains a zero byte"
                    .to_owned(),
            )),
        }
    }
}

/// `200 OK`: three digits, then a reason phrase, which PEP 3333 demands, but which may be missing here.
fn read_status(
    text: &Bytes,
    is_allowed: fn(StatusCode) -> bool,
) -> Result<(StatusCode, Option<Bytes>), BadAnswer> {
    let bad = || BadAnswer::Malformed(format!("{} is not a status", quoted(text)));
    let code = &text[..text.len().min(3)];
    let reason = match text.get(3) {
        None => Bytes::new(),
        Some(b' ') => text.slice(4..),
        Some(_) => return Err(bad()),
    };
    let status = StatusCode::from_bytes(code).map_err(|_| bad())?;
    if !is_allowed(status) {
        let reason = format!("{} is not a final status", quoted(text));
        return Err(BadAnswer::Malformed(reason));
    }
    if reason.is_empty() || status.canonical_reason().map(str::as_bytes) == Some(&reason) {
        return Ok((status, None));
    }
    match is_reason(&reason) {
        true => Ok((status, Some(reason))),
        false => Err(bad()),
    }
}

/// Latin-1 as text, for the log.
fn quoted(text: &[u8]) -> String {
    let text: String = text.iter().map(|&byte| char::from(byte)).collect();
    format!("`{}`", text.escape_debug())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;

    use super::{BadAnswer, FIELDS_LIMIT, HEAD_LIMIT, head};
    use crate::protocol::worker::frame::{Header, Kind};

    /// Status and headers of an answer that the worker announced with a number of fields, as text.
    fn read(fields: usize, text: impl Into<Bytes>) -> Result<String, BadAnswer> {
        let text = text.into();
        let header = Header {
            length: text.len(),
            number: 1,
            service: Duration::ZERO,
            kind: Kind::Head,
            fields,
            head: text.len(),
        };
        let head = head(header, &text)?;
        Ok(format!("{} {:?}", head.status, head.headers))
    }

    #[test]
    fn nothing_in_a_head_passes_for_something_else() {
        let good = [
            (0, "204 No Content", "204 No Content {}"),
            (1, "200\0A\0b", r#"200 OK {"a": "b"}"#),
            (2, "200 OK\0A\0b\0A\0", r#"200 OK {"a": "b", "a": ""}"#),
            (
                2,
                "200\0Content-Length\x007\0content-length\x007",
                r#"200 OK {"content-length": "7"}"#,
            ),
        ];
        for (fields, text, expected) in good {
            assert_eq!(read(fields, text).as_deref(), Ok(expected), "{text:?}");
        }
        let bad = [
            (0, "", "is not a status"),
            (0, "2000 OK", "is not a status"),
            (0, "100 Continue", "is not a final status"),
            (0, "200 O\nK", "is not a status"),
            // A value with a zero byte, and a field without a value.
            (1, "200 OK\0A\0b\0c", "zero byte"),
            (1, "200 OK\0A", "not all pairs"),
            (1, "200 OK\0A\0b\r\nC: d", "is not a value"),
            (1, "200 OK\0A B\0c", "is not a header name"),
            (
                2,
                "200\0Content-Length\x007\0content-length\x008",
                "`Content-Length` is `7` and `8`",
            ),
        ];
        for (fields, text, expected) in bad {
            let error = read(fields, text).expect_err(text);
            assert!(matches!(error, BadAnswer::Malformed(_)), "{text:?}");
            assert!(error.to_string().contains(expected), "{text:?}: {error}");
        }
    }

    /// A map of header fields panics if it is asked to hold more than it can.
    #[test]
    fn a_head_has_bounds() {
        let with = |count: usize, value: usize| {
            let field = |number| format!("\0x-{number}\0{}", "v".repeat(value));
            let fields: String = (0..count).map(field).collect();
            read(count, format!("200 OK{fields}"))
        };
        for count in [0, 1, 999, FIELDS_LIMIT] {
            assert!(with(count, 1).is_ok(), "{count} fields");
        }
        for count in [FIELDS_LIMIT + 1, 24_576, 24_577, 32_769, 65_535] {
            let error = with(count, 1).expect_err("too many fields");
            let said = format!("its head has {count} header fields, and 1000 are the most");
            assert_eq!(error, BadAnswer::TooLarge(said));
        }
        assert!(with(1, HEAD_LIMIT - 12).is_ok());
        let error = with(2, HEAD_LIMIT / 2).expect_err("too many bytes");
        assert_eq!(error.status().as_u16(), 502);
        assert_eq!(error.to_string(), "its head has more than 262144 bytes");
    }
}
