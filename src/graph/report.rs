//! What commands print.

use std::io::{ErrorKind, Write};
use std::process::ExitCode;

use crate::line::failure::Failure;

/// What a command that looks at files prints, and how it ends.
#[derive(Debug)]
pub struct Report {
    /// For standard output, with a line end at its end.
    pub text: String,
    /// What comes after it.
    pub verdict: Verdict,
}

/// How a command ends after its text.
#[derive(Debug)]
pub enum Verdict {
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
        let status = print(&self.text);
        match &self.verdict {
            Verdict::Well => status,
            Verdict::Badly => ExitCode::FAILURE,
            Verdict::Failure(failure) => failure.report(),
        }
    }
}

/// Prints a text. A reader that has gone away (`runner help | head`) is no failure.
pub fn print(text: &str) -> ExitCode {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            let error = anyhow::Error::from(error).context("cannot write to standard output");
            Failure::World(error).report()
        }
        Ok(()) | Err(_) => ExitCode::SUCCESS,
    }
}
