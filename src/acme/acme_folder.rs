//! The folder with an account, a certificate and its key. No other user can read it, and no file is ever half written.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::Context;
use tempfile::NamedTempFile;

/// The folder.
pub(super) struct AcmeFolder(PathBuf);

impl AcmeFolder {
    /// Makes it if there is none.
    ///
    /// # Errors
    /// The system does not allow it.
    pub(super) fn open(path: &Path) -> anyhow::Result<Self> {
        let shown = path.display();
        if !path.is_dir() {
            let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
            made.with_context(|| {
                format!("cannot make the folder `{shown}` (runner.tls.acme_folder)")
            })?;
        }
        Ok(Self(path.to_owned()))
    }

    /// The file with the account.
    pub(super) fn account(&self) -> PathBuf {
        self.0.join("account.json")
    }

    /// The right to ask the authority, until the file is closed; `None` while another process has it.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub(super) fn lock(&self) -> anyhow::Result<Option<File>> {
        let path = self.0.join("lock");
        let mut options = OpenOptions::new();
        let opened = options.write(true).create(true).truncate(false).mode(0o600);
        let lock = opened.open(&path);
        let lock = lock.with_context(|| format!("cannot open `{}`", path.display()))?;
        match lock.try_lock() {
            Ok(()) => Ok(Some(lock)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error.into()),
        }
    }

    /// Writes a file, for its owner only: either all of it or nothing.
    ///
    /// # Errors
    /// The folder cannot be written.
    pub(super) fn write(&self, path: &Path, text: &str) -> anyhow::Result<()> {
        let write = || -> std::io::Result<()> {
            // A temporary file has the mode 0600.
            let mut file = NamedTempFile::new_in(&self.0)?;
            file.write_all(text.as_bytes())?;
            file.as_file().sync_all()?;
            file.persist(path)?;
            File::open(&self.0)?.sync_all()
        };
        write().with_context(|| format!("cannot write `{}`", path.display()))
    }

    /// What a file holds, if there is one.
    pub(super) fn read(path: &Path) -> Option<String> {
        fs::read_to_string(path).ok()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::AcmeFolder;

    #[test]
    fn files_are_their_owners_and_one_process_asks_at_a_time() {
        let temporary = tempfile::tempdir().expect("a folder");
        let path = temporary.path().join("a/b");
        let folder = AcmeFolder::open(&path).expect("a folder");
        let mode = |path: &std::path::Path| {
            let found = path.metadata().expect("a file").permissions();
            found.mode() & 0o777
        };
        assert_eq!(mode(&path), 0o700);
        for text in ["first", "second"] {
            folder.write(&folder.account(), text).expect("a file");
            assert_eq!(AcmeFolder::read(&folder.account()).as_deref(), Some(text));
            assert_eq!(mode(&folder.account()), 0o600);
        }
        let lock = folder.lock().expect("a file");
        assert!(lock.is_some());
        assert!(folder.lock().expect("a file").is_none());
        drop(lock);
        assert!(folder.lock().expect("a file").is_some());
        // Nothing is left but the files.
        assert_eq!(std::fs::read_dir(&path).expect("a folder").count(), 2);
    }
}
