//! What commands print that only look: their text, and how they end.

use std::process::ExitCode;

use crate::command::failure::Failure;

/// A text for standard output.
#[derive(Debug)]
pub struct Report {
    /// The name of the command that it is from.
    pub name: &'static str,
    /// The text, with a line end at its end.
    pub text: String,
    /// What comes after it.
    pub end: End,
}

/// How a command ends after its text.
#[derive(Debug)]
pub enum End {
    /// With exit status 0.
    Well,
    /// With exit status 1: the text itself says why.
    Badly,
    /// With what went wrong on standard error.
    Failure(Failure),
}

impl Report {
    /// Prints it.
    #[must_use]
    pub fn run(&self) -> ExitCode {
        let status = crate::command::print(&self.text);
        match &self.end {
            End::Well => status,
            End::Badly => ExitCode::FAILURE,
            End::Failure(failure) => failure.report(),
        }
    }
}
