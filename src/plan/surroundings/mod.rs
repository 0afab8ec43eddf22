//! Settings to what the processes of an application find around them: the current folder, the environment, and where Python
//! looks for modules (`runner.workers.directory`, `runner.environment`, `runner.environment_file`, `runner.path`).

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::{self, Configuration};
use crate::current_folder;
use crate::line::failure::Failure;
use crate::line::scope::Scope;
use crate::line::word::Origin;
use crate::permission;
use crate::plan::user::identity;
use crate::syntax::Diagnostic;

/// The folder in which processes begin.
pub(super) const DIRECTORY: &str = "runner.workers.directory";
const ENVIRONMENT: &str = "runner.environment";
const FILES: &str = "runner.environment_file";
const PATH: &str = "runner.path";
const TOUCH_RELOAD: &str = "runner.touch_reload";

/// The folder that workers begin in: that of the setting, or the current folder of the server.
///
/// # Errors
/// The folder of the setting cannot be opened.
pub fn directory(scope: &Scope) -> Result<Option<Arc<File>>, Failure> {
    let Some(path) = scope.configuration.path(DIRECTORY) else {
        // If the folder cannot be opened, workers begin in the current folder.
        return Ok(current_folder::hold().ok().map(Arc::new));
    };
    match current_folder::hold_folder(&path) {
        Ok(folder) => Ok(Some(Arc::new(folder))),
        Err(error) => {
            let reason = match error.kind() {
                io::ErrorKind::NotFound => "there is no such folder".to_owned(),
                io::ErrorKind::NotADirectory => "it is not a folder".to_owned(),
                _ => permission::no_entry(&path).unwrap_or_else(|| error.to_string()),
            };
            let message = format!("workers cannot begin in `{}`: {reason}", path.display());
            Err(scope.mistake(&Origin::Property(DIRECTORY.into()), message, None))
        }
    }
}

/// What the environment of processes has besides that of the server: a name, and its value, or `None` to remove it. Later
/// ones count: the account of the server, then [`variables`].
///
/// # Errors
/// There is no such user, or a file of variables cannot be read.
pub fn environment(scope: &Scope) -> Result<Vec<(String, Option<String>)>, Failure> {
    let mut all = identity(scope)?.environment();
    all.extend(variables(scope)?);
    Ok(all)
}

/// The variables of the settings: those of files, then those of the dict.
///
/// # Errors
/// A file of variables cannot be read.
pub fn variables(scope: &Scope) -> Result<Vec<(String, Option<String>)>, Failure> {
    let settings = &scope.configuration;
    let mut variables = Vec::new();
    for (number, path) in settings.paths(FILES).iter().enumerate() {
        let read = of_file(settings, number, path)?.into_iter();
        variables.extend(read.map(|(name, value)| (name, Some(value))));
    }
    variables.extend(settings.variables(ENVIRONMENT));
    Ok(variables)
}

/// The variables of a file that an element of the setting names.
///
/// # Errors
/// It cannot be read, or has a malformed line.
fn of_file(
    settings: &Configuration,
    number: usize,
    path: &Path,
) -> Result<Vec<(String, String)>, Diagnostic> {
    config::variables(path).map_err(|mistake| match mistake.labels.is_empty() {
        true => {
            let message = permission::no_reading(path).unwrap_or(mistake.message);
            Diagnostic {
                code: mistake.code,
                hint: mistake.hint,
                ..settings.complain_of_element(FILES, number, message)
            }
        }
        false => mistake,
    })
}

/// Files of variables that root, who starts the server, can read, and the user of the server cannot, as it has to at each
/// reload: warnings.
pub fn unreadable(scope: &Scope) -> Vec<Diagnostic> {
    let settings = &scope.configuration;
    let Some(identity) = identity(scope).ok().filter(|_| permission::is_root()) else {
        return Vec::new();
    };
    let paths = settings.paths(FILES).into_iter().enumerate();
    let refused = |(number, path): (usize, PathBuf)| {
        let reason = identity.act(|| Ok(permission::no_reading(&path))).ok()??;
        let doubt = settings.complain_of_element(FILES, number, reason);
        let doubt = Diagnostic {
            code: "include/permission",
            ..doubt.warning()
        };
        Some(doubt.with_hint("a reload reads the file as that user"))
    };
    paths.filter_map(refused).collect()
}

/// The first folders in which Python looks for the modules of an object whose name was written at the origin: those of the
/// setting, then those beside the file that is run.
#[must_use]
pub fn module_folders(scope: &Scope, origin: &Origin) -> Vec<PathBuf> {
    let mut folders = scope.configuration.paths(PATH);
    let beside = scope.search_path(origin);
    folders.extend(beside);
    let mut known = Vec::new();
    folders.retain(|folder| {
        let is_new = !known.contains(folder);
        known.push(folder.clone());
        is_new
    });
    folders
}

/// The files whose change reloads a server.
///
/// # Errors
/// There is no folder in which one could be made.
pub fn touched(scope: &Scope) -> Result<BTreeSet<PathBuf>, Failure> {
    match untouchable(&scope.configuration).pop() {
        Some(mistake) => Err(mistake.into()),
        None => Ok(scope
            .configuration
            .paths(TOUCH_RELOAD)
            .into_iter()
            .collect()),
    }
}

/// Files whose change should reload a server, in folders that do not exist.
fn untouchable(settings: &Configuration) -> Vec<Diagnostic> {
    let paths = settings.paths(TOUCH_RELOAD).into_iter().enumerate();
    let mistake = |(number, path): (usize, PathBuf)| {
        let folder = path.parent().filter(|folder| !folder.is_dir())?;
        let message = format!("there is no folder `{}`", folder.display());
        Some(absent(settings.complain_of_element(
            TOUCH_RELOAD,
            number,
            message,
        )))
    };
    paths.filter_map(mistake).collect()
}

/// Settings of an application that name a file or a folder which does not exist or cannot be read, and those of the server beside them.
#[must_use]
pub fn missing(settings: &Configuration) -> Vec<Diagnostic> {
    // A name without `/` is searched on `PATH`, which may differ where the file runs.
    let python = settings
        .text("runner.python")
        .filter(|text| text.contains('/'))
        .and_then(|_| settings.path("runner.python"))
        .filter(|path| !path.exists());
    let folder = |name| settings.path(name).filter(|path| !path.is_dir());
    let mut problems: Vec<Diagnostic> = [
        ("runner.tmp", "folder", folder("runner.tmp")),
        (DIRECTORY, "folder", folder(DIRECTORY)),
        ("runner.python", "program", python),
    ]
    .into_iter()
    .filter_map(|(name, what, path)| {
        let message = format!("there is no {what} `{}`", path?.display());
        Some(absent(settings.complain(name, message, None)))
    })
    .collect();
    for (number, path) in settings.paths(PATH).iter().enumerate() {
        if !path.is_dir() {
            let message = format!("there is no folder `{}`", path.display());
            problems.push(absent(settings.complain_of_element(PATH, number, message)));
        }
    }
    for (number, path) in settings.paths(FILES).iter().enumerate() {
        problems.extend(of_file(settings, number, path).err());
    }
    problems.extend(untouchable(settings));
    problems
}

fn absent(mistake: Diagnostic) -> Diagnostic {
    Diagnostic {
        code: "setting/missing",
        ..mistake
    }
}
