//! Which Python runs an application, and what it finds in `sys.argv`.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::children::search_path::SearchPath;
use crate::current_folder;
use crate::eval::Value;
use crate::line::failure::Failure;
use crate::line::scope::{RunFile, Scope};
use crate::line::target::Target;
use crate::line::word::Origin;
use crate::workers::python::executable;

/// The property that names the Python interpreter.
const PYTHON: &str = "runner.python";

/// The Python for an object whose name was written at the origin.
///
/// # Errors
/// There is none, or the setting names none.
pub fn python(scope: &Scope, origin: &Origin) -> Result<PathBuf, Failure> {
    let setting = match scope.get(PYTHON)? {
        Some(Value::Str(python)) => Some(python.to_string()),
        Some(_) | None => None,
    };
    let named = Origin::Property(PYTHON.into());
    let found = match &setting {
        Some(python) => executable::named(python, &scope.folder(&named)),
        None => executable::nearest(own_environment(), &scope.search_path(origin)),
    };
    found.map_err(|missing| match setting {
        Some(_) => scope.mistake(&named, missing.message, missing.hint),
        None => Failure::mistake(missing.message, missing.hint),
    })
}

/// The virtual environment whose `runner` was called by its path (`venv/bin/runner`), as each program that pip installs
/// there uses it.
///
/// A name without a `/` was looked up on `PATH`, as `python3` will be. Links are not followed: `pipx` installs `runner` in an
/// environment of its own, in which no application is, and links to it.
fn own_environment() -> Option<PathBuf> {
    let called = PathBuf::from(env::args_os().next()?);
    // The parent of a name without a `/` is empty.
    called
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())?;
    let program = current_folder::absolute(&called);
    let environment = program.parent()?.parent()?;
    executable::is_environment(environment).then(|| environment.to_owned())
}

/// The `PATH` of programs that are named at the origin: the folder with the programs of the Python for what is written there comes
/// first, unless `PATH` leads there anyway. Programs beside an application find that Python by it, as in an activated virtual
/// environment.
#[must_use]
pub(super) fn program_path(scope: &Scope, origin: &Origin) -> SearchPath {
    SearchPath::behind(python_tools(scope, origin))
}

fn python_tools(scope: &Scope, origin: &Origin) -> Option<PathBuf> {
    let python = python(scope, origin).ok()?;
    let folder = current_folder::absolute(python.parent()?);
    let path = env::var_os("PATH").unwrap_or_default();
    let is_reached = env::split_paths(&path).any(|other| other == folder);
    let is_environment = folder.parent().is_some_and(executable::is_environment);
    (is_environment || !is_reached).then_some(folder)
}

/// Where a Python comes from, for messages: the setting with its place, or what names it instead.
#[must_use]
pub fn python_origin(scope: &Scope, python: &Path) -> String {
    if scope.configuration.text(PYTHON).is_some() {
        let place = scope.place(&Origin::Property(PYTHON.into()));
        return format!("{PYTHON}, {place}");
    }
    let environment = python.parent().and_then(Path::parent);
    match environment.is_some_and(executable::is_environment) {
        true => "the Python of the virtual environment".to_owned(),
        false => "the Python on `PATH`".to_owned(),
    }
}

/// A Python that can read the source files of a folder: the one that would run an application there, or the first one
/// on `PATH`.
///
/// # Errors
/// There is none.
pub fn python_for_sources(scope: &Scope, folder: &Path) -> Result<PathBuf, Failure> {
    let path = folder.join("app.ini");
    let file = RunFile {
        written: path.display().to_string(),
        exact: path.clone().into(),
        path,
    };
    let scope = Scope {
        file: Some(file),
        ..scope.clone()
    };
    python(&scope, &Origin::Property(PYTHON.into()))
        .or_else(|missing| executable::named("python3", Path::new("/")).map_err(|_| missing))
}

/// `sys.argv` of a Python program: the file that is run, or the name of the object, then its arguments.
#[must_use]
pub fn python_arguments(scope: &Scope, target: &Target, arguments: Vec<OsString>) -> Vec<OsString> {
    let program = match &scope.file {
        Some(file) => file.exact.clone(),
        None => target.to_string().into(),
    };
    [program].into_iter().chain(arguments).collect()
}
