//! The clients whose connections are counted apart.

use std::net::{IpAddr, Ipv6Addr};

/// What counts as one client: an address, or of IPv6 the 64 bits that a site or a host is given (RFC 6177 §2), in which it
/// chooses its addresses as it likes.
pub(super) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => address.into(),
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    }
}
