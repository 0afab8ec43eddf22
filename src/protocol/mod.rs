//! Bytes to types and back: each protocol once, for every gateway and application. Pure: no sockets, no clock.

pub mod cgi;
pub mod content_coding;
pub mod fastcgi;
pub mod hop_by_hop;
pub mod proxy;
pub mod upstream_head;
pub mod uwsgi;
pub mod websocket;
pub mod worker;
