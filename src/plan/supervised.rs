//! Settings (`runner.supervise.*`) to how a server is supervised: its pid file, its locks, its lifetime, and the
//! programs beside it.

use std::path::Path;

use crate::config::{COMMAND, PID_FILE};
use crate::current_folder;
use crate::line::failure::Failure;
use crate::line::scope::Scope;
use crate::line::word::{Origin, Word};
use crate::supervisor::lifetime::Lifetime;
use crate::supervisor::programs::side_program::SideProgram;
use crate::supervisor::seat::SeatOptions;
use crate::supervisor::seat::lock::{InvalidLockUrl, LockUrl};
use crate::supervisor::supervision::Supervision;
use crate::syntax::{Diagnostic, Diagnostics, quoted};

/// The setting with the programs that run beside a server.
pub const PROGRAMS: &str = "runner.supervise.programs";

const STARTUP_LOCK: &str = "runner.supervise.startup_lock";
const PID_LOCK: &str = "runner.supervise.pid_lock";

/// The words of `runner.supervise.command`.
///
/// # Errors
/// A quote in it is never closed.
pub fn command(scope: &Scope) -> Result<Vec<Word>, Diagnostic> {
    let text = scope.configuration.text(COMMAND).unwrap_or_default();
    words(scope, COMMAND, &text)
}

/// Splits the value of a setting into words, as a shell does.
fn words(scope: &Scope, setting: &'static str, text: &str) -> Result<Vec<Word>, Diagnostic> {
    let origin = Origin::Property(setting.into());
    let split = shell_words::split(text).map_err(|_| {
        let message = format!("a quote is not closed in {}", quoted(text));
        let hint = "write `\\'` for a literal quote".to_owned();
        wrong(scope, setting, "syntax/quote", message).with_hint(hint)
    })?;
    let word = |text: String| Word {
        exact: text.clone().into(),
        text,
        origin: origin.clone(),
    };
    Ok(split.into_iter().map(word).collect())
}

/// A mistake in the value of a setting.
fn wrong(scope: &Scope, setting: &str, code: &'static str, message: String) -> Diagnostic {
    let mut mistake = scope.configuration.complain(setting, message, None);
    mistake.code = code;
    mistake
}

/// All mistakes in the settings for supervision.
#[must_use]
pub fn mistakes(scope: &Scope) -> Vec<Diagnostic> {
    let mut mistakes = Vec::new();
    let pid_file = scope.configuration.path(PID_FILE);
    let folder = pid_file.as_deref().and_then(Path::parent);
    if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
        let message = format!("there is no folder `{}`", folder.display());
        mistakes.push(wrong(scope, PID_FILE, "setting/missing", message));
    }
    mistakes.extend(lock(scope, STARTUP_LOCK).err());
    mistakes.extend(lock(scope, PID_LOCK).err());
    let lines = scope.configuration.texts(PROGRAMS);
    mistakes.extend(
        lines
            .iter()
            .filter_map(|line| side_program(scope, line).err()),
    );
    mistakes
}

/// How the settings supervise a server.
///
/// # Errors
/// They name no pid file, or have mistakes.
pub fn supervision(scope: &Scope) -> Result<Supervision, Failure> {
    let settings = &scope.configuration;
    let Some(pid_file) = settings.path(PID_FILE) else {
        let hint = format!("set `{PID_FILE} = '/run/my_app.pid'`");
        return Err(Failure::mistake("`supervise` needs a pid file", Some(hint)));
    };
    let mistakes = mistakes(scope);
    if !mistakes.is_empty() {
        return Err(Diagnostics(mistakes).into());
    }
    let beside = |ending: &str| {
        let mut path = pid_file.clone().into_os_string();
        path.push(ending);
        LockUrl::Flock(path.into())
    };
    let lines = settings.texts(PROGRAMS);
    let programs = lines.iter().map(|line| side_program(scope, line));
    Ok(Supervision {
        seat: SeatOptions {
            startup_lock: lock(scope, STARTUP_LOCK)?.unwrap_or_else(|| beside(".start")),
            pid_lock: lock(scope, PID_LOCK)?.unwrap_or_else(|| beside(".lock")),
            pid_file,
        },
        lifetime: Lifetime {
            stop_after: settings.duration("runner.supervise.stop_after"),
            idle_timeout: settings.duration("runner.supervise.idle_timeout"),
            run_at_least: settings.duration("runner.supervise.run_at_least"),
        },
        programs: programs.collect::<Result<_, _>>()?,
    })
}

/// The lock that a setting names, if it names one.
fn lock(scope: &Scope, setting: &'static str) -> Result<Option<LockUrl>, Diagnostic> {
    let Some(text) = scope.configuration.text(setting) else {
        return Ok(None);
    };
    let url: LockUrl = text.parse().map_err(|invalid: InvalidLockUrl| {
        wrong(scope, setting, "setting/lock", invalid.message).with_hint_if(invalid.hint)
    })?;
    let folder = scope.folder(&Origin::Property(setting.into()));
    Ok(Some(url.relative_to(&folder)))
}

/// A program that runs beside a server.
fn side_program(scope: &Scope, line: &str) -> Result<SideProgram, Diagnostic> {
    let words = words(scope, PROGRAMS, line)?;
    program(scope, words).ok_or_else(|| {
        let message = format!("there is no program in {}", quoted(line));
        wrong(scope, PROGRAMS, "setting/program", message)
    })
}

/// A program with its arguments; `None` if it has no name.
pub fn program(scope: &Scope, words: Vec<Word>) -> Option<SideProgram> {
    let mut words = words.into_iter();
    let first = words.next().filter(|word| !word.text.is_empty())?;
    Some(SideProgram {
        program: match first.text.contains('/') {
            true => current_folder::absolute(&scope.path(&first)).into(),
            false => first.exact,
        },
        arguments: words.map(|word| word.exact).collect(),
        is_served: false,
    })
}
