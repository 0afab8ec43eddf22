//! `upstream http exec: COMMAND`: the words of a program that runner starts, and the options that are about it.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use crate::config;
use crate::graph::entry::{Arguments, EXEC, value_option};
use crate::line::failure::Failure;
use crate::line::scope::Scope;
use crate::line::word::Word;
use crate::plan::supervised::{program, unrunnable};
use crate::secrets::hidden_words;
use crate::syntax::{Severity, quoted};
use crate::upstream::programs::program_settings::{
    HealthCheck, PORT, ProgramCommand, ProgramName, SOCKET,
};
use crate::upstream::server_address::UpstreamScheme;

const READY: &str = "ready";
const HEALTH: &str = "health";
const INTERVAL: &str = "health-interval";

/// Adds the options that are about a program.
pub(super) fn options(command: clap::Command) -> clap::Command {
    command
        .arg(value_option(
            READY,
            "PATH",
            "exec: what is asked for until it is answered with 2xx or 3xx",
        ))
        .arg(value_option(
            HEALTH,
            "PATH",
            "exec: what is asked for to see that a process is well",
        ))
        .arg(
            value_option(
                INTERVAL,
                "TIME",
                "exec: the time between two such questions",
            )
            .default_value("10s"),
        )
}

/// An option about a program that was given, by its name with dashes.
#[must_use]
pub(super) fn given(arguments: &Arguments) -> Option<String> {
    let is_given = |name: &&str| arguments.options.contains_id(name);
    let given = [READY, HEALTH].iter().copied().find(is_given);
    given.map(|name| format!("--{name}"))
}

/// The program that words name, and its protocol: `http exec: COMMAND`, `fastcgi exec: COMMAND`.
///
/// # Errors
/// They do not.
pub(super) fn program_of(
    scope: &Scope,
    arguments: &Arguments,
    mut words: Vec<Word>,
    exec: usize,
) -> Result<(UpstreamScheme, ProgramName), Failure> {
    let mut words_of_program = words.split_off(exec);
    let exec = words_of_program.remove(0);
    let hint = || {
        Some(format!(
            "write `upstream http {EXEC} COMMAND` or `upstream fastcgi {EXEC} COMMAND`"
        ))
    };
    let Some(protocol) = words.first() else {
        let message = format!("`{EXEC}` stands behind the protocol that the program speaks");
        return Err(scope.mistake(&exec.origin, message, hint()));
    };
    let scheme = match protocol.text.as_str() {
        "http" => UpstreamScheme::Http,
        "fastcgi" => UpstreamScheme::FastCgi,
        _ => {
            let message = format!("{} is no protocol of a program", quoted(&protocol.text));
            return Err(scope.mistake(&protocol.origin, message, hint()));
        }
    };
    if let Some(surplus) = words.get(1) {
        return Err(arguments.unexpected(surplus, hint()));
    }
    let command = command(scope, &exec, words_of_program)?;
    if command.has(SOCKET) && command.has(PORT) {
        let message =
            format!("the program has both `{SOCKET}` and `{PORT}`, but listens at one place");
        return Err(scope.mistake(&exec.origin, message, None));
    }
    let path = |name: &str| {
        let path = arguments.options.get_one::<String>(name).cloned();
        let is_wrong = |path: &&String| {
            !path.starts_with('/') || path.contains(|c: char| !c.is_ascii_graphic())
        };
        if let Some(path) = path.as_ref().filter(is_wrong) {
            let message = format!("{} is no path of HTTP", quoted(path));
            let hint = format!("write a `/` at its beginning: `--{name} /{name}`");
            return Err(arguments.wrong(message, Some(hint)));
        }
        if path.is_some() && scheme == UpstreamScheme::FastCgi {
            let message = format!("`--{name}` is for programs that speak HTTP");
            return Err(arguments.wrong(message, None));
        }
        Ok(path)
    };
    let health = match path(HEALTH)? {
        Some(path) => Some(HealthCheck {
            path,
            interval: interval(arguments)?,
        }),
        None => None,
    };
    Ok((
        scheme,
        ProgramName {
            command,
            begins_in: scope.folder(&exec.origin),
            ready: path(READY)?,
            health,
        },
    ))
}

fn interval(arguments: &Arguments) -> Result<Duration, Failure> {
    let text = arguments.options.get_one::<String>(INTERVAL);
    let text = text.map(String::as_str).unwrap_or_default();
    let time = config::duration(text).filter(|time| *time >= Duration::from_millis(1));
    time.ok_or_else(|| {
        let message = format!("{} is no time between two questions", quoted(text));
        arguments.wrong(message, Some("write `10s`, `500ms` or `1 min`".to_owned()))
    })
}

/// The words of a program. A path with a `/` is relative to the file where it was written.
fn command(scope: &Scope, exec: &Word, words: Vec<Word>) -> Result<ProgramCommand, Failure> {
    let texts: Vec<String> = words.iter().map(|word| word.text.clone()).collect();
    let origin = words.first().map(|word| word.origin.clone());
    let (Some(side), Some(origin)) = (program(scope, words), origin) else {
        // Nobody can type it behind the name of an alias: words that are typed are about the server.
        let message = format!("`{EXEC}` lacks the name of a program");
        let hint = format!("write `{EXEC} ./program ARGUMENTS`");
        return Err(scope.mistake(&exec.origin, message, Some(hint)));
    };
    if let Some(problem) = unrunnable(scope, &origin, &side)
        && problem.severity == Severity::Error
    {
        return Err(problem.into());
    }
    let mut shown: Vec<&str> = texts.iter().map(String::as_str).collect();
    let name = PathBuf::from(&side.program).display().to_string();
    shown[0] = &name;
    let arguments: Vec<OsString> = side.arguments;
    Ok(ProgramCommand {
        program: side.program,
        arguments,
        path: side.path,
        shown: shell_words::join(hidden_words(shown)),
    })
}
