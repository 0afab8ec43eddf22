//! A file that we made: it is removed in the end, if it is still the same one.

use std::fs::Metadata;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Takes note of a file at a path, and removes it when dropped, unless another stands there by then.
#[derive(Debug)]
pub struct OwnFile {
    path: PathBuf,
    identity: FileId,
    /// Whether it is removed in the end.
    removed: bool,
    /// Keeps the number of the file from being given to another, which we would take for ours.
    _pin: Option<OwnedFd>,
}

/// What tells a file from others, as long as it is open somewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    /// That of a file that is open, or was looked at.
    #[must_use]
    pub fn of(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
        }
    }

    /// What stands at a path, links not followed.
    pub fn at(path: &Path) -> io::Result<Self> {
        Ok(Self::of(&std::fs::symlink_metadata(path)?))
    }
}

impl OwnFile {
    /// The file that we have just made at this path.
    ///
    /// # Errors
    /// It is gone again.
    pub fn at(path: &Path) -> io::Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            identity: FileId::at(path)?,
            removed: true,
            _pin: pin(path),
        })
    }

    /// Gives it another name, in place of what stands there.
    ///
    /// # Errors
    /// It cannot be put there.
    pub fn rename(&mut self, path: &Path) -> io::Result<()> {
        std::fs::rename(&self.path, path)?;
        path.clone_into(&mut self.path);
        Ok(())
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it is still there.
    pub fn is_there(&self) -> bool {
        FileId::at(&self.path).is_ok_and(|found| found == self.identity)
    }

    /// Removes it, unless another stands there.
    ///
    /// # Errors
    /// It cannot be removed.
    pub fn remove(&self) -> io::Result<()> {
        match self.is_there() {
            true => std::fs::remove_file(&self.path),
            false => Ok(()),
        }
    }

    /// It is not removed, whatever comes.
    pub fn leave(&mut self) {
        self.removed = false;
    }
}

impl Drop for OwnFile {
    fn drop(&mut self) {
        if self.removed {
            // A file that stays is recognised as stale by whoever comes next.
            let _ = self.remove();
        }
    }
}

/// Holds a file of any kind, without opening it.
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

/// Makes something under a name beside a file for a moment, until it is moved into place: nobody can foresee that name, and
/// none that is taken is in the way. It is no longer than that of the file, which matters for sockets.
///
/// # Errors
/// It cannot be made.
pub fn make_beside<T>(
    file: &Path,
    make: impl FnMut(&Path) -> io::Result<T>,
) -> io::Result<(T, OwnFile)> {
    let folder = file.parent().filter(|folder| *folder != Path::new(""));
    let folder = folder.unwrap_or(Path::new("."));
    let made = tempfile::Builder::new().prefix(".").make_in(folder, make)?;
    let (made, place) = made.into_parts();
    let own = OwnFile::at(&place)?;
    place.keep()?;
    Ok((made, own))
}
