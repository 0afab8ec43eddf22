//! Who this process is to the system, and what keeps it from a file: for messages that say what to change.

use std::io::{self, ErrorKind};
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::anyhow;
use nix::unistd::{Uid, User};
use rustix::fs::{Access, AtFlags, CWD, accessat};
use rustix::io::Errno;

/// How many symbolic links are followed, as by the system (`path_resolution(7)`).
const MOST_LINKS: usize = 40;

/// Whether this process has become another user.
static BECOME: AtomicBool = AtomicBool::new(false);

/// Records that this process has become another user.
pub fn note_change() {
    BECOME.store(true, Ordering::Relaxed);
}

/// Whether this process has become another user, who may not be able to read what the first one could.
#[must_use]
pub fn has_changed() -> bool {
    BECOME.load(Ordering::Relaxed)
}

/// Whether this process has root's rights.
#[must_use]
pub fn is_root() -> bool {
    Uid::effective().is_root()
}

/// A user by its name, if it has one, and its number.
#[must_use]
pub fn user_shown(number: u32) -> String {
    match name_of(Uid::from_raw(number)) {
        Some(name) => format!("`{name}`, {number}"),
        None => number.to_string(),
    }
}

/// The user of this process, and the setting that it comes from: how a message begins.
#[must_use]
pub fn present_user() -> String {
    let user = Uid::effective();
    let shown = match name_of(user) {
        Some(name) => format!("user `{name}`"),
        None => format!("user {user}"),
    };
    // Before a server becomes the user for good, it acts as that user.
    let is_set = !user.is_root() && (has_changed() || Uid::current() != user);
    match is_set {
        true => format!("{shown} (runner.user)"),
        false => shown,
    }
}

fn name_of(user: Uid) -> Option<String> {
    Some(User::from_uid(user).ok()??.name)
}

/// The error of a program that could not be run: if this process lacks a permission, with its user and what refuses it.
/// `shown` is the program in the words of the message.
#[must_use]
pub fn cannot_run(shown: &str, path: &Path, error: io::Error) -> anyhow::Error {
    if error.kind() != ErrorKind::PermissionDenied {
        return anyhow::Error::from(error).context(format!("cannot run {shown}"));
    }
    match no_running(shown, path) {
        Some(why) => anyhow!(why),
        None => {
            let user = present_user();
            anyhow::Error::from(error).context(format!("{user} cannot run {shown}"))
        }
    }
}

/// Why this process may not run a program, as a whole message; `None` if it lacks no permission.
#[must_use]
pub fn no_running(shown: &str, path: &Path) -> Option<String> {
    let is_program = |found: &std::fs::Metadata| found.permissions().mode() & 0o111 != 0;
    if path.metadata().is_ok_and(|found| !is_program(&found)) {
        return Some(format!("cannot run {shown}: it is not executable"));
    }
    let refusal = refusal(path, Access::EXEC_OK, "run")?;
    Some(format!(
        "{} cannot run {shown}: it {refusal}",
        present_user()
    ))
}

/// What keeps this process from making files in a folder, as the end of a sentence; `None` if nothing does.
#[must_use]
pub fn no_writing(folder: &Path) -> Option<String> {
    refusal(folder, Access::WRITE_OK, "write to the folder")
}

/// What keeps this process from writing to a file that is there, as the end of a sentence; `None` if nothing does.
#[must_use]
pub fn no_appending(file: &Path) -> Option<String> {
    refusal(file, Access::WRITE_OK, "write to the file")
}

/// Why this process may not read a file, as a whole message; `None` if it lacks no permission.
#[must_use]
pub fn no_reading(file: &Path) -> Option<String> {
    let refusal = refusal(file, Access::READ_OK, "read")?;
    let (user, shown) = (present_user(), file.display());
    Some(format!("{user} cannot read `{shown}`: it {refusal}"))
}

/// What keeps this process from entering a folder, as the end of a sentence; `None` if nothing does.
#[must_use]
pub fn no_entry(folder: &Path) -> Option<String> {
    refusal(folder, Access::EXEC_OK, "enter the folder")
}

/// What refuses a kind of access to a file: a folder on the way, the targets of symbolic links included, or the file itself.
fn refusal(path: &Path, wanted: Access, verb: &str) -> Option<String> {
    let mut link: Option<PathBuf> = None;
    let mut way = std::path::absolute(path).ok()?;
    for _ in 0..MOST_LINKS {
        let refused = match walk(&way) {
            Way::Unknown => return None,
            Way::Link { at, to } => {
                link.get_or_insert(at);
                way = to;
                continue;
            }
            Way::Refused(folder) => format!("may not enter the folder `{}`", folder.display()),
            Way::Open(file) if is_refused(&file, wanted) => {
                format!("may not {verb} `{}`", file.display())
            }
            Way::Open(_) => return None,
        };
        return Some(match link {
            Some(link) => format!("{refused}, where the link `{}` leads", link.display()),
            None => refused,
        });
    }
    None
}

fn is_refused(path: &Path, wanted: Access) -> bool {
    accessat(CWD, path, wanted, AtFlags::EACCESS) == Err(Errno::ACCESS)
}

/// How far this process comes on its way to a file.
enum Way {
    /// To the file.
    Open(PathBuf),
    /// To a folder that it may not enter.
    Refused(PathBuf),
    /// To a symbolic link, and the path by its target.
    Link { at: PathBuf, to: PathBuf },
    /// There is no such file, or something else is wrong.
    Unknown,
}

/// Goes along an absolute path up to the first symbolic link.
fn walk(path: &Path) -> Way {
    let mut here = PathBuf::from("/");
    let mut parts = path.components();
    while let Some(part) = parts.next() {
        match part {
            // No link is in front of it.
            Component::ParentDir => {
                here.pop();
                continue;
            }
            Component::Normal(name) => here.push(name),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => continue,
        }
        let folder = || here.parent().unwrap_or(Path::new("/"));
        let found = match here.symlink_metadata() {
            Ok(found) => found,
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                return Way::Refused(folder().to_owned());
            }
            Err(_) => return Way::Unknown,
        };
        if found.is_symlink() {
            return match here.read_link() {
                Ok(target) => Way::Link {
                    to: folder().join(target).join(parts.as_path()),
                    at: here,
                },
                Err(_) => Way::Unknown,
            };
        }
    }
    Way::Open(here)
}
