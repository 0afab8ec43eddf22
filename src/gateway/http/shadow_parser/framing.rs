//! Where the body of a request ends, as the fields of its head say (RFC 9112 §6.3).

/// A longer line is hyper's to refuse.
const LINE_LIMIT: usize = 256 * 1024;

const LENGTH: &[u8] = b"content-length:";

/// The largest length that hyper does not take for one of its own marks, which it answers with 431 as if the head were
/// too large.
const LARGEST: u64 = u64::MAX - 2;
/// How long a line is that says a larger one, with as many blanks as there may sensibly be.
const MODERATED: std::ops::Range<usize> = LENGTH.len() + 20..64;

/// How a request says where its body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// After so many bytes, or none.
    Length(u64),
    /// By chunks.
    Chunked,
}

/// The fields that say where the body ends.
#[derive(Debug, Default)]
pub struct Fields {
    /// The beginning of a line, as far as it has come in an earlier part.
    line: Vec<u8>,
    length: Option<u64>,
    /// There are lengths that are none, or two that differ.
    bad_length: bool,
    codings: usize,
    /// One of the codings is another one.
    bad_coding: bool,
}

impl Fields {
    /// The next part of a line has come in, and is made ready for hyper; true if it ends the empty line at the end.
    pub fn receive(&mut self, part: &mut [u8], is_whole: bool) -> bool {
        moderate(&self.line, part);
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

    /// Whether more of a line has come than it may have.
    pub fn is_too_long(&self) -> bool {
        self.line.len() > LINE_LIMIT
    }

    /// Where the body ends.
    pub fn framing(&self) -> Framing {
        match (self.codings, self.length) {
            (0, length) => Framing::Length(length.unwrap_or_default()),
            _ => Framing::Chunked,
        }
    }

    /// Whether there is a length beside a coding.
    pub fn is_ambiguous(&self) -> bool {
        self.codings > 0 && self.length.is_some()
    }

    /// Whether another reader might take the body to end elsewhere.
    pub fn is_unclear(&self) -> bool {
        self.bad_length || self.bad_coding || self.codings > 1
    }

    /// Reads a line; true if it is the empty one at the end.
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
            Some(_) => {}
        }
        false
    }
}

/// Has hyper get the largest length that it knows in the place of the two that are larger: they are too large for any
/// limit, and are refused as such. What is larger still is no number for it.
fn moderate(earlier: &[u8], part: &mut [u8]) {
    let start = earlier.first().or(part.first());
    let has_room = MODERATED.contains(&(earlier.len() + part.len()));
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
    use super::{Fields, Framing, LARGEST};

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
                let mut fields = Fields::default();
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
