//! `import:package.module.object ARGS…`: calls a Python object as a program.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use anyhow::anyhow;

use crate::command::failure::Failure;
use crate::command::line::{Origin, Scope};
use crate::command::plan;
use crate::command::target::Target;

/// What the Python process runs.
const SCRIPT: &str = concat!(
    include_str!("../workers/python/start.py"),
    "\n\n",
    include_str!("../workers/python/resolve.py"),
    "\n\n",
    include_str!("call.py")
);

/// A Python object that is called without arguments; its return value is the exit status.
#[derive(Debug)]
pub struct Call {
    /// The settings.
    pub scope: Scope,
    /// The object.
    pub target: Target,
    /// Where its name was written.
    pub origin: Origin,
    /// The arguments that it finds in `sys.argv`, behind the program's name.
    pub arguments: Vec<OsString>,
}

impl Call {
    /// Becomes that Python process, so that signals, the terminal and the exit status are its own.
    ///
    /// # Errors
    /// There is no Python.
    pub fn run(self) -> Result<ExitCode, Failure> {
        let python = plan::python(&self.scope, &self.origin)?;
        let folders = self.scope.search_path(&self.origin);
        let error = Command::new(&python)
            .args(["-c", SCRIPT, self.target.as_str()])
            .arg(folders.len().to_string())
            .args(folders)
            .args(plan::python_arguments(
                &self.scope,
                &self.target,
                self.arguments,
            ))
            .exec();
        Err(anyhow!("cannot run `{}`: {error}", python.display()).into())
    }
}
