//! Where requests come in: sockets, and a folder for each protocol that is spoken on them.

pub mod body;
pub mod cgi;
pub mod connection_limit;
pub mod fastcgi;
pub mod graceful_stop;
mod half_closed;
pub mod http;
mod refusal;
mod request_ids;
mod slow_client;
pub mod socket;
pub mod uwsgi;
