//! Socket URLs: `tcp://host:port`, `unix:/path`, `fd.socket:stdin`.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::RawFd;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use rustix::net::{AddressFamily, SocketType, ipproto};

/// Where to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SocketUrl {
    /// `tcp://host:port`
    Tcp {
        /// The host as it was written.
        host: Host,
        /// The port; 0 for any free one.
        port: u16,
    },
    /// `unix:path`
    Unix(PathBuf),
    /// `fd.socket:N[/family[/kind[/protocol]]]`
    Descriptor(Descriptor),
    /// `fd.socket:NAME[/family[/kind[/protocol]]]`, or `*` for every name
    Passed(Passed),
}

/// The host part of a `tcp:` URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// `*`, or nothing: every address of this machine.
    Any,
    /// A name or an IPv4 address.
    Name(String),
    /// An IPv6 address (without its brackets), perhaps with a `%zone`.
    Ipv6(String),
}

/// A socket that this process was started with, and the properties that it must have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// The descriptor's number.
    pub number: RawFd,
    /// The address family, where it was given.
    pub family: Option<AddressFamily>,
    /// The protocol's number, where it was given.
    pub protocol: Option<u32>,
}

/// Sockets that a service manager passes (`sd_listen_fds(3)`), and the properties that they must have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passed {
    /// Their name (`FileDescriptorName=` of a systemd unit); `None` for all of them.
    pub name: Option<String>,
    /// The address family, where it was given.
    pub family: Option<AddressFamily>,
    /// The protocol's number, where it was given.
    pub protocol: Option<u32>,
}

/// All sockets that a service manager passes.
pub const ALL_PASSED: SocketUrl = SocketUrl::Passed(Passed {
    name: None,
    family: None,
    protocol: None,
});

/// Why a text is no URL of a socket that a server can listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidSocketUrl {
    /// What was found and what was wanted.
    pub message: String,
    /// The correction.
    pub hint: Option<String>,
}

const SCHEMES: [&str; 5] = ["tcp", "unix", "fd.socket", "udp", "unix.dg"];

impl SocketUrl {
    /// The same URL, with a relative path made relative to a folder.
    pub fn relative_to(self, folder: &Path) -> Self {
        match self {
            Self::Unix(path) => Self::Unix(folder.join(path)),
            Self::Tcp { .. } | Self::Descriptor(_) | Self::Passed(_) => self,
        }
    }
}

impl FromStr for SocketUrl {
    type Err = InvalidSocketUrl;

    fn from_str(text: &str) -> Result<Self, InvalidSocketUrl> {
        let Some((scheme, rest)) = text.split_once(':') else {
            return Err(invalid(
                format!("`{text}` is not a socket URL"),
                Some("write `tcp://host:port`, `unix:/path` or `fd.socket:stdin`".to_owned()),
            ));
        };
        match scheme.to_ascii_lowercase().as_str() {
            "tcp" => parse_address(text, rest, "tcp", None),
            "unix" => parse_unix(text, rest),
            "fd.socket" => parse_descriptor(text, rest),
            "udp" => Err(invalid(
                format!("`{text}` is a datagram socket, which cannot serve"),
                rest.strip_prefix("//")
                    .map(|rest| format!("write `tcp://{rest}`")),
            )),
            "unix.dg" => Err(invalid(
                format!("`{text}` is a datagram socket, which cannot serve"),
                Some(format!("write `unix:{rest}`")),
            )),
            "http" | "https" if !rest.is_empty() => Err(invalid(
                format!("`{text}` is not a socket URL"),
                Some(format!("write `tcp:{}`", rest.trim_end_matches('/'))),
            )),
            unknown => Err(unknown_scheme(text, scheme, unknown)),
        }
    }
}

fn invalid(message: String, hint: Option<String>) -> InvalidSocketUrl {
    InvalidSocketUrl { message, hint }
}

fn unknown_scheme(text: &str, written: &str, scheme: &str) -> InvalidSocketUrl {
    if !text.contains('/')
        && written
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '.' || c == '-' || c == '*')
    {
        // `localhost:8000` and `:8000`
        return invalid(
            format!("`{text}` is not a socket URL"),
            Some(format!("write `tcp://{text}`")),
        );
    }
    let nearest = SCHEMES
        .iter()
        .map(|known| (strsim::damerau_levenshtein(scheme, known), known))
        .min()
        .filter(|(distance, _)| *distance <= 2);
    invalid(
        format!("unknown kind of socket `{written}:` in `{text}`"),
        Some(nearest.map_or_else(
            || "there are `tcp:`, `unix:` and `fd.socket:`".to_owned(),
            |(_, known)| format!("did you mean `{known}:`?"),
        )),
    )
}

/// The rest of a URL behind `scheme:`. Without a port in it, the default port counts if there is one.
pub(super) fn parse_address(
    text: &str,
    rest: &str,
    scheme: &str,
    default_port: Option<u16>,
) -> Result<SocketUrl, InvalidSocketUrl> {
    let Some(address) = rest.strip_prefix("//") else {
        return Err(invalid(
            format!("`{text}` lacks the `//` before the host"),
            Some(format!(
                "write `{scheme}://{}`",
                rest.trim_start_matches('/')
            )),
        ));
    };
    let address = address.strip_suffix('/').unwrap_or(address);
    if let Some(stranger) = address
        .chars()
        .find(|c| matches!(c, '/' | '?' | '#' | '@') || c.is_whitespace() || c.is_control())
    {
        return Err(invalid(
            format!(
                "`{}` has no place in the socket URL `{text}`",
                stranger.escape_default()
            ),
            Some(format!("write `{scheme}://host:port` and nothing else")),
        ));
    }
    let no_port = |host: &str| {
        invalid(
            format!("`{text}` has no port"),
            Some(format!(
                "write `{scheme}://{host}:8000`, or `{scheme}://{host}:0` for any free port"
            )),
        )
    };
    let (host, port) = if let Some(bracketed) = address.strip_prefix('[') {
        let Some((host, port)) = bracketed.split_once(']') else {
            return Err(invalid(format!("`[` without `]` in `{text}`"), None));
        };
        let (numbers, zone) = host.split_once('%').unwrap_or((host, "-"));
        if Ipv6Addr::from_str(numbers).is_err() || zone.is_empty() {
            return Err(invalid(
                format!("`{host}` in `{text}` is not an IPv6 address"),
                None,
            ));
        }
        let port = match port.strip_prefix(':') {
            None if !port.is_empty() => return Err(no_port(&format!("[{host}]"))),
            port => port,
        };
        (Host::Ipv6(host.to_owned()), port)
    } else {
        if Ipv6Addr::from_str(address).is_ok() || address.matches(':').count() > 1 {
            return Err(invalid(
                format!("the IPv6 address in `{text}` has no brackets"),
                Some(format!("write `{scheme}://[::1]:8000`")),
            ));
        }
        match address.rsplit_once(':') {
            Some((host, port)) => (parse_host(text, host)?, Some(port)),
            None if address.is_empty() => return Err(no_port("localhost")),
            None => (parse_host(text, address)?, None),
        }
    };
    let Some(port) = port else {
        return match default_port {
            Some(port) => Ok(SocketUrl::Tcp { host, port }),
            None => Err(no_port(&host.to_string())),
        };
    };
    match port.parse::<u16>() {
        // Rust's numbers may begin with `+`.
        Ok(number) if !port.starts_with('+') => Ok(SocketUrl::Tcp { host, port: number }),
        _ if port.is_empty() => Err(no_port(&host.to_string())),
        _ => Err(invalid(
            format!("`{port}` in `{text}` is not a port"),
            Some("a port is a number from 0 (any free one) to 65535".to_owned()),
        )),
    }
}

fn parse_host(text: &str, host: &str) -> Result<Host, InvalidSocketUrl> {
    if host.is_empty() || host == "*" {
        return Ok(Host::Any);
    }
    // Some resolvers take `127.1` and `1` for addresses; typing errors are more likely.
    let is_number = host.chars().all(|c| c.is_ascii_digit() || c == '.');
    if is_number && Ipv4Addr::from_str(host).is_err() {
        return Err(invalid(
            format!("`{host}` in `{text}` is not an IPv4 address"),
            None,
        ));
    }
    if let Some(stranger) = host
        .chars()
        .find(|&c| !(c.is_alphanumeric() || matches!(c, '.' | '-' | '_')))
    {
        return Err(invalid(
            format!("`{stranger}` in `{text}` cannot be part of a host name"),
            None,
        ));
    }
    Ok(Host::Name(host.to_owned()))
}

fn parse_unix(text: &str, rest: &str) -> Result<SocketUrl, InvalidSocketUrl> {
    let path = match rest.strip_prefix("//") {
        Some(path) if path.starts_with('/') => path,
        Some(path) if !path.is_empty() => {
            return Err(invalid(
                format!("`{text}` names a host, but a path is wanted"),
                Some(format!("write `unix:/{path}` or `unix:{path}`")),
            ));
        }
        _ => rest,
    };
    if path.is_empty() || path.ends_with('/') || path.contains('\0') {
        return Err(invalid(
            format!("`{}` names no socket file", text.escape_default()),
            Some("write `unix:/path/to/file`".to_owned()),
        ));
    }
    Ok(SocketUrl::Unix(PathBuf::from(path)))
}

fn parse_descriptor(text: &str, rest: &str) -> Result<SocketUrl, InvalidSocketUrl> {
    let mut parts = rest.split('/');
    let name = parts.next().unwrap_or_default();
    let number = match name {
        "stdin" => Some(0),
        "stdout" => Some(1),
        "stderr" => Some(2),
        _ if name.bytes().all(|byte| byte.is_ascii_digit()) => name.parse::<RawFd>().ok(),
        _ => None,
    };
    if number.is_none() && name != "*" && !is_name_of_passed(name) {
        return Err(invalid(
            format!("`{name}` in `{text}` is not a descriptor"),
            Some(
                "write a number, `stdin`, `stdout`, `stderr`, or the name of a socket that systemd passes"
                    .to_owned(),
            ),
        ));
    }
    let family = parts.next().filter(|part| !part.is_empty());
    let family = family.map(|part| parse_family(text, part)).transpose()?;
    let kind = parts.next().filter(|part| !part.is_empty());
    kind.map_or(Ok(()), |part| check_kind(text, part))?;
    let protocol = parts.next().filter(|part| !part.is_empty());
    let protocol = protocol
        .map(|part| parse_protocol(text, part))
        .transpose()?;
    if let Some(more) = parts.next() {
        return Err(invalid(
            format!("`/{more}` at the end of `{text}` is too much"),
            Some("write `fd.socket:number/family/kind/protocol`".to_owned()),
        ));
    }
    Ok(match number {
        Some(number) => SocketUrl::Descriptor(Descriptor {
            number,
            family,
            protocol,
        }),
        None => SocketUrl::Passed(Passed {
            name: Some(name.to_owned()).filter(|name| name != "*"),
            family,
            protocol,
        }),
    })
}

/// Whether a socket that systemd passes may have this name (`systemd.socket(5)`), unless it is nearly the name of a standard
/// stream.
fn is_name_of_passed(name: &str) -> bool {
    let typo = ["stdin", "stdout", "stderr"]
        .iter()
        .any(|stream| strsim::damerau_levenshtein(&name.to_ascii_lowercase(), stream) <= 1);
    let begins_well = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
    begins_well && !typo && name.len() <= 255 && name.bytes().all(|byte| byte.is_ascii_graphic())
}

fn parse_family(text: &str, part: &str) -> Result<AddressFamily, InvalidSocketUrl> {
    let name = part.to_ascii_lowercase();
    match name.strip_prefix("af_").unwrap_or(&name) {
        "unix" | "local" => Ok(AddressFamily::UNIX),
        "inet" => Ok(AddressFamily::INET),
        "inet6" => Ok(AddressFamily::INET6),
        number => [
            AddressFamily::UNIX,
            AddressFamily::INET,
            AddressFamily::INET6,
        ]
        .into_iter()
        .find(|family| number == family.as_raw().to_string())
        .ok_or_else(|| {
            invalid(
                format!("unknown address family `{part}` in `{text}`"),
                Some("there are `unix`, `inet` and `inet6`".to_owned()),
            )
        }),
    }
}

fn check_kind(text: &str, part: &str) -> Result<(), InvalidSocketUrl> {
    let name = part.to_ascii_lowercase();
    let name = name.strip_prefix("sock_").unwrap_or(&name);
    if name == "stream" || name == SocketType::STREAM.as_raw().to_string() {
        return Ok(());
    }
    Err(invalid(
        format!("a socket of kind `{part}` in `{text}` cannot serve"),
        Some("the kind is `stream`".to_owned()),
    ))
}

fn parse_protocol(text: &str, part: &str) -> Result<u32, InvalidSocketUrl> {
    let name = part.to_ascii_lowercase();
    match name.strip_prefix("ipproto_").unwrap_or(&name) {
        "tcp" => Ok(ipproto::TCP.as_raw().get()),
        number => number.parse().map_err(|_| {
            invalid(
                format!("unknown protocol `{part}` in `{text}`"),
                Some("the protocol is `tcp` or a number".to_owned()),
            )
        }),
    }
}

impl Host {
    /// The host of an address.
    pub fn of(address: IpAddr) -> Self {
        match address {
            address if address.is_unspecified() => Self::Any,
            IpAddr::V4(address) => Self::Name(address.to_string()),
            IpAddr::V6(address) => Self::Ipv6(address.to_string()),
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => formatter.write_str("*"),
            Self::Name(name) => formatter.write_str(name),
            Self::Ipv6(address) => write!(formatter, "[{address}]"),
        }
    }
}

impl fmt::Display for SocketUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } => write!(formatter, "tcp://{host}:{port}"),
            Self::Unix(path) => write!(formatter, "unix:{}", path.display()),
            Self::Descriptor(Descriptor { number, .. }) => match number {
                0 => formatter.write_str("fd.socket:stdin"),
                1 => formatter.write_str("fd.socket:stdout"),
                2 => formatter.write_str("fd.socket:stderr"),
                number => write!(formatter, "fd.socket:{number}"),
            },
            Self::Passed(Passed { name, .. }) => {
                write!(formatter, "fd.socket:{}", name.as_deref().unwrap_or("*"))
            }
        }
    }
}

impl fmt::Display for InvalidSocketUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for InvalidSocketUrl {}
