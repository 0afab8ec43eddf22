//! Words that name an application behind a gateway: `serve WSGI …`, `serve files …`. None of them is a command.

pub mod application_words;
pub mod cgi_bin;
pub mod files;
pub mod fixed;
mod started_program;
pub mod upstream;
mod upstream_fastcgi;
