//! `invoke`: lets a `#!` line name an interpreter with arguments and find it through `PATH`.
//!
//! Kernels pass everything behind the interpreter's path as *one* argument: `#!invoke runner runIni`
//! in `app` becomes `invoke "runner runIni" ./app`, which this program executes as
//! `runner runIni ./app`.

use std::env::args_os;
use std::ffi::{OsStr, OsString};
use std::io::{ErrorKind, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

/// How it is used.
const USAGE: &str =
    "usage: #!invoke COMMAND [ARGUMENT]...  (as the first line of an executable file)";
/// Wrong use of `invoke` itself.
const WRONG_USE: u8 = 2;
/// The command was found but cannot be executed; the shells' own number.
const NOT_EXECUTABLE: u8 = 126;
/// There is no such command; the shells' own number.
const NOT_FOUND: u8 = 127;

fn main() -> ExitCode {
    let mut arguments = args_os().skip(1);
    let line = arguments.next().unwrap_or_default();
    let mut words = split(&line).chain(arguments);
    let Some(program) = words.next() else {
        say(USAGE);
        return ExitCode::from(WRONG_USE);
    };
    if program == "--help" || program == "-h" {
        // If the message cannot be written, the exit status must do.
        let _ = writeln!(std::io::stdout(), "{USAGE}");
        return ExitCode::SUCCESS;
    }
    // Returns only when it failed. Looks in `PATH` and falls back to a shell as execvp(3) does.
    let error = Command::new(&program).args(words).exec();
    let name = program.to_string_lossy();
    match error.kind() {
        ErrorKind::NotFound if name.contains('/') => {
            say(&format!("cannot run `{name}`: no such file"));
            ExitCode::from(NOT_FOUND)
        }
        ErrorKind::NotFound => {
            say(&format!(
                "cannot run `{name}`: no command of that name in PATH"
            ));
            ExitCode::from(NOT_FOUND)
        }
        _ => {
            say(&format!("cannot run `{name}`: {error}"));
            ExitCode::from(NOT_EXECUTABLE)
        }
    }
}

/// The words of a `#!` line. In files with CRLF line ends the kernel leaves the carriage return on it.
fn split(line: &OsStr) -> impl Iterator<Item = OsString> {
    let line = line.as_bytes();
    line.strip_suffix(b"\r")
        .unwrap_or(line)
        .split(|byte| matches!(byte, b' ' | b'\t'))
        .filter(|word| !word.is_empty())
        .map(|word| OsStr::from_bytes(word).to_owned())
}

/// Says something on standard error; if even that is closed, the exit status has to do.
fn say(message: &str) {
    let _ = writeln!(std::io::stderr(), "invoke: {message}");
}
