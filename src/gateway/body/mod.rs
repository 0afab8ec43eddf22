//! Bodies of requests on their way in, and of responses on their way out, the same for every protocol.

pub mod cgi_response;
pub mod response_body;
pub mod spool;
