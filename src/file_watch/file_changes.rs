//! Files that have changed together.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Files that have changed together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileChanges(BTreeSet<PathBuf>);

impl FileChanges {
    /// Whether nothing has changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds files.
    pub fn extend(&mut self, files: impl IntoIterator<Item = PathBuf>) {
        self.0.extend(files);
    }

    /// Whether this file has changed.
    #[must_use]
    pub fn contains(&self, file: &Path) -> bool {
        self.0.contains(file)
    }

    /// Leaves files out.
    pub fn retain(&mut self, mut stays: impl FnMut(&Path) -> bool) {
        self.0.retain(|file| stays(file));
    }

    /// Adds the files of other changes.
    pub fn merge(&mut self, other: Self) {
        self.extend(other.0);
    }

    /// The files in words, by their paths in a folder where they are below it.
    #[must_use]
    pub fn shown(&self, folder: Option<&Path>) -> String {
        let name = |path: &Path| {
            let within = folder.and_then(|folder| path.strip_prefix(folder).ok());
            within.unwrap_or(path).display().to_string()
        };
        let mut files = self.0.iter();
        match (files.next(), files.next(), files.count()) {
            (None, _, _) => "nothing has changed".to_owned(),
            (Some(one), None, _) => format!("{} has changed", name(one)),
            (Some(one), Some(two), 0) => format!("{} and {} have changed", name(one), name(two)),
            (Some(one), Some(_), more) => {
                format!("{} and {} other files have changed", name(one), more + 1)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::FileChanges;

    #[test]
    fn the_first_files_are_named_and_the_others_counted() {
        let mut changes = FileChanges::default();
        assert!(changes.is_empty());
        for (file, shown) in [
            ("/app/b.py", "b.py has changed"),
            ("/app/b.py", "b.py has changed"),
            ("/app/c/d.py", "b.py and c/d.py have changed"),
            ("/e.py", "b.py and 2 other files have changed"),
        ] {
            changes.extend([PathBuf::from(file)]);
            assert_eq!(changes.shown(Some(Path::new("/app"))), shown);
        }
        assert_eq!(
            changes.shown(None),
            "/app/b.py and 2 other files have changed"
        );
    }
}
