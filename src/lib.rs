//! `runner` runs any web application from one executable INI file: in development (`launch`), as an HTTP
//! server (`serve`), under another web server (`CGI`, `FastCGI`). This page is the architecture; each
//! module's own page says how it does what it promises here.
//!
//! ```text
//! source text ─syntax─► tree ─config─► rules ─eval─► values ─graph─► plan ─server─► gateway × application
//! ```
//!
//! - **One process of ours, many of theirs.** We own every client connection: protocols are parsed, limited,
//!   timed, buffered and logged here. An application runs in worker processes that only ever see
//!   complete requests. A slow client costs no worker; a worker that crashes or hangs costs no connection.
//! - **N gateways + M applications, never N × M.** They meet in [`server`] and know nothing of each other but
//!   [`interface::Request`] and [`interface::Response`].
//! - **CGI's variables are the common tongue**, decided once in [`protocol::cgi::environ`].
//! - **One thread** runs all of it, on tokio's current-thread runtime: what is ready in one turn of its loop goes
//!   to a worker in one write, which is what makes it quick. One thread serves some 100 000 requests a
//!   second, more than a machine's worth of Python asks for.
//! - **Errors start from a place.** What the user wrote wrongly is a [`syntax::Diagnostic`], what the world did an
//!   `anyhow::Error`, what a client did an HTTP status; the client sees a status, the log sees the reason.
//!
//! Each folder and file keeps a promise, from the top of the street down: it names the rows of its third column, each of
//! which is below it, and no other; the crates of the fourth column are named only where they stand. What is *pure*
//! touches no file, process or socket. `tests/tidy.rs` reads this table and holds the tree to it.
//!
//! | part | does | names | keeps to itself |
//! |---|---|---|---|
//! | [`run`] | the program: a line a stage | `server` `commands` `graph` `plan` `line` `config` `supervisor` `log` `here` | |
//! | [`server`] | plan → a running server | `plan` `line` `application` `gateway` `supervisor` `interface` `faults` `log` `children` `descriptor_limit` `here` `unix` | `webbrowser` |
//! | [`commands`] | a row and a file each | `graph` `plan` `line` `gateway` `supervisor` `interface` `config` `eval` `syntax` `log` | `clap` `clap_complete` `similar` `textwrap` |
//! | [`graph`] | words → the graph of what they run; no single command | `plan` `line` `supervisor` `config` `eval` `syntax` | `clap` |
//! | [`plan`] | settings → what a server is to do; starts nothing | `line` `application` `workers` `gateway` `supervisor` `interface` `config` `eval` `syntax` `log` `descriptor_limit` `here` | |
//! | [`line`] | the words of a command line, and the settings in force | `config` `eval` `syntax` `log` `here` | `clap` |
//! | [`application`] | what answers requests | `workers` `protocol` `interface` | |
//! | [`workers`] | the processes behind an application | `protocol` `interface` `faults` `log` `children` `descriptor_limit` `unix` | |
//! | [`gateway`] | where requests come in; HTTP's libraries only in `http` | `protocol` `interface` `faults` `log` `own_file` `tide` `unix` `unix_socket` | `axum` `hyper` `hyper_util` `http_body` `httpdate` |
//! | [`supervisor`] | one master and those around it: processes, locks, its own sockets | `interface` `faults` `log` `own_file` `children` `descriptor_limit` `unix` `unix_socket` | |
//! | [`protocol`] | bytes ↔ types, both directions; pure | `interface` | `percent_encoding` |
//! | [`interface`] | requests, responses and the trait between gateways and applications | `log` `tide` `unix` | |
//! | [`config`] | tree → rules, settings; the only reading of configuration files | `eval` `syntax` `log` `here` | `dotenvy` `ini` |
//! | [`eval`] | rules → values; pure, lazy, bounded | `syntax` `here` | `icu_casemap` `icu_locale_core` `icu_properties` |
//! | [`syntax`] | text → tree, diagnostics; pure | | `pest` `pest_derive` `codespan_reporting` |
//! | [`faults`] | what becomes of a panic | `log` | |
//! | [`log`] | what the server says, on standard error or in a file | | |
//! | [`own_file`] | files and sockets that are removed in the end, if they are still ours | | |
//! | [`tide`] | memory that is given back to the system | `unix` | |
//! | [`children`] | child processes and how they end | `unix` | |
//! | [`descriptor_limit`] | how many files may be open | | |
//! | [`here`] | the current folder, by the name that it was entered with | | |
//! | [`unix_socket`] | Unix sockets by path | | |
//! | [`unix`] | system calls: the only file with `unsafe` code | | `memmap2` |
//!
//! The modules, in reading order:

pub mod run;

pub mod syntax;

pub mod config;

pub mod eval;

pub mod line;

pub mod plan;

pub mod graph;

pub mod commands;

pub mod server;

pub mod interface;

pub mod gateway;

pub mod application;

pub mod protocol;

pub mod workers;

pub mod supervisor;

pub mod faults;

pub mod log;

pub mod unix;

pub mod unix_socket;

pub mod tide;

pub mod descriptor_limit;

pub mod here;

pub mod children;

pub mod own_file;
