//! The web servers that may connect (FastCGI Specification 1.0 §3.2).

use std::net::IpAddr;

use anyhow::Context;

use crate::gateway::socket::stream::Peer;

/// Reads the value of `FCGI_WEB_SERVER_ADDRS`: addresses, separated by commas. `None` where every peer may connect.
///
/// # Errors
/// Something in it is not an address.
pub fn web_servers(value: &str) -> anyhow::Result<Option<Vec<IpAddr>>> {
    if value.trim().is_empty() {
        return Ok(None);
    }
    let read = |address: &str| {
        let address = address.trim();
        let read: IpAddr = address.parse().with_context(|| {
            format!("`FCGI_WEB_SERVER_ADDRS` holds `{address}`, which is not an IP address")
        })?;
        Ok(read.to_canonical())
    };
    value
        .split(',')
        .map(read)
        .collect::<Result<_, _>>()
        .map(Some)
}

/// Whether a peer may connect.
pub(super) fn is_allowed(peer: Peer, web_servers: Option<&[IpAddr]>) -> bool {
    match (peer, web_servers) {
        (Peer::Unix, _) | (_, None) => true,
        (Peer::Tcp(address), Some(allowed)) => allowed.contains(&address.ip().to_canonical()),
    }
}
