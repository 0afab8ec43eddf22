//! The applications. Each file implements [`Application`](crate::interface::Application), or wraps one that does.

pub mod cgi_bin;
pub mod demo;
pub mod development;
pub mod fastcgi;
pub mod files;
pub mod fixed_answer;
pub mod http_upstream;
mod own_page;
pub mod program_upstream;
pub mod python_application;
pub mod replaceable;
pub mod routes;
pub mod send_file;
mod traffic;
pub mod watched;

#[cfg(test)]
mod tests;
