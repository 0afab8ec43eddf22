//! The file of an access log: opened for appending, and again by its name when the old one was moved away.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, OFlags, fstat};

/// Who may read a new file: it holds addresses of clients.
const MODE: u32 = 0o640;

/// A FIFO without a reader is an error, and a full one is found out rather than waited for.
const FLAGS: OFlags = OFlags::WRONLY
    .union(OFlags::APPEND)
    .union(OFlags::NOCTTY)
    .union(OFlags::NONBLOCK)
    .union(OFlags::CLOEXEC);

/// A file of the access log.
#[derive(Debug)]
pub struct AccessFile {
    path: PathBuf,
    file: Option<File>,
}

impl AccessFile {
    /// The file at a path, which is not opened yet.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self { path, file: None }
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens or creates the file, unless it is open already. Blocks.
    ///
    /// # Errors
    /// The system refuses.
    pub fn open(&mut self) -> io::Result<()> {
        match self.file {
            Some(_) => Ok(()),
            None => self.reopen(),
        }
    }

    /// Opens or creates the file for a user without rights in its folder, which belongs to root. If it is new, it is given to
    /// `owner`, who has to open it again. To be called as root; blocks.
    ///
    /// A link would let those who can make one choose what root writes to: there is to be none on the way (Linux), and none
    /// to the file.
    ///
    /// # Errors
    /// The system refuses, or there is a link.
    pub fn open_as_root(
        &mut self,
        owner: impl FnOnce(BorrowedFd<'_>) -> io::Result<()>,
    ) -> io::Result<()> {
        let file = match open_without_links(&self.path, OFlags::CREATE | OFlags::EXCL) {
            Ok(file) => {
                owner(file.as_fd())?;
                file
            }
            Err(rustix::io::Errno::EXIST) => {
                let file = open_without_links(&self.path, OFlags::empty())?;
                let found = fstat(&file)?;
                if FileType::from_raw_mode(found.st_mode).is_file() && found.st_nlink > 1 {
                    return Err(io::Error::other("it has several names (hard links)"));
                }
                file
            }
            Err(error) => return Err(error.into()),
        };
        self.file = Some(file.into());
        Ok(())
    }

    /// Opens or creates the file that has the path now. If that fails, the old one stays open.
    pub(super) fn reopen(&mut self) -> io::Result<()> {
        let descriptor = match self.path.to_str() {
            // These may be pipes or sockets, which cannot be opened by their names.
            Some("/dev/stdout") => io::stdout().as_fd().try_clone_to_owned()?,
            Some("/dev/stderr") => io::stderr().as_fd().try_clone_to_owned()?,
            _ => {
                let mode = Mode::from_raw_mode(MODE);
                rustix::fs::open(&self.path, FLAGS | OFlags::CREATE, mode)?
            }
        };
        self.file = Some(descriptor.into());
        Ok(())
    }

    /// Whether the open file has no name any more, so that nobody can read what is written to it.
    pub(super) fn is_removed(&self) -> bool {
        let is_of_process = matches!(self.path.to_str(), Some("/dev/stdout" | "/dev/stderr"));
        let found = self.file.as_ref().and_then(|file| fstat(file).ok());
        !is_of_process
            && found.is_some_and(|found| {
                found.st_nlink == 0 && FileType::from_raw_mode(found.st_mode).is_file()
            })
    }

    /// The open file, which is opened if it is not yet.
    pub(super) fn file(&mut self) -> io::Result<&File> {
        self.open()?;
        self.file
            .as_ref()
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

#[cfg(target_os = "linux")]
fn open_without_links(path: &Path, flags: OFlags) -> rustix::io::Result<OwnedFd> {
    use rustix::fs::{ResolveFlags, openat2};
    let mode = match flags.contains(OFlags::CREATE) {
        true => Mode::from_raw_mode(MODE),
        false => Mode::empty(),
    };
    openat2(CWD, path, FLAGS | flags, mode, ResolveFlags::NO_SYMLINKS)
}

#[cfg(not(target_os = "linux"))]
fn open_without_links(path: &Path, flags: OFlags) -> rustix::io::Result<OwnedFd> {
    let mode = Mode::from_raw_mode(MODE);
    rustix::fs::openat(CWD, path, FLAGS | OFlags::NOFOLLOW | flags, mode)
}
