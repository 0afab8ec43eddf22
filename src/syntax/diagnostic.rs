//! A mistake of the user's: what it is, where it stands, and what to do about it.

use std::fmt;

/// One mistake in what the user wrote.
#[derive(Clone, Debug)]
pub struct Diagnostic {
    /// Lower case, no full stop, the user's text in backticks.
    pub message: String,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for Diagnostic {}

/// All mistakes that were found, at least one.
#[derive(Clone, Debug)]
pub struct Diagnostics(pub Vec<Diagnostic>);

impl fmt::Display for Diagnostics {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .iter()
            .try_for_each(|one| writeln!(formatter, "{one}"))
    }
}

impl std::error::Error for Diagnostics {}
