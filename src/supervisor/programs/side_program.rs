//! A program to be kept running, as the configuration names it.

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::bail;
use rustix::fs::{Access, access};

use crate::children::search_path::SearchPath;
use crate::current_folder;
use crate::descriptor_limit;
use crate::permission;
use crate::secrets::hidden_words;
use crate::unix;

/// The environment of programs where it differs from ours: a variable and its value, or `None` if it is removed.
pub type EnvironmentChanges = Vec<(String, Option<String>)>;

/// Programs that interpret scripts: the endings of these, and the letters of the options that take code or the name of a
/// module instead.
const INTERPRETERS: &[(&str, &[&str], &str)] = &[
    ("bash", &[".sh"], "c"),
    ("dash", &[".sh"], "c"),
    ("node", &[".js", ".mjs", ".cjs"], "ep"),
    ("perl", &[".pl"], "eE"),
    ("php", &[".php"], "r"),
    ("pypy", &[".py"], "cm"),
    ("python", &[".py"], "cm"),
    ("ruby", &[".rb"], "e"),
    ("sh", &[".sh"], "c"),
];

/// A program that is kept running.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SideProgram {
    /// Its path if it has a `/`, else its name in `PATH`.
    pub program: OsString,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// The folder in which it begins.
    pub begins_in: PathBuf,
    /// Its `PATH`.
    pub path: SearchPath,
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
            false => self.path.find(&self.program),
        };
        let first = self.arguments.iter().find(|word| !is_option(word));
        let script = first.map(|word| self.begins_in.join(word));
        let script = script.filter(|path| path.is_file());
        program.into_iter().chain(script).collect()
    }

    /// The script that it is to interpret, if that is missing: `manage.py` in `python manage.py migrate`. Only words of which
    /// it is evident count: those with the ending of a script, and paths right behind the program.
    #[must_use]
    pub fn missing_script(&self) -> Option<PathBuf> {
        let name = Path::new(&self.program).file_name()?.to_str()?;
        let name = name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
        let (_, endings, code) = INTERPRETERS.iter().find(|(known, ..)| *known == name)?;
        let place = self.arguments.iter().position(|word| !is_option(word))?;
        let (options, rest) = self.arguments.split_at(place);
        let takes_code = |option: &OsString| {
            let letters = option.to_string_lossy();
            letters == "-"
                || !letters.starts_with("--") && letters.contains(|c: char| code.contains(c))
        };
        let word = rest.first()?.to_str()?;
        // Node adds an ending to the name of a file.
        let is_path = options.is_empty() && word.contains('/') && name != "node";
        let is_script = is_path || endings.iter().any(|ending| word.ends_with(ending));
        let path: PathBuf = self.begins_in.join(word).components().collect();
        let is_missing = self.begins_in.is_dir() && path.try_exists().is_ok_and(|exists| !exists);
        (is_script && is_missing && !options.iter().any(takes_code)).then_some(path)
    }

    /// What starts it as the leader of a process group, in its folder. It reads nothing, and what it writes goes to the log.
    ///
    /// # Errors
    /// This process has no descriptors left, or there is no such folder.
    pub(super) fn command(&self, environment: &EnvironmentChanges) -> io::Result<Command> {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).env("PWD", &self.begins_in);
        if let Some(path) = self.path.value() {
            command.env("PATH", path);
        }
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
        let folder = current_folder::hold_folder(&self.begins_in).map_err(|error| {
            let message = format!("cannot begin in `{}`: {error}", self.begins_in.display());
            io::Error::new(error.kind(), message)
        })?;
        unix::begin_in(&mut command, folder.as_fd())?;
        Ok(command)
    }

    /// Makes sure that it can be run.
    ///
    /// # Errors
    /// There is no such program, or it may not be executed.
    pub fn find(&self) -> anyhow::Result<()> {
        if !self.is_path() {
            return match self.path.find(&self.program) {
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

fn is_option(word: &OsStr) -> bool {
    word.as_bytes().starts_with(b"-")
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
