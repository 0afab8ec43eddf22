//! Where a chunked body ends (RFC 9112 §7.1). hyper decodes it; this parser is as strict or stricter, so that a doubt ends
//! the connection. hyper takes anything that ends in CRLF for a trailer, and would swallow a request behind a bare LF.

/// The parser of one chunked body.
#[derive(Debug, Default)]
pub(super) struct Chunks {
    position: ChunkPosition,
    /// The size of the chunk as far as it is read, then what is left of its data.
    size: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum ChunkPosition {
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

/// What is no chunked body: the reason for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MalformedChunk(pub &'static str);

impl Chunks {
    /// Parses the next part: the number of its bytes that belong to the body if that ends in it, else `None`.
    ///
    /// # Errors
    /// [`MalformedChunk`]: its end cannot be known.
    pub(super) fn follow(&mut self, part: &[u8]) -> Result<Option<usize>, MalformedChunk> {
        let mut at = 0;
        while let Some(&byte) = part.get(at) {
            if self.position == ChunkPosition::Data {
                let there = part.len() - at;
                let taken = there.min(usize::try_from(self.size).unwrap_or(usize::MAX));
                at += taken;
                self.size -= taken as u64;
                if self.size == 0 {
                    self.position = ChunkPosition::DataEnd;
                }
                continue;
            }
            at += 1;
            self.position = self.step(byte)?;
            if self.position == ChunkPosition::End {
                return Ok(Some(at));
            }
        }
        Ok(None)
    }

    fn step(&mut self, byte: u8) -> Result<ChunkPosition, MalformedChunk> {
        Ok(match (self.position, byte) {
            (ChunkPosition::Start | ChunkPosition::Size, _) if byte.is_ascii_hexdigit() => {
                let digit = match byte {
                    b'0'..=b'9' => byte - b'0',
                    _ => byte.to_ascii_lowercase() - b'a' + 10,
                };
                let size = self.size.checked_mul(16);
                let size = size.ok_or(MalformedChunk("the size of a chunk is too large"))?;
                self.size = size | u64::from(digit);
                ChunkPosition::Size
            }
            (ChunkPosition::Size | ChunkPosition::Blank, b'\t' | b' ') => ChunkPosition::Blank,
            (ChunkPosition::Size | ChunkPosition::Blank, b';') => ChunkPosition::Extension,
            (ChunkPosition::Size | ChunkPosition::Blank | ChunkPosition::Extension, b'\r') => {
                ChunkPosition::SizeEnd
            }
            (ChunkPosition::Extension, _) if is_text(byte) => ChunkPosition::Extension,
            (ChunkPosition::SizeEnd, b'\n') if self.size == 0 => ChunkPosition::Line,
            (ChunkPosition::SizeEnd, b'\n') => ChunkPosition::Data,
            (ChunkPosition::DataEnd, b'\r') => ChunkPosition::DataEndLine,
            (ChunkPosition::DataEndLine, b'\n') => ChunkPosition::Start,
            (ChunkPosition::Line, b'\r') => ChunkPosition::LastLine,
            (ChunkPosition::LastLine, b'\n') => ChunkPosition::End,
            (ChunkPosition::Line | ChunkPosition::Name, _) if is_of_name(byte) => {
                ChunkPosition::Name
            }
            (ChunkPosition::Name, b':') => ChunkPosition::Value,
            (ChunkPosition::Value, b'\r') => ChunkPosition::ValueEnd,
            (ChunkPosition::Value, _) if is_text(byte) => ChunkPosition::Value,
            (ChunkPosition::ValueEnd, b'\n') => ChunkPosition::Line,
            (position, _) => return Err(MalformedChunk(position.fault())),
        })
    }
}

impl ChunkPosition {
    /// What is wrong with a byte that is not allowed in this position.
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

/// Whether a byte is allowed in an extension and in the value of a field (RFC 9110 §5.5): no control character.
fn is_text(byte: u8) -> bool {
    byte == b'\t' || !byte.is_ascii_control()
}

/// Whether a byte is allowed in the name of a field (RFC 9110 §5.6.2).
fn is_of_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::{Chunks, MalformedChunk};

    /// How much of a text is a chunked body, if it comes in parts of this size.
    fn length(text: &str, size: usize) -> Result<Option<usize>, MalformedChunk> {
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

    /// The bytes that a trailer may have at each position are those of RFC 9110 §5.5 and §5.6.2: all others are found out,
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
