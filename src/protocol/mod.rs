//! Bytes to types and back: every codec once, in both directions. Pure: no sockets, no clock.

pub mod environ;

pub mod marshal;

pub mod worker;

mod mount;
