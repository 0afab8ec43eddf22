//! Commands that only a shell can run, as words of one.

use crate::import::servers::command_words::CommandWords;

/// A command line for `runner.supervise.programs` or `runner.before_start`, which have no shell but call one.
#[must_use]
pub fn as_program(command: &str) -> String {
    match CommandWords::parse(command) {
        Ok(words) if words.environment.is_empty() && !command.contains('$') => command.to_owned(),
        _ => in_shell(command),
    }
}

/// The command line of a shell that runs a command.
#[must_use]
pub fn in_shell(command: &str) -> String {
    format!("sh -c {}", shell_quoted(command))
}

/// A text as one word of a shell.
#[must_use]
pub fn shell_quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}
