//! Where requests come in: sockets, and the protocols spoken on them.

pub mod activation;
mod binding;
mod body;
pub mod cgi;
pub mod crowd;
pub mod fastcgi;
pub mod http;
mod length;
pub mod listener;
mod outgoing;
mod pace;
pub mod passing;
mod patient;
pub mod socket_url;
pub mod spool;
pub mod stop;
pub mod stream;
