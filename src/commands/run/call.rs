//! `import:package.module.object ARGS…`: calls a Python object as a program.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use crate::graph::node::{Branch, Job, Node};
use crate::line::failure::Failure;
use crate::line::scope::Scope;
use crate::line::target::Target;
use crate::line::word::Origin;
use crate::permission;
use crate::plan::python::{python, python_arguments, python_origin};
use crate::plan::surroundings::{module_folders, variables};
use crate::supervisor::supervision::Supervision;

/// The program of the Python process.
const SCRIPT: &str = concat!(
    include_str!("../../workers/python/start.py"),
    "\n\n",
    include_str!("../../workers/python/resolve.py"),
    "\n\n",
    include_str!("../../workers/python/title.py"),
    "\n\n",
    include_str!("call.py")
);

/// A Python object that is called without arguments; its return value is the exit status.
struct Call {
    scope: Scope,
    target: Target,
    /// Where its name was written.
    origin: Origin,
    /// The rest of its `sys.argv`, after the program's name.
    arguments: Vec<OsString>,
}

/// Calls a Python object, whose name was written at the origin, with arguments.
#[must_use]
pub fn node(
    scope: Scope,
    target: Target,
    origin: Origin,
    arguments: Vec<OsString>,
) -> Box<dyn Node> {
    Box::new(Call {
        scope,
        target,
        origin,
        arguments,
    })
}

impl Call {
    /// Replaces this process by Python, which then owns the signals, the terminal and the exit status.
    fn run(&self) -> Result<ExitCode, Failure> {
        let python = python(&self.scope, &self.origin)?;
        let folders = module_folders(&self.scope, &self.origin);
        let arguments = python_arguments(&self.scope, &self.target, self.arguments.clone());
        let mut command = Command::new(&python);
        for (name, value) in variables(&self.scope)? {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        let error = command
            .args(["-c", SCRIPT, self.target.as_str()])
            .arg(folders.len().to_string())
            .args(folders)
            .args(arguments)
            .exec();
        let shown = format!(
            "`{}` ({})",
            python.display(),
            python_origin(&self.scope, &python)
        );
        Err(permission::cannot_run(&shown, &python, error).into())
    }
}

impl Node for Call {
    fn job(&self, _: Option<&Supervision>) -> Result<Job<'_>, Failure> {
        Ok(Job::Run(Box::new(|| self.run())))
    }

    fn draw(&self, depth: usize, tree: &mut Vec<Branch>) {
        let place = self.scope.place(&self.origin);
        tree.push(Branch::written(depth, self.target.to_string(), place));
    }
}
