//! The pid file: names the master for people and other programs. We never send a signal to its number, nor trust it: a
//! master keeps its pid file locked as long as it lives, so that a file that is not locked is stale, whichever process has
//! that number now.

use std::fmt;
use std::fs::{File, TryLockError};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use anyhow::{Context, bail};
use rustix::process::Pid;

use super::lock::{is_running, no_follow};
use crate::own_file::{OwnFile, folder_of, make_beside};
use crate::permission::user_shown;
use crate::supervisor::trust::Trust;

/// The largest pid file, in bytes.
const LARGEST: u64 = 64;

/// The largest process id (`PID_MAX_LIMIT` of Linux; other systems have smaller ones).
const LARGEST_PID: i32 = 1 << 22;

/// The pid file of this process. Dropped, it is removed, unless a successor has put its own there.
#[derive(Debug)]
pub struct PidFile {
    own: OwnFile,
    /// Locked, which shows that this process lives.
    alive: File,
}

/// What is at the path of a pid file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PidFileState {
    /// No file.
    Missing,
    /// The file of a master that is running.
    Running(Pid),
    /// A file that a master left behind.
    Stale(Stale),
}

/// Why a pid file is stale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stale {
    /// It is empty, as a full disk or a crash leaves it.
    Empty,
    /// Its process has ended.
    Ended(Pid),
    /// Its number belongs to a process that is not a master.
    Stranger(Pid),
}

impl PidFile {
    /// Writes our process id to a file beside the pid file. To be called while the pid lock is held.
    ///
    /// # Errors
    /// The file cannot be written, or there is something at the path that is not a pid file.
    pub fn prepare(path: &Path) -> anyhow::Result<Self> {
        // For its errors: whether what is there may be replaced.
        find(path)?;
        let prepare = || -> anyhow::Result<Self> {
            let mut options = File::options();
            options.read(true).write(true).create_new(true).mode(0o644);
            let (mut alive, own) = make_beside(path, |beside| options.open(beside))?;
            writeln!(alive, "{}", std::process::id())?;
            alive.try_lock()?;
            Ok(Self { own, alive })
        };
        prepare().with_context(|| format!("cannot write the pid file `{}`", path.display()))
    }

    /// Moves the file to its path, where it replaces another. It appears complete and locked.
    ///
    /// # Errors
    /// It cannot be moved there.
    pub fn publish(&mut self, path: &Path) -> anyhow::Result<()> {
        let context = || format!("cannot write the pid file `{}`", path.display());
        self.own.rename(path).with_context(context)
    }

    /// Its path.
    pub(super) fn path(&self) -> &Path {
        self.own.path()
    }

    /// Whether the file was removed, or replaced with one that is not the file of a master.
    pub(super) fn is_lost(&self) -> bool {
        !self.own.is_there() && !matches!(find(self.own.path()), Ok(PidFileState::Running(_)))
    }

    /// Leaves the file in its place when this is dropped. It is stale then.
    pub(super) fn leave(&mut self) {
        self.own.leave();
    }
}

impl Drop for PidFile {
    /// A file into which another process has written something else is not ours to remove.
    fn drop(&mut self) {
        let mut bytes = [0; LARGEST as usize + 1];
        let length = self.alive.read_at(&mut bytes, 0).unwrap_or_default();
        if parse(&bytes[..length]).is_none() {
            self.leave();
        }
    }
}

/// Looks at what is at the path of a pid file.
///
/// # Errors
/// It cannot be read; it is not a pid file, and so must never be replaced; or it belongs to a user who is not trusted.
pub fn find(path: &Path) -> anyhow::Result<PidFileState> {
    check_path(path)?;
    let context = || format!("cannot read the pid file `{}`", path.display());
    let file = match no_follow(File::options().read(true)).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(PidFileState::Missing),
        Err(error) => return Err(error).with_context(context),
    };
    let owner = file.metadata().with_context(context)?;
    if !Trust::of_folder(path).holds_file(&owner) {
        bail!(
            "the pid file `{}` belongs to another user ({}), who is not trusted",
            path.display(),
            user_shown(owner.uid())
        );
    }
    let mut bytes = Vec::new();
    let read = (&file).take(LARGEST + 1).read_to_end(&mut bytes);
    read.with_context(context)?;
    let pid = match parse(&bytes) {
        Some(Some(pid)) => pid,
        Some(None) => return Ok(PidFileState::Stale(Stale::Empty)),
        // Another file of the user, named by mistake.
        None => bail!(
            "`{}` is not a pid file, and is not overwritten",
            path.display()
        ),
    };
    // A shared lock, so that two processes that look at the same time do not take each other for a master.
    Ok(match file.try_lock_shared() {
        Err(TryLockError::WouldBlock) => PidFileState::Running(pid),
        Err(TryLockError::Error(error)) => return Err(error).with_context(context),
        Ok(()) if is_running(pid) => PidFileState::Stale(Stale::Stranger(pid)),
        Ok(()) => PidFileState::Stale(Stale::Ended(pid)),
    })
}

/// The number in a pid file, if the file is not empty; `None` if it is not a pid file.
fn parse(bytes: &[u8]) -> Option<Option<Pid>> {
    if bytes.len() as u64 > LARGEST {
        return None;
    }
    let text = std::str::from_utf8(bytes).ok()?;
    // A crash of the system leaves zeros.
    let text = text.trim_matches(['\0', ' ', '\t', '\r', '\n']);
    if text.is_empty() {
        return Some(None);
    }
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number = text.parse().ok().filter(|number| *number <= LARGEST_PID)?;
    Pid::from_raw(number).map(Some)
}

/// Makes sure that a pid file may be put at a path: its folder exists, and nothing but a file is there.
fn check_path(path: &Path) -> anyhow::Result<()> {
    let shown = path.display();
    if path.file_name().is_none() {
        bail!("`{shown}` is not a name for a pid file");
    }
    let found = match std::fs::symlink_metadata(path) {
        Ok(found) => found.file_type(),
        Err(error) if error.kind() == ErrorKind::NotFound => return check_folder(path),
        Err(error) => {
            return Err(error).with_context(|| format!("cannot look at the pid file `{shown}`"));
        }
    };
    let what = match found {
        _ if found.is_file() => return Ok(()),
        _ if found.is_dir() => "a folder",
        // Its author could have us overwrite the file that it leads to.
        _ if found.is_symlink() => "a symbolic link",
        _ if found.is_socket() => "a socket",
        _ => "a device or pipe",
    };
    bail!("the pid file `{shown}` is {what}")
}

fn check_folder(path: &Path) -> anyhow::Result<()> {
    let folder = folder_of(path).display();
    match std::fs::metadata(folder_of(path)) {
        Ok(found) if found.is_dir() => Ok(()),
        Ok(_) => bail!("`{folder}` is not a folder for a pid file"),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            bail!(
                "there is no folder `{folder}` for the pid file `{}`",
                path.display()
            )
        }
        Err(error) => Err(error).with_context(|| format!("cannot look into `{folder}`")),
    }
}

impl fmt::Display for Stale {
    /// The reason, as the end of a sentence.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => formatter.write_str("it is empty"),
            Self::Ended(pid) => write!(formatter, "process {pid} has ended"),
            Self::Stranger(pid) => write!(formatter, "process {pid} is another program"),
        }
    }
}
