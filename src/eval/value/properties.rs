//! What expressions can ask of the configuration and of the system. The evaluator itself opens no file.

use std::path::{Path, PathBuf};

use super::Value;
use crate::eval::budget::{Budget, Result};

/// What a path leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FoundFile {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// Something else, such as a socket.
    Other,
}

/// The configuration and the system, as expressions see them.
pub trait Properties {
    /// The value of a property.
    ///
    /// # Errors
    /// Errors of the evaluation of its rule.
    fn lookup(&self, name: &str, budget: &mut Budget) -> Result<Option<Value>>;

    /// The names of the properties below a prefix that have rules of their own, sorted.
    fn names(&self, prefix: &str) -> Vec<String>;

    /// Whether an unknown name may be compared with all others, which takes long if it is done often.
    fn may_suggest(&self) -> bool {
        true
    }

    /// The environment as a dict.
    fn environment(&self) -> Value;

    /// The home folder of a user of this system; without a name, of the user that this process runs as.
    fn home_of(&self, user: Option<&str>) -> Option<String>;

    /// The path from the root; a relative path is relative to the current folder.
    fn absolute(&self, path: &Path) -> PathBuf;

    /// What a path leads to, also through symbolic links; `None` if it leads to nothing.
    fn found_at(&self, path: &Path) -> Option<FoundFile>;

    /// The path of an existing file without symbolic links.
    fn without_links(&self, path: &Path) -> Option<PathBuf>;

    /// The number of processors that this process can use.
    fn processors(&self) -> usize;
}
