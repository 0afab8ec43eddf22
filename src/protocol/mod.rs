//! Bytes to types and back: every codec once, in both directions. Pure: no sockets, no clock.

pub mod cgi_response;

pub mod environ;

pub mod fastcgi;

pub mod responder;

mod mount;
