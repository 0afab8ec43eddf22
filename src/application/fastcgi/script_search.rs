//! Which script answers a request, where an application consists of scripts below a folder, as those in PHP do.
//!
//! A script is a file whose name has one of the endings, and what follows it in the path is `PATH_INFO`. The path is compared
//! byte by byte, and an ending only in ASCII, at the end of a segment: a path that PHP itself would look for differently
//! (`/upload.jpg/x.php` with `cgi.fix_pathinfo`) never reaches it, because the script must be there.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use rustix::fs::FileType;
use rustix::io::Errno;

use crate::application::files::beneath::{DiskWait, Root, is_absent};
use crate::application::files::wanted_path::WantedPath;
use crate::interface::body_file::on_disk;
use crate::upstream::fastcgi::fastcgi_client_options::ScriptOptions;

/// The scripts of an application.
#[derive(Debug)]
pub(super) struct Scripts(ScriptOptions);

/// A script that answers a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FoundScript {
    /// `DOCUMENT_ROOT`.
    pub root: PathBuf,
    /// Below the root, without a slash in front.
    pub path: PathBuf,
    /// What follows it in the path: empty, or from a slash on.
    pub path_info: Bytes,
}

/// What stands at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ScriptMatch {
    /// A script.
    Script(FoundScript),
    /// A folder whose name was asked for without the slash behind it.
    Folder,
    /// Nothing that a script answers.
    Missing,
}

/// Scripts that a path may mean, the first one that is there before others.
#[derive(Clone, Debug, PartialEq, Eq)]
struct ScriptCandidates {
    /// Each with what follows it in the path.
    scripts: Vec<(PathBuf, Bytes)>,
    /// The whole path, for a folder; `None` if no file or folder can have it.
    whole: Option<WantedPath>,
}

impl Scripts {
    /// Those below a root.
    pub(super) fn new(options: ScriptOptions) -> Self {
        Self(options)
    }

    /// The folder that they are in.
    pub(super) fn root(&self) -> &Path {
        &self.0.root
    }

    /// Finds the script for a path below the mount. Asks threads that may wait for a disk, if need be.
    ///
    /// # Errors
    /// The system's, but for those that say that nothing is there.
    pub(super) async fn find(self: &Arc<Self>, path: &Bytes) -> Result<ScriptMatch, Errno> {
        let candidates = ScriptCandidates::of(path, &self.0.endings);
        match self.search(&candidates, DiskWait::Forbidden) {
            Err(Errno::AGAIN) => {}
            found => return found,
        }
        let scripts = Arc::clone(self);
        let on_thread = on_disk(move || Ok(scripts.search(&candidates, DiskWait::Allowed))).await;
        on_thread.unwrap_or_else(|error| Err(Errno::from_io_error(&error).unwrap_or(Errno::IO)))
    }

    fn search(&self, candidates: &ScriptCandidates, wait: DiskWait) -> Result<ScriptMatch, Errno> {
        let folder = Root {
            folder: self.0.root.clone(),
            follow: self.0.follow,
        };
        let found = |root: PathBuf, path: &Path, path_info: Bytes| {
            let path = path.to_owned();
            let script = FoundScript {
                root,
                path,
                path_info,
            };
            Ok(ScriptMatch::Script(script))
        };
        if self.0.is_remote {
            let front = self.0.front.as_deref().map(Path::new);
            return match (candidates.scripts.first(), front, &candidates.whole) {
                (Some((path, rest)), _, _) => found(self.0.root.clone(), path, rest.clone()),
                (None, Some(front), _) => found(self.0.root.clone(), front, Bytes::new()),
                (None, None, Some(whole)) if whole.is_folder => found(
                    self.0.root.clone(),
                    &whole.file(&self.0.index),
                    Bytes::new(),
                ),
                (None, None, _) => Ok(ScriptMatch::Missing),
            };
        }
        let root = || match self.0.resolve {
            true => folder.resolved(wait),
            false => Ok(self.0.root.clone()),
        };
        let is_file = |path: &Path| -> Result<bool, Errno> {
            Ok(look(&folder, path, wait)? == Some(FileType::RegularFile))
        };
        for (path, rest) in &candidates.scripts {
            if is_file(path)? {
                return found(root()?, path, rest.clone());
            }
        }
        if let Some(whole) = &candidates.whole {
            if whole.is_folder {
                let index = whole.file(&self.0.index);
                if is_file(&index)? {
                    return found(root()?, &index, Bytes::new());
                }
            } else if look(&folder, &whole.path, wait)? == Some(FileType::Directory) {
                return Ok(ScriptMatch::Folder);
            }
        }
        match &self.0.front {
            Some(front) if is_file(Path::new(front))? => {
                found(root()?, Path::new(front), Bytes::new())
            }
            Some(_) | None => Ok(ScriptMatch::Missing),
        }
    }
}

/// What is at a path; `None` if nothing is.
fn look(folder: &Root, path: &Path, wait: DiskWait) -> Result<Option<FileType>, Errno> {
    match folder.look(path, wait) {
        Ok(kind) => Ok(Some(kind)),
        Err(error) if is_absent(error) => Ok(None),
        Err(error) => Err(error),
    }
}

impl ScriptCandidates {
    /// Those of a path: from its start to each of its segments that has one of the endings.
    fn of(path: &Bytes, endings: &[String]) -> Self {
        let none = Self {
            scripts: Vec::new(),
            whole: None,
        };
        let is_dots = |segment: &[u8]| segment == b"." || segment == b"..";
        if path.split(|byte| *byte == b'/').any(is_dots) {
            return none;
        }
        let ends = (0..path.len()).filter(|at| path.get(at + 1).is_none_or(|next| *next == b'/'));
        let scripts = ends.filter_map(|at| {
            let (before, rest) = path.split_at(at + 1);
            let has = |ending: &String| has_ending(before, ending.as_bytes());
            let wanted = endings
                .iter()
                .any(has)
                .then(|| WantedPath::of(before, false))?;
            Some((wanted?.path, path.slice_ref(rest)))
        });
        Self {
            scripts: scripts.collect(),
            whole: WantedPath::of(path, false),
        }
    }
}

fn has_ending(path: &[u8], ending: &[u8]) -> bool {
    let length = path.len().checked_sub(ending.len());
    length.is_some_and(|length| path[length..].eq_ignore_ascii_case(ending))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::Path;
    use std::sync::Arc;

    use bytes::Bytes;

    use super::{FoundScript, ScriptCandidates, ScriptMatch, ScriptOptions, Scripts};

    fn options(root: &Path) -> ScriptOptions {
        ScriptOptions {
            root: root.to_owned(),
            index: "index.php".to_owned(),
            front: None,
            endings: vec![".php".to_owned()],
            follow: false,
            resolve: false,
            is_remote: false,
        }
    }

    /// FoundScript and `PATH_INFO` of the first candidate.
    fn first(path: &str) -> Option<(String, String)> {
        let path = Bytes::copy_from_slice(path.as_bytes());
        let candidates = ScriptCandidates::of(&path, &[".php".to_owned()]);
        let (script, rest) = candidates.scripts.into_iter().next()?;
        let rest = String::from_utf8_lossy(&rest).into_owned();
        Some((script.to_string_lossy().into_owned(), rest))
    }

    #[test]
    fn paths_are_split_behind_the_first_segment_with_the_ending() {
        for (path, expected) in [
            ("/a.php", Some(("a.php", ""))),
            ("/a.php/b/c", Some(("a.php", "/b/c"))),
            ("/a.php/", Some(("a.php", "/"))),
            ("/a.PHP/b", Some(("a.PHP", "/b"))),
            ("/d/a.php/b.php", Some(("d/a.php", "/b.php"))),
            ("//d//a.php//b", Some(("d/a.php", "//b"))),
            ("/a.php.jpg", None),
            ("/a.php.jpg/b.php", Some(("a.php.jpg/b.php", ""))),
            ("/aphp", None),
            ("/", None),
            ("", None),
            // Names that begin with a dot are no scripts.
            ("/upload.jpg/.php", None),
            ("/.git/a.php", None),
            // Letters beyond ASCII: full width ones, the Kelvin sign, and one that is longer in lower case.
            ("/a.\u{ff50}\u{ff48}\u{ff50}", None),
            ("/\u{130}.php/b", Some(("\u{130}.php", "/b"))),
            ("/\u{212a}/a.php/b", Some(("\u{212a}/a.php", "/b"))),
            ("/a.php/../../etc/passwd", None),
            ("/../a.php", None),
            ("/./a.php", None),
            ("/a.php\0.jpg", None),
            ("/a\0.php", None),
        ] {
            let expected = expected.map(|(script, rest)| (script.to_owned(), rest.to_owned()));
            assert_eq!(first(path), expected, "{path:?}");
        }
    }

    #[tokio::test]
    async fn a_script_must_be_there_and_below_the_root() {
        let place = tempfile::tempdir().unwrap();
        let root = place.path().join("root");
        fs::create_dir_all(root.join("folder/of.php")).unwrap();
        fs::create_dir_all(root.join("empty")).unwrap();
        for path in [
            "root/index.php",
            "root/a.php",
            "root/upload.jpg",
            "root/folder/index.php",
            "root/folder/of.php/b.php",
            "secret.php",
        ] {
            fs::write(place.path().join(path), "").unwrap();
        }
        symlink("../secret.php", root.join("out.php")).unwrap();
        symlink("a.php", root.join("near.php")).unwrap();
        let find = async |options: &ScriptOptions, path: &'static str| {
            let scripts = Arc::new(Scripts::new(options.clone()));
            match scripts.find(&Bytes::from_static(path.as_bytes())).await {
                Ok(ScriptMatch::Script(FoundScript {
                    path, path_info, ..
                })) => format!("{} {}", path.display(), String::from_utf8_lossy(&path_info)),
                Ok(other) => format!("{other:?}"),
                Err(error) => error.to_string(),
            }
        };
        let plain = options(&root);
        for (path, expected) in [
            ("/", "index.php "),
            ("", "Folder"),
            ("/a.php", "a.php "),
            ("/a.php/b", "a.php /b"),
            ("/near.php", "near.php "),
            ("/none.php", "Missing"),
            ("/upload.jpg", "Missing"),
            ("/upload.jpg/x.php", "Missing"),
            ("/upload.jpg/.php", "Missing"),
            ("/folder", "Folder"),
            ("/folder/", "folder/index.php "),
            ("/folder/of.php", "Folder"),
            ("/folder/of.php/b.php/c", "folder/of.php/b.php /c"),
            ("/empty/", "Missing"),
            ("/a.php/../../secret.php", "Missing"),
        ] {
            assert_eq!(find(&plain, path).await, expected, "{path}");
        }
        assert!(find(&plain, "/out.php").await.contains("cross-device"));
        let follow = ScriptOptions {
            follow: true,
            ..plain.clone()
        };
        assert_eq!(find(&follow, "/out.php").await, "out.php ");
        let front = ScriptOptions {
            front: Some("index.php".to_owned()),
            ..plain.clone()
        };
        for (path, expected) in [
            ("/none.php", "index.php "),
            ("/upload.jpg", "index.php "),
            ("/2024/hello-world/", "index.php "),
            ("/a.php/../../secret.php", "index.php "),
            ("/a.php/b", "a.php /b"),
            ("/folder", "Folder"),
        ] {
            assert_eq!(find(&front, path).await, expected, "{path}");
        }
        let remote = ScriptOptions {
            root: "/elsewhere".into(),
            is_remote: true,
            ..plain
        };
        for (path, expected) in [
            ("/none.php/a", "none.php /a"),
            ("/folder/", "folder/index.php "),
            ("/folder", "Missing"),
            ("/a.php/../b", "Missing"),
        ] {
            assert_eq!(find(&remote, path).await, expected, "{path}");
        }
    }

    #[tokio::test]
    async fn links_in_the_path_of_the_root_are_resolved_if_that_is_wanted() {
        let place = tempfile::tempdir().unwrap();
        let place = place.path().canonicalize().unwrap();
        fs::create_dir(place.join("release-1")).unwrap();
        fs::write(place.join("release-1/a.php"), "").unwrap();
        symlink("release-1", place.join("current")).unwrap();
        for (resolve, expected) in [(false, "current"), (true, "release-1")] {
            let scripts = Arc::new(Scripts::new(ScriptOptions {
                resolve,
                ..options(&place.join("current"))
            }));
            let found = scripts.find(&Bytes::from_static(b"/a.php")).await.unwrap();
            let ScriptMatch::Script(script) = found else {
                panic!("{found:?}");
            };
            assert_eq!(script.root, place.join(expected));
        }
    }
}
