//! Locks that keep a second master away. A URL names one; it is held until it is dropped.

use std::fmt;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::process::{Gid, Pid, Uid, test_kill_process};

use crate::own_file::{FileId, OwnFile, folder_of, make_beside};
use crate::permission::user_shown;
use crate::supervisor::trust::Trust;

/// The pause before a lock is tried again.
const PAUSE: Duration = Duration::from_millis(10);

/// How often a lock file that other processes keep replacing is tried.
const ATTEMPTS: usize = 100;

/// A kind of lock, and its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LockUrl {
    /// `flockfile:PATH`: a file that is locked with `flock(2)`. It stays when the lock is released, and the lock
    /// never outlives its holder.
    Flock(PathBuf),
    /// `lockfile:PATH`: the lock is held while the file exists. If its holder crashes, the file must be removed by hand.
    Exclusive(PathBuf),
    /// `shlockfile:PATH`: the same with the holder's process id in the file, as of `shlock(1)`. A file whose
    /// process has ended is ignored.
    Pid(PathBuf),
    /// `nulllockfile:`: no lock at all.
    Null,
}

/// The reason why a text is not a [`LockUrl`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidLockUrl {
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub hint: Option<String>,
}

/// A lock that is held. Dropped, it is released.
#[derive(Debug)]
pub struct Lock(#[expect(dead_code, reason = "held for what its end does")] Held);

#[derive(Debug)]
#[expect(dead_code, reason = "held for what their end does")]
enum Held {
    /// Closing the file releases it.
    Flock(File),
    /// Removing the file releases it.
    File(OwnFile),
    Null,
}

impl LockUrl {
    /// The same lock, with a relative path taken from a folder.
    #[must_use]
    pub fn relative_to(self, folder: &Path) -> Self {
        match self {
            Self::Flock(path) => Self::Flock(folder.join(path)),
            Self::Exclusive(path) => Self::Exclusive(folder.join(path)),
            Self::Pid(path) => Self::Pid(folder.join(path)),
            Self::Null => Self::Null,
        }
    }

    /// Takes the lock; `None` if another process holds it. Never waits.
    ///
    /// # Errors
    /// The file cannot be made or read.
    pub fn try_lock(&self) -> anyhow::Result<Option<Lock>> {
        let held = match self {
            Self::Flock(path) => flock(path).map(|held| held.map(Held::Flock)),
            Self::Exclusive(path) => exclusive(path).map(|held| held.map(Held::File)),
            Self::Pid(path) => with_pid(path).map(|held| held.map(Held::File)),
            Self::Null => Ok(Some(Held::Null)),
        };
        let held = held.with_context(|| format!("cannot lock `{self}`"))?;
        Ok(held.map(Lock))
    }

    /// Takes the lock, waiting for another process that holds it. For locks that are held for moments only.
    ///
    /// # Errors
    /// As [`LockUrl::try_lock`], or the lock is held for longer than `patience`.
    pub fn lock(&self, patience: Duration) -> anyhow::Result<Lock> {
        let until = Instant::now() + patience;
        loop {
            if let Some(lock) = self.try_lock()? {
                return Ok(lock);
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let hint = match self {
                    Self::Exclusive(path) => format!(
                        "\n = hint: remove `{}` if no `runner` is running",
                        path.display()
                    ),
                    Self::Flock(_) | Self::Pid(_) | Self::Null => String::new(),
                };
                bail!("`{self}` is locked by another process{hint}");
            }
            match self {
                Self::Flock(path) => await_release(path, left)?,
                // No event on all systems and file systems reports that a file is removed.
                Self::Exclusive(_) | Self::Pid(_) | Self::Null => thread::sleep(PAUSE.min(left)),
            }
        }
    }
}

/// Waits until a file is not locked any more, for this long at most. `flock(2)` itself has no limit of time, so a thread
/// calls it, which is left to itself where it takes longer.
fn await_release(path: &Path, within: Duration) -> anyhow::Result<()> {
    let file = open(path, false)?;
    let (sender, released) = mpsc::channel();
    thread::spawn(move || {
        let locked = file.lock();
        drop(file);
        let _ = sender.send(locked);
    });
    match released.recv_timeout(within) {
        Ok(locked) => Ok(locked?),
        Err(_) => Ok(()),
    }
}

/// Has a file opened without following a link, and without waiting if it turns out to be a pipe.
pub(super) fn no_follow(options: &mut OpenOptions) -> &mut OpenOptions {
    options.custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed())
}

/// Opens a lock file, which other users may not read.
fn open(path: &Path, new: bool) -> anyhow::Result<File> {
    let mut options = File::options();
    no_follow(options.read(true).write(true).mode(0o600));
    let created = options.clone().create_new(true).open(path).inspect(|file| {
        // A master takes the lock again after it has changed its user. The folder's owner can replace the file at any
        // time, so giving it away costs no safety.
        if let Some(owner) = owner_of_folder(path) {
            let _ = rustix::fs::fchown(file, Some(owner.0), Some(owner.1));
        }
    });
    let opened = match created {
        Err(error) if error.kind() == ErrorKind::AlreadyExists && !new => {
            options.create(true).truncate(false).open(path)
        }
        created => created,
    };
    let file = opened.map_err(|error| match Errno::from_io_error(&error) {
        Some(Errno::LOOP) => anyhow!("it is a symbolic link"),
        Some(Errno::NOENT | Errno::NOTDIR) => anyhow!("there is no such folder"),
        Some(Errno::ISDIR) => anyhow!("it is a folder"),
        _ => error.into(),
    })?;
    check(path, &file)?;
    Ok(file)
}

/// Makes sure that a lock file is a regular file of a trusted user: another user could hold the lock for ever.
fn check(path: &Path, file: &File) -> anyhow::Result<()> {
    let found = file.metadata()?;
    if !found.is_file() {
        bail!("it is something else than a file");
    }
    if !Trust::of_folder(path).holds_file(&found) {
        bail!("it belongs to another user ({})", user_shown(found.uid()));
    }
    Ok(())
}

/// The owner of a file's folder; `None` unless this process is root, which alone can give files away.
fn owner_of_folder(path: &Path) -> Option<(Uid, Gid)> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let found = std::fs::metadata(folder_of(path)).ok()?;
    Some((Uid::from_raw(found.uid()), Gid::from_raw(found.gid())))
}

/// Takes a lock without waiting; whether it was free.
fn try_lock(file: &File) -> io::Result<bool> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Whether an open file is still the one at its path.
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    Ok(FileId::at(path).ok() == Some(FileId::of(&file.metadata()?)))
}

fn flock(path: &Path) -> anyhow::Result<Option<File>> {
    for _ in 0..ATTEMPTS {
        let file = open(path, false)?;
        if !try_lock(&file)? {
            return Ok(None);
        }
        // A file that was removed meanwhile keeps no other process away.
        if is_at(&file, path)? {
            return Ok(Some(file));
        }
    }
    bail!("another process removes the file again and again")
}

fn exclusive(path: &Path) -> anyhow::Result<Option<OwnFile>> {
    match open(path, true) {
        Ok(mut file) => {
            let own = OwnFile::at(path)?;
            // For people who want to know which process holds it.
            writeln!(file, "{}", std::process::id())?;
            Ok(Some(own))
        }
        Err(error) if is_taken(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether a file could not be made because there is one.
fn is_taken(error: &anyhow::Error) -> bool {
    error
        .downcast_ref()
        .is_some_and(|error: &io::Error| error.kind() == ErrorKind::AlreadyExists)
}

fn with_pid(path: &Path) -> anyhow::Result<Option<OwnFile>> {
    // The file appears with its contents, so that no process reads half of a number.
    let make = |beside: &Path| {
        open(beside, true).map_err(|error| error.downcast().unwrap_or_else(io::Error::other))
    };
    let (mut file, written) = make_beside(path, make)?;
    writeln!(file, "{}", std::process::id())?;
    for _ in 0..ATTEMPTS {
        match std::fs::hard_link(written.path(), path) {
            Ok(()) => return Ok(Some(OwnFile::at(path)?)),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error.into()),
        }
        if !remove_stale(path)? {
            return Ok(None);
        }
    }
    bail!("another process makes the file again and again")
}

/// Removes a lock file whose process has ended. Returns whether there is none now.
fn remove_stale(path: &Path) -> anyhow::Result<bool> {
    let file = match no_follow(File::options().read(true)).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(true),
        Err(error) => return Err(error.into()),
    };
    check(path, &file)?;
    // Of two processes that do this, the second must not remove the lock that the first has just taken.
    if !try_lock(&file)? {
        return Ok(false);
    }
    if !is_at(&file, path)? {
        return Ok(true);
    }
    let mut text = Vec::new();
    (&file).take(64).read_to_end(&mut text)?;
    let text = String::from_utf8_lossy(&text);
    match text.trim().parse().ok().and_then(Pid::from_raw) {
        Some(holder) if is_running(holder) => return Ok(false),
        Some(_) => {}
        // Made, but not written to.
        None if text.trim().is_empty() => {}
        None => bail!("there is something else than a process id in it"),
    }
    std::fs::remove_file(path)?;
    Ok(true)
}

/// Whether there is a process with this number, of any user.
pub(super) fn is_running(pid: Pid) -> bool {
    // Signal 0 is none; a process of another user answers EPERM.
    !matches!(test_kill_process(pid), Err(Errno::SRCH))
}

/// Makes a lock's URL from a path.
type Make = fn(PathBuf) -> LockUrl;

const SCHEMES: [(&str, Make); 4] = [
    ("flockfile", LockUrl::Flock),
    ("lockfile", LockUrl::Exclusive),
    ("shlockfile", LockUrl::Pid),
    ("nulllockfile", |_| LockUrl::Null),
];

impl FromStr for LockUrl {
    type Err = InvalidLockUrl;

    fn from_str(text: &str) -> Result<Self, InvalidLockUrl> {
        let invalid = |message: String, hint: Option<String>| InvalidLockUrl { message, hint };
        let Some((scheme, path)) = text.split_once(':').filter(|(scheme, _)| {
            // `./a:b` is a path.
            scheme.bytes().all(|byte| byte.is_ascii_alphanumeric())
        }) else {
            return Err(invalid(
                format!("`{text}` does not say what kind of lock it is"),
                Some(format!("write `flockfile:{text}`")),
            ));
        };
        let name = scheme.to_ascii_lowercase();
        let Some((_, make)) = SCHEMES.into_iter().find(|(known, _)| *known == name) else {
            return Err(invalid(
                format!("unknown kind of lock `{scheme}` in `{text}`"),
                Some(
                    "there are `flockfile:`, `lockfile:`, `shlockfile:` and `nulllockfile:`"
                        .to_owned(),
                ),
            ));
        };
        // As in other URLs, `//` may stand before a path that begins with `/`.
        let path = match path.strip_prefix("//") {
            Some(absolute) if absolute.starts_with('/') => absolute,
            Some(_) | None => path,
        };
        let lock = make(PathBuf::from(path));
        if path.contains('\0') || (path.is_empty() && lock != LockUrl::Null) {
            return Err(invalid(
                format!("`{}` does not name a file", text.escape_debug()),
                Some(format!("write `{name}:PATH`")),
            ));
        }
        Ok(lock)
    }
}

impl fmt::Display for LockUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flock(path) => write!(formatter, "flockfile:{}", path.display()),
            Self::Exclusive(path) => write!(formatter, "lockfile:{}", path.display()),
            Self::Pid(path) => write!(formatter, "shlockfile:{}", path.display()),
            Self::Null => formatter.write_str("nulllockfile:"),
        }
    }
}

impl fmt::Display for InvalidLockUrl {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for InvalidLockUrl {}
