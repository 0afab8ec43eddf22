//! Commands that read and print. They start nothing and change nothing; for `check --import` the server imports
//! applications.

pub mod check;
pub mod check_programs;
pub mod completions;
pub mod eval;
pub mod explain;
pub mod graph;
pub mod graph_formats;
pub mod help;
pub mod imports;
pub mod redact;
pub mod show;
