//! Files that this process has made. They are removed in the end, if they are still the same.

use std::fs::Metadata;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A file that this process has made. Dropped, it is removed, unless another file is at its path by then.
#[derive(Debug)]
pub struct OwnFile {
    path: PathBuf,
    id: FileId,
    /// Whether it is removed in the end.
    removed: bool,
    /// Keeps the system from giving the file's number to a later one, which would be taken for ours.
    _pin: Option<OwnedFd>,
}

/// Tells a file from all others, as long as it exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    /// The file with this metadata.
    #[must_use]
    pub fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
        }
    }

    /// The file at a path; links are not followed.
    pub fn at(path: &Path) -> io::Result<Self> {
        Ok(Self::of(&std::fs::symlink_metadata(path)?))
    }
}

impl OwnFile {
    /// The file that this process has just made at a path.
    ///
    /// # Errors
    /// It is gone again.
    pub fn at(path: &Path) -> io::Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            id: FileId::at(path)?,
            removed: true,
            _pin: pin(path),
        })
    }

    /// Renames it, replacing another file.
    ///
    /// # Errors
    /// As `rename(2)`.
    pub fn rename(&mut self, path: &Path) -> io::Result<()> {
        std::fs::rename(&self.path, path)?;
        path.clone_into(&mut self.path);
        Ok(())
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it is still at its path.
    pub fn is_there(&self) -> bool {
        FileId::at(&self.path).is_ok_and(|found| found == self.id)
    }

    /// Removes it, unless another file is at its path.
    ///
    /// # Errors
    /// It cannot be removed.
    pub fn remove(&self) -> io::Result<()> {
        match self.is_there() {
            true => std::fs::remove_file(&self.path),
            false => Ok(()),
        }
    }

    /// Leaves it in its place when this is dropped.
    pub fn leave(&mut self) {
        self.removed = false;
    }
}

impl Drop for OwnFile {
    fn drop(&mut self) {
        if self.removed {
            // A file that cannot be removed is recognised as stale at the next start.
            let _ = self.remove();
        }
    }
}

/// Keeps a file of any type in existence without opening it.
#[cfg(target_os = "linux")]
fn pin(path: &Path) -> Option<OwnedFd> {
    use rustix::fs::{Mode, OFlags};
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).ok()
}

#[cfg(not(target_os = "linux"))]
fn pin(_: &Path) -> Option<OwnedFd> {
    None
}

/// The folder of a file.
#[must_use]
pub fn folder_of(file: &Path) -> &Path {
    let folder = file.parent().filter(|folder| *folder != Path::new(""));
    folder.unwrap_or(Path::new("."))
}

/// Makes a file beside another, whose place it is to take, under a name that cannot be foreseen and is not in use. The name
/// is no longer than the other one, which matters for sockets.
///
/// # Errors
/// It cannot be made.
pub fn make_beside<T>(
    file: &Path,
    make: impl FnMut(&Path) -> io::Result<T>,
) -> io::Result<(T, OwnFile)> {
    let made = tempfile::Builder::new()
        .prefix(".")
        .make_in(folder_of(file), make)?;
    let (made, place) = made.into_parts();
    let own = OwnFile::at(&place)?;
    place.keep()?;
    Ok((made, own))
}
