//! What a master does besides serving: it gets along with those that started it and with those that it starts.
//! It knows processes and its own sockets; it does not know gateways or settings.
//!
//! - [`notify`]: what a service manager is told;
//! - [`privileges`]: whom a server is once it listens.

pub mod notify;
pub mod privileges;
