//! Where requests come in: sockets, and the protocols spoken on them, a folder each.

pub mod body;
pub mod cgi;
pub mod connection_limit;
pub mod fastcgi;
pub mod graceful_stop;
pub mod http;
mod refusal;
mod slow_client;
pub mod socket;
