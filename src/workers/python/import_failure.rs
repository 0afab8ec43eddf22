//! Why an application, or a module that is imported with it, cannot be imported, or is no application.

use std::fmt;

/// What Python said instead of importing an application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportFailure {
    /// What was found, and what was wanted.
    pub reason: String,
    /// The traceback from the application's first frame on; empty if the mistake is in the name.
    pub traceback: String,
    /// What to write instead.
    pub hint: Option<String>,
    /// Which of the modules that are imported after the application failed, counted from 0; `None` if it is the application.
    pub import: Option<usize>,
}

impl fmt::Display for ImportFailure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.reason)?;
        if !self.traceback.is_empty() {
            write!(formatter, "\n{}", self.traceback)?;
        }
        match &self.hint {
            Some(hint) => write!(formatter, "\n = hint: {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for ImportFailure {}
