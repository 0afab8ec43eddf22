//! A request as the uwsgi protocol has it (<https://uwsgi-docs.readthedocs.io/en/latest/Protocol.html>): a head of four bytes,
//! and CGI's variables. The body follows, `CONTENT_LENGTH` bytes of it.

use std::fmt;

/// The size of the head, in bytes.
pub const HEAD: usize = 4;

/// The first byte of a packet with a request's variables, for WSGI applications (`uwsgi_modifier1`).
const REQUEST: u8 = 0;

/// Why bytes are no request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MalformedPacket {
    /// The first byte says that the packet is something else: for an application of another language, or no packet at all.
    Modifier(u8),
    /// A name or a value is longer than what is left of the packet.
    Pair,
}

impl fmt::Display for MalformedPacket {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Modifier(byte) => write!(
                formatter,
                "its first byte (modifier1) is {byte}, and {REQUEST} is what a request begins with"
            ),
            Self::Pair => formatter.write_str("a variable is longer than the packet"),
        }
    }
}

impl std::error::Error for MalformedPacket {}

/// The size of the variables behind a head, in bytes. The last byte (modifier2) has no meaning.
///
/// # Errors
/// It is not the head of a request.
pub fn size_of_variables(head: [u8; HEAD]) -> Result<usize, MalformedPacket> {
    let [modifier, low, high, _] = head;
    match modifier {
        REQUEST => Ok(u16::from_le_bytes([low, high]).into()),
        other => Err(MalformedPacket::Modifier(other)),
    }
}

/// The variables of a request. After an error there are no more.
#[derive(Clone, Debug)]
pub struct PacketVariables<'a>(&'a [u8]);

impl<'a> PacketVariables<'a> {
    /// Those behind a head.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// A text with its length in front, in two bytes, the lower one first.
    fn text(&mut self) -> Result<&'a [u8], MalformedPacket> {
        let (length, rest) = self.0.split_first_chunk().ok_or(MalformedPacket::Pair)?;
        let length = usize::from(u16::from_le_bytes(*length));
        let (text, rest) = rest.split_at_checked(length).ok_or(MalformedPacket::Pair)?;
        self.0 = rest;
        Ok(text)
    }

    fn pair(&mut self) -> Result<(&'a [u8], &'a [u8]), MalformedPacket> {
        Ok((self.text()?, self.text()?))
    }
}

impl<'a> Iterator for PacketVariables<'a> {
    type Item = Result<(&'a [u8], &'a [u8]), MalformedPacket>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let pair = self.pair();
        if pair.is_err() {
            self.0 = &[];
        }
        Some(pair)
    }
}

/// A packet with variables; `None` if they do not fit in one.
#[must_use]
pub fn packet(variables: &[(&[u8], &[u8])]) -> Option<Vec<u8>> {
    let mut packet = vec![REQUEST, 0, 0, 0];
    for text in variables.iter().flat_map(|(name, value)| [name, value]) {
        packet.extend_from_slice(&u16::try_from(text.len()).ok()?.to_le_bytes());
        packet.extend_from_slice(text);
    }
    let size = u16::try_from(packet.len() - HEAD).ok()?;
    packet[1..3].copy_from_slice(&size.to_le_bytes());
    Some(packet)
}

#[cfg(test)]
mod tests {
    use super::{HEAD, MalformedPacket, PacketVariables, packet, size_of_variables};

    #[test]
    fn packets_are_read_as_they_are_written() {
        let variables: &[(&[u8], &[u8])] =
            &[(b"REQUEST_METHOD", b"GET"), (b"EMPTY", b""), (b"", b"x")];
        let written = packet(variables).expect("a small packet");
        let expected = b"\0\x23\0\0\x0e\0REQUEST_METHOD\x03\0GET\x05\0EMPTY\0\0\0\0\x01\0x";
        assert_eq!(written, expected);
        let (head, rest) = written.split_first_chunk::<HEAD>().expect("a head");
        assert_eq!(size_of_variables(*head), Ok(rest.len()));
        let read: Result<Vec<_>, _> = PacketVariables::new(rest).collect();
        assert_eq!(read.as_deref(), Ok(variables));
        let largest = vec![b'x'; 65_535 - 4];
        assert!(packet(&[(b"", &largest)]).is_some());
        assert!(packet(&[(b"x", &largest)]).is_none());
    }

    #[test]
    fn other_packets_are_refused() {
        assert_eq!(size_of_variables([0, 1, 2, 7]), Ok(513));
        for first in [1, 5, b'G', 100, 255] {
            let found = size_of_variables([first, 0, 0, 0]);
            assert_eq!(found, Err(MalformedPacket::Modifier(first)));
        }
    }

    #[test]
    fn what_ends_early_is_malformed() {
        let bytes = b"\x01\0a\x02\0bc";
        for length in 1..bytes.len() {
            let mut read = PacketVariables::new(&bytes[..length]);
            assert_eq!(read.next(), Some(Err(MalformedPacket::Pair)), "{length}");
            assert_eq!(read.next(), None);
        }
    }
}
