//! Bytes to types and back: every codec once, in both directions. Pure: no sockets, no clock.

pub mod environ;

mod header_variables;

mod mount;

pub mod cgi_response;

pub mod fastcgi;

pub mod responder;

pub mod known_heads;

pub mod marshal;

pub mod worker;

pub mod answer;
