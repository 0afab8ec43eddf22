//! What a master is told about itself.

use std::ffi::OsString;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

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
}

impl SideProgram {
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
