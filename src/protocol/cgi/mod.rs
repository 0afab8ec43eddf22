//! CGI's variables and response heads (RFC 3875), which CGI, FastCGI and WSGI have in common.

pub mod environ;
mod header_variables;
pub mod path_info;
pub mod program_head;
pub mod response_head;
