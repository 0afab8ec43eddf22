//! What commands print.

use std::io::{ErrorKind, Write};
use std::process::ExitCode;

use crate::line::failure::Failure;

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
