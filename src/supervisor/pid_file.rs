//! The pid file: says who the master is. Its number is for people and other programs; we ourselves never send
//! a signal to it, and do not even believe it: a master keeps its pid file locked for as long as it
//! lives, so that a file that is not locked is stale, whatever process has that number by now.

use std::fmt;
use std::fs::{File, TryLockError};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use rustix::fs::OFlags;
use rustix::process::Pid;

use super::lock::is_running;
use super::own_file::{OwnFile, temporary_name};

/// The largest file that is looked at: more is no pid file.
const LARGEST: u64 = 64;

/// The pid file of this process. Dropping it removes it, unless a successor has put its own there.
#[derive(Debug)]
pub struct PidFile {
    own: OwnFile,
    /// Locked: says that we live.
    _alive: File,
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
    /// There is something else than a number in it.
    Garbage,
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
        check_place(path)?;
        let context = || format!("cannot write the pid file `{}`", path.display());
        let temporary = temporary_name(path);
        let mut options = File::options();
        options.read(true).write(true).create_new(true).mode(0o644);
        let mut file = options.open(&temporary).with_context(context)?;
        let own = OwnFile::at(&temporary).with_context(context)?;
        writeln!(file, "{}", std::process::id()).with_context(context)?;
        file.try_lock().with_context(context)?;
        Ok(Self { own, _alive: file })
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

/// Looks at what stands at the place of a pid file.
///
/// # Errors
/// It cannot be read, or is something else than a pid file, which is never replaced.
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
    let mut bytes = Vec::new();
    (&file)
        .take(LARGEST + 1)
        .read_to_end(&mut bytes)
        .with_context(context)?;
    let text = String::from_utf8_lossy(&bytes);
    let text = text.trim_matches(['\0', ' ', '\t', '\r', '\n']);
    if bytes.len() as u64 > LARGEST {
        // Somebody's own file, named by mistake.
        bail!(
            "`{}` is no pid file, and is not overwritten",
            path.display()
        );
    }
    if text.is_empty() {
        return Ok(Found::Stale(Stale::Empty));
    }
    let number = text.parse().ok().filter(|number| *number > 0);
    let Some(pid) = number.and_then(Pid::from_raw) else {
        return Ok(Found::Stale(Stale::Garbage));
    };
    // Shared, so that two that look at the same time do not take each other for a master.
    Ok(match file.try_lock_shared() {
        Err(TryLockError::WouldBlock) => Found::Running(pid),
        Err(TryLockError::Error(error)) => return Err(error).with_context(context),
        Ok(()) if is_running(pid) => Found::Stale(Stale::Stranger(pid)),
        Ok(()) => Found::Stale(Stale::Ended(pid)),
    })
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
            Self::Garbage => formatter.write_str("there is something else than a number in it"),
            Self::Ended(pid) => write!(formatter, "process {pid} has ended"),
            Self::Stranger(pid) => write!(formatter, "process {pid} is another program"),
        }
    }
}
