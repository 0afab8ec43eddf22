//! Where a chunked body ends (RFC 9112 §7.1), seen from beside hyper, which decodes it: as strict as hyper or stricter, so
//! that a doubt ends the connection.

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
    Trailer,
    TrailerEnd,
    /// The empty line.
    LastLine,
    End,
}

/// What came by is no chunked body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

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
                let size = self.size.checked_mul(16).ok_or(Malformed)?;
                self.size = size | u64::from(digit);
                Place::Size
            }
            (Place::Size | Place::Blank, b'\t' | b' ') => Place::Blank,
            (Place::Size | Place::Blank, b';') => Place::Extension,
            (Place::Size | Place::Blank | Place::Extension, b'\r') => Place::SizeEnd,
            (Place::Extension, b'\n') => return Err(Malformed),
            (Place::Extension, _) => Place::Extension,
            (Place::SizeEnd, b'\n') if self.size == 0 => Place::Line,
            (Place::SizeEnd, b'\n') => Place::Data,
            (Place::DataEnd, b'\r') => Place::DataEndLine,
            (Place::DataEndLine, b'\n') => Place::Start,
            (Place::Line, b'\r') => Place::LastLine,
            (Place::LastLine, b'\n') => Place::End,
            (Place::Trailer, b'\r') => Place::TrailerEnd,
            (Place::TrailerEnd, b'\n') => Place::Line,
            (Place::Line | Place::Trailer, _) => Place::Trailer,
            _ => return Err(Malformed),
        })
    }
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
            "1\t\r\n\n\r\n0\r\nX: a\nb\r\nContent-Length: 9\r\n\r\n",
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
        ] {
            assert_eq!(length(text, 1), Err(Malformed), "{text:?}");
        }
    }
}
