//! The pid file: says who the master is. Its number is for people and other programs; we ourselves never send
//! a signal to it, and do not even believe it: a master keeps its pid file locked for as long as it
//! lives, so that a file that is not locked is stale, whatever process has that number by now.

use std::fmt;
use std::fs::{File, TryLockError};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use rustix::fs::OFlags;
use rustix::process::Pid;

use crate::own_file::{OwnFile, make_beside};
use crate::supervisor::seat::lock::is_running;
use crate::supervisor::trust::Trust;

/// The largest file that is looked at: more is no pid file.
const LARGEST: u64 = 64;

/// The largest number that a process can have (`PID_MAX_LIMIT` of Linux; others have smaller ones).
const LARGEST_PID: i32 = 1 << 22;

/// The pid file of this process. Dropping it removes it, unless a successor has put its own there.
#[derive(Debug)]
pub struct PidFile {
    own: OwnFile,
    /// Locked: says that we live.
    alive: File,
}

/// What there is at the place of a pid file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing.
    Nothing,
    /// The file of a master that is running.
    Running(Pid),
    /// A file that a master left behind.
    Stale(Stale),
}

/// Why a pid file counts for nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stale {
    /// It is empty, as a full disk or a crash leaves it.
    Empty,
    /// Its process has ended.
    Ended(Pid),
    /// Its number belongs to another process now, or to one that is no master.
    Stranger(Pid),
}

impl PidFile {
    /// Writes our process id beside the place of the pid file. To be called while the pid lock is held.
    ///
    /// # Errors
    /// Nothing can be written there, or something else than a pid file stands in the way.
    pub fn prepare(path: &Path) -> anyhow::Result<Self> {
        // Whatever it says: that it can be replaced.
        find(path)?;
        let context = || format!("cannot write the pid file `{}`", path.display());
        let mut options = File::options();
        options.read(true).write(true).create_new(true).mode(0o644);
        let made = make_beside(path, |beside| options.open(beside));
        let (mut file, own) = made.with_context(context)?;
        writeln!(file, "{}", std::process::id()).with_context(context)?;
        file.try_lock().with_context(context)?;
        Ok(Self { own, alive: file })
    }

    /// Puts it in its place, instead of what is there. It appears whole and locked: nobody ever sees it
    /// otherwise.
    ///
    /// # Errors
    /// It cannot be put there.
    pub fn publish(&mut self, path: &Path) -> anyhow::Result<()> {
        let context = || format!("cannot write the pid file `{}`", path.display());
        self.own.rename(path).with_context(context)
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        self.own.path()
    }

    /// Whether somebody has removed it, or put something in its place that is not the file of a master.
    pub(super) fn is_lost(&self) -> bool {
        !self.own.is_there() && !matches!(find(self.own.path()), Ok(Found::Running(_)))
    }

    /// Leaves it where it is, in the end: a stale one.
    pub(super) fn leave(&mut self) {
        self.own.leave();
    }
}

impl Drop for PidFile {
    /// What somebody has written into it meanwhile is not ours to remove.
    fn drop(&mut self) {
        let mut bytes = [0; LARGEST as usize + 1];
        let length = self.alive.read_at(&mut bytes, 0).unwrap_or_default();
        if parse(&bytes[..length]).is_none() {
            self.leave();
        }
    }
}

/// Looks at what stands at the place of a pid file.
///
/// # Errors
/// It cannot be read, or is something else than a pid file, which is never replaced; or it belongs to a user who is not
/// believed.
pub fn find(path: &Path) -> anyhow::Result<Found> {
    check_place(path)?;
    let context = || format!("cannot read the pid file `{}`", path.display());
    let mut options = File::options();
    options.read(true);
    options.custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed());
    let file = match options.open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Found::Nothing),
        Err(error) => return Err(error).with_context(context),
    };
    let owner = file.metadata().with_context(context)?;
    if !Trust::of_folder(path).holds_file(&owner) {
        bail!(
            "the pid file `{}` belongs to another user ({}), who is not believed",
            path.display(),
            owner.uid()
        );
    }
    let mut bytes = Vec::new();
    (&file)
        .take(LARGEST + 1)
        .read_to_end(&mut bytes)
        .with_context(context)?;
    let pid = match parse(&bytes) {
        Some(Some(pid)) => pid,
        Some(None) => return Ok(Found::Stale(Stale::Empty)),
        // Somebody's own file, named by mistake.
        None => bail!(
            "`{}` is no pid file, and is not overwritten",
            path.display()
        ),
    };
    // Shared, so that two that look at the same time do not take each other for a master.
    Ok(match file.try_lock_shared() {
        Err(TryLockError::WouldBlock) => Found::Running(pid),
        Err(TryLockError::Error(error)) => return Err(error).with_context(context),
        Ok(()) if is_running(pid) => Found::Stale(Stale::Stranger(pid)),
        Ok(()) => Found::Stale(Stale::Ended(pid)),
    })
}

/// The number in a pid file, if there is one; `None` for what no pid file holds.
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

/// Makes sure that a pid file could stand there: in a folder that exists, in place of nothing or of a file.
fn check_place(path: &Path) -> anyhow::Result<()> {
    let shown = path.display();
    if path.file_name().is_none() {
        bail!("`{shown}` is no name for a pid file");
    }
    let found = match std::fs::symlink_metadata(path) {
        Ok(found) => found.file_type(),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let folder = folder_of(path);
            return match std::fs::metadata(&folder) {
                Ok(found) if found.is_dir() => Ok(()),
                Ok(_) => bail!("`{}` is no folder for a pid file", folder.display()),
                Err(error) if error.kind() == ErrorKind::NotFound => bail!(
                    "there is no folder `{}` for the pid file `{shown}`",
                    folder.display()
                ),
                Err(error) => {
                    Err(error).with_context(|| format!("cannot look into `{}`", folder.display()))
                }
            };
        }
        Err(error) => {
            return Err(error).with_context(|| format!("cannot look at the pid file `{shown}`"));
        }
    };
    let what = match found {
        _ if found.is_file() => return Ok(()),
        _ if found.is_dir() => "a folder",
        // Whoever made the link could have us overwrite what it leads to.
        _ if found.is_symlink() => "a symbolic link",
        _ if found.is_socket() => "a socket",
        _ => "a device or pipe",
    };
    bail!("the pid file `{shown}` is {what}")
}

fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        Some(_) | None => PathBuf::from("."),
    }
}

impl fmt::Display for Stale {
    /// Why it counts for nothing, as the end of a sentence.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => formatter.write_str("it is empty"),
            Self::Ended(pid) => write!(formatter, "process {pid} has ended"),
            Self::Stranger(pid) => write!(formatter, "process {pid} is another program"),
        }
    }
}
