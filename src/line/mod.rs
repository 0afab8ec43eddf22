//! The command line: its words and where each was written, the settings that are in force ([`scope::Scope`]), and what
//! can be wrong with either ([`failure::Failure`]). Nothing here knows a command.

pub mod failure;
pub mod program_options;
pub mod run_file;
pub mod scope;
pub mod target;
pub mod usage;
pub mod word;
