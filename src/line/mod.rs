//! The command line: its words, each with the place where it was written; the settings in force ([`scope::Scope`]);
//! and mistakes in either ([`failure::Failure`]). Nothing here knows a command.

pub mod failure;
pub mod program_options;
pub mod run_file;
pub mod scope;
pub mod script;
pub mod target;
pub mod usage;
pub mod word;
