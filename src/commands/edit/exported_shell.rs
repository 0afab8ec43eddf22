//! What the Python of an application has of the shell in which `export` runs, and a service has not.

use std::env;
use std::path::{Path, PathBuf};

use crate::line::failure::Failure;
use crate::line::scope::Scope;
use crate::plan::application::ApplicationName;
use crate::plan::python::python;

/// The virtual environment of this shell, if the Python of an application is in it by no setting.
pub(super) fn shell_environment(applications: &[(&ApplicationName, Scope)]) -> Option<PathBuf> {
    let active = env::var_os("VIRTUAL_ENV").filter(|folder| !folder.is_empty())?;
    let active = PathBuf::from(active);
    let uses = applications.iter().any(|(application, scope)| {
        matches!(application, ApplicationName::Python { .. })
            && scope.configuration.text("runner.python").is_none()
            && python(scope, application.origin()).is_ok_and(|path| path.starts_with(&active))
    });
    uses.then_some(active)
}

/// The folder of a Python that was found on this shell's `PATH`, and that a service does not find.
///
/// # Errors
/// There is no Python for an application.
pub(super) fn shell_python(
    applications: &[(&ApplicationName, Scope)],
) -> Result<Option<PathBuf>, Failure> {
    const USUAL: [&str; 4] = ["/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin"];
    for (application, scope) in applications {
        let is_python = matches!(application, ApplicationName::Python { .. });
        if !is_python || scope.configuration.text("runner.python").is_some() {
            continue;
        }
        let python = python(scope, application.origin())?;
        let Some(folder) = python.parent() else {
            continue;
        };
        let is_environment = folder
            .parent()
            .is_some_and(|above| above.join("pyvenv.cfg").is_file());
        if !is_environment && !USUAL.iter().any(|usual| Path::new(usual) == folder) {
            return Ok(Some(folder.to_owned()));
        }
    }
    Ok(None)
}
