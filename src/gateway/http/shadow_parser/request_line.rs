//! The first line of a request on its way to hyper. hyper refuses more than others do, without a word to the client: the
//! quotes and angle brackets that `curl` and many more send as they are, and each version but 1.0 and 1.1. So it gets the
//! line with other bytes in their places, as many as there were, and what really came in is kept here.

/// A line while it comes in.
#[derive(Debug, Default)]
pub struct RequestLine {
    place: Place,
    /// As it came in.
    bytes: Vec<u8>,
    /// Where the target is.
    target: (usize, usize),
    /// hyper gets another target than the client has sent.
    altered: bool,
    /// The version is none that we speak.
    foreign: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    #[default]
    Method,
    Target,
    /// In `HTTP/1.1`, behind so many bytes.
    Version(usize),
    Behind,
}

/// What hyper gets in the place of a byte that it does not let through.
const STAND_IN: u8 = b'_';

impl RequestLine {
    /// Nothing of it has come yet.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// How much of it has come, in bytes.
    pub fn length(&self) -> usize {
        self.bytes.len()
    }

    /// The next part of it has come in, and is made ready for hyper.
    pub fn receive(&mut self, part: &mut [u8]) {
        let before = self.bytes.len();
        self.bytes.extend_from_slice(part);
        for (at, byte) in part.iter_mut().enumerate() {
            match (self.place, *byte) {
                (Place::Behind, _) => return,
                (_, b'\r' | b'\n') => self.place = Place::Behind,
                (Place::Method, b' ') => {
                    self.place = Place::Target;
                    self.target = (before + at + 1, before + at + 1);
                }
                (Place::Target, b' ') => {
                    self.place = Place::Version(0);
                    self.target.1 = before + at;
                }
                (Place::Target, b'"' | b'<' | b'>' | b'`' | 0x7f..) => {
                    *byte = STAND_IN;
                    self.altered = true;
                }
                (Place::Version(at), _) => {
                    match (at, *byte) {
                        // The major version.
                        (5, b'0' | b'2'..=b'9') => {
                            self.foreign = true;
                            *byte = b'1';
                        }
                        // RFC 9110 §2.5: whoever speaks 1.2 understands 1.1.
                        (7, b'2'..=b'9') => *byte = b'1',
                        (7, b'0') if self.foreign => *byte = b'1',
                        _ => {}
                    }
                    self.place = match at {
                        0..7 => Place::Version(at + 1),
                        _ => Place::Behind,
                    };
                }
                (Place::Method | Place::Target, _) => {}
            }
        }
    }

    /// Whether the version is none that we speak.
    pub fn is_foreign(&self) -> bool {
        self.foreign
    }

    /// The target as the client has sent it, if hyper gets another one.
    pub fn target(&self) -> Option<&[u8]> {
        let (start, end) = self.target;
        self.altered.then(|| self.bytes.get(start..end)).flatten()
    }

    /// Another one is to come.
    pub fn clear(&mut self) {
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
    /// version is foreign.
    fn received(line: &[u8], size: usize) -> (Vec<u8>, Option<Vec<u8>>, bool) {
        let mut reader = RequestLine::default();
        let mut line = line.to_vec();
        for part in line.chunks_mut(size) {
            reader.receive(part);
        }
        let target = reader.target().map(<[u8]>::to_vec);
        (line, target, reader.is_foreign())
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
    fn each_byte_that_hyper_does_not_let_through_has_a_stand_in() {
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
