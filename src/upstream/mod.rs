//! The servers behind an application (`upstream`): their addresses, the choice among them, and what the master keeps of them.
//!
//! From the bottom to the top (no file names one that is above it):
//! - [`server_address`]: where a server listens; [`upstream_stream`]: a connection to it;
//! - `server_health`: whether a server is to be tried now; `kept_connections`: connections between two requests;
//! - [`servers`]: the servers of one application, from which each request gets a [`Lease`](servers::lease::Lease);
//! - [`upstream_failures`]: the statuses 502, 503 and 504, and how many of each there were;
//! - [`upstream_options`]: what an application over servers is told;
//! - [`ongoing_responses`]: what goes on behind the heads of responses;
//! - [`exchange_phase`]: how far a request is;
//! - [`http`]: HTTP with servers; [`fastcgi`]: FastCGI with servers;
//! - [`programs`]: servers that runner starts itself.
//!
//! All of it is the same for each protocol: what a protocol keeps of a connection is the parameter `C`.

pub mod exchange_phase;
pub mod fastcgi;
pub mod http;
mod kept_connections;
pub mod ongoing_responses;
pub mod programs;
pub mod server_address;
mod server_health;
pub mod servers;
pub mod upstream_failures;
pub mod upstream_options;
pub mod upstream_stream;

#[cfg(test)]
mod tests;
