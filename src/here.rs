//! The current folder, by the name that this process was started with.
//!
//! A folder can have several names. Where `current` is a link that is switched from release to release, the system only
//! knows the release that the process was started in, and a reload would serve that one for ever. The shell keeps the
//! name in `PWD` (POSIX, `cd -L`), and so do we: relative paths are relative to what has that name now.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};
use std::sync::OnceLock;
use std::{env, fs, io};

/// The name, as it was found first; `None` if the folder had none any more.
static NAME: OnceLock<Option<PathBuf>> = OnceLock::new();

/// The current folder: as `PWD` names it, if that was the same folder when this was first called, or else as the system
/// does. `None` if it had been removed by then.
pub fn folder() -> Option<&'static Path> {
    let name = NAME.get_or_init(|| {
        let named = env::var_os("PWD").map(PathBuf::from);
        let named = named.filter(|name| names(name, Path::new(".")));
        named.or_else(|| env::current_dir().ok())
    });
    name.as_deref()
}

/// Whether a path is one without detours that leads to a folder.
fn names(path: &Path, folder: &Path) -> bool {
    let identity = |path: &Path| fs::metadata(path).map(|found| (found.dev(), found.ino()));
    let is_plain = |part| matches!(part, Component::RootDir | Component::Normal(_));
    path.is_absolute()
        && path.components().all(is_plain)
        && matches!((identity(path), identity(folder)), (Ok(a), Ok(b)) if a == b)
}

/// The same path, relative to nothing.
#[must_use]
pub fn absolute(path: &Path) -> PathBuf {
    let named = folder().map_or_else(|| path.to_owned(), |folder| folder.join(path));
    std::path::absolute(&named).unwrap_or(named)
}

/// Goes to the folder that has the name now. Where there is none, this process stays where it is.
pub fn follow() {
    if let Some(folder) = folder() {
        // What is relative will not be found, and that is said then.
        let _ = env::set_current_dir(folder);
    }
}

/// Holds the folder that is the current one now, whatever becomes of its name.
///
/// # Errors
/// It may not be looked at.
pub fn hold() -> io::Result<File> {
    use rustix::fs::{Mode, OFlags};
    // A folder that may be entered, but not listed, is good enough.
    #[cfg(target_os = "linux")]
    let access = OFlags::PATH;
    #[cfg(not(target_os = "linux"))]
    let access = OFlags::RDONLY;
    let flags = access | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(File::from(rustix::fs::open(".", flags, Mode::empty())?))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::path::Path;

    use super::names;

    #[test]
    fn a_name_counts_if_it_leads_there_without_detours() {
        let root = tempfile::tempdir().expect("a folder");
        let at = |name: &str| root.path().join(name);
        std::fs::create_dir_all(at("releases/1/sub")).expect("a folder");
        symlink("releases/1", at("current")).expect("a link");
        let folder = at("releases/1");
        assert!(names(&at("current"), &folder));
        assert!(names(&folder, &folder));
        for other in ["releases", "current/sub", "releases/1/sub/..", "nothing"] {
            assert!(!names(&at(other), &folder), "{other}");
        }
        assert!(!names(Path::new("current"), &folder));
    }
}
