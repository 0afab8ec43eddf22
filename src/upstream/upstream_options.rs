//! What an application over servers is told: which protocol they speak, which ones they are, and their limits.

use std::path::PathBuf;
use std::time::Duration;

use crate::upstream::fastcgi::fastcgi_client_options::FastCgiClientOptions;
use crate::upstream::programs::program_settings::{ProcessSettings, ProgramName, ProgramOptions};
use crate::upstream::server_address::{ServerAddress, UpstreamScheme};

/// An application over servers, as words name it.
#[derive(Clone, Debug)]
pub struct UpstreamName {
    /// What is spoken with the servers.
    pub protocol: UpstreamProtocol,
    /// Which ones they are.
    pub source: ServerSource,
    /// Connections to each server in use at a time, which is requests at a time (`--connections`).
    pub connections: usize,
}

/// What is spoken with servers.
#[derive(Clone, Debug)]
pub enum UpstreamProtocol {
    /// HTTP/1.1.
    Http(HttpClientOptions),
    /// FastCGI.
    FastCgi(FastCgiClientOptions),
}

/// How HTTP is spoken with servers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpClientOptions {
    /// Servers see the path below the mount of the application only; `X-Forwarded-Prefix` names the mount.
    pub strips_prefix: bool,
}

/// Where servers come from.
#[derive(Clone, Debug)]
pub enum ServerSource {
    /// They run, at these addresses.
    Addresses(Vec<ServerAddress>),
    /// They are processes of a program, which runner starts.
    Program(Box<ProgramName>),
}

/// How many requests servers have, and how long these may wait for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServerLimits {
    /// Requests that each server has at a time.
    pub requests: usize,
    /// Requests that may wait for a server (`runner.request.queue_length`).
    pub queue_length: usize,
    /// How long each may (`runner.request.queue_timeout`); zero is no limit.
    pub queue_timeout: Duration,
}

/// What is needed to start an application over servers.
#[derive(Clone, Debug)]
pub struct UpstreamOptions {
    /// Its servers.
    pub name: UpstreamName,
    /// What there is to say of them if they are processes of a program.
    pub processes: ProcessSettings,
    /// How many requests they have.
    pub limits: ServerLimits,
    /// From a request to the head of its response (`runner.request.timeout`); zero is no limit.
    pub request_timeout: Duration,
    /// How long what does not end by itself may go on when this version ends (`runner.asgi.drain`).
    pub drain: Duration,
    /// How much of a response is stored for a slow client, in bytes (`runner.response.max_buffer`).
    pub max_buffer: u64,
    /// How much of all responses is (`runner.response.max_buffers`).
    pub max_buffers: u64,
    /// Where responses are stored.
    pub folder: PathBuf,
}

impl UpstreamName {
    /// As its words are written, for messages.
    #[must_use]
    pub fn as_written(&self) -> String {
        format!("`upstream {self}`")
    }

    /// The program whose processes are the servers.
    #[must_use]
    pub fn program(&self) -> Option<&ProgramName> {
        match &self.source {
            ServerSource::Addresses(_) => None,
            ServerSource::Program(program) => Some(&**program),
        }
    }
}

impl UpstreamOptions {
    /// The program whose processes are the servers.
    #[must_use]
    pub fn program(&self) -> Option<ProgramOptions> {
        self.name.program().map(|program| ProgramOptions {
            protocol: self.name.protocol.scheme(),
            program: program.clone(),
            processes: self.processes.clone(),
        })
    }

    /// The addresses of the servers, as far as they are known before these run.
    #[must_use]
    pub fn addresses(&self) -> &[ServerAddress] {
        match &self.name.source {
            ServerSource::Addresses(addresses) => addresses,
            ServerSource::Program(_) => &[],
        }
    }
}

impl UpstreamProtocol {
    /// The protocol as addresses begin with it.
    #[must_use]
    pub fn scheme(&self) -> UpstreamScheme {
        match self {
            Self::Http(_) => UpstreamScheme::Http,
            Self::FastCgi(_) => UpstreamScheme::FastCgi,
        }
    }
}

/// As its words are written.
impl std::fmt::Display for UpstreamName {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let scheme = self.protocol.scheme();
        match &self.source {
            ServerSource::Addresses(addresses) => {
                for (number, address) in addresses.iter().enumerate() {
                    let space = if number > 0 { " " } else { "" };
                    write!(formatter, "{space}{}", scheme.url(address))?;
                }
                Ok(())
            }
            ServerSource::Program(program) => {
                write!(formatter, "{} exec: {}", scheme.word(), program.command)
            }
        }
    }
}
