//! FastCGI (FastCGI Specification 1.0): its records, and a responder's side of a connection.

pub mod record;
pub mod responder;
