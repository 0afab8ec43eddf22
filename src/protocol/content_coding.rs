//! Content codings (RFC 9110 §8.4.1): which one a client prefers, and bodies compressed by it, piece by piece.

use std::io::{self, Write};

use bytes::Bytes;
use flate2::write::GzEncoder;

/// A content coding that bodies can be compressed by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ContentCoding {
    /// `br` (RFC 7932).
    Brotli,
    /// `zstd` (RFC 8878).
    Zstandard,
    /// `gzip` (RFC 1952).
    Gzip,
}

impl ContentCoding {
    /// The coding with this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [Self::Brotli, Self::Zstandard, Self::Gzip]
            .into_iter()
            .find(|coding| coding.name() == name)
    }

    /// Its name in `Content-Encoding`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Brotli => "br",
            Self::Zstandard => "zstd",
            Self::Gzip => "gzip",
        }
    }
}

/// The coding that a client prefers by its `Accept-Encoding`, whose values are joined by commas (RFC 9110 §12.5.3); of
/// those that it likes equally, the one that is offered first. `None` if it prefers the body as it is, or has not said that
/// it takes any of them.
#[must_use]
pub fn preferred(accept: &str, offered: &[ContentCoding]) -> Option<ContentCoding> {
    let mut asked = Vec::new();
    for entry in accept.split(',') {
        let mut parts = entry.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        // A weight that is none makes the entry worthless, and not the best of all.
        let weight = match parts.next() {
            None => 1000,
            Some(weight) => weight_of(weight).unwrap_or(0),
        };
        if !name.is_empty() {
            asked.push((name, weight));
        }
    }
    let weight = |names: &[&str]| {
        let is_one_of = |name: &str| names.iter().any(|one| name.eq_ignore_ascii_case(one));
        let found = asked.iter().find(|(name, _)| is_one_of(name));
        found.map(|(_, weight)| *weight)
    };
    let others = weight(&["*"]);
    let as_it_is = weight(&["identity"]).unwrap_or(0);
    let mut best = None;
    for coding in offered {
        let liked = match coding {
            // RFC 9110 §8.4.1.3: both names are one coding.
            ContentCoding::Gzip => weight(&["gzip", "x-gzip"]),
            ContentCoding::Brotli | ContentCoding::Zstandard => weight(&[coding.name()]),
        };
        let liked = liked.or(others).unwrap_or(0);
        let is_better = best.is_none_or(|(_, best)| liked > best);
        if liked > 0 && liked >= as_it_is && is_better {
            best = Some((*coding, liked));
        }
    }
    best.map(|(coding, _)| coding)
}

/// A weight (`q=0.5`) in thousandths (RFC 9110 §12.4.2).
fn weight_of(text: &str) -> Option<u16> {
    let (name, number) = text.split_once('=')?;
    if !name.eq_ignore_ascii_case("q") || number.len() > 5 {
        return None;
    }
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = format!("{fraction:0<3}");
    let is_digits = digits.bytes().all(|digit| digit.is_ascii_digit());
    match (whole, digits.parse()) {
        ("0", Ok(thousandths)) if is_digits => Some(thousandths),
        ("1", Ok(0)) if is_digits => Some(1000),
        _ => None,
    }
}

/// Compresses one body.
pub struct Compressor(CodingEncoder);

enum CodingEncoder {
    Brotli(Box<brotli::CompressorWriter<Vec<u8>>>),
    Zstandard(zstd::stream::write::Encoder<'static, Vec<u8>>),
    Gzip(Box<GzEncoder<Vec<u8>>>),
}

/// Of 11. The higher ones take ten times as long, for bodies that are a tenth smaller.
const BROTLI_QUALITY: u32 = 4;

/// The window, in powers of two. The standard's largest, 22, costs each response in progress some megabytes.
const BROTLI_WINDOW: u32 = 18;

/// The level at which Zstandard is as quick as it is meant to be.
const ZSTANDARD_LEVEL: i32 = 3;

/// In powers of two. RFC 9659 §3 allows HTTP at most 8 MiB, which each response in progress would cost.
const ZSTANDARD_WINDOW: u32 = 18;

/// Of 9.
const GZIP_LEVEL: u32 = 5;

impl Compressor {
    /// A compressor for one body.
    ///
    /// # Errors
    /// There is no memory.
    pub fn new(coding: ContentCoding) -> io::Result<Self> {
        Ok(Self(match coding {
            ContentCoding::Brotli => CodingEncoder::Brotli(Box::new(
                brotli::CompressorWriter::new(Vec::new(), 4096, BROTLI_QUALITY, BROTLI_WINDOW),
            )),
            ContentCoding::Zstandard => {
                let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), ZSTANDARD_LEVEL)?;
                encoder.window_log(ZSTANDARD_WINDOW)?;
                CodingEncoder::Zstandard(encoder)
            }
            ContentCoding::Gzip => CodingEncoder::Gzip(Box::new(GzEncoder::new(
                Vec::new(),
                flate2::Compression::new(GZIP_LEVEL),
            ))),
        }))
    }

    /// Takes a piece of the body, and gives what has become of the pieces so far: often nothing.
    ///
    /// # Errors
    /// There is no memory.
    pub fn add(&mut self, piece: &[u8]) -> io::Result<Bytes> {
        self.writer().write_all(piece)?;
        Ok(self.take())
    }

    /// The rest of what has become of the pieces so far, so that the client can read all of them.
    ///
    /// # Errors
    /// There is no memory.
    pub fn flush(&mut self) -> io::Result<Bytes> {
        self.writer().flush()?;
        Ok(self.take())
    }

    /// The end of the body.
    ///
    /// # Errors
    /// There is no memory.
    pub fn finish(self) -> io::Result<Bytes> {
        let rest = match self.0 {
            CodingEncoder::Brotli(encoder) => encoder.into_inner(),
            CodingEncoder::Zstandard(encoder) => encoder.finish()?,
            CodingEncoder::Gzip(encoder) => encoder.finish()?,
        };
        Ok(rest.into())
    }

    fn writer(&mut self) -> &mut dyn Write {
        match &mut self.0 {
            CodingEncoder::Brotli(encoder) => encoder,
            CodingEncoder::Zstandard(encoder) => encoder,
            CodingEncoder::Gzip(encoder) => encoder,
        }
    }

    fn take(&mut self) -> Bytes {
        let made = match &mut self.0 {
            CodingEncoder::Brotli(encoder) => encoder.get_mut(),
            CodingEncoder::Zstandard(encoder) => encoder.get_mut(),
            CodingEncoder::Gzip(encoder) => encoder.get_mut(),
        };
        std::mem::take(made).into()
    }
}

impl std::fmt::Debug for Compressor {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Compressor").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use proptest::prelude::*;

    use super::{Compressor, ContentCoding, preferred};

    const ALL: &[ContentCoding] = &[
        ContentCoding::Brotli,
        ContentCoding::Zstandard,
        ContentCoding::Gzip,
    ];

    fn decompressed(coding: ContentCoding, bytes: &[u8]) -> std::io::Result<Vec<u8>> {
        let mut body = Vec::new();
        match coding {
            ContentCoding::Brotli => {
                brotli::Decompressor::new(bytes, 4096).read_to_end(&mut body)?
            }
            ContentCoding::Zstandard => {
                zstd::stream::read::Decoder::new(bytes)?.read_to_end(&mut body)?
            }
            ContentCoding::Gzip => {
                flate2::read::MultiGzDecoder::new(bytes).read_to_end(&mut body)?
            }
        };
        Ok(body)
    }

    #[test]
    fn the_client_has_the_first_word_and_the_server_the_second() {
        for (accept, expected) in [
            ("", None),
            ("gzip", Some("gzip")),
            ("X-GZip", Some("gzip")),
            ("gzip, deflate, br, zstd", Some("br")),
            ("zstd, gzip", Some("zstd")),
            ("gzip;q=1.0, br;q=0.5", Some("gzip")),
            ("gzip ; q=0.5 , zstd ; Q=0.501", Some("zstd")),
            ("*", Some("br")),
            ("*;q=0.1, br;q=0", Some("zstd")),
            ("deflate, compress", None),
            ("identity", None),
            ("identity;q=0.5, gzip;q=0.4", None),
            ("identity;q=0.5, gzip;q=0.5", Some("gzip")),
            ("identity;q=0", None),
            ("gzip;q=0", None),
            ("gzip;q=0.000", None),
            ("gzip;q=2, zstd;q=-1, br;q=0.0001", None),
            ("gzip;level=9", None),
            ("gzip;q=0.+5", None),
            (",,gzip,,", Some("gzip")),
        ] {
            let found = preferred(accept, ALL).map(ContentCoding::name);
            assert_eq!(found, expected, "{accept}");
        }
        assert_eq!(preferred("gzip, br", &[]), None);
        let offered = [ContentCoding::Gzip, ContentCoding::Brotli];
        assert_eq!(preferred("br, gzip", &offered), Some(ContentCoding::Gzip));
    }

    proptest! {
        #[test]
        fn what_is_compressed_can_be_read_whole_and_after_each_flush(
            pieces in prop::collection::vec((prop::collection::vec(0u8..4, 0..3000), any::<bool>()), 0..8),
        ) {
            for coding in ALL {
                let mut compressor = Compressor::new(*coding).expect("memory");
                let (mut plain, mut made) = (Vec::new(), Vec::new());
                for (piece, is_flushed) in &pieces {
                    plain.extend_from_slice(piece);
                    made.extend_from_slice(&compressor.add(piece).expect("memory"));
                    if *is_flushed {
                        made.extend_from_slice(&compressor.flush().expect("memory"));
                        // The body is not at its end; what has arrived of it can be read.
                        let mut seen = Vec::new();
                        let _ = match coding {
                            ContentCoding::Brotli => brotli::Decompressor::new(&*made, 4096).read_to_end(&mut seen),
                            ContentCoding::Zstandard => zstd::stream::read::Decoder::new(&*made).expect("memory").read_to_end(&mut seen),
                            ContentCoding::Gzip => flate2::read::GzDecoder::new(&*made).read_to_end(&mut seen),
                        };
                        prop_assert_eq!(&seen, &plain, "{:?}", coding);
                    }
                }
                made.extend_from_slice(&compressor.finish().expect("memory"));
                prop_assert_eq!(decompressed(*coding, &made).expect("it is valid"), plain);
            }
        }
    }
}
