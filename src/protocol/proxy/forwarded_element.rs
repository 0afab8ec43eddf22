//! The elements of `Forwarded` (RFC 7239 §4), and the nodes in them (§6), which `X-Forwarded-For` has as well.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A node of a chain of proxies (RFC 7239 §6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ForwardedNode {
    /// An address, and the port if it is given. IPv4 never appears as IPv6.
    Address(IpAddr, Option<u16>),
    /// A process on the proxy's machine: nginx writes `unix:` for the client of a Unix socket.
    Unix,
    /// The proxy does not know or does not tell (`unknown`, `_obfuscated`).
    Hidden,
}

impl ForwardedNode {
    /// Reads a node: an IPv4 address, an IPv6 address with or without brackets, `unknown`, or an identifier that begins with
    /// `_`; each but the IPv6 address without brackets may be followed by `:` and a port. `None` for anything else.
    pub(super) fn parse(text: &str) -> Option<Self> {
        if let Ok(address) = text.parse::<IpAddr>() {
            return Some(Self::Address(address.to_canonical(), None));
        }
        if text == "unix:" {
            return Some(Self::Unix);
        }
        let (name, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (address, port) = rest.split_once(']')?;
                let address: Ipv6Addr = address.parse().ok()?;
                let port = match port {
                    "" => None,
                    port => Some(port.strip_prefix(':')?),
                };
                (
                    Self::Address(IpAddr::V6(address).to_canonical(), None),
                    port,
                )
            }
            None => {
                let (name, port) = match text.split_once(':') {
                    Some((name, port)) => (name, Some(port)),
                    None => (text, None),
                };
                let node = match name.parse::<Ipv4Addr>() {
                    Ok(address) => Self::Address(address.into(), None),
                    Err(_) if name.eq_ignore_ascii_case("unknown") => Self::Hidden,
                    Err(_) if is_obfuscated(name) => Self::Hidden,
                    Err(_) => return None,
                };
                (node, port)
            }
        };
        let port = match port {
            None => None,
            Some(port) if is_obfuscated(port) => None,
            Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => {
                Some(port.parse().ok()?)
            }
            Some(_) => return None,
        };
        Some(match name {
            Self::Address(address, _) => Self::Address(address, port),
            Self::Unix | Self::Hidden => name,
        })
    }
}

/// RFC 7239 §6.3.
fn is_obfuscated(text: &str) -> bool {
    let is_good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    text.strip_prefix('_')
        .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(is_good))
}

/// An element of `Forwarded`: what one proxy says of its own client.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct ForwardedElement {
    /// Where it begins in the value of the field.
    pub start: usize,
    /// `for`: the client.
    pub node: Option<ForwardedNode>,
    /// `proto`: the scheme that the client used.
    pub proto: Option<String>,
    /// `host`: the `Host` field that the client sent.
    pub host: Option<String>,
}

/// Reads the value of `Forwarded`. In values without quotes, `:`, `[` and `]` are accepted as well, since proxies write
/// addresses so. Empty elements are left out (RFC 9110 §5.6.1).
///
/// `None` if it is malformed. That includes a quoted string that does not end: a client could hide behind it what a proxy
/// has added.
pub(super) fn elements(field: &str) -> Option<Vec<ForwardedElement>> {
    let mut elements = Vec::new();
    let mut rest = field;
    loop {
        rest = blanks_skipped(rest);
        let start = field.len() - rest.len();
        let (element, is_empty, after) = element(rest, start)?;
        if !is_empty {
            elements.push(element);
        }
        match after.strip_prefix(',') {
            Some(after) => rest = after,
            None if after.is_empty() => return Some(elements),
            None => return None,
        }
    }
}

/// An element, whether it has no parameter, and what follows it.
fn element(text: &str, start: usize) -> Option<(ForwardedElement, bool, &str)> {
    let mut element = ForwardedElement {
        start,
        ..ForwardedElement::default()
    };
    let mut names: Vec<String> = Vec::new();
    let mut rest = text;
    loop {
        rest = blanks_skipped(rest);
        let end = rest.find(|letter| !is_token(letter)).unwrap_or(rest.len());
        let (name, after) = rest.split_at(end);
        if !name.is_empty() {
            let name = name.to_ascii_lowercase();
            let (value, after) = value(after.strip_prefix('=')?)?;
            rest = blanks_skipped(after);
            // RFC 7239 §4: each parameter at most once.
            if names.contains(&name) {
                return None;
            }
            match name.as_str() {
                "for" => element.node = Some(ForwardedNode::parse(&value)?),
                "proto" => element.proto = Some(value),
                "host" => element.host = Some(value),
                _ => {}
            }
            names.push(name);
        }
        match rest.strip_prefix(';') {
            Some(after) => rest = after,
            None => return Some((element, names.is_empty(), rest)),
        }
    }
}

/// A token or quoted string (RFC 9110 §5.6.4), and what follows it.
fn value(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let is_plain = |letter| is_token(letter) || matches!(letter, ':' | '[' | ']');
        let end = text.find(|letter| !is_plain(letter)).unwrap_or(text.len());
        return (end > 0).then(|| (text[..end].to_owned(), &text[end..]));
    };
    let mut value = String::new();
    let mut letters = quoted.char_indices();
    while let Some((place, letter)) = letters.next() {
        match letter {
            '"' => return Some((value, &quoted[place + 1..])),
            '\\' => value.push(letters.next()?.1),
            letter => value.push(letter),
        }
    }
    None
}

fn blanks_skipped(text: &str) -> &str {
    text.trim_start_matches([' ', '\t'])
}

/// RFC 9110 §5.6.2.
fn is_token(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(letter)
}

#[cfg(test)]
mod tests {
    use super::{ForwardedElement, ForwardedNode, elements};

    fn address(text: &str, port: Option<u16>) -> Option<ForwardedNode> {
        Some(ForwardedNode::Address(
            text.parse().expect("an address"),
            port,
        ))
    }

    #[test]
    fn nodes() {
        for (text, node) in [
            ("192.0.2.1", address("192.0.2.1", None)),
            ("192.0.2.1:80", address("192.0.2.1", Some(80))),
            ("192.0.2.1:_port", address("192.0.2.1", None)),
            ("[2001:db8::1]", address("2001:db8::1", None)),
            ("[2001:db8::1]:65535", address("2001:db8::1", Some(65535))),
            ("2001:db8::1", address("2001:db8::1", None)),
            ("::ffff:192.0.2.1", address("192.0.2.1", None)),
            ("[::ffff:192.0.2.1]:1", address("192.0.2.1", Some(1))),
            ("unix:", Some(ForwardedNode::Unix)),
            ("unknown", Some(ForwardedNode::Hidden)),
            ("Unknown:80", Some(ForwardedNode::Hidden)),
            ("_a.b-c_d", Some(ForwardedNode::Hidden)),
            ("_", None),
            ("", None),
            ("192.0.2.1:", None),
            ("192.0.2.1:65536", None),
            ("192.0.2.1:+1", None),
            ("192.0.2.256", None),
            ("192.0.2.01", None),
            ("[192.0.2.1]", None),
            ("[2001:db8::1", None),
            ("[2001:db8::1]80", None),
            ("fe80::1%eth0", None),
            ("example.org", None),
        ] {
            assert_eq!(ForwardedNode::parse(text), node, "{text}");
        }
    }

    #[test]
    fn the_examples_of_the_standard() {
        let found = elements(r#"for="_gazonk""#).expect("good");
        assert_eq!(found[0].node, Some(ForwardedNode::Hidden));
        let found = elements(r#"For="[2001:db8:cafe::17]:4711""#).expect("good");
        assert_eq!(found[0].node, address("2001:db8:cafe::17", Some(4711)));
        let found = elements("for=192.0.2.60;proto=http;by=203.0.113.43").expect("good");
        assert_eq!(
            found,
            [ForwardedElement {
                start: 0,
                node: address("192.0.2.60", None),
                proto: Some("http".to_owned()),
                host: None
            }]
        );
        let found = elements("for=192.0.2.43, for=198.51.100.17;host=\"a\\b:1\"").expect("good");
        assert_eq!(found[1].start, 16);
        assert_eq!(found[1].host.as_deref(), Some("ab:1"));
    }

    #[test]
    fn what_is_malformed_hides_nothing() {
        for field in [
            r#"for="192.0.2.1"#,
            r#"for=a;x=", for=192.0.2.1"#,
            r#"for="_a", for="[::1]"_"#,
            "for=_a;for=_b",
            "for",
            "for=",
            "for =_a",
            "for= _a",
            "=_a",
            "for=_a by=_b",
            "for=192.0.2.1/8",
            r#"x="\"#,
        ] {
            assert_eq!(elements(field), None, "{field}");
        }
        for (field, count) in [("", 0), (", ,", 0), (" ;; , for=_a ; by=_b;, ", 1)] {
            assert_eq!(
                elements(field).map(|found| found.len()),
                Some(count),
                "{field}"
            );
        }
    }
}
