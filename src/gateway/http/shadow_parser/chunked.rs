//! Where a chunked body ends (RFC 9112 §7.1), seen from beside hyper, which decodes it: as strict as hyper or stricter, so
//! that a doubt ends the connection. hyper takes anything for a trailer as long as it ends in CRLF: a request behind a
//! bare LF would be swallowed.

/// A chunked body while it comes by.
#[derive(Debug, Default)]
pub struct Chunks {
    place: Place,
    /// Of the chunk: while its size is read, and then what is left of its data.
    size: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    /// The first digit of a size.
    #[default]
    Start,
    Size,
    /// Blanks behind a size.
    Blank,
    Extension,
    SizeEnd,
    Data,
    DataEnd,
    DataEndLine,
    /// The beginning of a line of the trailers.
    Line,
    /// In the name of a trailer.
    Name,
    /// In its value.
    Value,
    ValueEnd,
    /// The empty line.
    LastLine,
    End,
}

/// What came by is no chunked body: why, for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed(pub &'static str);

impl Chunks {
    /// Follows what came in. How much of it belonged to the body if it has ended, `None` if all did.
    ///
    /// # Errors
    /// [`Malformed`]: nobody knows where it ends.
    pub fn follow(&mut self, part: &[u8]) -> Result<Option<usize>, Malformed> {
        let mut at = 0;
        while let Some(&byte) = part.get(at) {
            if self.place == Place::Data {
                let there = part.len() - at;
                let taken = there.min(usize::try_from(self.size).unwrap_or(usize::MAX));
                at += taken;
                self.size -= taken as u64;
                if self.size == 0 {
                    self.place = Place::DataEnd;
                }
                continue;
            }
            at += 1;
            self.place = self.step(byte)?;
            if self.place == Place::End {
                return Ok(Some(at));
            }
        }
        Ok(None)
    }

    fn step(&mut self, byte: u8) -> Result<Place, Malformed> {
        Ok(match (self.place, byte) {
            (Place::Start | Place::Size, _) if byte.is_ascii_hexdigit() => {
                let digit = match byte {
                    b'0'..=b'9' => byte - b'0',
                    _ => byte.to_ascii_lowercase() - b'a' + 10,
                };
                let size = self.size.checked_mul(16);
                let size = size.ok_or(Malformed("the size of a chunk is too large"))?;
                self.size = size | u64::from(digit);
                Place::Size
            }
            (Place::Size | Place::Blank, b'\t' | b' ') => Place::Blank,
            (Place::Size | Place::Blank, b';') => Place::Extension,
            (Place::Size | Place::Blank | Place::Extension, b'\r') => Place::SizeEnd,
            (Place::Extension, _) if is_text(byte) => Place::Extension,
            (Place::SizeEnd, b'\n') if self.size == 0 => Place::Line,
            (Place::SizeEnd, b'\n') => Place::Data,
            (Place::DataEnd, b'\r') => Place::DataEndLine,
            (Place::DataEndLine, b'\n') => Place::Start,
            (Place::Line, b'\r') => Place::LastLine,
            (Place::LastLine, b'\n') => Place::End,
            (Place::Line | Place::Name, _) if is_of_name(byte) => Place::Name,
            (Place::Name, b':') => Place::Value,
            (Place::Value, b'\r') => Place::ValueEnd,
            (Place::Value, _) if is_text(byte) => Place::Value,
            (Place::ValueEnd, b'\n') => Place::Line,
            (place, _) => return Err(Malformed(place.fault())),
        })
    }
}

impl Place {
    /// What is wrong if there is something here that does not belong here.
    fn fault(self) -> &'static str {
        match self {
            Self::Start | Self::Size | Self::Blank => "the size of a chunk is malformed",
            Self::Extension | Self::SizeEnd => {
                "the line of a chunk's size does not end in CRLF, or holds a control character"
            }
            Self::Data | Self::DataEnd | Self::DataEndLine => {
                "a chunk is longer than its size says, or does not end in CRLF"
            }
            Self::Line | Self::Name | Self::Value | Self::ValueEnd => "a trailer is malformed",
            Self::LastLine | Self::End => "the trailers do not end in CRLF",
        }
    }
}

/// Whether this may stand in an extension or in the value of a field (RFC 9110 §5.5): no control character.
fn is_text(byte: u8) -> bool {
    byte == b'\t' || !byte.is_ascii_control()
}

/// Whether this may stand in the name of a field (RFC 9110 §5.6.2).
fn is_of_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::{Chunks, Malformed};

    /// How much of a text is a chunked body, if it comes in parts of this size.
    fn length(text: &str, size: usize) -> Result<Option<usize>, Malformed> {
        let mut chunks = Chunks::default();
        let mut before = 0;
        for part in text.as_bytes().chunks(size) {
            if let Some(length) = chunks.follow(part)? {
                return Ok(Some(before + length));
            }
            before += part.len();
        }
        Ok(None)
    }

    #[test]
    fn the_end_is_found_however_it_comes() {
        let long = format!("fff\r\n{}\r\n0\r\n\r\n", "d".repeat(0xfff));
        for whole in [
            "0\r\n\r\n",
            "3\r\none\r\n0003\r\n\r\n0\r\n0\r\n\r\n",
            "A ; a=\"b\"\r\n0123456789\r\n0 ;e\r\n\r\n",
            "1\t\r\n\n\r\n0\r\nX: a\tb \r\nY:\r\n~z!: :e:\r\nContent-Length: 9\r\n\r\n",
            &long,
        ] {
            for behind in ["", "\r\n", "0\r\n\r\n", "GET / HTTP/1.1\r\n\r\n"] {
                let text = format!("{whole}{behind}");
                for size in [1, 2, 3, 7, 10_000] {
                    let found = length(&text, size);
                    assert_eq!(found, Ok(Some(whole.len())), "{text:?} by {size}");
                }
            }
            for cut in 0..whole.len() {
                assert_eq!(
                    length(&whole[..cut], 10_000),
                    Ok(None),
                    "{whole:?} to {cut}"
                );
            }
        }
    }

    #[test]
    fn what_is_no_chunk_is_found_out() {
        for text in [
            "\r\n",
            ";a\r\n",
            "x\r\n",
            "+1\r\na\r\n",
            "1 1\r\n",
            "1\na\n",
            "1\rX",
            "1;a\nb",
            "1\r\nab",
            "1\r\na\n",
            "1\r\na\rb",
            "0\r\n\rX",
            "0\r\nX: a\rX",
            "10000000000000000\r\n",
            "0\r\n\nGET / HTTP/1.1\r\n",
            "0\r\nX: 1\n\n",
            "0\r\nX: 1\r\n folded\r\n",
            "0\r\nX\r\n",
            "0\r\n: 1\r\n",
            "0\r\nX : 1\r\n",
        ] {
            for size in [1, 3, 10_000] {
                assert!(length(text, size).is_err(), "{text:?} by {size}");
            }
        }
    }

    /// The bytes that a trailer may have at each place are those of RFC 9110 §5.5 and §5.6.2: all others are found out,
    /// before what comes behind could be taken for a part of it.
    #[test]
    fn each_byte_of_a_trailer_belongs_there_or_is_found_out() {
        for byte in 0..=u8::MAX {
            let of_name = http::HeaderName::from_bytes(&[byte]).is_ok();
            let of_value = http::HeaderValue::from_bytes(&[byte]).is_ok();
            for (before, is_good) in [
                ("0\r\n", of_name || byte == b'\r'),
                ("0\r\nX", of_name || byte == b':'),
                ("0\r\nX:", of_value || byte == b'\r'),
                ("0\r\nX: a", of_value || byte == b'\r'),
                ("0\r\nX: a\r", byte == b'\n'),
                ("0\r\nX: a\r\n", of_name || byte == b'\r'),
                ("0\r\nX: a\r\n\r", byte == b'\n'),
                ("0;a", of_value || byte == b'\r'),
            ] {
                let text = [before.as_bytes(), &[byte]].concat();
                let followed = Chunks::default().follow(&text);
                assert_eq!(followed.is_ok(), is_good, "{before:?} and {byte:#04x}");
            }
        }
    }
}
