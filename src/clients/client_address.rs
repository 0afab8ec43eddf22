//! The address of a client, as text and as what it is.

use std::net::IpAddr;

use crate::clients::client_network::ClientNetwork;

/// The address that a request comes from (`REMOTE_ADDR`); empty where it has none, as on Unix sockets. What the text is was
/// found out when the address was made: queues, limits and lines of the log ask for it again and again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientAddress {
    text: String,
    ip: Option<IpAddr>,
}

impl ClientAddress {
    /// The address as applications see it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The IP address, if it is one.
    #[must_use]
    pub fn ip(&self) -> Option<IpAddr> {
        self.ip
    }

    /// What counts as one client with it; `None` where it is no IP address.
    #[must_use]
    pub fn network(&self) -> Option<ClientNetwork> {
        self.ip.map(ClientNetwork::of)
    }
}

impl From<IpAddr> for ClientAddress {
    fn from(address: IpAddr) -> Self {
        Self {
            text: address.to_string(),
            ip: Some(address),
        }
    }
}

/// What a web server says, which may be anything.
impl From<String> for ClientAddress {
    fn from(text: String) -> Self {
        let ip = text.parse().ok();
        Self { text, ip }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::ClientAddress;

    #[test]
    fn a_text_is_what_the_same_address_is() {
        for text in ["192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1"] {
            let ip: IpAddr = text.parse().expect("an address");
            let address = ClientAddress::from(text.to_owned());
            assert_eq!(address, ClientAddress::from(ip));
            assert_eq!((address.as_str(), address.ip()), (text, Some(ip)));
        }
        for text in ["", "unix:", "192.0.2.1:80", "a.example"] {
            let address = ClientAddress::from(text.to_owned());
            assert_eq!((address.as_str(), address.network()), (text, None));
        }
    }
}
