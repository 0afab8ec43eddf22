//! The first line of a request on its way to hyper. hyper refuses more than other servers do, and without telling the
//! client why: the quotes and angle brackets that `curl` and other clients send as they are, and each version but 1.0 and
//! 1.1. So hyper gets a line of the same length with other bytes in their places, and the original is kept here.

/// The parser of one line.
#[derive(Debug, Default)]
pub(super) struct RequestLine {
    position: LinePosition,
    /// The line as it was sent.
    bytes: Vec<u8>,
    /// The start and end of the target.
    target: (usize, usize),
    /// hyper gets another target than the client sent.
    altered: bool,
    /// The major version is not 1.
    other_version: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum LinePosition {
    #[default]
    Method,
    Target,
    /// In `HTTP/1.1`, behind this number of bytes.
    Version(usize),
    End,
}

/// What hyper gets in the place of a byte that it does not accept.
const STAND_IN: u8 = b'_';

impl RequestLine {
    /// Whether nothing of it has come yet.
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The number of bytes that have come.
    pub(super) fn length(&self) -> usize {
        self.bytes.len()
    }

    /// Parses the next part of the line, and changes it into what hyper gets.
    pub(super) fn receive(&mut self, part: &mut [u8]) {
        let before = self.bytes.len();
        self.bytes.extend_from_slice(part);
        for (at, byte) in part.iter_mut().enumerate() {
            match (self.position, *byte) {
                (LinePosition::End, _) => return,
                (_, b'\r' | b'\n') => self.position = LinePosition::End,
                (LinePosition::Method, b' ') => {
                    self.position = LinePosition::Target;
                    self.target = (before + at + 1, before + at + 1);
                }
                (LinePosition::Target, b' ') => {
                    self.position = LinePosition::Version(0);
                    self.target.1 = before + at;
                }
                (LinePosition::Target, b'"' | b'<' | b'>' | b'`' | 0x7f..) => {
                    *byte = STAND_IN;
                    self.altered = true;
                }
                (LinePosition::Version(at), _) => {
                    match (at, *byte) {
                        // The major version.
                        (5, b'0' | b'2'..=b'9') => {
                            self.other_version = true;
                            *byte = b'1';
                        }
                        // RFC 9110 §2.5: a client of 1.2 understands an answer of 1.1.
                        (7, b'2'..=b'9') => *byte = b'1',
                        (7, b'0') if self.other_version => *byte = b'1',
                        _ => {}
                    }
                    self.position = match at {
                        0..7 => LinePosition::Version(at + 1),
                        _ => LinePosition::End,
                    };
                }
                (LinePosition::Method | LinePosition::Target, _) => {}
            }
        }
    }

    /// Whether the major version is not 1.
    pub(super) fn is_other_version(&self) -> bool {
        self.other_version
    }

    /// The target as the client sent it, if hyper gets another one.
    pub(super) fn target(&self) -> Option<&[u8]> {
        let (start, end) = self.target;
        self.altered.then(|| self.bytes.get(start..end)).flatten()
    }

    /// Begins with the next line.
    pub(super) fn clear(&mut self) {
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.clear();
        *self = Self {
            bytes,
            ..Self::default()
        };
    }
}

#[cfg(test)]
mod tests {
    use super::RequestLine;

    /// What hyper gets of a line that comes in parts of this size, the target where that is another one, and whether the
    /// major version is not 1.
    fn received(line: &[u8], size: usize) -> (Vec<u8>, Option<Vec<u8>>, bool) {
        let mut reader = RequestLine::default();
        let mut line = line.to_vec();
        for part in line.chunks_mut(size) {
            reader.receive(part);
        }
        let target = reader.target().map(<[u8]>::to_vec);
        (line, target, reader.is_other_version())
    }

    #[test]
    fn a_version_is_1_0_or_1_1() {
        for (version, instead, foreign) in [
            ("HTTP/1.0", "HTTP/1.0", false),
            ("HTTP/1.1", "HTTP/1.1", false),
            ("HTTP/1.2", "HTTP/1.1", false),
            ("HTTP/1.9", "HTTP/1.1", false),
            ("HTTP/0.9", "HTTP/1.1", true),
            ("HTTP/2.0", "HTTP/1.1", true),
            ("HTTP/3.1", "HTTP/1.1", true),
            ("HTTP/1.1x", "HTTP/1.1x", false),
            ("HTTP/x.2", "HTTP/x.1", false),
            ("HTTQ/1.1", "HTTQ/1.1", false),
        ] {
            let line = format!("PUT /9.9/2.0?HTTP/2.0 {version}\r\nHost: \"\r\n");
            let expected = line.replace(&format!(" {version}\r"), &format!(" {instead}\r"));
            for size in [1, 5, 100] {
                let found = received(line.as_bytes(), size);
                assert_eq!(found, (expected.clone().into(), None, foreign), "{line:?}");
            }
        }
    }

    #[test]
    fn each_byte_that_hyper_does_not_accept_has_a_stand_in() {
        for byte in 0x21..=u8::MAX {
            for target in [
                b"/a_b".to_vec(),
                b"/?a_b".to_vec(),
                b"http://h/a_b".to_vec(),
            ] {
                let odd: Vec<u8> = target
                    .iter()
                    .map(|&other| if other == b'_' { byte } else { other })
                    .collect();
                let line = [b"GET ", &*odd, b" HTTP/1.1\r\n"].concat();
                let (instead, kept, foreign) = received(&line, 3);
                assert!(!foreign);
                match kept {
                    Some(kept) => {
                        assert_eq!(instead, [b"GET ", &*target, b" HTTP/1.1\r\n"].concat());
                        assert_eq!(kept, odd);
                    }
                    None => assert_eq!(instead, line),
                }
                let text = String::from_utf8(instead).expect("ASCII");
                let target = text.split(' ').nth(1).expect("three words");
                assert!(target.parse::<http::Uri>().is_ok(), "{byte:#x}: {target}");
            }
        }
    }
}
