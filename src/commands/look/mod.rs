//! Commands that read and print. They start nothing and change nothing.

pub mod check;
pub mod completions;
pub mod eval;
pub mod explain;
pub mod graph;
pub mod graph_formats;
pub mod help;
pub mod redact;
pub mod show;
