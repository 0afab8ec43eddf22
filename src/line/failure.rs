//! Why a command could not be run, how it is reported, and the exit status.

use std::fmt;
use std::process::ExitCode;

use crate::line::usage::{INCOMPLETE, Usage};
use crate::line::word::Word;
use crate::log::{self, Level};
use crate::syntax::{Diagnostic, Diagnostics, render};

/// The exit status of wrong usage, but for that of `import`: there it says that something essential is missing.
pub const WRONG_USAGE: u8 = 2;

/// Why a command could not be run.
#[derive(Debug)]
pub enum Failure {
    /// `--help` and `--version`, which end a command line as a mistake does: exit status 0.
    Help(clap::Error),
    /// The command line does not have the form that its command takes: exit status 2, of `import` 1.
    Usage(Box<Usage>),
    /// Mistakes in configuration files, or in what was typed: exit status 1.
    Mistakes(Diagnostics),
    /// An error of the system, such as an address in use: exit status 1.
    World(anyhow::Error),
}

impl Failure {
    /// A mistake in a typed word, which has no file and line to point at.
    #[must_use]
    pub fn mistake(message: impl Into<String>, hint: Option<String>) -> Self {
        let mistake = Diagnostic::new("command/line", message);
        mistake.with_hint_if(hint).into()
    }

    /// What clap found: `--help`, `--version`, or wrong usage because of one of these words.
    #[must_use]
    pub fn of_options(error: clap::Error, words: &[Word], usage: String) -> Self {
        match error.use_stderr() {
            true => Usage::of_options(&error, words, usage).into(),
            false => Self::Help(error),
        }
    }

    /// Whether the only problem is that words are missing.
    #[must_use]
    pub fn is_incomplete(&self) -> bool {
        match self {
            Self::Usage(usage) => usage.mistake.code == INCOMPLETE,
            Self::Mistakes(Diagnostics(mistakes)) => {
                mistakes.iter().all(|mistake| mistake.code == INCOMPLETE)
            }
            Self::Help(_) | Self::World(_) => false,
        }
    }

    /// The problems of a command that is written in a file, for `check`. What has no place is shown where `place` puts a
    /// message. That words are missing is a warning: the user can type them.
    #[must_use]
    pub fn problems(self, place: impl Fn(String) -> Diagnostic) -> Vec<Diagnostic> {
        let placed = |code: &'static str, message: String| Diagnostic {
            code,
            ..place(message)
        };
        let incomplete = self.is_incomplete();
        match self {
            Self::Mistakes(Diagnostics(mistakes)) if incomplete => {
                mistakes.into_iter().map(Diagnostic::warning).collect()
            }
            Self::Mistakes(Diagnostics(mistakes)) => mistakes
                .into_iter()
                .map(|mut mistake| {
                    if mistake.labels.is_empty() {
                        let hint = mistake.hint.take();
                        mistake = placed(mistake.code, mistake.message).with_hint_if(hint);
                    }
                    if ["setting/value", "command/line"].contains(&mistake.code) {
                        mistake.code = "name/command";
                    }
                    mistake
                })
                .collect(),
            Self::Usage(usage) => {
                let Usage { mistake, .. } = *usage;
                let placed = placed("type/command", mistake.message).with_hint_if(mistake.hint);
                match incomplete {
                    true => vec![placed.warning()],
                    false => vec![placed],
                }
            }
            // An alias for help works.
            Self::Help(_) => Vec::new(),
            Self::World(error) => vec![placed("name/command", format!("{error:#}"))],
        }
    }

    /// The whole message without colour, for readers that are not at the terminal of this process.
    #[must_use]
    pub fn text(&self) -> String {
        match self {
            Self::Help(error) => error.render().to_string(),
            Self::Usage(usage) => usage.text(false),
            Self::Mistakes(Diagnostics(mistakes)) => render(mistakes, false),
            Self::World(error) => format!("error: {}\n", reasons(error)),
        }
    }

    /// Prints the message (help on standard output, everything else on standard error) and returns the exit status.
    #[must_use]
    pub fn report(&self) -> ExitCode {
        // If the message cannot be written, the exit status must do.
        match self {
            Self::Help(error) => {
                let _ = error.print();
                ExitCode::SUCCESS
            }
            Self::Usage(usage) => {
                log::drawn(Level::Error, &usage.text(log::colour()));
                match usage.usage.starts_with("runner import ") {
                    true => ExitCode::FAILURE,
                    false => ExitCode::from(WRONG_USAGE),
                }
            }
            Self::Mistakes(Diagnostics(mistakes)) => {
                log::drawn(Level::Error, &render(mistakes, log::colour()));
                ExitCode::FAILURE
            }
            Self::World(error) => {
                log::drawn(Level::Error, &format!("error: {}", reasons(error)));
                ExitCode::FAILURE
            }
        }
    }
}

/// Writes warnings to the log.
pub fn warn(warnings: &[Diagnostic]) {
    if !warnings.is_empty() {
        log::drawn(Level::Warning, &render(warnings, log::colour()));
    }
}

/// An error with all its causes.
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
