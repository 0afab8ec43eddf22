//! The folders of the modules that templates have imported, for `launch`, which watches them.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// Folders of imported modules, except those of Python itself and of installed packages. Templates add to them when an
/// import has succeeded or failed.
#[derive(Debug, Default)]
pub struct ImportedFolders(Mutex<BTreeSet<PathBuf>>);

impl ImportedFolders {
    /// The folders by now.
    #[must_use]
    pub fn all(&self) -> BTreeSet<PathBuf> {
        let folders = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        folders.clone()
    }

    /// Adds paths as a template sends them, with zero bytes between them.
    pub(crate) fn add(&self, paths: &[u8]) {
        let paths = paths.split(|byte| *byte == 0);
        let paths = paths.map(|path| Path::new(OsStr::from_bytes(path)));
        let paths = paths.filter(|path| path.is_absolute()).map(Path::to_owned);
        let mut folders = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        folders.extend(paths);
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::ImportedFolders;

    #[test]
    fn paths_of_several_templates_come_together() {
        let folders = ImportedFolders::default();
        folders.add(b"/app\0/lib/\xff");
        folders.add(b"");
        folders.add(b"/app\0relative");
        let all: Vec<PathBuf> = folders.all().into_iter().collect();
        assert_eq!(all.len(), 2, "{all:?}");
        assert_eq!(all[0], PathBuf::from("/app"));
    }
}
