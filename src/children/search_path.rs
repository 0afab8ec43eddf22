//! Where a program finds others by their names, and is found by its own: in the folders of `PATH`. Programs that are started
//! beside an application have the folder of its Python before those, as in an activated virtual environment.

use std::env;
use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use crate::children::{is_program, on_path};

/// The `PATH` of a program: that of this process, with a folder before it if there is one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SearchPath {
    first: Option<PathBuf>,
}

impl SearchPath {
    /// That of this process, with this folder before it, if there is one.
    #[must_use]
    pub fn behind(first: Option<PathBuf>) -> Self {
        Self { first }
    }

    /// The program with a name: the one that the system will run, unless a setting says what `PATH` is.
    #[must_use]
    pub fn find(&self, name: &OsStr) -> Option<PathBuf> {
        let first = self.first.as_ref().map(|folder| folder.join(name));
        first
            .filter(|program| is_program(program))
            .or_else(|| on_path(name).next())
    }

    /// Its value, where that differs from the one of this process.
    #[must_use]
    pub fn value(&self) -> Option<OsString> {
        let first = self.first.clone()?;
        let inherited = env::var_os("PATH").unwrap_or_default();
        // An empty one is the current folder, which is another one for each program.
        let inherited =
            env::split_paths(&inherited).filter(|folder| !folder.as_os_str().is_empty());
        // A folder with a `:` in its name cannot stand there.
        env::join_paths([first].into_iter().chain(inherited)).ok()
    }
}
