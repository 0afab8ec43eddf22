//! The head of a CGI response (RFC 3875 §6), as it is read from a program, by CGI or from a FastCGI server.

use std::fmt;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use memchr::memchr;

use crate::protocol::cgi::response_head::is_reason;
use crate::protocol::hop_by_hop::is_hop_by_hop;

/// The largest head, in bytes. Heads of programs are as large as their cookies, so that limits of one page of memory, as
/// other servers have them, are met in practice.
const LARGEST: usize = 1024 * 1024;

/// The most fields of a head.
const MOST_FIELDS: usize = 1000;

/// How much of a malformed head the log shows, in characters.
const SHOWN: usize = 200;

/// The head of a response.
#[derive(Debug, PartialEq, Eq)]
pub struct ProgramHead {
    /// `Status`; without one 200, or 302 where there is a `Location`.
    pub status: StatusCode,
    /// The reason phrase behind the status, where there is one.
    pub reason: Option<Bytes>,
    /// The fields, but for `Status` and those about the connection, which is not the program's (RFC 3875 §6.3.4).
    pub headers: HeaderMap,
    /// Path and query of a local redirect (RFC 3875 §6.2.2): the response is that of a GET there. It is where `Location`
    /// begins with a slash and there is no other status than 200.
    pub local_redirect: Option<Bytes>,
}

/// What is received of a head.
#[derive(Debug, Default)]
pub struct HeadReader {
    received: BytesMut,
    /// Where the first line begins of which the end has not come.
    line: usize,
    /// How much of that line has no end, in bytes.
    searched: usize,
}

/// Why what a program has written is no head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MalformedHead {
    /// It ended before there was anything.
    Nothing,
    /// It ended before the blank line; its first line.
    Unfinished(String),
    /// This line of it is no field.
    NoField(String),
    /// The value of `Status` is no final status.
    Status(String),
    /// It begins with a status line of HTTP, which only programs with non-parsed headers write (RFC 3875 §5).
    StatusLine(String),
    /// There is no field in it.
    Empty,
    /// It is larger than a head may be.
    TooLarge,
    /// It has more fields than a head may have.
    TooMany,
}

impl fmt::Display for MalformedHead {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => formatter.write_str("it wrote nothing"),
            Self::Unfinished(line) => write!(
                formatter,
                "it wrote no blank line behind its head, which begins with `{line}`"
            ),
            Self::NoField(line) => write!(formatter, "`{line}` in its head is no header field"),
            Self::Status(value) => write!(formatter, "its `Status` is `{value}`"),
            Self::StatusLine(line) => write!(
                formatter,
                "it begins with `{line}`; non-parsed headers are not supported, so write `Status:`"
            ),
            Self::Empty => formatter.write_str("its head has no field"),
            Self::TooLarge => write!(formatter, "its head is larger than {LARGEST} bytes"),
            Self::TooMany => write!(formatter, "its head has more than {MOST_FIELDS} fields"),
        }
    }
}

impl std::error::Error for MalformedHead {}

impl HeadReader {
    /// Appends a part of what the program writes. The head and the part of the body behind it, once the head is complete.
    ///
    /// # Errors
    /// It is no head.
    pub fn push(&mut self, part: &[u8]) -> Result<Option<(ProgramHead, Bytes)>, MalformedHead> {
        self.received.extend_from_slice(part);
        loop {
            let searched = self.line + self.searched;
            let Some(end) = memchr(b'\n', &self.received[searched..]) else {
                self.searched = self.received.len() - self.line;
                return match self.received.len() > LARGEST {
                    true => Err(MalformedHead::TooLarge),
                    false => Ok(None),
                };
            };
            let end = searched + end;
            let is_blank = matches!(&self.received[self.line..end], b"" | b"\r");
            if !is_blank {
                self.line = end + 1;
                self.searched = 0;
                continue;
            }
            let mut head = std::mem::take(&mut self.received);
            let body = head.split_off(end + 1).freeze();
            if head.len() > LARGEST {
                return Err(MalformedHead::TooLarge);
            }
            let fields = &head[..self.line];
            return ProgramHead::parse(fields).map(|head| Some((head, body)));
        }
    }

    /// Why there is no head, where the program writes no more.
    #[must_use]
    pub fn ended(&self) -> MalformedHead {
        if self.received.is_empty() {
            return MalformedHead::Nothing;
        }
        let first = self.received[..].split(|byte| *byte == b'\n').next();
        MalformedHead::Unfinished(shown(first.unwrap_or_default()))
    }
}

impl ProgramHead {
    /// Reads the lines of a head.
    fn parse(fields: &[u8]) -> Result<Self, MalformedHead> {
        let mut status = None;
        let mut reason = None;
        let mut headers = HeaderMap::new();
        for line in fields.split(|byte| *byte == b'\n') {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if line.is_empty() {
                // Behind the last line end.
                continue;
            }
            let no_field = || match line.starts_with(b"HTTP/") {
                true => MalformedHead::StatusLine(shown(line)),
                false => MalformedHead::NoField(shown(line)),
            };
            let colon = memchr(b':', line).ok_or_else(no_field)?;
            let name = HeaderName::from_bytes(&line[..colon]).map_err(|_| no_field())?;
            let value = line[colon + 1..].trim_ascii();
            if name == "status" {
                let (code, phrase) =
                    final_status(value).ok_or_else(|| MalformedHead::Status(shown(value)))?;
                status = Some(code);
                reason = phrase;
            } else if !is_hop_by_hop(name.as_str()) {
                let value = HeaderValue::from_bytes(value).map_err(|_| no_field())?;
                let added = headers.try_append(name, value);
                added.map_err(|_| MalformedHead::TooMany)?;
                if headers.len() > MOST_FIELDS {
                    return Err(MalformedHead::TooMany);
                }
            }
        }
        if status.is_none() && headers.is_empty() {
            return Err(MalformedHead::Empty);
        }
        let location = headers.get(header::LOCATION).map(HeaderValue::as_bytes);
        let is_plain = matches!(status, None | Some(StatusCode::OK));
        let local = location.filter(|location| is_plain && is_local(location));
        Ok(Self {
            local_redirect: local.map(Bytes::copy_from_slice),
            status: status.unwrap_or(match location {
                Some(_) => StatusCode::FOUND,
                None => StatusCode::OK,
            }),
            reason,
            headers,
        })
    }
}

/// Whether a `Location` is a path, and no URL without its scheme (RFC 3986 §4.2), which leads to another host.
fn is_local(location: &[u8]) -> bool {
    location.starts_with(b"/") && !location.starts_with(b"//")
}

/// The value of `Status`: three digits, and perhaps a blank and a phrase (RFC 3875 §6.3.3). Statuses that are not final are
/// the server's affair.
fn final_status(value: &[u8]) -> Option<(StatusCode, Option<Bytes>)> {
    let (code, behind) = value.split_at_checked(3)?;
    let code = StatusCode::from_bytes(code).ok()?;
    let phrase = match behind {
        [] => b"",
        [b' ' | b'\t', ..] => behind.trim_ascii(),
        _ => return None,
    };
    let is_final = !code.is_informational() && code.as_u16() < 600;
    let phrase = (!phrase.is_empty() && is_reason(phrase)).then(|| Bytes::copy_from_slice(phrase));
    is_final.then_some((code, phrase))
}

/// A part of a head as the log shows it.
fn shown(line: &[u8]) -> String {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let text = String::from_utf8_lossy(&line[..line.len().min(4 * SHOWN)]);
    let mut shown = String::new();
    for (number, character) in text.chars().enumerate() {
        if number == SHOWN {
            shown.push('…');
            break;
        }
        shown.extend(character.escape_debug());
    }
    shown
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::{HeadReader, MOST_FIELDS, MalformedHead, ProgramHead};

    /// What a text is read as, whatever the parts in which it comes.
    fn read(text: &[u8]) -> Result<Option<(ProgramHead, Vec<u8>)>, MalformedHead> {
        let whole = HeadReader::default().push(text);
        let whole = whole.map(|read| read.map(|(head, body)| (head, body.to_vec())));
        for size in [1, 2, 7] {
            let mut reader = HeadReader::default();
            let mut found = Ok(None);
            for part in text.chunks(size) {
                match &mut found {
                    Ok(Some((_, body))) => Vec::extend_from_slice(body, part),
                    Ok(None) => {
                        let read = reader.push(part);
                        found = read.map(|read| read.map(|(head, body)| (head, body.to_vec())));
                    }
                    Err(_) => {}
                }
            }
            assert_eq!(found, whole, "{size}");
        }
        whole
    }

    /// Status, fields, local redirect and body of what must be a response.
    fn response(text: &str) -> (u16, String, Option<String>, String) {
        let (head, body) = read(text.as_bytes()).expect(text).expect(text);
        let fields = head.headers.iter();
        let fields: Vec<String> = fields
            .map(|(name, value)| format!("{name}={}", String::from_utf8_lossy(value.as_bytes())))
            .collect();
        let local = head.local_redirect;
        let local = local.map(|path| String::from_utf8_lossy(&path).into_owned());
        let body = String::from_utf8_lossy(&body).into_owned();
        (head.status.as_u16(), fields.join(" "), local, body)
    }

    #[test]
    fn heads_as_programs_write_them() {
        #[rustfmt::skip]
        let cases = [
            ("Content-Type: text/html\n\nbody", 200, "content-type=text/html", None, "body"),
            ("Content-Type: text/html\r\n\r\nbody\n\n", 200, "content-type=text/html", None, "body\n\n"),
            ("content-type:text/html\r\n\nx", 200, "content-type=text/html", None, "x"),
            ("Status: 404 Not Here\nX: y\n\n", 404, "x=y", None, ""),
            ("Status: 204\n\n", 204, "", None, ""),
            ("Set-Cookie: a\nSet-Cookie: b\n\n", 200, "set-cookie=a set-cookie=b", None, ""),
            ("X:\n\n", 200, "x=", None, ""),
            ("X: a:b  \n\n", 200, "x=a:b", None, ""),
            ("Location: https://example.org/\n\n", 302, "location=https://example.org/", None, ""),
            ("Location: //example.org/\n\n", 302, "location=//example.org/", None, ""),
            ("Location: /other?x=1\n\n", 302, "location=/other?x=1", Some("/other?x=1"), ""),
            ("Status: 200 OK\nLocation: /other\n\n", 200, "location=/other", Some("/other"), ""),
            ("Location: /other\nStatus: 303\n\n", 303, "location=/other", None, ""),
            ("Connection: close\nTransfer-Encoding: chunked\nX: y\n\n", 200, "x=y", None, ""),
        ];
        for (text, status, fields, local, body) in cases {
            let found = response(text);
            let expected = (
                status,
                fields.to_owned(),
                local.map(str::to_owned),
                body.to_owned(),
            );
            assert_eq!(found, expected, "{text:?}");
        }
        let (head, _) = read(b"Status: 404 Not  Here\nX: y\n\n").unwrap().unwrap();
        assert_eq!(head.reason.as_deref(), Some(&b"Not  Here"[..]));
        let (head, _) = read(b"Status: 200\n\n").unwrap().unwrap();
        assert_eq!((head.status, head.reason), (StatusCode::OK, None));
    }

    #[test]
    fn what_is_no_head_is_named() {
        let no_field = |line: &str| MalformedHead::NoField(line.to_owned());
        let status = |value: &str| MalformedHead::Status(value.to_owned());
        #[rustfmt::skip]
        let cases: [(&[u8], MalformedHead); 14] = [
            (b"\nbody", MalformedHead::Empty),
            (b"Connection: close\n\n", MalformedHead::Empty),
            (b"hello\n\n", no_field("hello")),
            (b"X: y\nhello \x1b[0m\n\n", no_field("hello \\u{1b}[0m")),
            (b"X : y\n\n", no_field("X : y")),
            (b": y\n\n", no_field(": y")),
            (b"X: y\n folded\n\n", no_field(" folded")),
            (b"X: a\0b\n\n", no_field("X: a\\0b")),
            (b"Status: OK\n\n", status("OK")),
            (b"Status: 20\n\n", status("20")),
            (b"Status: 2000\n\n", status("2000")),
            (b"Status: 100 Continue\n\n", status("100 Continue")),
            (b"Status:\n\n", status("")),
            (b"HTTP/1.1 200 OK\r\nX: y\r\n\r\n", MalformedHead::StatusLine("HTTP/1.1 200 OK".to_owned())),
        ];
        for (text, expected) in cases {
            assert_eq!(
                read(text),
                Err(expected),
                "{}",
                String::from_utf8_lossy(text)
            );
        }
    }

    #[test]
    fn what_ends_early_is_no_head() {
        let ended = |text: &[u8]| {
            let mut reader = HeadReader::default();
            assert_eq!(reader.push(text), Ok(None));
            reader.ended().to_string()
        };
        assert_eq!(ended(b""), "it wrote nothing");
        let unfinished = "it wrote no blank line behind its head, which begins with";
        assert_eq!(ended(b"Oops\r\nmore"), format!("{unfinished} `Oops`"));
        let long = "x".repeat(1000);
        let cut = format!("{unfinished} `{}…`", "x".repeat(200));
        assert_eq!(ended(long.as_bytes()), cut);
    }

    #[test]
    fn heads_are_large_but_bounded() {
        let field = format!("X: {}\n", "y".repeat(64 * 1024));
        let large = field.repeat(15) + "\n";
        assert!(matches!(read_whole(&large), Ok(Some(_))));
        assert_eq!(read_whole(&field.repeat(17)), Err(MalformedHead::TooLarge));
        let fields = |count| read_whole(&("A: b\n".repeat(count) + "\n"));
        assert!(matches!(fields(MOST_FIELDS), Ok(Some(_))));
        assert_eq!(fields(MOST_FIELDS + 1), Err(MalformedHead::TooMany));
    }

    fn read_whole(text: &str) -> Result<Option<(ProgramHead, bytes::Bytes)>, MalformedHead> {
        HeadReader::default().push(text.as_bytes())
    }
}
