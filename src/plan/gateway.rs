//! A gateway with its options, and the socket that it listens on.

use crate::gateway::fastcgi::FastCgiOptions;
use crate::gateway::http::HttpOptions;
use crate::gateway::socket::server_url::ServerUrl;
use crate::gateway::uwsgi::UwsgiOptions;

/// A gateway with its options.
#[derive(Clone, Debug)]
pub enum Gateway {
    /// HTTP.
    Http(HttpOptions),
    /// FastCGI.
    FastCgi(FastCgiOptions),
    /// uwsgi.
    Uwsgi(UwsgiOptions),
}

/// The socket of a gateway, and the protocol on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The URL as it was configured.
    pub url: ServerUrl,
    /// The protocol.
    pub protocol: Protocol,
}

/// The protocol of a gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP.
    Http,
    /// FastCGI.
    FastCgi,
    /// uwsgi.
    Uwsgi,
}

impl Gateway {
    /// Its protocol.
    #[must_use]
    pub fn protocol(&self) -> Protocol {
        match self {
            Self::Http(_) => Protocol::Http,
            Self::FastCgi(_) => Protocol::FastCgi,
            Self::Uwsgi(_) => Protocol::Uwsgi,
        }
    }

    /// Whether the ends of responses are measured. By uwsgi they are not.
    pub fn set_measures(&mut self, measures: bool) {
        match self {
            Self::Http(options) => options.measures = measures,
            Self::FastCgi(options) => options.measures = measures,
            Self::Uwsgi(_) => {}
        }
    }

    /// The most open connections.
    #[must_use]
    pub fn most_connections(&self) -> usize {
        match self {
            Self::Http(options) => options.connections,
            Self::FastCgi(options) => options.connections,
            Self::Uwsgi(options) => options.connections,
        }
    }
}

/// Who is told that a server answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// The log: `serve`, `FastCGI` and `uwsgi`.
    Log,
    /// The log, and a person for whom a browser is opened: `launch`.
    Browser,
    /// Not announced: the process manager that passed the socket knows it, or there is none.
    Nobody,
}
