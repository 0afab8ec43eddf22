//! FastCGI (FastCGI Specification 1.0): its records, and both sides of a connection: a responder's and a web server's.

pub mod record;
pub mod requester;
pub mod responder;
