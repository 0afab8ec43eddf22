//! `runner` runs any web application from one executable INI file: in development (`launch`), as an HTTP
//! server (`serve`), under another web server (`CGI`, `FastCGI`). This page is the architecture; each
//! module's own page says how it does what it promises here.
//!
//! ```text
//! source text ─syntax─► tree ─config─► rules ─eval─► values ─command─► graph ─► gateway × application
//! ```
//!
//! - **One process of ours, many of theirs.** We own every client connection: protocols are parsed, limited,
//!   timed, buffered and logged here. An application runs in worker processes that only ever see
//!   complete requests. A slow client costs no worker; a worker that crashes or hangs costs no connection.
//! - **N gateways + M applications, never N × M.** They meet in [`command`] and know nothing of each other but
//!   [`interface::Request`] and [`interface::Response`].
//! - **CGI's variables are the common tongue**, decided once in [`protocol::cgi::environ`].
//! - **One thread** runs all of it, on tokio's current-thread runtime: what is ready in one turn of its loop goes
//!   to a worker in one write, which is what makes it quick. One thread serves some 100 000 requests a
//!   second, more than a machine's worth of Python asks for.
//! - **Errors start from a place.** What the user wrote wrongly is a [`syntax::Diagnostic`], what the world did an
//!   `anyhow::Error`, what a client did an HTTP status; the client sees a status, the log sees the reason.
//!
//! Each folder keeps a promise, which `tests/tidy.rs` holds it to:
//!
//! | folder | does | does not know |
//! |---|---|---|
//! | [`syntax`] | text → tree, diagnostics | what anything means; the only place that knows pest |
//! | [`config`] | tree → rules, settings | commands; the only reading of configuration files |
//! | [`eval`] | rules → values; pure, lazy, bounded | files, processes |
//! | [`command`] | values → graph; one file a command | how protocols look |
//! | [`gateway`] | where requests come in; axum and hyper only in `http` | applications, settings |
//! | [`interface`] | requests, responses and the trait between gateways and applications | both |
//! | [`application`] | what answers requests | gateways |
//! | [`protocol`] | bytes ↔ types, both directions; pure | sockets |
//! | [`workers`] | the processes behind an application | gateways, settings |
//! | [`supervisor`] | one master and those around it: processes, locks, its own sockets | gateways, settings |
//!
//! The modules, in reading order:

pub mod run;

pub mod cli;

pub mod syntax;

pub mod config;

pub mod eval;

pub mod command;

pub mod gateway;

pub mod interface;

pub mod application;

pub mod protocol;

pub mod workers;

pub mod supervisor;

pub mod faults;

pub mod log;

pub mod unix;

pub mod tide;

pub mod descriptor_limit;

pub mod here;

pub mod children;

pub mod own_file;
