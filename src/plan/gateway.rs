//! What is spoken where: a gateway with its options, and the socket that it listens on.

use crate::gateway::fastcgi::FastCgiOptions;
use crate::gateway::http::HttpOptions;
use crate::gateway::socket::url::SocketUrl;

/// A gateway, and how it is to behave.
#[derive(Clone, Debug)]
pub enum Gateway {
    /// HTTP.
    Http(HttpOptions),
    /// FastCGI.
    FastCgi(FastCgiOptions),
}

/// Where a gateway listens, and what it speaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The URL as it was configured.
    pub url: SocketUrl,
    /// What is spoken there.
    pub protocol: Protocol,
}

/// What is spoken on a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP.
    Http,
    /// FastCGI.
    FastCgi,
}

impl Gateway {
    /// What it speaks.
    #[must_use]
    pub fn protocol(&self) -> Protocol {
        match self {
            Self::Http(_) => Protocol::Http,
            Self::FastCgi(_) => Protocol::FastCgi,
        }
    }
}

/// Who is told that a server answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// The log: `serve`.
    Log,
    /// The log, and a person for whom a browser is opened: `launch`.
    Browser,
    /// Nobody: the web server in front knows the address, or there is none.
    Nobody,
}
