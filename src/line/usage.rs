//! Wrong usage: a command line does not have the form that its command takes.

use std::error::Error;

use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::line::word::{Origin, Word};
use crate::syntax::{Diagnostic, render};

/// The code of a command that lacks words.
pub const INCOMPLETE: &str = "command/incomplete";

/// The code of any other wrong usage.
const WRONG: &str = "command/usage";

/// What is wrong with a command line, and how the command is used.
#[derive(Clone, Debug)]
pub struct Usage {
    /// What is wrong, without a place.
    pub mistake: Diagnostic,
    /// Where the word at fault was written, if it is one word.
    pub at: Option<Origin>,
    /// How the command is used: `runner runIni FILE [ARGS]...`.
    pub usage: String,
}

/// Options of gunicorn, uWSGI, Granian and uvicorn that are something else here, and what to write.
const OPTIONS_ELSEWHERE: [(&str, &str); 24] = [
    ("-b", LISTEN),
    ("--bind", LISTEN),
    ("--http", LISTEN),
    ("--http-socket", LISTEN),
    ("--uds", LISTEN),
    ("-w", WORKERS),
    ("--workers", WORKERS),
    ("--processes", WORKERS),
    ("--threads", "set `runner.workers.threads` in a file"),
    ("--wsgi-file", NAME),
    ("-m", NAME),
    ("--module", NAME),
    ("--factory", FACTORY),
    ("-k", INTERFACE),
    ("--worker-class", INTERFACE),
    ("--interface", INTERFACE),
    ("--loop", "set `runner.asgi.loop` in a file"),
    ("--lifespan", "set `runner.asgi.lifespan` in a file"),
    ("--tls", HTTPS),
    ("--certfile", HTTPS),
    ("--keyfile", HTTPS),
    ("--ssl-certfile", HTTPS),
    ("--ssl-keyfile", HTTPS),
    ("--reload", "write `launch` instead of `serve`: it reloads"),
];

const LISTEN: &str = "write `--host HOST -p PORT`, or a URL: `tcp://HOST:PORT`, `unix:PATH`";
const HTTPS: &str = "`launch --tls` makes a certificate for this machine; elsewhere write `url = 'https://HOST:PORT'`, `runner.tls.cert` and `runner.tls.key` in a file";
const WORKERS: &str = "set `runner.workers.max` in a file";
const NAME: &str = "name the application without an option: `WSGI import:my_app.application`";
const FACTORY: &str = "write `()` behind the name of the function: `ASGI import:main:create_app()`";
const INTERFACE: &str = "write `WSGI` or `ASGI` before the name of the application";

impl Usage {
    /// Wrong usage of any kind.
    #[must_use]
    pub fn wrong(message: impl Into<String>, hint: Option<String>, usage: String) -> Self {
        Self {
            mistake: Diagnostic::new(WRONG, message).with_hint_if(hint),
            at: None,
            usage,
        }
    }

    /// A word is missing. An alias can lack it and the user type it.
    #[must_use]
    pub fn missing(wanted: &str, usage: String) -> Self {
        Self {
            mistake: Diagnostic::new(INCOMPLETE, format!("{wanted} is missing")),
            at: None,
            usage,
        }
    }

    /// An error of clap in the words of this program. One of these words is at fault.
    #[must_use]
    pub fn of_options(error: &clap::Error, words: &[Word], usage: String) -> Self {
        let option = text(error, ContextKind::InvalidArg);
        // `--port <PORT>`
        let option = option.split_whitespace().next().unwrap_or_default();
        let value = text(error, ContextKind::InvalidValue);
        let wanted = match (error.source(), error.get(ContextKind::ValidValue)) {
            (Some(reason), _) => Some(reason.to_string()),
            (None, Some(ContextValue::Strings(valid))) => {
                Some(format!("`{}`", valid.join("` or `")))
            }
            (None, _) => None,
        };
        let message = match (error.kind(), wanted) {
            (ErrorKind::UnknownArgument, _) => format!("there is no option `{option}`"),
            (ErrorKind::InvalidValue, _) if value.is_empty() => {
                format!("option `{option}` lacks its value")
            }
            (ErrorKind::InvalidValue | ErrorKind::ValueValidation, Some(wanted)) => {
                format!("option `{option}` takes {wanted} but got `{value}`")
            }
            (ErrorKind::TooManyValues, _) => {
                format!("option `{option}` takes no value but got `{value}`")
            }
            _ => {
                let text = error.to_string();
                let first = text.lines().next().unwrap_or_default();
                first.strip_prefix("error: ").unwrap_or(first).to_owned()
            }
        };
        let mut elsewhere = OPTIONS_ELSEWHERE.iter();
        let elsewhere = elsewhere.find(|(name, _)| *name == option);
        let hint = match (elsewhere, text(error, ContextKind::SuggestedArg)) {
            (Some((_, hint)), _) if error.kind() == ErrorKind::UnknownArgument => {
                Some((*hint).to_owned())
            }
            (_, "") => None,
            (_, meant) => Some(format!("did you mean `{meant}`?")),
        };
        let at_fault = words.iter().find(|word| match value {
            "" => word.text.split('=').next() == Some(option),
            _ => word.text == value || word.text.starts_with('-') && word.text.ends_with(value),
        });
        Self {
            at: at_fault.map(|word| word.origin.clone()),
            ..Self::wrong(message, hint, usage)
        }
    }

    /// The same with the word at fault.
    #[must_use]
    pub fn at(mut self, word: &Word) -> Self {
        self.at = Some(word.origin.clone());
        self
    }

    /// What is wrong, and how the command is used.
    #[must_use]
    pub fn text(&self, colour: bool) -> String {
        let mistake = render(std::slice::from_ref(&self.mistake), colour);
        format!("{mistake}\nUsage: {}\n", self.usage)
    }
}

/// A text of an error of clap; empty if there is none.
fn text(error: &clap::Error, kind: ContextKind) -> &str {
    match error.get(kind) {
        Some(ContextValue::String(text)) => text,
        _ => "",
    }
}
