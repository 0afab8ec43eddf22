//! The folder for bodies that are too large for memory. It is tested as the user of the server, so that a start or a
//! reload fails rather than each large request.

use std::env;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use anyhow::anyhow;

use crate::config::Configuration;
use crate::interface::body_file;
use crate::log::without_numbers;
use crate::permission;

/// The setting.
const TMP: &str = "runner.tmp";

/// The variables and folders that Python's `tempfile` looks at, in its order.
const VARIABLES: [&str; 3] = ["TMPDIR", "TEMP", "TMP"];
const FOLDERS: [&str; 3] = ["/tmp", "/var/tmp", "/usr/tmp"];

/// The folder for temporary files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Temporary {
    /// The configured folder.
    Named(PathBuf),
    /// The first of these that can be written.
    FirstOf(Vec<PathBuf>),
}

impl Temporary {
    /// From the settings, or else from the environment.
    #[must_use]
    pub fn of(configuration: &Configuration) -> Self {
        match configuration.path(TMP) {
            Some(folder) => Self::Named(folder),
            None => {
                let named = VARIABLES.into_iter().filter_map(env::var_os);
                let named = named.filter(|folder| !folder.is_empty());
                let usual = FOLDERS.into_iter().map(Into::into);
                Self::FirstOf(named.chain(usual).map(PathBuf::from).collect())
            }
        }
    }

    /// The folder, after a test file was made in it. If no default folder can be written, the log says so and the
    /// first one is taken: only large requests need it. Blocks.
    ///
    /// # Errors
    /// The configured folder cannot be written.
    pub fn find(&self) -> anyhow::Result<PathBuf> {
        self.find_by(body_file::try_folder)
    }

    fn find_by(&self, attempt: impl Fn(&Path) -> io::Result<()>) -> anyhow::Result<PathBuf> {
        match self {
            Self::Named(folder) => match attempt(folder) {
                // There may be room again when it is needed.
                Err(error) if !is_full(&error) => {
                    let user = match error.kind() {
                        ErrorKind::PermissionDenied => permission::present_user() + " ",
                        _ => String::new(),
                    };
                    Err(anyhow!(
                        "{user}cannot write in the folder `{}` ({TMP}): {}",
                        folder.display(),
                        without_numbers(&error.to_string())
                    ))
                }
                Ok(()) | Err(_) => Ok(folder.clone()),
            },
            Self::FirstOf(folders) => {
                if let Some(found) = folders.iter().find(|folder| attempt(folder).is_ok()) {
                    return Ok(found.clone());
                }
                let listed: Vec<String> = folders
                    .iter()
                    .map(|folder| format!("`{}`", folder.display()))
                    .collect();
                crate::log_error!(
                    "none of {} can be written: there is no place for large bodies ({TMP})",
                    listed.join(", ")
                );
                Ok(folders.first().cloned().unwrap_or_default())
            }
        }
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded
    )
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;
    use std::path::{Path, PathBuf};

    use super::Temporary;
    use crate::permission::present_user;

    /// The folder that is found if these fail with these errors.
    fn found(temporary: &Temporary, failing: &[(&str, ErrorKind)]) -> Result<PathBuf, String> {
        let attempt = |folder: &Path| {
            let failing = failing.iter().find(|(path, _)| folder == Path::new(path));
            failing.map_or(Ok(()), |(_, kind)| Err((*kind).into()))
        };
        temporary
            .find_by(attempt)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn the_first_folder_that_can_be_written_is_taken_and_one_that_was_set_must_be() {
        let full = ErrorKind::StorageFull;
        let denied = ErrorKind::PermissionDenied;
        let any = Temporary::FirstOf(["/a", "/b", "/c"].map(PathBuf::from).into());
        let named = Temporary::Named("/a".into());
        let path = |path: &str| Ok(PathBuf::from(path));
        let cases = [
            (&any, &[][..], path("/a")),
            (&any, &[("/a", denied)], path("/b")),
            (&any, &[("/a", full), ("/b", denied)], path("/c")),
            (
                &any,
                &[("/a", full), ("/b", full), ("/c", full)],
                path("/a"),
            ),
            (&named, &[], path("/a")),
            (&named, &[("/a", full)], path("/a")),
            (
                &named,
                &[("/a", denied)],
                Err(format!(
                    "{} cannot write in the folder `/a` (runner.tmp): permission denied",
                    present_user()
                )),
            ),
        ];
        for (temporary, failing, wanted) in cases {
            assert_eq!(found(temporary, failing), wanted, "{failing:?}");
        }
    }
}
