//! `cgi-bin FOLDER_OR_FILE`: runs CGI programs.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use clap::ArgAction;

use crate::application::cgi_bin::{CgiBinOptions, CgiPlace};
use crate::config;
use crate::graph::entry::{Arguments, Entry, EntryKind, flag_option, number_option, value_option};
use crate::line::failure::Failure;
use crate::line::scope::Scope;
use crate::plan::application::BuiltIn;
use crate::plan::surroundings::variables;
use crate::plan::worker_options;
use crate::syntax::quoted;

/// The table's row.
pub const ENTRY: Entry = Entry {
    name: "cgi-bin",
    usage: "FOLDER_OR_FILE [OPTIONS]",
    summary: "An application that runs CGI programs; needs no Python",
    help: "\
It stands behind a gateway: `serve cgi-bin cgi-bin`. The path of a request
begins with the name of an executable file below the folder (`SCRIPT_NAME`); the
rest is `PATH_INFO`. Names that begin with a dot are not run, and links lead no
further than the folder. A file instead of a folder is the program for all
requests: `serve cgi-bin /usr/lib/git-core/git-http-backend`.

Each request has a process of its own, in the program's folder. Its environment
is the request (RFC 3875), `PATH` (with `.venv/bin` beside the file first), and
the variables of `runner.environment`, `runner.environment_file` and `--env`. At
most N run at a time; further requests wait (`runner.request.queue_length` and
`.queue_timeout`). A process is ended, with all that it has started, when its
client leaves, and when it has not begun its response in time
(`runner.request.timeout`). What a process leaves that has answered and ended,
such as a job in the background, goes on until the server stops or reloads. What
it writes to standard error is in the log.

`--interpreter .pl=/usr/bin/perl` has Perl run files whose names end in `.pl`,
executable or not.",
    kind: EntryKind::Application {
        arguments: options,
        name: |scope, arguments| named(scope, arguments),
    },
};

/// Some processes wait for a database or another server rather than for a processor, and each takes some megabytes.
const PROCESSES: &str = "32";

fn options(command: clap::Command) -> clap::Command {
    command
        .arg(
            number_option("processes", "How many run at a time, at most", 1..=65535)
                .default_value(PROCESSES),
        )
        .arg(
            value_option(
                "env",
                "NAME[=VALUE]",
                "A variable for the programs, as runner has it or with a value",
            )
            .action(ArgAction::Append),
        )
        .arg(
            value_option(
                "interpreter",
                "ENDING=PROGRAM",
                "The program for files whose names end so",
            )
            .action(ArgAction::Append),
        )
        .arg(flag_option("follow", "Follow links out of the folder"))
}

fn named(scope: &Scope, arguments: &mut Arguments) -> Result<BuiltIn, Failure> {
    let word = arguments.first("FOLDER_OR_FILE")?;
    // Programs run in folders of their own.
    let place = std::path::absolute(scope.path(&word)).and_then(CgiPlace::at);
    let place = place.map_err(|error| {
        let message = format!("cannot run CGI programs of {}: {error}", quoted(&word.text));
        let hint = "a relative path begins at the file in which it is written, or at the current folder if it was typed";
        scope.mistake(&word.origin, message, Some(hint.to_owned()))
    })?;
    let all = |name: &str| {
        let values = arguments.options.get_many::<String>(name);
        values.into_iter().flatten()
    };
    let environment = all("env").map(|text| variable(arguments, text));
    let environment: Vec<_> = environment.collect::<Result<_, _>>()?;
    let interpreters = all("interpreter").map(|text| interpreter(arguments, text));
    let interpreters = interpreters.collect::<Result<Vec<_>, _>>()?;
    if let CgiPlace::Program(file) = &place
        && !is_executable(file)
        && !interpreters
            .iter()
            .any(|(ending, _)| word.text.ends_with(ending))
    {
        let message = format!("cannot run {}: it is not executable", quoted(&word.text));
        let hint = "make it a program (`chmod +x`), or name one that runs it: `--interpreter .pl=/usr/bin/perl`";
        return Err(scope.mistake(&word.origin, message, Some(hint.to_owned())));
    }
    let processes = arguments.options.get_one::<usize>("processes");
    let processes = processes.copied().unwrap_or(1);
    // Of several with one name, the last one counts.
    let set = variables(scope)?.into_iter();
    let set = set.filter_map(|(name, value)| Some((name.into(), value?.into())));
    let environment: BTreeMap<OsString, OsString> =
        set.chain(environment.into_iter().flatten()).collect();
    let environment = environment.into_iter();
    Ok(BuiltIn::CgiBin(Box::new(CgiBinOptions {
        place,
        follow: arguments.options.get_flag("follow"),
        interpreters,
        host: worker_options::cgi_host(scope, &word.origin, processes, environment),
    })))
}

/// Whether a file is executable for anybody: the server may become a user other than this one.
fn is_executable(file: &Path) -> bool {
    file.metadata()
        .is_ok_and(|about| about.permissions().mode() & 0o111 != 0)
}

/// A variable and its value; nothing for one that runner does not have itself.
fn variable(arguments: &Arguments, text: &str) -> Result<Option<(OsString, OsString)>, Failure> {
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (text, None),
    };
    if !config::is_variable_name(name) {
        let message = format!("{} is no variable", quoted(text));
        let hint = "write a name, or a name, `=` and a value: `TZ=UTC`";
        return Err(arguments.wrong(message, Some(hint.to_owned())));
    }
    let value = value.map(OsString::from).or_else(|| std::env::var_os(name));
    Ok(value.map(|value| (name.into(), value)))
}

fn interpreter(arguments: &Arguments, text: &str) -> Result<(String, PathBuf), Failure> {
    match text.split_once('=') {
        Some((ending, program)) if !ending.is_empty() && program.starts_with('/') => {
            Ok((ending.to_owned(), program.into()))
        }
        _ => {
            let message = format!("{} is no ending and program", quoted(text));
            let hint = "write an ending, `=` and the path of a program: `.pl=/usr/bin/perl`";
            Err(arguments.wrong(message, Some(hint.to_owned())))
        }
    }
}
