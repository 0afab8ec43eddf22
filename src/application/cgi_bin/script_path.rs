//! Which file below a folder is the program of a request: its path begins with the name of the program (`SCRIPT_NAME`), the
//! rest is for the program (`PATH_INFO`; RFC 3875 §4.1.5).

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use crate::application::files::beneath::{DiskWait, Root};
use crate::application::files::open_file::PathContent;

/// What is found for a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ScriptFinding {
    /// A file.
    File {
        /// Its path below the folder.
        path: PathBuf,
        /// How many bytes of the request's path name it.
        length: usize,
    },
    /// Nothing that could be run.
    Missing,
}

/// The parts of a path between slashes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PathNames {
    /// Each name that is not empty, and where it ends in the path, in bytes.
    names: Vec<(PathBuf, usize)>,
    /// How many of them can be names of the program and its folders: those before the first with a dot in front.
    visible: usize,
}

impl PathNames {
    /// Those of a path. `None` if a name in it leads elsewhere, even one behind that of the program: the program makes file
    /// names of it (`PATH_TRANSLATED`).
    pub(super) fn of(path_info: &[u8]) -> Option<Self> {
        let mut names = Vec::new();
        let mut visible = None;
        let mut end = 0;
        for name in path_info.split(|byte| *byte == b'/') {
            end += name.len();
            match name {
                b"" => {}
                b"." | b".." => return None,
                _ if name.contains(&0) => return None,
                _ => {
                    if name[0] == b'.' {
                        visible.get_or_insert(names.len());
                    }
                    names.push((PathBuf::from(OsStr::from_bytes(name)), end));
                }
            }
            end += 1;
        }
        Some(Self {
            visible: visible.unwrap_or(names.len()),
            names,
        })
    }

    /// Looks for the program.
    ///
    /// # Errors
    /// Those of [`Root::open`] other than that there is nothing.
    pub(super) fn find(&self, root: &Root, wait: DiskWait) -> Result<ScriptFinding, Errno> {
        let whole: PathBuf = self.names.iter().map(|(name, _)| name).collect();
        if self.visible == self.names.len() {
            // Nearly always nothing is behind the name of the program.
            match self.look(root, &whole, self.names.len(), wait) {
                Err(Errno::NOTDIR) => {}
                looked => return looked.map(|found| found.unwrap_or(ScriptFinding::Missing)),
            }
        }
        let mut path = PathBuf::new();
        for (number, (name, _)) in self.names[..self.visible].iter().enumerate() {
            path.push(name);
            if let Some(found) = self.look(root, &path, number + 1, wait)? {
                return Ok(found);
            }
        }
        Ok(ScriptFinding::Missing)
    }

    /// What stands at a path of the first names; `None` for a folder.
    fn look(
        &self,
        root: &Root,
        path: &Path,
        count: usize,
        wait: DiskWait,
    ) -> Result<Option<ScriptFinding>, Errno> {
        Ok(match PathContent::open(root, path, wait) {
            Ok(PathContent::File(_)) => Some(ScriptFinding::File {
                path: path.to_owned(),
                length: self.names[..count].last().map_or(0, |(_, end)| *end),
            }),
            Ok(PathContent::Folder) => None,
            Ok(PathContent::Other)
            | Err(Errno::NOENT | Errno::NAMETOOLONG | Errno::NXIO | Errno::NODEV) => {
                Some(ScriptFinding::Missing)
            }
            Err(error) => return Err(error),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::Path;

    use rustix::io::Errno;

    use super::{PathNames, ScriptFinding};
    use crate::application::files::beneath::{DiskWait, Root};

    /// What is found in a folder, as `SCRIPT_NAME` and `PATH_INFO`; a name alone for an error.
    fn found(folder: &Path, path_info: &str) -> Option<String> {
        let root = Root {
            folder: folder.to_owned(),
            follow: false,
        };
        let names = PathNames::of(path_info.as_bytes())?;
        match names.find(&root, DiskWait::Allowed) {
            Ok(ScriptFinding::File { path, length }) => {
                let (script, rest) = path_info.split_at(length);
                assert_eq!(
                    Path::new(&script.replace("//", "/")[1..]),
                    path,
                    "{path_info}"
                );
                Some(format!("{script} {rest}"))
            }
            Ok(ScriptFinding::Missing) => None,
            Err(Errno::XDEV | Errno::LOOP) => Some("outside".to_owned()),
            Err(error) => Some(error.to_string()),
        }
    }

    #[test]
    fn the_program_is_the_file_that_the_path_begins_with() {
        let place = tempfile::tempdir().expect("a folder");
        let folder = place.path().join("cgi-bin");
        fs::create_dir_all(folder.join("sub/.git")).expect("folders");
        for name in ["a.pl", "sub/b", "sub/.git/hook", ".hidden", "ä", "outside"] {
            fs::write(folder.join(name), "").expect("a file");
        }
        fs::write(place.path().join("secret"), "").expect("a file");
        symlink("../secret", folder.join("out")).expect("a link");
        symlink("sub", folder.join("in")).expect("a link");
        for (path_info, expected) in [
            ("/a.pl", Some("/a.pl ")),
            ("/a.pl/", Some("/a.pl /")),
            ("/a.pl/x/y", Some("/a.pl /x/y")),
            ("/a.pl//x", Some("/a.pl //x")),
            ("//a.pl/x", Some("//a.pl /x")),
            ("/a.pl/.x", Some("/a.pl /.x")),
            ("/sub/b", Some("/sub/b ")),
            ("/sub//b/sub/b", Some("/sub//b /sub/b")),
            ("/in/b/x", Some("/in/b /x")),
            ("/ä/x", Some("/ä /x")),
            // Bytes, no letters.
            ("/A.PL", None),
            ("/Ä", None),
            ("/a.plx", None),
            ("/a", None),
            ("/", None),
            ("", None),
            ("/sub", None),
            ("/sub/", None),
            ("/sub/x", None),
            ("/sub/x/b", None),
            ("/.hidden", None),
            ("/sub/.git/hook", None),
            ("/../secret", None),
            ("/sub/../a.pl", None),
            ("/./a.pl", None),
            ("/a.pl/../b", None),
            ("/a.pl/x/.", None),
            ("/a.pl\0", None),
            ("/out", Some("outside")),
            ("/out/x", Some("outside")),
        ] {
            assert_eq!(
                found(&folder, path_info).as_deref(),
                expected,
                "{path_info}"
            );
        }
    }
}
