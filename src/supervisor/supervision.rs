//! What a master is told about itself.

use std::ffi::OsString;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use rustix::fs::{Access, access};

use super::lifetime::Lifetime;
use super::seat::SeatOptions;
use crate::children;

/// How an application is supervised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Supervision {
    /// What makes the master the only one; absolute paths.
    pub seat: SeatOptions,
    /// When it ends by itself.
    pub lifetime: Lifetime,
    /// Programs that are kept running beside the application.
    pub programs: Vec<SideProgram>,
}

/// A program that is kept running.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SideProgram {
    /// The path of the program if it has a `/`, else the name of one that is looked for in `PATH`.
    pub program: OsString,
    /// Its arguments.
    pub arguments: Vec<OsString>,
    /// Whether it is what is supervised: a reload starts it anew in any case.
    pub is_served: bool,
}

impl SideProgram {
    /// The files that it is made of, as far as its words say: the program, and what it interprets, `app.py` in
    /// `python app.py`.
    #[must_use]
    pub fn files(&self) -> Vec<PathBuf> {
        let path = PathBuf::from(&self.program);
        let program = match self.program.as_bytes().contains(&b'/') {
            true => Some(path),
            false => children::on_path(path).next(),
        };
        let is_option = |word: &&OsString| word.as_bytes().starts_with(b"-");
        let first = self.arguments.iter().find(|word| !is_option(word));
        let source = first.map(PathBuf::from).filter(|path| path.is_file());
        program.into_iter().chain(source).collect()
    }

    /// Looks whether it can be run.
    ///
    /// # Errors
    /// It is not there, or may not be executed.
    pub fn find(&self) -> anyhow::Result<()> {
        let path = Path::new(&self.program);
        if !self.program.as_bytes().contains(&b'/') {
            return match children::on_path(path).next() {
                Some(_) => Ok(()),
                None => bail!("cannot run `{self}`: it is not found in `PATH`"),
            };
        }
        access(path, Access::EXEC_OK).with_context(|| format!("cannot run `{self}`"))?;
        if !children::is_program(path) {
            bail!("cannot run `{self}`: it is not a file");
        }
        Ok(())
    }
}

/// As it could be typed.
impl fmt::Display for SideProgram {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = std::iter::once(&self.program).chain(&self.arguments);
        let words: Vec<_> = words.map(|word| word.to_string_lossy()).collect();
        formatter.write_str(&shell_words::join(words))
    }
}
