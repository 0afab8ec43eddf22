//! A request as its client has sent it, of which the proxies in front tell.

use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, header};

use crate::clients::ClientAddress;
use crate::gateway::http::connection_state::ConnectionState;
use crate::gateway::http::request_head::{CheckedHead, is_authority};
use crate::gateway::refusal::Refusal;
use crate::interface::{Connection, Scheme};
use crate::protocol::cgi::environ::split_port;
use crate::protocol::cgi::path_info;
use crate::protocol::proxy::forwarded::{self, Original, OriginalClient};

/// What the proxies say of a request.
pub(in crate::gateway::http) struct OriginalRequest {
    /// The connection, as if it came from the client.
    pub connection: Arc<Connection>,
    original: Original,
}

/// Where a request comes from and where the application is.
pub(in crate::gateway::http) struct Mount {
    pub connection: Arc<Connection>,
    pub script_name: Bytes,
    /// A trusted proxy has named the scheme.
    pub names_scheme: bool,
}

impl OriginalRequest {
    /// Reads the fields of proxies, or removes them if the peer is no trusted proxy.
    ///
    /// # Errors
    /// A field of a trusted proxy is malformed.
    pub(in crate::gateway::http) fn read(
        state: &ConnectionState,
        headers: &mut HeaderMap,
    ) -> Result<Self, Refusal> {
        let original = match &state.gateway.options.proxies.trust {
            None => Original::default(),
            Some(trust) if state.is_from_proxy => forwarded::read(headers, trust)
                .map_err(|mistake| Refusal::malformed(mistake.to_string()))?,
            Some(_) => {
                forwarded::remove(headers);
                Original::default()
            }
        };
        let connection = &state.connection;
        let connection = match original.client {
            OriginalClient::Peer => Arc::clone(connection),
            OriginalClient::At(address, port) => from(connection, address.into(), port),
            OriginalClient::Unknown => from(connection, ClientAddress::default(), None),
        };
        Ok(Self {
            connection,
            original,
        })
    }

    /// Changes a head to what the client has sent: host and path.
    ///
    /// # Errors
    /// The host or the path is none.
    pub(in crate::gateway::http) fn apply(self, head: &mut CheckedHead) -> Result<Mount, Refusal> {
        let Self {
            mut connection,
            original,
        } = self;
        let names_scheme = original.scheme.is_some();
        let says_where = original.host.is_some() || names_scheme;
        if let Some(host) = original.host {
            if !is_authority(host.as_bytes()) {
                let reason = "the host that a trusted proxy has named is malformed";
                return Err(Refusal::malformed(reason));
            }
            head.headers.insert(header::HOST, host);
        }
        if says_where {
            let scheme = original.scheme.unwrap_or(connection.scheme);
            connection = Arc::new(reached(&connection, scheme, &head.headers));
        }
        let prefix = Bytes::from(original.prefix);
        // The other target, `*`, is no path.
        if !prefix.is_empty() && head.target.starts_with(b"/") {
            head.target = [&*prefix, &*head.target].concat().into();
        }
        let script_name = path_info::decode(prefix);
        let reason = "the prefix that a trusted proxy has named contains a zero byte";
        Ok(Mount {
            connection,
            names_scheme,
            script_name: script_name.ok_or(Refusal::malformed(reason))?,
        })
    }
}

/// A connection from another client.
fn from(connection: &Connection, address: ClientAddress, port: Option<u16>) -> Arc<Connection> {
    Arc::new(Connection {
        remote_addr: address,
        remote_port: port.map_or_else(String::new, |port| port.to_string()),
        ..connection.clone()
    })
}

/// A connection by which the client has reached the host of its request.
fn reached(connection: &Connection, scheme: Scheme, headers: &HeaderMap) -> Connection {
    let host = headers.get(header::HOST);
    let (name, port) = split_port(host.map_or(b"", |host| host.as_bytes()));
    let default = match scheme {
        Scheme::Http => "80",
        Scheme::Https => "443",
    };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let name = text(name.strip_suffix(b":").unwrap_or(name));
    Connection {
        scheme,
        server_name: match name.is_empty() {
            true => connection.server_name.clone(),
            false => name,
        },
        server_port: port.map_or_else(|| default.to_owned(), text),
        server_socket: None,
        ..connection.clone()
    }
}
