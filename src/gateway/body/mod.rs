//! Bodies of requests on their way in, and of responses on their way out, the same for every protocol.

pub(super) mod cgi_response;
pub(super) mod compression;
pub mod disk_shares;
mod held_pieces;
pub(super) mod response_body;
pub mod spool;
mod write_queue;
