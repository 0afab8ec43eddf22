//! A request as an application sees it: complete, whatever way it came in.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, Method, Version};
use tokio::sync::mpsc::Sender;

use crate::interface::body_file::BodyFile;

/// One complete request. The gateway has received all of it, body included, before an application
/// sees it.
#[derive(Debug)]
pub struct Request {
    /// `REQUEST_METHOD`.
    pub method: Method,
    /// The request target as the client sent it, path and query, percent-encoded (`REQUEST_URI`).
    pub target: Bytes,
    /// `SCRIPT_NAME`: the decoded path at which the application is mounted; empty at the root.
    pub script_name: Bytes,
    /// `PATH_INFO`: the decoded rest of the path.
    pub path_info: Bytes,
    /// `QUERY_STRING`: what stands behind the `?`, as it was sent; empty if there is none.
    pub query: Bytes,
    /// `SERVER_PROTOCOL`.
    pub version: Version,
    /// The header fields, without any that the gateway refuses to pass on.
    pub headers: HeaderMap,
    /// The body.
    pub body: RequestBody,
    /// Which connection it came in on.
    pub connection: Arc<Connection>,
    /// Further CGI variables that a web server in front of us set (`REMOTE_USER`, `DOCUMENT_ROOT`, …),
    /// in its order. None of them is one that the fields above define.
    pub variables: Vec<(Bytes, Bytes)>,
    /// Where the application's error output for this request goes.
    pub errors: Errors,
}

/// The body of a request.
#[derive(Debug, Default)]
pub enum RequestBody {
    /// There is none, or it has no bytes.
    #[default]
    Empty,
    /// A small one.
    Bytes(Bytes),
    /// A large one: a file whose offset is at its start, since nobody here moves it.
    File {
        /// Open for reading; nobody else holds this description.
        file: BodyFile,
        /// Its size in bytes.
        length: u64,
    },
}

impl RequestBody {
    /// The number of bytes (`CONTENT_LENGTH`).
    #[must_use]
    pub fn length(&self) -> u64 {
        match self {
            Self::Empty => 0,
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File { length, .. } => *length,
        }
    }
}

/// `wsgi.url_scheme`; `HTTPS` is `on` for one of the two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scheme {
    /// `http`
    #[default]
    Http,
    /// `https`
    Https,
}

impl Scheme {
    /// As it stands at the beginning of a URL.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// What is the same for every request of a connection. Strings are as CGI has them.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Connection {
    /// The scheme that the client used.
    pub scheme: Scheme,
    /// `SERVER_NAME`: the host as it was configured, or what the web server in front says.
    pub server_name: String,
    /// `SERVER_PORT`; `80` on a Unix socket, where there is none but CGI demands one.
    pub server_port: String,
    /// `REMOTE_ADDR`; empty on a Unix socket.
    pub remote_addr: String,
    /// `REMOTE_PORT`; empty where it is not known.
    pub remote_port: String,
}

/// Where an application's error output (`wsgi.errors`) for one request goes.
#[derive(Clone, Debug, Default)]
pub enum Errors {
    /// Into the log.
    #[default]
    Log,
    /// To the gateway, which has a way of its own (`FCGI_STDERR`); into the log where that is full, so that nobody waits
    /// for it.
    Gateway(Sender<Bytes>),
}
