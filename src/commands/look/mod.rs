//! Commands that read files and print what they find. They start nothing and change nothing.

pub mod check;
pub mod completions;
pub mod drawing;
pub mod eval;
pub mod explain;
pub mod graph;
pub mod help;
pub mod json;
pub mod redact;
pub mod show;
