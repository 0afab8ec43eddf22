//! Opens files below a folder, and none outside it, whatever links and names lead to.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use http::StatusCode;
use rustix::fs::{CWD, FileType, Mode, OFlags, fstat, openat};
use rustix::io::Errno;

use crate::log::LogKind;

/// A folder whose files are served. It is looked for by its name each time, so that a link can be set to another version.
#[derive(Clone, Debug)]
pub(in crate::application) struct Root {
    /// Where it is.
    pub folder: PathBuf,
    /// Whether links may lead out of it.
    pub follow: bool,
}

/// Whether opening a file may take the time of a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::application) enum DiskWait {
    /// It may: to be called on a thread that may wait.
    Allowed,
    /// It fails with [`Errno::AGAIN`] instead.
    Forbidden,
}

/// Never a terminal, and never waiting for the other end of a FIFO.
const OPEN: OFlags = OFlags::RDONLY
    .union(OFlags::NONBLOCK)
    .union(OFlags::CLOEXEC)
    .union(OFlags::NOCTTY);

/// Only to see what it is: no permission to read it is needed.
#[cfg(any(target_os = "linux", target_os = "android"))]
const LOOK: OFlags = OFlags::PATH.union(OFlags::CLOEXEC);
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const LOOK: OFlags = OPEN;

/// A folder, only to open others from.
#[cfg(any(target_os = "linux", target_os = "android"))]
const STEP: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const STEP: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::CLOEXEC);

/// How the log takes it that a file cannot be had, for which a request is answered with this status. What leads out of a folder
/// is not there for clients (404), each of whom can ask for it: nothing is wrong with the server.
pub(in crate::application) fn log_kind(status: StatusCode) -> LogKind {
    match status {
        StatusCode::NOT_FOUND => LogKind::Refused,
        _ => LogKind::NotReadable,
    }
}

impl Root {
    /// Opens what is at a path, which has neither `.` nor `..` in it and does not begin with a slash; the folder itself if
    /// it is empty.
    ///
    /// # Errors
    /// The system's: [`Errno::XDEV`] and [`Errno::LOOP`] where a link leads out of the folder.
    pub(in crate::application) fn open(
        &self,
        path: &Path,
        wait: DiskWait,
    ) -> Result<OwnedFd, Errno> {
        self.open_with(path, OPEN, wait)
    }

    /// What is at such a path.
    ///
    /// # Errors
    /// Those of [`Root::open`], but for the lack of a permission to read it.
    pub(in crate::application) fn look(
        &self,
        path: &Path,
        wait: DiskWait,
    ) -> Result<FileType, Errno> {
        let file = self.open_with(path, LOOK, wait)?;
        Ok(FileType::from_raw_mode(fstat(file)?.st_mode))
    }

    /// Where the folder is once all links in its path are followed.
    ///
    /// # Errors
    /// The system's.
    pub(in crate::application) fn resolved(&self, wait: DiskWait) -> Result<PathBuf, Errno> {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        if let Some(resolved) = self.resolved_at_once(wait) {
            return resolved;
        }
        match wait {
            DiskWait::Forbidden => Err(Errno::AGAIN),
            DiskWait::Allowed => std::fs::canonicalize(&self.folder)
                .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO)),
        }
    }

    /// By the name that the system has for its open descriptor; `None` where `/proc` is not there.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn resolved_at_once(&self, wait: DiskWait) -> Option<Result<PathBuf, Errno>> {
        use std::ffi::OsString;
        use std::os::fd::AsRawFd;
        use std::os::unix::ffi::OsStringExt;

        let folder = match self.open_with(Path::new(""), LOOK, wait) {
            Ok(folder) => folder,
            Err(error) => return Some(Err(error)),
        };
        let link = format!("/proc/self/fd/{}", folder.as_raw_fd());
        let name = rustix::fs::readlinkat(CWD, link, Vec::new()).ok()?;
        Some(Ok(OsString::from_vec(name.into_bytes()).into()))
    }

    fn open_with(&self, path: &Path, flags: OFlags, wait: DiskWait) -> Result<OwnedFd, Errno> {
        let path = match path.as_os_str().is_empty() {
            true => Path::new("."),
            false => path,
        };
        #[cfg(any(target_os = "linux", target_os = "android"))]
        match self.open_at_once(path, flags, wait) {
            // Kernels before 5.6, and some sandboxes, do not have the call; those before 5.12 not the flag of `wait`.
            Err(Errno::NOSYS | Errno::PERM) => {}
            Err(Errno::INVAL) if wait == DiskWait::Forbidden => return Err(Errno::AGAIN),
            opened => return opened,
        }
        match wait {
            DiskWait::Forbidden => Err(Errno::AGAIN),
            DiskWait::Allowed => self.open_by_steps(path, flags),
        }
    }

    /// By one system call where no link is on the way: without a link and without `..` nothing leads out of the folder. Else
    /// from the folder on, by a call that follows links as far as they stay below it.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn open_at_once(&self, path: &Path, flags: OFlags, wait: DiskWait) -> Result<OwnedFd, Errno> {
        use std::path::Component;

        use rustix::fs::{ResolveFlags, openat2};

        let wait = match wait {
            DiskWait::Allowed => ResolveFlags::empty(),
            DiskWait::Forbidden => ResolveFlags::CACHED,
        };
        if path.components().all(|part| part != Component::ParentDir) {
            let whole = self.folder.join(path);
            match openat2(
                CWD,
                whole,
                flags,
                Mode::empty(),
                ResolveFlags::NO_SYMLINKS | wait,
            ) {
                // A link, or the path is too long for one call.
                Err(Errno::LOOP | Errno::NAMETOOLONG) => {}
                opened => return opened,
            }
        }
        let bounds = match self.follow {
            true => ResolveFlags::NO_MAGICLINKS,
            false => ResolveFlags::NO_MAGICLINKS | ResolveFlags::BENEATH,
        };
        let root = openat2(CWD, &self.folder, STEP, Mode::empty(), wait)?;
        openat2(&root, path, flags, Mode::empty(), bounds | wait)
    }

    /// Folder by folder. Links are not followed at all, unless they may lead anywhere.
    fn open_by_steps(&self, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
        let mut folder = openat(CWD, &self.folder, STEP, Mode::empty())?;
        if self.follow {
            return openat(&folder, path, flags, Mode::empty());
        }
        let mut names = path.iter().peekable();
        while let Some(name) = names.next() {
            if names.peek().is_none() {
                return openat(&folder, name, flags | OFlags::NOFOLLOW, Mode::empty());
            }
            folder = openat(&folder, name, STEP | OFlags::NOFOLLOW, Mode::empty())?;
        }
        Err(Errno::NOENT)
    }
}

/// Whether an error means that nothing is there.
pub(in crate::application) fn is_absent(error: Errno) -> bool {
    // The last are what sockets answer to those who open them, and devices that are not there.
    matches!(
        error,
        Errno::NOENT | Errno::NOTDIR | Errno::NAMETOOLONG | Errno::NXIO | Errno::NODEV
    )
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::io::Read;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    use rustix::io::Errno;

    use super::{DiskWait, OPEN, Root};

    fn text(opened: Result<std::os::fd::OwnedFd, Errno>) -> Result<String, Errno> {
        let mut text = String::new();
        let read = File::from(opened?).read_to_string(&mut text);
        read.map(|_| text)
            .map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))
    }

    #[test]
    fn links_stay_below_the_folder_unless_they_may_leave_it() {
        let place = tempfile::tempdir().expect("a folder");
        let folder = place.path().join("public");
        fs::create_dir_all(folder.join("sub")).expect("folders");
        for (path, content) in [("secret", "secret"), ("public/sub/file", "inside")] {
            fs::write(place.path().join(path), content).expect("a file");
        }
        for (target, link) in [
            ("sub/file", "near"),
            ("../secret", "out"),
            ("/etc/passwd", "far"),
            ("sub", "folder"),
            ("..", "up"),
            ("round", "round"),
        ] {
            symlink(target, folder.join(link)).expect("a link");
        }
        let root = |follow| Root {
            folder: folder.clone(),
            follow,
        };
        let opened =
            |follow, path: &str| text(root(follow).open(Path::new(path), DiskWait::Allowed));
        assert_eq!(opened(false, "sub/file").as_deref(), Ok("inside"));
        for outside in ["out", "far", "up/secret", "round", "sub/../../secret"] {
            let error = opened(false, outside).expect_err(outside);
            assert!(
                matches!(error, Errno::XDEV | Errno::LOOP),
                "{outside}: {error}"
            );
        }
        assert_eq!(opened(false, "none"), Err(Errno::NOENT));
        assert_eq!(opened(false, "sub/file/none"), Err(Errno::NOTDIR));
        assert_eq!(opened(true, "out").as_deref(), Ok("secret"));
        assert_eq!(opened(true, "near").as_deref(), Ok("inside"));
        for path in ["near", "folder/file", "sub/./file"] {
            assert_eq!(opened(false, path).as_deref(), Ok("inside"), "{path}");
        }
        // Without the call of newer kernels.
        let stepped = |follow, path: &str| text(root(follow).open_by_steps(Path::new(path), OPEN));
        assert_eq!(stepped(false, "sub/file").as_deref(), Ok("inside"));
        for outside in ["out", "far", "up/secret", "round", "near", "folder/file"] {
            let error = stepped(false, outside).expect_err(outside);
            assert!(
                matches!(error, Errno::NOTDIR | Errno::LOOP),
                "{outside}: {error}"
            );
        }
        assert_eq!(stepped(true, "out").as_deref(), Ok("secret"));
    }

    /// It is found where its name leads at that time, as after the deployment of another version.
    #[test]
    fn the_folder_may_be_another_one_the_next_time() {
        let place = tempfile::tempdir().expect("a folder");
        let current = place.path().join("current");
        let root = Root {
            folder: current.clone(),
            follow: false,
        };
        for version in ["1", "2"] {
            fs::create_dir(place.path().join(version)).expect("a folder");
            fs::write(place.path().join(version).join("file"), version).expect("a file");
            let _ = fs::remove_file(&current);
            symlink(version, &current).expect("a link");
            let opened = root.open(Path::new("file"), DiskWait::Allowed);
            assert_eq!(text(opened).as_deref(), Ok(version));
        }
    }
}
