//! A program to be kept running, as the configuration names it.

use std::ffi::OsString;
use std::fmt;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::bail;
use rustix::fs::{Access, access};

use crate::children;
use crate::descriptor_limit;
use crate::permission;
use crate::secrets::hidden_words;
use crate::unix;

/// The environment of programs where it differs from ours: a variable and its value, or `None` if it is removed.
pub type EnvironmentChanges = Vec<(String, Option<String>)>;

/// A program that is kept running.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SideProgram {
    /// Its path if it has a `/`, else its name in `PATH`.
    pub program: OsString,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// Whether it is the program that is supervised: a reload restarts it in any case.
    pub is_served: bool,
}

impl SideProgram {
    /// Whether its program is a path, and not a name in `PATH`.
    fn is_path(&self) -> bool {
        self.program.as_bytes().contains(&b'/')
    }

    /// The files that it consists of, as far as its words tell: the program, and the script that it interprets, such as
    /// `app.py` in `python app.py`.
    #[must_use]
    pub fn files(&self) -> Vec<PathBuf> {
        let program = match self.is_path() {
            true => Some(PathBuf::from(&self.program)),
            false => children::on_path(&self.program).next(),
        };
        let is_option = |word: &&OsString| word.as_bytes().starts_with(b"-");
        let first = self.arguments.iter().find(|word| !is_option(word));
        let script = first.map(PathBuf::from).filter(|path| path.is_file());
        program.into_iter().chain(script).collect()
    }

    /// What starts it as the leader of a process group. It reads nothing, and what it writes goes to the log.
    ///
    /// # Errors
    /// This process has no descriptors left.
    pub(super) fn command(&self, environment: &EnvironmentChanges) -> io::Result<Command> {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments);
        for (name, value) in environment {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        let log = io::stderr().as_fd().try_clone_to_owned()?;
        command
            .stdin(Stdio::null())
            .stdout(Stdio::from(log))
            .stderr(Stdio::inherit());
        unix::lead_group(&mut command, descriptor_limit::at_start());
        Ok(command)
    }

    /// Makes sure that it can be run.
    ///
    /// # Errors
    /// There is no such program, or it may not be executed.
    pub fn find(&self) -> anyhow::Result<()> {
        if !self.is_path() {
            return match children::on_path(&self.program).next() {
                Some(_) => Ok(()),
                None => bail!("cannot run `{self}`: it is not found in `PATH`"),
            };
        }
        let path = Path::new(&self.program);
        access(path, Access::EXEC_OK)
            .map_err(|error| permission::cannot_run(&format!("`{self}`"), path, error.into()))?;
        if !path.is_file() {
            bail!("cannot run `{self}`: it is not a file");
        }
        Ok(())
    }
}

/// As it could be typed, without its secrets.
impl fmt::Display for SideProgram {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = std::iter::once(&self.program).chain(&self.arguments);
        let words: Vec<_> = words.map(|word| word.to_string_lossy()).collect();
        let words = words.iter().map(AsRef::as_ref);
        formatter.write_str(&shell_words::join(hidden_words(words)))
    }
}
