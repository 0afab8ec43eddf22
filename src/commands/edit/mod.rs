//! Commands that write files for the user.

pub mod discovery;
pub mod fmt;
pub mod init;
