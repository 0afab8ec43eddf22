//! Commands that write files for the user.

pub mod export;
mod exported_facts;
pub mod find_applications;
pub mod fmt;
pub mod import;
mod import_trial;
pub mod init;
