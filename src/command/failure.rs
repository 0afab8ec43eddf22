//! Why a command could not be run, how that is said, and the exit status that it means.

use std::fmt;
use std::process::ExitCode;

use crate::syntax::{Diagnostic, Diagnostics};

/// The exit status of wrong usage.
pub const WRONG_USAGE: u8 = 2;

/// Why a command could not be run.
#[derive(Debug)]
pub enum Failure {
    /// What was typed has not the shape that the command wants: exit status 2. Also `--help` and
    /// `--version`, which end a command line in the same way, with status 0.
    Usage(clap::Error),
    /// What was typed names something that is not there.
    Mistake(Mistake),
    /// Mistakes in configuration files.
    Configuration(Diagnostics),
    /// The world is not as it should be.
    World(anyhow::Error),
}

/// A mistake on the command line, which has no file and line to point at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Lower case, no full stop, the user's text in backticks.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Failure {
    /// A mistake on the command line.
    #[must_use]
    pub fn mistake(message: impl Into<String>, hint: Option<String>) -> Self {
        Self::Mistake(Mistake {
            message: message.into(),
            hint,
        })
    }

    /// Says what happened where it belongs (help on standard output, everything else on standard
    /// error), and gives the exit status.
    #[must_use]
    pub fn report(&self) -> ExitCode {
        match self {
            Self::Usage(error) => {
                // Nobody reads it: the exit status has to do.
                let _ = error.print();
                match error.use_stderr() {
                    true => ExitCode::from(WRONG_USAGE),
                    false => ExitCode::SUCCESS,
                }
            }
            Self::Mistake(_) | Self::Configuration(_) | Self::World(_) => {
                use std::io::Write;
                let _ = std::io::stderr()
                    .lock()
                    .write_all(self.to_string().as_bytes());
                ExitCode::FAILURE
            }
        }
    }
}

impl fmt::Display for Failure {
    /// Whole lines, as they are printed.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(error) => write!(formatter, "{error}"),
            Self::Mistake(Mistake { message, hint }) => {
                writeln!(formatter, "error: {message}")?;
                match hint {
                    Some(hint) => writeln!(formatter, " = hint: {hint}"),
                    None => Ok(()),
                }
            }
            Self::Configuration(diagnostics) => write!(formatter, "{diagnostics}"),
            Self::World(error) => writeln!(formatter, "error: {error:#}"),
        }
    }
}

impl std::error::Error for Failure {}

impl From<clap::Error> for Failure {
    fn from(error: clap::Error) -> Self {
        Self::Usage(error)
    }
}

impl From<Diagnostics> for Failure {
    fn from(diagnostics: Diagnostics) -> Self {
        Self::Configuration(diagnostics)
    }
}

impl From<Diagnostic> for Failure {
    fn from(diagnostic: Diagnostic) -> Self {
        Self::Configuration(Diagnostics(vec![diagnostic]))
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::World(error)
    }
}
