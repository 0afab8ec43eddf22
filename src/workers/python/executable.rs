//! Finds the Python interpreter: the one that the setting names, or the nearest one.

use std::env;
use std::path::{Path, PathBuf};

use crate::children;
use crate::permission;

/// Names of an interpreter, the preferred one first.
const NAMES: [&str; 2] = ["python3", "python"];

/// The folders of virtual environments next to an application.
const ENVIRONMENTS: [&str; 2] = [".venv", "venv"];

/// Why no Python was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoPython {
    /// What was wanted and what was found.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// The interpreter that the setting `runner.python` names: the folder of a virtual environment or the path
/// of a program (relative to `folder`), or a command on `PATH`.
///
/// # Errors
/// [`NoPython`] if there is none.
pub fn named(setting: &str, folder: &Path) -> Result<PathBuf, NoPython> {
    let path = folder.join(setting);
    if path.is_dir() {
        return inside(&path).ok_or_else(|| NoPython {
            message: format!("`{setting}` is a folder without a Python in `bin`"),
            hint: Some("name a virtual environment, a program or a command on PATH".to_owned()),
        });
    }
    if setting.contains('/') {
        return match (children::is_program(&path), path.exists()) {
            (true, _) => Ok(path),
            (false, true) => Err(NoPython {
                message: format!("`{setting}` is not a program"),
                hint: None,
            }),
            (false, false) => Err(NoPython {
                message: format!("there is no Python at `{}`", path.display()),
                hint: None,
            }),
        };
    }
    on_path(setting).ok_or_else(|| NoPython {
        message: format!("there is no command `{setting}` on PATH"),
        hint: Some("a path in `runner.python` needs a `/`".to_owned()),
    })
}

/// The interpreter where the setting names none: that of the virtual environment in which `runner` was called (`own`), of
/// the active one, of one in the folders, or the one on `PATH`.
///
/// # Errors
/// [`NoPython`] if there is none, or the virtual environment has none.
pub fn nearest(own: Option<PathBuf>, folders: &[PathBuf]) -> Result<PathBuf, NoPython> {
    let active = env::var_os("VIRTUAL_ENV").filter(|folder| !folder.is_empty());
    let neighbours = folders
        .iter()
        .flat_map(|folder| ENVIRONMENTS.map(|name| folder.join(name)))
        // Other folders may have such names, too.
        .filter(|folder| is_environment(folder));
    if let Some(environment) = own
        .into_iter()
        .chain(active.map(PathBuf::from))
        .chain(neighbours)
        .next()
    {
        return inside(&environment).ok_or_else(|| none_inside(&environment));
    }
    NAMES.into_iter().find_map(on_path).ok_or_else(|| NoPython {
        message: "there is no Python: neither a virtual environment nor `python3` on PATH"
            .to_owned(),
        hint: Some("install Python 3.8 or later, or set `runner.python` to where it is".to_owned()),
    })
}

/// Whether a folder is a virtual environment (PEP 405).
#[must_use]
pub fn is_environment(folder: &Path) -> bool {
    folder.join("pyvenv.cfg").is_file()
}

/// The interpreter of a virtual environment.
fn inside(environment: &Path) -> Option<PathBuf> {
    NAMES
        .into_iter()
        .map(|name| environment.join("bin").join(name))
        .find(|path| children::is_program(path))
}

/// Why a virtual environment has no Python that this process can run.
fn none_inside(environment: &Path) -> NoPython {
    let mut paths = NAMES
        .map(|name| environment.join("bin").join(name))
        .into_iter();
    let refused = paths.find_map(|path| {
        let shown = format!(
            "`{}`, the Python of the virtual environment",
            path.display()
        );
        permission::no_running(&shown, &path)
    });
    match refused {
        Some(message) => NoPython {
            message,
            hint: Some("let the server's user run it, or set `runner.python`".to_owned()),
        },
        None => NoPython {
            message: format!(
                "the virtual environment `{}` has no Python",
                environment.display()
            ),
            hint: Some("make it anew, or set `runner.python`".to_owned()),
        },
    }
}

/// A command on `PATH`.
fn on_path(name: &str) -> Option<PathBuf> {
    // A relative or empty entry means the current folder, from which no program should be run.
    children::on_path(name).find(|path| path.is_absolute())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// Makes an empty program.
    fn program(path: &Path) {
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, "").expect("a file");
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("a program");
    }

    #[test]
    fn a_setting_names_an_environment_or_a_program_or_a_command() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        program(&at("env/bin/python3"));
        program(&at("old/bin/python"));
        program(&at("my/python"));
        fs::create_dir(at("empty")).unwrap();
        fs::write(at("plain"), "").unwrap();
        let cases = [
            ("env", Ok("env/bin/python3")),
            ("./env/", Ok("env/bin/python3")),
            ("old", Ok("old/bin/python")),
            ("my/python", Ok("my/python")),
            (
                "empty",
                Err("`empty` is a folder without a Python in `bin`"),
            ),
            ("./plain", Err("`./plain` is not a program")),
            (
                "no-such-python",
                Err("there is no command `no-such-python` on PATH"),
            ),
        ];
        for (setting, expected) in cases {
            let found = named(setting, folder.path()).map_err(|missing| missing.message);
            let expected = expected.map(at).map_err(str::to_owned);
            let found = found.map(|path| path.components().collect::<PathBuf>());
            assert_eq!(found, expected, "{setting}");
        }
        let absolute = at("my/python");
        assert_eq!(
            named(absolute.to_str().unwrap(), Path::new("/")),
            Ok(absolute)
        );
        assert!(named("sh", folder.path()).is_ok_and(|path| path.is_absolute()));
    }
}
