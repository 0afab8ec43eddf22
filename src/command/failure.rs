//! Why a command could not be run, how that is said, and the exit status that it means.

use std::fmt;
use std::io::Write;
use std::process::ExitCode;

use clap::error::ErrorKind;

use crate::log;
use crate::syntax::{Diagnostic, Diagnostics, render};

/// The exit status of wrong usage.
pub const WRONG_USAGE: u8 = 2;

/// The code of a command that lacks words.
pub const INCOMPLETE: &str = "command/incomplete";

/// Why a command could not be run.
#[derive(Debug)]
pub enum Failure {
    /// What was typed has not the shape that the command wants: exit status 2. Also `--help` and
    /// `--version`, which end a command line in the same way, with status 0.
    Usage(clap::Error),
    /// Mistakes in configuration files, or in what was typed: exit status 1.
    Mistakes(Diagnostics),
    /// The world is not as it should be: exit status 1.
    World(anyhow::Error),
}

impl Failure {
    /// A mistake in what was typed, which has no file and line to point at.
    #[must_use]
    pub fn mistake(message: impl Into<String>, hint: Option<String>) -> Self {
        Diagnostic::new("command/line", message)
            .with_hint_if(hint)
            .into()
    }

    /// Wrong usage in the words of an alias is a mistake in the file that defines it.
    #[must_use]
    pub fn in_alias(self, alias: &Diagnostic) -> Self {
        let Self::Usage(error) = self else {
            return self;
        };
        if !error.use_stderr() {
            return Self::Usage(error);
        }
        let text = error.render().to_string();
        let mut lines = text.lines();
        let message = lines.next().unwrap_or_default();
        let mut alias = alias.clone();
        alias.code = match error.kind() {
            // What an alias lacks may be typed behind it.
            ErrorKind::MissingRequiredArgument => INCOMPLETE,
            _ => "type/command",
        };
        message
            .strip_prefix("error: ")
            .unwrap_or(message)
            .clone_into(&mut alias.message);
        let hint = lines.next().and_then(|line| line.strip_prefix(" = hint: "));
        alias.with_hint_if(hint.map(str::to_owned)).into()
    }

    /// What happened, whole, as lines without colour: for those who are not at this process's terminal.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::Usage(error) => error.render().to_string(),
            Self::Mistakes(Diagnostics(mistakes)) => render(mistakes, false),
            Self::World(error) => format!("error: {}\n", reasons(error)),
        }
    }

    /// Says what happened where it belongs (help on standard output, everything else on standard
    /// error), and gives the exit status.
    #[must_use]
    pub fn report(&self) -> ExitCode {
        // Where nobody reads it, the exit status has to do.
        match self {
            Self::Usage(error) => {
                let _ = error.print();
                match error.use_stderr() {
                    true => ExitCode::from(WRONG_USAGE),
                    false => ExitCode::SUCCESS,
                }
            }
            Self::Mistakes(Diagnostics(mistakes)) => {
                let text = render(mistakes, log::colour());
                let _ = std::io::stderr().lock().write_all(text.as_bytes());
                ExitCode::FAILURE
            }
            Self::World(error) => {
                let _ = writeln!(std::io::stderr().lock(), "error: {}", reasons(error));
                ExitCode::FAILURE
            }
        }
    }
}

/// What went wrong, and each of its reasons.
fn reasons(error: &anyhow::Error) -> String {
    log::without_numbers(&format!("{error:#}"))
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(error) => error.fmt(formatter),
            Self::Mistakes(mistakes) => mistakes.fmt(formatter),
            Self::World(error) => formatter.write_str(&reasons(error)),
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
    fn from(mistakes: Diagnostics) -> Self {
        Self::Mistakes(mistakes)
    }
}

impl From<Diagnostic> for Failure {
    fn from(mistake: Diagnostic) -> Self {
        Self::Mistakes(mistake.into())
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::World(error)
    }
}
