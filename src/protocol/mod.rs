//! Bytes to types and back: every codec once, in both directions. Pure: no sockets, no clock.

pub mod cgi;
pub mod fastcgi;
pub mod hop_by_hop;
pub mod worker;
