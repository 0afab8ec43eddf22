//! Settings (`runner.supervise.*`) to how a server is supervised: its pid file, its locks, its lifetime, and the
//! programs beside it; and `runner.before_start`.

use std::path::Path;

use crate::config::{COMMAND, PID_FILE};
use crate::current_folder;
use crate::line::failure::Failure;
use crate::line::scope::Scope;
use crate::line::word::{Origin, Word};
use crate::plan::python::program_path;
use crate::plan::surroundings::DIRECTORY;
use crate::supervisor::lifetime::Lifetime;
use crate::supervisor::programs::side_program::SideProgram;
use crate::supervisor::programs::start_command::StartCommand;
use crate::supervisor::seat::SeatOptions;
use crate::supervisor::seat::lock::{InvalidLockUrl, LockUrl};
use crate::supervisor::supervision::Supervision;
use crate::syntax::{Diagnostic, Diagnostics, quoted};

/// The setting with the programs that run beside a server.
const PROGRAMS: &str = "runner.supervise.programs";

/// The code of the mistake that a folder is not there.
const MISSING: &str = "setting/missing";

/// The setting with the commands that run before the application starts.
const BEFORE_START: &str = "runner.before_start";

const STARTUP_LOCK: &str = "runner.supervise.startup_lock";
const PID_LOCK: &str = "runner.supervise.pid_lock";

/// The words of `runner.supervise.command`.
///
/// # Errors
/// A quote in it is never closed.
pub fn command(scope: &Scope) -> Result<Vec<Word>, Diagnostic> {
    let text = scope.configuration.text(COMMAND).unwrap_or_default();
    words(scope, &Origin::Property(COMMAND.into()), &text)
}

/// Splits the value of a setting, or an element of it, into words, as a shell does.
fn words(scope: &Scope, origin: &Origin, text: &str) -> Result<Vec<Word>, Diagnostic> {
    let split = shell_words::split(text).map_err(|_| {
        let message = format!("a quote is not closed in {}", quoted(text));
        let hint = "write `\\'` for a literal quote".to_owned();
        wrong(scope, origin, "syntax/quote", message).with_hint(hint)
    })?;
    let word = |text: String| Word {
        exact: text.clone().into(),
        text,
        origin: origin.clone(),
    };
    Ok(split.into_iter().map(word).collect())
}

/// A mistake in the value of a setting, or an element of it.
fn wrong(scope: &Scope, origin: &Origin, code: &'static str, message: String) -> Diagnostic {
    let mut mistake = scope.diagnose(origin, message, None);
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
        let origin = Origin::Property(PID_FILE.into());
        mistakes.push(wrong(scope, &origin, MISSING, message));
    }
    mistakes.extend(lock(scope, STARTUP_LOCK).err());
    mistakes.extend(lock(scope, PID_LOCK).err());
    mistakes.extend(side_programs(scope).into_iter().filter_map(Result::err));
    mistakes.extend(
        lines(scope, BEFORE_START)
            .into_iter()
            .filter_map(Result::err),
    );
    mistakes
}

/// The commands that run before the application starts.
///
/// # Errors
/// There is a mistake in one.
pub fn start_commands(scope: &Scope) -> Result<Vec<StartCommand>, Failure> {
    let mut commands = Vec::new();
    for (number, program) in lines(scope, BEFORE_START).into_iter().enumerate() {
        let origin = Origin::Element(BEFORE_START.into(), number);
        commands.push(StartCommand {
            program: program?,
            place: format!("{BEFORE_START}, {}", scope.place(&origin)),
        });
    }
    Ok(commands)
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
    let mut mistakes = mistakes(scope);
    if scope.is_elsewhere {
        mistakes.retain(|one| one.code != MISSING);
    }
    if !mistakes.is_empty() {
        return Err(Diagnostics(mistakes).into());
    }
    let beside = |ending: &str| {
        let mut path = pid_file.clone().into_os_string();
        path.push(ending);
        LockUrl::Flock(path.into())
    };
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
        programs: side_programs(scope).into_iter().collect::<Result<_, _>>()?,
    })
}

/// The lock that a setting names, if it names one.
fn lock(scope: &Scope, setting: &'static str) -> Result<Option<LockUrl>, Diagnostic> {
    let Some(text) = scope.configuration.text(setting) else {
        return Ok(None);
    };
    let origin = Origin::Property(setting.into());
    let url: LockUrl = text.parse().map_err(|invalid: InvalidLockUrl| {
        wrong(scope, &origin, "setting/lock", invalid.message).with_hint_if(invalid.hint)
    })?;
    let folder = scope.folder(&origin);
    Ok(Some(url.relative_to(&folder)))
}

/// Where the program with a number, counted from 0, was written.
#[must_use]
pub fn program_origin(number: usize) -> Origin {
    Origin::Element(PROGRAMS.into(), number)
}

/// The programs that run beside a server.
fn side_programs(scope: &Scope) -> Vec<Result<SideProgram, Diagnostic>> {
    lines(scope, PROGRAMS)
}

/// The programs of a setting, with their arguments.
fn lines(scope: &Scope, setting: &'static str) -> Vec<Result<SideProgram, Diagnostic>> {
    let lines = scope.configuration.texts(setting);
    let lines = lines.iter().enumerate();
    let programs = lines.map(|(number, line)| {
        let origin = Origin::Element(setting.into(), number);
        program(scope, words(scope, &origin, line)?).ok_or_else(|| {
            let message = format!("there is no program in {}", quoted(line));
            wrong(scope, &origin, "setting/program", message)
        })
    });
    programs.collect()
}

/// The programs that run beside a server or before it starts, and where each was written; those with mistakes are left out.
pub fn programs(scope: &Scope) -> Vec<(Origin, SideProgram)> {
    let of = |setting: &'static str| {
        let programs = lines(scope, setting).into_iter().enumerate();
        programs.filter_map(move |(number, program)| {
            Some((Origin::Element(setting.into(), number), program.ok()?))
        })
    };
    of(PROGRAMS).chain(of(BEFORE_START)).collect()
}

/// A program with its arguments; `None` if it has no name. It begins where the workers are told to, or else in the folder of
/// the file that names it.
pub fn program(scope: &Scope, words: Vec<Word>) -> Option<SideProgram> {
    let mut words = words.into_iter();
    let first = words.next().filter(|word| !word.text.is_empty())?;
    let folder = scope.configuration.path(DIRECTORY);
    let folder = folder.unwrap_or_else(|| scope.folder(&first.origin));
    Some(SideProgram {
        begins_in: current_folder::absolute(&folder),
        path: program_path(scope, &first.origin),
        program: match first.text.contains('/') {
            true => current_folder::absolute(&scope.path(&first)).into(),
            false => first.exact,
        },
        arguments: words.map(|word| word.exact).collect(),
        is_served: false,
    })
}

/// Why a program cannot be run. That a name is not found in `PATH` is a warning, and so is a script that is not there yet.
#[must_use]
pub fn unrunnable(scope: &Scope, origin: &Origin, program: &SideProgram) -> Option<Diagnostic> {
    let wrong = |message: String, hint: Option<String>| {
        let mut mistake = scope.diagnose(origin, message, hint);
        mistake.code = "setting/program";
        mistake
    };
    let name = program.program.to_string_lossy();
    if program.find().is_ok() {
        let script = program.missing_script()?;
        let hint = "programs begin in the folder of their file, or in `runner.workers.directory`";
        let message = format!("there is no file `{}` for `{name}`", script.display());
        return Some(wrong(message, Some(hint.to_owned())).warning());
    }
    if !name.contains('/') {
        // `PATH` may be another one where the file runs.
        let hint = "write a `/` in the name of a file, as in `./program`".to_owned();
        let message = format!("there is no program `{name}` in `PATH`");
        return Some(wrong(message, Some(hint)).warning());
    }
    let path = Path::new(&program.program);
    Some(match path.metadata() {
        Err(_) => wrong(format!("there is no program `{name}`"), None),
        Ok(found) if !found.is_file() => wrong(format!("`{name}` is not a file"), None),
        Ok(_) => {
            let hint = format!("`chmod +x {name}` makes it a program");
            wrong(format!("`{name}` is not executable"), Some(hint))
        }
    })
}
