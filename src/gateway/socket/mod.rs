//! Listening sockets and connections: their URLs, how they are bound, inherited and handed to a successor.

pub mod activation;
mod binding;
pub mod connection_handover;
pub mod file_rights;
pub mod listener;
pub mod server_url;
pub mod stream;
pub mod tls;
pub mod url;
