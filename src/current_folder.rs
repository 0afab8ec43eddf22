//! The current folder, by the name that this process was started with.
//!
//! A folder can have several names. Where `current` is a link that is switched from release to release, the system only
//! knows the release that the process was started in, and a reload would serve that one for ever. The shell keeps the
//! name in `PWD` (POSIX, `cd -L`), and so do we: relative paths are relative to what has that name now. systemd sets no
//! `PWD`; there the path of a file in the command line may have the name.

use std::fs::File;
use std::path::{Component, Path, PathBuf};
use std::sync::OnceLock;
use std::{env, fs, io};

use crate::own_file::FileId;

/// The name at the first call; `None` if the folder had been removed.
static NAME: OnceLock<Option<PathBuf>> = OnceLock::new();

/// The current folder: as `PWD` names it, or a path in the command line leads through it, if that was so at the first
/// call; else as the system does. `None` if it had been removed by then.
pub fn folder() -> Option<&'static Path> {
    let name = NAME.get_or_init(|| {
        let named = env::var_os("PWD").map(PathBuf::from);
        let mut words = env::args_os().skip(1).map(PathBuf::from);
        let named = named.filter(|name| names(name, Path::new(".")));
        named
            .or_else(|| words.find_map(|path| ancestor(&path, Path::new("."))))
            .or_else(|| env::current_dir().ok())
    });
    name.as_deref()
}

/// The part of a path that names a folder.
fn ancestor(path: &Path, folder: &Path) -> Option<PathBuf> {
    path.ancestors()
        .skip(1)
        .find(|name| names(name, folder))
        .map(Path::to_owned)
}

/// Whether an absolute path, without `.` and `..`, leads to a folder.
fn names(path: &Path, folder: &Path) -> bool {
    let id = |path: &Path| fs::metadata(path).map(|found| FileId::of(&found));
    let is_plain = |part| matches!(part, Component::RootDir | Component::Normal(_));
    path.is_absolute()
        && path.components().all(is_plain)
        && matches!((id(path), id(folder)), (Ok(a), Ok(b)) if a == b)
}

/// A path made absolute.
#[must_use]
pub fn absolute(path: &Path) -> PathBuf {
    let named = folder().map_or_else(|| path.to_owned(), |folder| folder.join(path));
    std::path::absolute(&named).unwrap_or(named)
}

/// A path made absolute, and without `..`, for files of other programs. Behind a symbolic link, `..` is the folder above its
/// target.
#[must_use]
pub fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in absolute(path).components() {
        match part {
            Component::ParentDir => {
                if normal.is_symlink()
                    && let Ok(target) = normal.canonicalize()
                {
                    normal = target;
                }
                normal.pop();
            }
            Component::CurDir => {}
            Component::RootDir | Component::Normal(_) | Component::Prefix(_) => normal.push(part),
        }
    }
    normal
}

/// Changes to the folder that has the name now. If there is none, the current folder stays.
pub fn follow() {
    if let Some(folder) = folder() {
        // The error is reported when a relative path is not found.
        let _ = env::set_current_dir(folder);
    }
}

/// Opens the current folder, so that it can be returned to when its name leads elsewhere.
///
/// # Errors
/// It may not be opened.
pub fn hold() -> io::Result<File> {
    hold_folder(Path::new("."))
}

/// Opens a folder, so that a process can begin in it.
///
/// # Errors
/// It may not be opened, or is none.
pub fn hold_folder(path: &Path) -> io::Result<File> {
    use rustix::fs::{Mode, OFlags};
    // Permission to enter it is enough; listing it needs more.
    #[cfg(target_os = "linux")]
    let access = OFlags::PATH;
    #[cfg(not(target_os = "linux"))]
    let access = OFlags::RDONLY;
    let flags = access | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(File::from(rustix::fs::open(path, flags, Mode::empty())?))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::path::Path;

    use super::{ancestor, names, normal};

    #[test]
    fn a_normal_path_leads_where_the_path_does() {
        let root = tempfile::tempdir().expect("a folder");
        let root = root.path().canonicalize().expect("a folder");
        std::fs::create_dir_all(root.join("releases/1")).expect("a folder");
        symlink("releases/1", root.join("current")).expect("a link");
        for (path, expected) in [
            ("releases/../run/./pid", "run/pid"),
            ("releases/1/../../run", "run"),
            ("current/../2", "releases/2"),
            ("current/site.ini", "current/site.ini"),
            ("none/../run", "run"),
        ] {
            assert_eq!(normal(&root.join(path)), root.join(expected), "{path}");
        }
        assert_eq!(normal(Path::new("/../../run")), Path::new("/run"));
    }

    #[test]
    fn a_plain_name_that_leads_to_the_folder_is_used() {
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
        let named = |path: &str| ancestor(&at(path), &folder);
        for path in ["current/app.ini", "current/sub/app.ini"] {
            assert_eq!(named(path), Some(at("current")), "{path}");
        }
        for other in ["current", "app.ini", "releases/app.ini"] {
            assert_eq!(named(other), None, "{other}");
        }
    }
}
