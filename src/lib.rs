//! `runner` runs any web application from one executable INI file.
//!
//! ```text
//! source text ─syntax─► tree ─config─► rules ─eval─► values ─command─► graph ─► gateway × application
//! ```
//!
//! The modules, in reading order.

pub mod run;

pub mod cli;

pub mod syntax;

pub mod config;

pub mod eval;

pub mod command;

pub mod gateway;

pub mod application;

pub mod protocol;

pub mod workers;

pub mod log;

pub mod unix;
