//! Where a chunked body ends (RFC 9112 §7.1). hyper decodes it; this parser is as strict or stricter, so that a doubt ends
//! the connection. hyper takes anything that ends in CRLF for a trailer or an extension, and would swallow a request behind
//! a bare LF.

use crate::gateway::http::shadow_parser::field_text::{is_of_token, is_of_value};

/// The most digits of a size, leading zeros included: as many as a `u64` has.
const DIGITS: u8 = 16;

/// The most bytes that all extensions of a body have: below the limit of hyper, whose refusal has no reason.
const EXTENSIONS: u16 = 8 * 1024;

/// The most bytes that all trailers have, likewise, and the most trailers.
const TRAILER_BYTES: u16 = 8 * 1024;
const TRAILERS: u16 = 64;

/// The parser of one chunked body.
#[derive(Debug, Default)]
pub(super) struct Chunks {
    position: ChunkPosition,
    /// The size of the chunk as far as it is read, then what is left of its data.
    size: u64,
    digits: u8,
    /// How many bytes of data further chunks may have together; `None` for any.
    room: Option<u64>,
    /// The bytes of extensions that have come.
    extensions: u16,
    /// The bytes of trailers that have come, and the number of trailers.
    trailers: (u16, u16),
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum ChunkPosition {
    /// The first digit of a size.
    #[default]
    Start,
    Size,
    /// Blanks before the semicolon of an extension.
    BeforeExtension,
    /// Behind a semicolon.
    ExtensionStart,
    ExtensionName,
    /// Blanks behind a name.
    ExtensionNamed,
    /// Behind an equals sign.
    ExtensionEquals,
    ExtensionToken,
    ExtensionQuoted,
    /// Behind a backslash.
    ExtensionEscaped,
    /// Behind the second quote.
    ExtensionUnquoted,
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

/// Why no more of a body is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ChunkFault {
    /// It is no chunked body, and its end cannot be known.
    Malformed(MalformedChunk),
    /// A chunk is larger than what is left of the limit.
    TooLarge,
}

/// What is no chunked body: the reason for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MalformedChunk(pub &'static str);

impl From<MalformedChunk> for ChunkFault {
    fn from(chunk: MalformedChunk) -> Self {
        Self::Malformed(chunk)
    }
}

impl Chunks {
    /// A body that may have so many bytes of data.
    pub(super) fn new(limit: Option<u64>) -> Self {
        Self {
            room: limit,
            ..Self::default()
        }
    }

    /// Parses the next part: the number of its bytes that belong to the body if that ends in it, else `None`. A chunk that is
    /// too large is found out by its size, before its data comes.
    ///
    /// # Errors
    /// The first fault.
    pub(super) fn follow(&mut self, part: &[u8]) -> Result<Option<usize>, ChunkFault> {
        let mut at = 0;
        while let Some(&byte) = part.get(at) {
            if self.position == ChunkPosition::Data {
                let there = part.len() - at;
                let taken = there.min(usize::try_from(self.size).unwrap_or(usize::MAX));
                at += taken;
                self.size -= taken as u64;
                if self.size == 0 {
                    self.digits = 0;
                    self.position = ChunkPosition::DataEnd;
                }
                continue;
            }
            at += 1;
            self.position = self.step(byte)?;
            self.count()?;
            if self.position == ChunkPosition::Data {
                self.take_room()?;
            } else if self.position == ChunkPosition::End {
                return Ok(Some(at));
            }
        }
        Ok(None)
    }

    /// Called when the size of a chunk has come.
    fn take_room(&mut self) -> Result<(), ChunkFault> {
        if let Some(room) = &mut self.room {
            *room = room.checked_sub(self.size).ok_or(ChunkFault::TooLarge)?;
        }
        Ok(())
    }

    fn step(&mut self, byte: u8) -> Result<ChunkPosition, MalformedChunk> {
        use ChunkPosition as At;
        Ok(match (self.position, byte) {
            (At::Start | At::Size, _) if byte.is_ascii_hexdigit() => {
                let digit = match byte {
                    b'0'..=b'9' => byte - b'0',
                    _ => byte.to_ascii_lowercase() - b'a' + 10,
                };
                self.digits += 1;
                if self.digits > DIGITS {
                    return Err(MalformedChunk("the size of a chunk has too many digits"));
                }
                self.size = self.size << 4 | u64::from(digit);
                At::Size
            }
            // §7.1.1: blanks belong to extensions, which have a name.
            (
                At::Size
                | At::BeforeExtension
                | At::ExtensionName
                | At::ExtensionNamed
                | At::ExtensionToken
                | At::ExtensionUnquoted,
                b';',
            ) => At::ExtensionStart,
            (
                At::Size | At::BeforeExtension | At::ExtensionToken | At::ExtensionUnquoted,
                b'\t' | b' ',
            ) => At::BeforeExtension,
            (At::Size | At::ExtensionName | At::ExtensionToken | At::ExtensionUnquoted, b'\r') => {
                At::SizeEnd
            }
            (At::ExtensionStart, b'\t' | b' ') => At::ExtensionStart,
            (At::ExtensionStart | At::ExtensionName, _) if is_of_token(byte) => At::ExtensionName,
            (At::ExtensionName | At::ExtensionNamed, b'\t' | b' ') => At::ExtensionNamed,
            (At::ExtensionName | At::ExtensionNamed, b'=') => At::ExtensionEquals,
            (At::ExtensionEquals, b'\t' | b' ') => At::ExtensionEquals,
            (At::ExtensionEquals, b'"') => At::ExtensionQuoted,
            (At::ExtensionEquals | At::ExtensionToken, _) if is_of_token(byte) => {
                At::ExtensionToken
            }
            (At::ExtensionQuoted, b'"') => At::ExtensionUnquoted,
            (At::ExtensionQuoted, b'\\') => At::ExtensionEscaped,
            (At::ExtensionQuoted | At::ExtensionEscaped, _) if is_of_value(byte) => {
                At::ExtensionQuoted
            }
            (At::SizeEnd, b'\n') if self.size == 0 => At::Line,
            (At::SizeEnd, b'\n') => At::Data,
            (At::DataEnd, b'\r') => At::DataEndLine,
            (At::DataEndLine, b'\n') => At::Start,
            (At::Line, b'\r') => At::LastLine,
            (At::LastLine, b'\n') => At::End,
            (At::Line | At::Name, _) if is_of_token(byte) => At::Name,
            (At::Name, b':') => At::Value,
            (At::Value, b'\r') => At::ValueEnd,
            (At::Value, _) if is_of_value(byte) => At::Value,
            (At::ValueEnd, b'\n') => At::Line,
            (position, _) => return Err(MalformedChunk(position.fault())),
        })
    }

    /// Counts a byte that has led to the position.
    fn count(&mut self) -> Result<(), MalformedChunk> {
        use ChunkPosition as At;
        match self.position {
            At::BeforeExtension
            | At::ExtensionStart
            | At::ExtensionName
            | At::ExtensionNamed
            | At::ExtensionEquals
            | At::ExtensionToken
            | At::ExtensionQuoted
            | At::ExtensionEscaped
            | At::ExtensionUnquoted => {
                self.extensions += 1;
                if self.extensions > EXTENSIONS {
                    return Err(MalformedChunk(
                        "the extensions of chunks have more than 8 KiB",
                    ));
                }
            }
            At::Name | At::Value | At::ValueEnd => {
                let (bytes, count) = &mut self.trailers;
                *bytes += 1;
                *count += u16::from(self.position == At::ValueEnd);
                if *bytes > TRAILER_BYTES || *count > TRAILERS {
                    return Err(MalformedChunk(
                        "there are more than 64 trailers, or 8 KiB of them",
                    ));
                }
            }
            At::Start
            | At::Size
            | At::SizeEnd
            | At::Data
            | At::DataEnd
            | At::DataEndLine
            | At::Line
            | At::LastLine
            | At::End => {}
        }
        Ok(())
    }
}

impl ChunkPosition {
    /// What is wrong with a byte that is not allowed in this position.
    fn fault(self) -> &'static str {
        match self {
            Self::Start | Self::Size => "the size of a chunk is malformed",
            Self::BeforeExtension
            | Self::ExtensionStart
            | Self::ExtensionName
            | Self::ExtensionNamed
            | Self::ExtensionEquals
            | Self::ExtensionToken
            | Self::ExtensionQuoted
            | Self::ExtensionEscaped
            | Self::ExtensionUnquoted => {
                "an extension of a chunk is malformed, has no name, or contains a control character"
            }
            Self::SizeEnd => "the line of a chunk's size does not end in CRLF",
            Self::Data | Self::DataEnd | Self::DataEndLine => {
                "a chunk is longer than its size says, or does not end in CRLF"
            }
            Self::Line | Self::Name | Self::Value | Self::ValueEnd => "a trailer is malformed",
            Self::LastLine | Self::End => "the trailers do not end in CRLF",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{ChunkFault, Chunks};

    /// How much of a text is a chunked body, if it comes in parts of this size.
    fn length(text: &str, size: usize) -> Result<Option<usize>, ChunkFault> {
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
            "1\r\n\n\r\n0\r\nX: a\tb \r\nY:\r\n~z!: :e:\r\nContent-Length: 9\r\n\r\n",
            "1;a=b\t; c ;d = e;f=\"\\\"\"\r\n\n\r\n0\r\n\r\n",
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
            "1 \r\n",
            "1;\r\n",
            "1; \r\n",
            "1;;a\r\n",
            "1;=b\r\n",
            "1;a=\r\n",
            "1;a \r\n",
            "1;a=b \r\n",
            "1;a=\"b\r\n",
            "1;a=\"b\"c\r\n",
            "1;a b\r\n",
            "00000000000000001\r\n",
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

    #[test]
    fn extensions_and_trailers_are_bounded() {
        let extensions = |count| format!("1;{}\r\na\r\n", "e".repeat(count)).repeat(4);
        let trailers = |count, length| {
            format!(
                "0\r\n{}\r\n",
                format!("X: {}\r\n", "a".repeat(length)).repeat(count)
            )
        };
        for (text, is_good) in [
            (extensions(2047), true),
            (extensions(2048), false),
            (trailers(64, 90), true),
            (trailers(65, 1), false),
            (trailers(8, 1000), true),
            (trailers(9, 1000), false),
        ] {
            assert_eq!(length(&text, 10_000).is_ok(), is_good, "{text}");
        }
    }

    /// Whatever is left of the limit is for the next chunk, and one byte more is refused at the end of the line of its size.
    #[test]
    fn a_chunk_is_no_larger_than_what_is_left_of_the_limit() {
        let within = "3\r\nabc\r\n7\r\n";
        for (last, limit, fault) in [
            ("", 10, None),
            ("0123456\r\n0\r\n\r\n", 10, None),
            ("0123456\r\n1\r\n", 10, Some(ChunkFault::TooLarge)),
            (
                "0123456\r\nffffffffffffffff\r\n",
                10,
                Some(ChunkFault::TooLarge),
            ),
            ("", 9, Some(ChunkFault::TooLarge)),
            ("", 0, Some(ChunkFault::TooLarge)),
        ] {
            let text = format!("{within}{last}");
            for size in [1, 2, 1000] {
                let mut chunks = Chunks::new(Some(limit));
                let mut parts = text.as_bytes().chunks(size);
                let found = parts.find_map(|part| chunks.follow(part).err());
                assert_eq!(found, fault, "{text:?} of {limit} by {size}");
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
                ("0;a", of_name || b"\r;= \t".contains(&byte)),
                ("0;a=\"", of_value),
                ("0;a=\"\\", of_value),
            ] {
                let text = [before.as_bytes(), &[byte]].concat();
                let followed = Chunks::default().follow(&text);
                assert_eq!(followed.is_ok(), is_good, "{before:?} and {byte:#04x}");
            }
        }
    }
}
