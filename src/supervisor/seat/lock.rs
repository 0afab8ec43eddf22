//! Locks that keep a second master away: named by a URL, held until they are dropped.

use std::fmt;
use std::fs::{File, TryLockError};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::process::{Gid, Pid, Uid, test_kill_process};

use crate::own_file::{FileId, OwnFile, make_beside};
use crate::supervisor::trust::Trust;

/// How long to wait before a lock is tried again.
const PAUSE: Duration = Duration::from_millis(10);

/// How often a lock file that changes under our eyes is looked at again.
const ATTEMPTS: usize = 100;

/// What a lock is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LockUrl {
    /// `flockfile:PATH`: a file that is locked with `flock(2)`. It stays when the lock is released, and the lock
    /// never outlives its holder.
    Flock(PathBuf),
    /// `lockfile:PATH`: the lock is held while the file exists. If its holder crashes, somebody has to remove it.
    Exclusive(PathBuf),
    /// `shlockfile:PATH`: the same with the holder's process id in the file, as of `shlock(1)`. A file whose
    /// process is gone does not count.
    Pid(PathBuf),
    /// `nulllockfile:`: no lock at all.
    Null,
}

/// Why a text is no [`LockUrl`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidLockUrl {
    /// What is wrong.
    pub message: String,
    /// What might be meant.
    pub hint: Option<String>,
}

/// A lock that is held. Dropping it releases it.
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
    /// The same with a relative path made one below a folder.
    #[must_use]
    pub fn relative_to(self, folder: &Path) -> Self {
        match self {
            Self::Flock(path) => Self::Flock(folder.join(path)),
            Self::Exclusive(path) => Self::Exclusive(folder.join(path)),
            Self::Pid(path) => Self::Pid(folder.join(path)),
            Self::Null => Self::Null,
        }
    }

    /// Takes the lock, or says that another process has it (`None`). Never waits.
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

    /// Takes the lock, waiting for whoever has it. For locks that are held for moments only.
    ///
    /// # Errors
    /// As [`LockUrl::try_lock`], or it is held for longer than `patience`.
    pub fn lock(&self, patience: Duration) -> anyhow::Result<Lock> {
        let until = Instant::now() + patience;
        loop {
            if let Some(lock) = self.try_lock()? {
                return Ok(lock);
            }
            if Instant::now() >= until {
                let hint = match self {
                    Self::Exclusive(path) => format!(
                        "\n = hint: remove `{}` if no `runner` is running",
                        path.display()
                    ),
                    Self::Flock(_) | Self::Pid(_) | Self::Null => String::new(),
                };
                bail!("`{self}` is locked by another process{hint}");
            }
            // Of a file that is removed nobody is told, and `flock` knows no patience.
            thread::sleep(PAUSE);
        }
    }
}

/// Opens a lock file; it is no business of other users, nor of where a link leads.
fn open(path: &Path, new: bool) -> anyhow::Result<File> {
    let mut options = File::options();
    options.read(true).write(true).mode(0o600);
    options.custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed());
    let created = options.clone().create_new(true).open(path).inspect(|file| {
        // A master that is not root any more wants it, too; whom the folder belongs to can do with it as he likes.
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

/// Makes sure that a lock file is one, of somebody who is believed: another user could hold it for ever.
fn check(path: &Path, file: &File) -> anyhow::Result<()> {
    let found = file.metadata()?;
    if !found.is_file() {
        bail!("it is something else than a file");
    }
    if !Trust::of_folder(path).holds_file(&found) {
        bail!("it belongs to another user ({})", found.uid());
    }
    Ok(())
}

/// Whom the folder of a file belongs to, where root asks: nobody else can give files away.
fn owner_of_folder(path: &Path) -> Option<(Uid, Gid)> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let folder = path.parent().filter(|path| *path != Path::new(""));
    let found = std::fs::metadata(folder.unwrap_or(Path::new("."))).ok()?;
    Some((Uid::from_raw(found.uid()), Gid::from_raw(found.gid())))
}

/// Whether a file could not be made because there is one.
fn is_there(error: &anyhow::Error) -> bool {
    error
        .downcast_ref()
        .is_some_and(|error: &io::Error| error.kind() == ErrorKind::AlreadyExists)
}

fn into_io(error: anyhow::Error) -> io::Error {
    error.downcast().unwrap_or_else(io::Error::other)
}

fn flock(path: &Path) -> anyhow::Result<Option<File>> {
    for _ in 0..ATTEMPTS {
        let file = open(path, false)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
        // Somebody may have removed the file meanwhile: then it locks nobody out.
        if FileId::at(path).ok() == Some(FileId::of(&file.metadata()?)) {
            return Ok(Some(file));
        }
    }
    bail!("somebody removes the file again and again")
}

fn exclusive(path: &Path) -> anyhow::Result<Option<OwnFile>> {
    match open(path, true) {
        Ok(mut file) => {
            let own = OwnFile::at(path)?;
            // For whoever wonders whose it is.
            writeln!(file, "{}", std::process::id())?;
            Ok(Some(own))
        }
        Err(error) if is_there(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

fn with_pid(path: &Path) -> anyhow::Result<Option<OwnFile>> {
    // The file appears with its contents, so that nobody reads half of a number.
    let make = |beside: &Path| open(beside, true).map_err(into_io);
    let (mut file, written) = make_beside(path, make)?;
    writeln!(file, "{}", std::process::id())?;
    for _ in 0..ATTEMPTS {
        match std::fs::hard_link(written.path(), path) {
            Ok(()) => return Ok(Some(OwnFile::at(path)?)),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error.into()),
        }
        if !break_stale(path)? {
            return Ok(None);
        }
    }
    bail!("somebody makes the file again and again")
}

/// Removes a lock file whose process is gone; `false` if it is there.
fn break_stale(path: &Path) -> anyhow::Result<bool> {
    let mut options = File::options();
    options.read(true);
    options.custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed());
    let file = match options.open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(true),
        Err(error) => return Err(error.into()),
    };
    check(path, &file)?;
    // Of two that break it, the second must not remove the lock that the first has just made.
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(false),
        Err(TryLockError::Error(error)) => return Err(error.into()),
    }
    if FileId::at(path).ok() != Some(FileId::of(&file.metadata()?)) {
        return Ok(true);
    }
    let mut text = Vec::new();
    (&file).take(64).read_to_end(&mut text)?;
    let text = String::from_utf8_lossy(&text);
    let holder = text.trim().parse().ok().and_then(Pid::from_raw);
    match holder {
        Some(holder) if is_running(holder) => return Ok(false),
        Some(_) => {}
        // What somebody has made and not written to: there is nothing to lose.
        None if text.trim().is_empty() => {}
        None => bail!("there is something else than a process id in it"),
    }
    std::fs::remove_file(path)?;
    Ok(true)
}

/// Whether there is a process of this number, whosever it is.
pub(super) fn is_running(pid: Pid) -> bool {
    // Signal 0 is none; a process that is not ours answers EPERM.
    !matches!(test_kill_process(pid), Err(Errno::SRCH))
}

/// What makes a lock's URL of a path.
type Make = fn(PathBuf) -> LockUrl;

/// The schemes, and what they make of a path.
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
