//! Where the body of a request ends, as the fields of its head say (RFC 9112 §6.3).

/// The longest line that is followed, in bytes; hyper refuses shorter ones already.
pub(crate) const LINE_LIMIT: usize = 256 * 1024;

const LENGTH: &[u8] = b"content-length:";

const WEB_SOCKET: &[u8] = b"websocket";

/// The largest length that hyper reads as one. The two larger ones it uses as marks, and answers with 431 as if the head
/// were too large.
const LARGEST: u64 = u64::MAX - 2;
/// The length of a line with a larger one, with as many blanks as a sensible client sends.
const TOO_LARGE_LINE: std::ops::Range<usize> = LENGTH.len() + 20..64;

/// How a request tells where its body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// By the number of bytes, which may be 0.
    Length(u64),
    /// By chunks.
    Chunked,
}

/// The fields that tell where the body ends.
#[derive(Debug, Default)]
pub(crate) struct FramingFields {
    /// The part of a line that came in earlier reads.
    line: Vec<u8>,
    length: Option<u64>,
    /// A length is malformed, or two differ.
    bad_length: bool,
    codings: usize,
    /// A coding is not `chunked`.
    bad_coding: bool,
    /// An `Upgrade` field names WebSockets.
    web_socket: bool,
}

impl FramingFields {
    /// Parses the next part of a line, and changes it into what hyper gets; true at the end of the head.
    pub(crate) fn receive(&mut self, part: &mut [u8], is_whole: bool) -> bool {
        lower_length(&self.line, part);
        if is_whole && self.line.is_empty() {
            return self.read(part);
        }
        self.line.extend_from_slice(part);
        if !is_whole {
            return false;
        }
        let line = std::mem::take(&mut self.line);
        self.read(&line)
    }

    /// Whether a line is longer than [`LINE_LIMIT`].
    pub(crate) fn is_too_long(&self) -> bool {
        self.line.len() > LINE_LIMIT
    }

    /// Where the body ends.
    pub(crate) fn framing(&self) -> Framing {
        match (self.codings, self.length) {
            (0, length) => Framing::Length(length.unwrap_or_default()),
            _ => Framing::Chunked,
        }
    }

    /// Whether there are a length and a coding.
    pub(crate) fn is_ambiguous(&self) -> bool {
        self.codings > 0 && self.length.is_some()
    }

    /// Whether another parser might find the end of the body elsewhere.
    pub(crate) fn is_unclear(&self) -> bool {
        self.bad_length || self.bad_coding || self.codings > 1
    }

    /// Whether the client may be asking for a WebSocket, so that no HTTP follows. Any mention of the name is enough here;
    /// whether the request is correct (RFC 6455 §4.2.1) is found out when hyper has read the head.
    pub(crate) fn may_offer_web_socket(&self) -> bool {
        self.web_socket
    }

    /// Reads a whole line; true for the empty one at the end.
    fn read(&mut self, line: &[u8]) -> bool {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        match line.first() {
            None => return true,
            Some(b'c' | b'C') => {
                if let Some(value) = value_of(LENGTH, line) {
                    let length = read_length(value);
                    self.bad_length |= length.is_none()
                        || self.length.is_some_and(|earlier| Some(earlier) != length);
                    self.length = self.length.or(length).or(Some(0));
                }
            }
            Some(b't' | b'T') => {
                if let Some(value) = value_of(b"transfer-encoding:", line) {
                    self.codings += 1;
                    self.bad_coding |= !value.eq_ignore_ascii_case(b"chunked");
                }
            }
            Some(b'u' | b'U') => {
                if let Some(value) = value_of(b"upgrade:", line) {
                    let mut parts = value.windows(WEB_SOCKET.len());
                    self.web_socket |= parts.any(|part| part.eq_ignore_ascii_case(WEB_SOCKET));
                }
            }
            Some(_) => {}
        }
        false
    }
}

/// Replaces the two lengths that hyper does not read by the largest one that it does: all three are larger than any limit,
/// and are refused for that. A still larger one is no number for hyper.
fn lower_length(earlier: &[u8], part: &mut [u8]) {
    let start = earlier.first().or(part.first());
    let has_room = TOO_LARGE_LINE.contains(&(earlier.len() + part.len()));
    if !has_room || !matches!(start, Some(b'c' | b'C')) {
        return;
    }
    let line = [earlier, &*part].concat();
    let Some(value) = value_of(LENGTH, &line) else {
        return;
    };
    if read_length(value).is_some_and(|length| length > LARGEST) {
        let last = part.iter().rposition(u8::is_ascii_digit);
        if let Some(digit) = last.and_then(|at| part.get_mut(at)) {
            *digit = b'3';
        }
    }
}

/// The value of a field in its line.
fn value_of<'a>(name: &[u8], line: &'a [u8]) -> Option<&'a [u8]> {
    let (start, value) = line.split_at_checked(name.len())?;
    start.eq_ignore_ascii_case(name).then(|| value.trim_ascii())
}

fn read_length(value: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(value).ok()?;
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::{Framing, FramingFields, LARGEST};

    /// However it comes, hyper gets a length that it takes for one, and the same one is read here.
    #[test]
    fn no_length_is_larger_than_hyper_knows() {
        for (sent, given, length) in [
            (
                "18446744073709551612",
                "18446744073709551612",
                Some(LARGEST - 1),
            ),
            (
                "18446744073709551613",
                "18446744073709551613",
                Some(LARGEST),
            ),
            (
                "18446744073709551614",
                "18446744073709551613",
                Some(LARGEST),
            ),
            (
                "18446744073709551615 ",
                "18446744073709551613 ",
                Some(LARGEST),
            ),
            (
                "0018446744073709551615",
                "0018446744073709551613",
                Some(LARGEST),
            ),
            ("18446744073709551616", "18446744073709551616", None),
            ("-8446744073709551615", "-8446744073709551615", None),
        ] {
            for size in [1, 2, 3, 7, 100] {
                let mut fields = FramingFields::default();
                let mut line = format!("CONTENT-length: {sent}\r\n").into_bytes();
                let end = line.len();
                for (index, part) in line.chunks_mut(size).enumerate() {
                    let is_whole = index * size + part.len() == end;
                    assert!(!fields.receive(part, is_whole));
                }
                let expected = format!("CONTENT-length: {given}\r\n");
                assert_eq!(String::from_utf8(line).unwrap(), expected, "by {size}");
                assert_eq!(fields.framing(), Framing::Length(length.unwrap_or(0)));
                assert_eq!(fields.is_unclear(), length.is_none(), "{sent}");
            }
        }
    }
}
