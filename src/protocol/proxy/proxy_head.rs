//! The heads of connections by the PROXY protocol, versions 1 and 2
//! (<https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt>).

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::fmt;

/// Where the connection comes from and which address it has reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxiedAddresses {
    /// Those of the connection itself: a health check of the proxy (`LOCAL`), or a kind of address that the protocol does
    /// not have (`UNKNOWN`).
    Own,
    /// Those of a connection over TCP. IPv4 never appears as IPv6.
    Tcp {
        /// The client.
        source: SocketAddr,
        /// What the client has connected to.
        destination: SocketAddr,
    },
    /// The client is a process on the proxy's machine.
    Unix,
}

/// What the head of a connection says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProxyHead {
    /// The addresses of the client's connection.
    pub addresses: ProxiedAddresses,
    /// Whether the client has connected by TLS (`PP2_TYPE_SSL`).
    pub is_tls: bool,
}

/// What the first bytes of a connection are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeadProgress {
    /// The beginning of a head, which has at least this number of further bytes.
    Needs(usize),
    /// A head, and its length in bytes.
    Whole(ProxyHead, usize),
}

/// Why bytes are no head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadProxyHead {
    /// They do not begin like one.
    NoHead,
    /// It is longer than it may be.
    TooLong,
    /// It does not say what it should.
    Malformed,
    /// It is that of datagrams (UDP, or Unix sockets of their kind), and this is a connection.
    Datagrams,
    /// The checksum is wrong (`PP2_TYPE_CRC32C`).
    Checksum,
}

impl fmt::Display for BadProxyHead {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::NoHead => "it does not begin with a head of the PROXY protocol",
            Self::TooLong => "the head of the PROXY protocol is too long",
            Self::Malformed => "the head of the PROXY protocol is malformed",
            Self::Datagrams => "the head of the PROXY protocol is one of datagrams",
            Self::Checksum => "the head of the PROXY protocol has a wrong checksum",
        })
    }
}

impl std::error::Error for BadProxyHead {}

/// The beginning of version 1.
const LINE: &[u8] = b"PROXY ";
/// The longest line of version 1, with its end.
const LONGEST_LINE: usize = 107;
/// The shortest one: `PROXY UNKNOWN`.
const SHORTEST_LINE: usize = 15;

/// The beginning of version 2.
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// The part of version 2 before the addresses.
const FIXED: usize = 16;
/// The longest head of version 2. It could have 64 KiB; what proxies send has some hundred bytes, and some thousand with a
/// certificate of the client.
const LONGEST: usize = 16 * 1024;

/// In the byte of family and transport: the client sends datagrams.
const DATAGRAMS: u8 = 0x02;

const CRC32C: u8 = 0x03;
const SSL: u8 = 0x20;
/// In the first byte of `SSL`: the client has connected by TLS.
const CLIENT_SSL: u8 = 0x01;

/// Reads a head. A reader that never reads more than is needed takes no byte of what follows it.
///
/// # Errors
/// The bytes do not begin with a head.
pub fn parse(bytes: &[u8]) -> Result<HeadProgress, BadProxyHead> {
    let begins_with = |start: &[u8]| bytes.iter().zip(start).all(|(one, other)| one == other);
    if bytes.is_empty() {
        Ok(HeadProgress::Needs(SHORTEST_LINE))
    } else if begins_with(SIGNATURE) {
        binary(bytes)
    } else if begins_with(LINE) {
        line(bytes)
    } else {
        Err(BadProxyHead::NoHead)
    }
}

/// Version 1.
fn line(bytes: &[u8]) -> Result<HeadProgress, BadProxyHead> {
    let within = &bytes[..bytes.len().min(LONGEST_LINE)];
    let Some(end) = within.iter().position(|byte| *byte == b'\n') else {
        return match bytes.len() {
            LONGEST_LINE.. => Err(BadProxyHead::TooLong),
            length if length < SHORTEST_LINE => Ok(HeadProgress::Needs(SHORTEST_LINE - length)),
            _ if bytes.ends_with(b"\r") => Ok(HeadProgress::Needs(1)),
            _ => Ok(HeadProgress::Needs(2)),
        };
    };
    let text = within[..end].strip_suffix(b"\r");
    let text = text.and_then(|text| std::str::from_utf8(text).ok());
    let addresses = text.and_then(line_addresses);
    let head = ProxyHead {
        addresses: addresses.ok_or(BadProxyHead::Malformed)?,
        is_tls: false,
    };
    Ok(HeadProgress::Whole(head, end + 1))
}

fn line_addresses(text: &str) -> Option<ProxiedAddresses> {
    let mut words = text.split(' ');
    let (_proxy, family) = (words.next()?, words.next()?);
    if family == "UNKNOWN" {
        // What follows is to be ignored.
        return Some(ProxiedAddresses::Own);
    }
    let address = |text: &str| -> Option<IpAddr> {
        match family {
            "TCP4" => text.parse().ok().map(IpAddr::V4),
            "TCP6" => text.parse().ok().map(IpAddr::V6),
            _ => None,
        }
    };
    let (source, destination) = (address(words.next()?)?, address(words.next()?)?);
    let (from, to) = (port(words.next()?)?, port(words.next()?)?);
    words
        .next()
        .is_none()
        .then(|| tcp((source, from), (destination, to)))
}

/// A port: no sign and no zeros before it.
fn port(text: &str) -> Option<u16> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
    (is_plain && (text == "0" || !text.starts_with('0')))
        .then(|| text.parse().ok())
        .flatten()
}

fn tcp(source: (IpAddr, u16), destination: (IpAddr, u16)) -> ProxiedAddresses {
    let [source, destination] =
        [source, destination].map(|(address, port)| SocketAddr::new(address.to_canonical(), port));
    ProxiedAddresses::Tcp {
        source,
        destination,
    }
}

/// Version 2.
fn binary(bytes: &[u8]) -> Result<HeadProgress, BadProxyHead> {
    let Some(fixed) = bytes.first_chunk::<FIXED>() else {
        return Ok(HeadProgress::Needs(FIXED - bytes.len()));
    };
    let [.., command, family, high, low] = *fixed;
    let length = FIXED + usize::from(u16::from_be_bytes([high, low]));
    if !matches!(command, 0x20 | 0x21) {
        return Err(BadProxyHead::Malformed);
    }
    if length > LONGEST {
        return Err(BadProxyHead::TooLong);
    }
    let Some(head) = bytes.get(..length) else {
        return Ok(HeadProgress::Needs(length - bytes.len()));
    };
    let own = ProxyHead {
        addresses: ProxiedAddresses::Own,
        is_tls: false,
    };
    // The receiver must ignore the rest of a `LOCAL` head, and addresses of no known kind.
    if command == 0x20 || family == 0 {
        return Ok(HeadProgress::Whole(own, length));
    }
    if family & 0x0f == DATAGRAMS {
        return Err(BadProxyHead::Datagrams);
    }
    let (addresses, rest) =
        binary_addresses(family, &head[FIXED..]).ok_or(BadProxyHead::Malformed)?;
    let is_tls = read_extensions(head, rest)?;
    Ok(HeadProgress::Whole(ProxyHead { addresses, is_tls }, length))
}

/// The addresses, and what follows them.
fn binary_addresses(family: u8, block: &[u8]) -> Option<(ProxiedAddresses, &[u8])> {
    let port = |at: usize| Some(u16::from_be_bytes([*block.get(at)?, *block.get(at + 1)?]));
    match family {
        0x11 => {
            let address = |at: usize| {
                let octets: [u8; 4] = block.get(at..at + 4)?.try_into().ok()?;
                Some(IpAddr::V4(Ipv4Addr::from(octets)))
            };
            let addresses = tcp((address(0)?, port(8)?), (address(4)?, port(10)?));
            Some((addresses, &block[12..]))
        }
        0x21 => {
            let address = |at: usize| {
                let octets: [u8; 16] = block.get(at..at + 16)?.try_into().ok()?;
                Some(IpAddr::V6(Ipv6Addr::from(octets)))
            };
            let addresses = tcp((address(0)?, port(32)?), (address(16)?, port(34)?));
            Some((addresses, &block[36..]))
        }
        // Two paths of 108 bytes, which nothing needs.
        0x31 => Some((ProxiedAddresses::Unix, block.get(216..)?)),
        _ => None,
    }
}

/// Reads the type-length-values behind the addresses: whether the client has connected by TLS.
fn read_extensions(head: &[u8], mut rest: &[u8]) -> Result<bool, BadProxyHead> {
    let mut is_tls = false;
    while let [kind, high, low, after @ ..] = rest {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let (value, next) = after
            .split_at_checked(length)
            .ok_or(BadProxyHead::Malformed)?;
        match (*kind, value) {
            (CRC32C, _) => {
                let sent: [u8; 4] = value.try_into().map_err(|_| BadProxyHead::Malformed)?;
                let at = head.len() - after.len();
                let parts = [&head[..at], &[0; 4], next];
                if crc32c(parts.into_iter().flatten()) != u32::from_be_bytes(sent) {
                    return Err(BadProxyHead::Checksum);
                }
            }
            // A byte of flags, and the result of the verification in four bytes.
            (SSL, [flags, _, _, _, _, ..]) => is_tls = flags & CLIENT_SSL != 0,
            (SSL, _) => return Err(BadProxyHead::Malformed),
            _ => {}
        }
        rest = next;
    }
    match rest {
        [] => Ok(is_tls),
        _ => Err(BadProxyHead::Malformed),
    }
}

/// CRC-32C (RFC 9260 appendix B), bit by bit: heads are short, and most have none.
fn crc32c<'a>(bytes: impl Iterator<Item = &'a u8>) -> u32 {
    let step = |crc: u32, _| (crc >> 1) ^ (0x82f6_3b78 & (crc & 1).wrapping_neg());
    !bytes.fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), step))
}

#[cfg(test)]
mod tests {
    use super::{
        BadProxyHead, HeadProgress, ProxiedAddresses, ProxyHead, SIGNATURE, crc32c, parse,
    };

    fn over(source: &str, destination: &str) -> ProxiedAddresses {
        ProxiedAddresses::Tcp {
            source: source.parse().expect("an address"),
            destination: destination.parse().expect("an address"),
        }
    }

    fn binary(command: u8, family: u8, block: &[u8]) -> Vec<u8> {
        let length = u16::try_from(block.len()).expect("short").to_be_bytes();
        [SIGNATURE, &[command, family], &length, block].concat()
    }

    /// What is read of bytes that arrive one at a time, with more behind them.
    fn read(head: &[u8]) -> Result<ProxyHead, BadProxyHead> {
        let more = [head, b"GET / HTTP/1.1\r\n\r\n"].concat();
        for taken in 0..head.len() {
            if let HeadProgress::Needs(count) = parse(&head[..taken])? {
                assert!(count > 0 && taken + count <= head.len(), "{taken} {count}");
            } else {
                panic!("whole at {taken}");
            }
        }
        match parse(&more)? {
            HeadProgress::Whole(head_read, length) => {
                assert_eq!(length, head.len());
                assert_eq!(parse(head)?, HeadProgress::Whole(head_read, length));
                Ok(head_read)
            }
            HeadProgress::Needs(_) => panic!("not whole"),
        }
    }

    #[test]
    fn lines() {
        let good = |addresses| {
            let is_tls = false;
            Ok(ProxyHead { addresses, is_tls })
        };
        let longest = format!("PROXY UNKNOWN {}\r\n", "f".repeat(91));
        assert_eq!(longest.len(), 107);
        for (line, result) in [
            (
                "PROXY TCP4 192.0.2.1 198.51.100.2 4711 80\r\n",
                good(over("192.0.2.1:4711", "198.51.100.2:80")),
            ),
            (
                "PROXY TCP6 2001:db8::1 2001:db8::2 65535 0\r\n",
                good(over("[2001:db8::1]:65535", "[2001:db8::2]:0")),
            ),
            (
                "PROXY TCP6 ::ffff:192.0.2.1 ::1 1 2\r\n",
                good(over("192.0.2.1:1", "[::1]:2")),
            ),
            ("PROXY UNKNOWN\r\n", good(ProxiedAddresses::Own)),
            (
                "PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n",
                good(ProxiedAddresses::Own),
            ),
            (&longest, good(ProxiedAddresses::Own)),
        ] {
            assert_eq!(read(line.as_bytes()), result, "{line}");
        }
        for line in [
            "PROXY TCP4 192.0.2.1 198.51.100.2 4711 080\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.2 4711 65536\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.2 +4711 80\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.2 4711 80 \r\n",
            "PROXY TCP4  192.0.2.1 198.51.100.2 4711 80\r\n",
            "PROXY TCP4 2001:db8::1 2001:db8::2 1 2\r\n",
            "PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n",
            "PROXY TCP4 192.0.2.1 198.51.100.2 4711 80\n",
            "PROXY TCP5 192.0.2.1 192.0.2.1 1 2\r\n",
            "PROXY \r\n",
        ] {
            assert_eq!(
                parse(line.as_bytes()),
                Err(BadProxyHead::Malformed),
                "{line}"
            );
        }
        let too_long = longest.replace("\r", "f\r");
        assert_eq!(parse(too_long.as_bytes()), Err(BadProxyHead::TooLong));
        for text in [
            "G",
            "GET / HTTP/1.1\r\n",
            "PROXX",
            "proxy TCP4",
            "\r\n\r\n\0\r\nQUIX",
        ] {
            assert_eq!(parse(text.as_bytes()), Err(BadProxyHead::NoHead), "{text}");
        }
    }

    const V4: [u8; 12] = [192, 0, 2, 1, 198, 51, 100, 2, 0x12, 0x67, 0, 80];

    #[test]
    fn binary_heads() {
        let v4 = over("192.0.2.1:4711", "198.51.100.2:80");
        let with = |extension: &[u8]| binary(0x21, 0x11, &[&V4, extension].concat());
        let mut v6 = [0; 36];
        (v6[15], v6[31], v6[33], v6[35]) = (1, 2, 3, 4);
        for (head, addresses, is_tls) in [
            (with(b""), v4, false),
            (with(b"\x02\0\x0bexample.org\x04\0\0"), v4, false),
            (with(b"\x20\0\x05\x01\0\0\0\0"), v4, true),
            (with(b"\x20\0\x0f\x07\0\0\0\x01\x21\0\x07TLSv1.3"), v4, true),
            (with(b"\x20\0\x05\0\0\0\0\0"), v4, false),
            (binary(0x21, 0x21, &v6), over("[::1]:3", "[::2]:4"), false),
            (binary(0x21, 0x31, &[0; 216]), ProxiedAddresses::Unix, false),
            (binary(0x20, 0x11, &V4), ProxiedAddresses::Own, false),
            (binary(0x20, 0, b""), ProxiedAddresses::Own, false),
            (binary(0x21, 0, b"anything"), ProxiedAddresses::Own, false),
        ] {
            assert_eq!(read(&head), Ok(ProxyHead { addresses, is_tls }), "{head:?}");
        }
        for head in [
            binary(0x22, 0x11, &V4),
            binary(0x11, 0x11, &V4),
            binary(0x21, 0x41, &V4),
            binary(0x21, 0x13, &V4),
            binary(0x21, 0x11, &V4[..11]),
            binary(0x21, 0x21, &v6[..35]),
            binary(0x21, 0x31, &[0; 215]),
            with(b"\x04"),
            with(b"\x04\0\x01"),
            with(b"\x20\0\x04\x01\0\0\0"),
            with(b"\x03\0\x03abc"),
        ] {
            assert_eq!(parse(&head), Err(BadProxyHead::Malformed), "{head:?}");
        }
        for head in [
            binary(0x21, 0x12, &V4),
            binary(0x21, 0x22, &v6),
            binary(0x21, 0x32, &[0; 216]),
        ] {
            assert_eq!(parse(&head), Err(BadProxyHead::Datagrams), "{head:?}");
        }
        let long = binary(0x21, 0x11, &[0; 16 * 1024]);
        assert_eq!(parse(&long[..16]), Err(BadProxyHead::TooLong));
    }

    #[test]
    fn a_checksum_is_compared() {
        // RFC 9260 appendix B uses the polynomial whose check value this is.
        assert_eq!(crc32c(b"123456789".iter()), 0xe306_9283);
        let mut head = binary(
            0x21,
            0x11,
            &[&V4[..], b"\x03\0\x04\0\0\0\0\x04\0\x01x"].concat(),
        );
        assert_eq!(parse(&head), Err(BadProxyHead::Checksum));
        let sum = crc32c(head.iter()).to_be_bytes();
        head[31..35].copy_from_slice(&sum);
        assert!(read(&head).is_ok());
        head[16] ^= 1;
        assert_eq!(parse(&head), Err(BadProxyHead::Checksum));
    }
}
