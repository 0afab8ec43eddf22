//! Which Python runs an application, and what it finds in `sys.argv`.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::eval::Value;
use crate::line::failure::Failure;
use crate::line::scope::Scope;
use crate::line::target::Target;
use crate::line::word::Origin;
use crate::workers::python::executable;

/// The property that names the Python interpreter.
const PYTHON: &str = "runner.python";

/// The Python that runs an object whose name was written somewhere.
///
/// # Errors
/// There is none, or not where the setting says.
pub fn python(scope: &Scope, origin: &Origin) -> Result<PathBuf, Failure> {
    let setting = match scope.get(PYTHON)? {
        Some(Value::Str(python)) => Some(python.to_string()),
        Some(_) | None => None,
    };
    let named = Origin::Property(PYTHON.into());
    let found = match &setting {
        Some(python) => executable::named(python, &scope.folder(&named)),
        None => executable::nearest(&scope.search_path(origin)),
    };
    found.map_err(|missing| match setting {
        Some(_) => scope.mistake(&named, missing.message, missing.hint),
        None => Failure::mistake(missing.message, missing.hint),
    })
}

/// What a Python program sees as `sys.argv`: the file that is run, or the name of the object, then its
/// own arguments.
#[must_use]
pub fn python_arguments(scope: &Scope, target: &Target, arguments: Vec<OsString>) -> Vec<OsString> {
    let program = match &scope.file {
        Some(file) => file.exact.clone(),
        None => target.to_string().into(),
    };
    [program].into_iter().chain(arguments).collect()
}
