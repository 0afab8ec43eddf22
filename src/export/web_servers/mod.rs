//! Web servers in front of a server: each passes all requests on, so that routes and files keep the rules of the server's file.

mod access;
pub(super) mod apache_host;
pub(super) mod caddy_site;
mod front;
pub(super) mod nginx_server;
