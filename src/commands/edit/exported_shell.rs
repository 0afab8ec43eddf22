//! What the Python of an application has of the shell in which `export` runs, and a service has not.

use std::env;
use std::path::{Path, PathBuf};

use crate::config::Layer;
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

/// The variables of the environment that files read, and that are set in this shell.
pub(super) fn shell_variables(layers: &[Layer]) -> Vec<String> {
    let mut names = Vec::new();
    for layer in layers {
        let path = match layer {
            Layer::Own(path)
            | Layer::Listed(path)
            | Layer::Named(path)
            | Layer::File(path)
            | Layer::Keys(path) => path,
            Layer::Option { .. } => continue,
        };
        let text = std::fs::read_to_string(path).unwrap_or_default();
        for name in names_read(&text) {
            if env::var_os(name).is_some() && !names.iter().any(|known| known == name) {
                names.push(name.to_owned());
            }
        }
    }
    names
}

/// The names in `os.environ.get('NAME')`, `os.environ['NAME']` and `os.getenv('NAME')`.
fn names_read(text: &str) -> Vec<&str> {
    const READS: [&str; 3] = ["environ.get(", "environ[", "getenv("];
    let is_comment = |line: &&str| line.trim_start().starts_with('#');
    let lines = text.lines().filter(|line| !is_comment(line));
    let behind = lines.flat_map(|line| {
        let reads = READS.into_iter();
        reads.flat_map(move |read| line.split(read).skip(1))
    });
    let names = behind.filter_map(|rest| {
        let quoted = rest.trim_start();
        let quote = quoted
            .chars()
            .next()
            .filter(|it| ['\'', '"'].contains(it))?;
        quoted[1..].split(quote).next()
    });
    names.filter(|name| !name.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::names_read;

    #[test]
    fn names_of_variables_are_found() {
        let text = "url = 'tcp://*:' + os.environ.get( 'PORT', \"8000\") + os.environ[\"A\"]\n# os.getenv('B')\nc = os.getenv('C') + getenv(d)\n";
        assert_eq!(names_read(text), ["PORT", "A", "C"]);
    }
}
