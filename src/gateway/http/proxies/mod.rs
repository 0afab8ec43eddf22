//! Behind a proxy: who the client of a request is ([`original_request`]), and of a connection by the PROXY protocol
//! ([`announced_connection`]).

pub(super) mod announced_connection;
pub(super) mod original_request;
