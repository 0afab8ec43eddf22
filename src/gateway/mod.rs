//! Where requests come in: sockets, and the protocols spoken on them.

mod binding;
pub mod listener;
pub mod socket_url;
