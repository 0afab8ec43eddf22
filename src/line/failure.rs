//! Why a command could not be run, how that is said, and the exit status that it means.

use std::fmt;
use std::process::ExitCode;

use crate::line::usage::Usage;
use crate::line::word::Word;
use crate::log;
use crate::syntax::{Diagnostic, Diagnostics, render};

/// The exit status of wrong usage.
pub const WRONG_USAGE: u8 = 2;

/// Why a command could not be run.
#[derive(Debug)]
pub enum Failure {
    /// `--help` and `--version`, which end a command line as a mistake does: exit status 0.
    Help(clap::Error),
    /// What was typed has not the shape that the command wants: exit status 2.
    Usage(Box<Usage>),
    /// Mistakes in configuration files, or in what was typed: exit status 1.
    Mistakes(Diagnostics),
    /// The world is not as it should be: exit status 1.
    World(anyhow::Error),
}

impl Failure {
    /// A mistake in what was typed, which has no file and line to point at.
    #[must_use]
    pub fn mistake(message: impl Into<String>, hint: Option<String>) -> Self {
        let mistake = Diagnostic::new("command/line", message);
        mistake.with_hint_if(hint).into()
    }

    /// What ended a command line before it ran: `--help` and `--version`, or wrong usage, of which one of these words
    /// is at fault.
    #[must_use]
    pub fn of_options(error: clap::Error, words: &[Word], usage: String) -> Self {
        match error.use_stderr() {
            true => Usage::of_options(&error, words, usage).into(),
            false => Self::Help(error),
        }
    }

    /// What happened, whole, as lines without colour: for those who are not at this process's terminal.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::Help(error) => error.render().to_string(),
            Self::Usage(usage) => usage.text(false),
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
            Self::Help(error) => {
                let _ = error.print();
                ExitCode::SUCCESS
            }
            Self::Usage(usage) => {
                log::text(usage.text(log::colour()));
                ExitCode::from(WRONG_USAGE)
            }
            Self::Mistakes(Diagnostics(mistakes)) => {
                log::text(render(mistakes, log::colour()));
                ExitCode::FAILURE
            }
            Self::World(error) => {
                log::text(format!("error: {}\n", reasons(error)));
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
            Self::Help(error) => error.fmt(formatter),
            Self::Usage(usage) => usage.mistake.fmt(formatter),
            Self::Mistakes(mistakes) => mistakes.fmt(formatter),
            Self::World(error) => formatter.write_str(&reasons(error)),
        }
    }
}

impl std::error::Error for Failure {}

impl From<Usage> for Failure {
    fn from(usage: Usage) -> Self {
        Self::Usage(Box::new(usage))
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
