//! Commands that write files for the user.

pub mod export;
mod exported_facts;
mod exported_settings;
mod exported_shell;
pub mod find_applications;
pub mod fmt;
pub mod import;
mod import_trial;
pub mod init;
