//! The settings of an application that is a program: what is run, how many processes there are, and their limits.

use std::ffi::OsString;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::children::search_path::SearchPath;
use crate::upstream::server_address::UpstreamScheme;
use crate::workers::options::{Resources, RetireAfter};

/// What an argument has where the path of the program's Unix socket belongs.
pub const SOCKET: &str = "{socket}";

/// What an argument has where the number of the program's port belongs.
pub const PORT: &str = "{port}";

/// An application that is a program: a server of any language, which runner starts.
#[derive(Clone, Debug)]
pub struct ProgramOptions {
    /// What it speaks.
    pub protocol: UpstreamScheme,
    /// What is run.
    pub program: ProgramName,
    /// How many processes there are, and their limits.
    pub processes: ProcessSettings,
}

/// A program, as words name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProgramName {
    /// Its words.
    pub command: ProgramCommand,
    /// The folder in which it begins, unless a setting names another.
    pub begins_in: PathBuf,
    /// What a process is asked for until it is ready: a path of HTTP. Without it, a process is ready when it accepts
    /// connections.
    pub ready: Option<String>,
    /// What a process is asked for while it serves.
    pub health: Option<HealthCheck>,
}

/// How many processes of a program there are, what they find around them, and their limits.
#[derive(Clone, Debug)]
pub struct ProcessSettings {
    /// The name of the application in lines of the log, where a server has several.
    pub application: Option<String>,
    /// The folder in which they begin, if a setting names it.
    pub begins_in: Option<PathBuf>,
    /// Variables that differ from runner's environment: a name, and its value, or `None` to remove it.
    pub environment: Vec<(String, Option<String>)>,
    /// The least number of processes. With 0, the first one is started for the first request.
    pub min: usize,
    /// The largest number of processes.
    pub max: usize,
    /// When processes are replaced or leave though nothing is wrong with them.
    pub retire_after: RetireAfter,
    /// The least time between two starts beyond the least number.
    pub start_interval: Duration,
    /// How long a process may take until it is ready; zero for no limit.
    pub start_timeout: Duration,
    /// How long a process may take to finish its requests, and then to end.
    pub stop_timeout: Duration,
    /// The limits that the system enforces on each process.
    pub resources: Resources,
}

/// How a program that serves is asked whether it is well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HealthCheck {
    /// A path of HTTP.
    pub path: String,
    /// The time between two questions.
    pub interval: Duration,
}

/// Where a program is to listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProgramListens {
    /// At a port of 127.0.0.1, which `PORT` in its environment names, and [`PORT`] in its words.
    Port,
    /// At a Unix socket, which [`SOCKET`] in its words names.
    Socket,
    /// At the socket that is its standard input (FastCGI Specification 1.0 §2.2, `FCGI_LISTENSOCK_FILENO`).
    StandardInput,
}

/// The words of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProgramCommand {
    /// Its path if it has a `/`, else its name in `PATH`.
    pub program: OsString,
    /// Its arguments, in which [`SOCKET`] and [`PORT`] are replaced.
    pub arguments: Vec<OsString>,
    /// Its `PATH`.
    pub path: SearchPath,
    /// As it could be typed, without its secrets.
    pub shown: String,
}

impl ProgramOptions {
    /// The folder in which processes begin.
    #[must_use]
    pub fn folder(&self) -> &Path {
        let set = self.processes.begins_in.as_ref();
        set.unwrap_or(&self.program.begins_in)
    }

    /// Where the program is to listen.
    #[must_use]
    pub fn listens(&self) -> ProgramListens {
        match self.protocol {
            _ if self.program.command.has(SOCKET) => ProgramListens::Socket,
            UpstreamScheme::FastCgi if !self.program.command.has(PORT) => {
                ProgramListens::StandardInput
            }
            UpstreamScheme::Http | UpstreamScheme::FastCgi => ProgramListens::Port,
        }
    }
}

impl ProgramName {
    /// The files that it consists of, as far as its words name them: the program itself if that is a path, and its arguments
    /// that are files.
    #[must_use]
    pub fn files(&self) -> Vec<PathBuf> {
        let ProgramCommand {
            program, arguments, ..
        } = &self.command;
        let program = Some(program).filter(|program| program.as_bytes().contains(&b'/'));
        let words = program.into_iter().chain(arguments);
        let files = words.map(|word| self.begins_in.join(word));
        files.filter(|file| file.is_file()).collect()
    }
}

impl ProgramCommand {
    /// Whether an argument has a text that is to be replaced.
    #[must_use]
    pub fn has(&self, placeholder: &str) -> bool {
        let has = |word: &OsString| memchr::memmem::find(word.as_bytes(), placeholder.as_bytes());
        self.arguments.iter().any(|word| has(word).is_some())
    }

    /// The name that its lines in the log have.
    #[must_use]
    pub fn name(&self) -> String {
        let path = Path::new(&self.program);
        let name = path.file_name().unwrap_or(&self.program);
        name.to_string_lossy().into_owned()
    }

    /// The file that is run, if there is one.
    #[must_use]
    pub fn file(&self) -> Option<PathBuf> {
        match self.program.as_bytes().contains(&b'/') {
            true => Some(PathBuf::from(&self.program)),
            false => self.path.find(&self.program),
        }
    }
}

impl fmt::Display for ProgramCommand {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.shown)
    }
}
