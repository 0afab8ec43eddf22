//! The proxies that are believed.

use core::net::IpAddr;

use ipnet::IpNet;

/// The name of the peers of Unix sockets in the setting `runner.http.trusted_proxies`.
const UNIX: &str = "unix";

/// The proxies whose words about their clients are believed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedProxies {
    networks: Vec<IpNet>,
    unix: bool,
}

impl TrustedProxies {
    /// The proxies in a list of networks (`10.0.0.0/8`) and `unix`. Anything else in it trusts nothing.
    #[must_use]
    pub fn new(list: &[String]) -> Self {
        Self {
            networks: list.iter().filter_map(|text| text.parse().ok()).collect(),
            unix: list.iter().any(|text| text == UNIX),
        }
    }

    /// Whether a peer is one of them; `None` is the peer of a Unix socket.
    #[must_use]
    pub fn contains(&self, peer: Option<IpAddr>) -> bool {
        match peer {
            None => self.unix,
            Some(address) => {
                let address = address.to_canonical();
                self.networks.iter().any(|one| one.contains(&address))
            }
        }
    }
}
