//! The applications of a folder, found by a Python script in the syntax trees of its files. Nothing of the
//! application is imported, so none of its code runs.

use std::fmt;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, anyhow};
use serde::Deserialize;

use crate::line::failure::Failure;
use crate::line::scope::Scope;
use crate::plan::application::PythonInterface;
use crate::plan::python::python_for_sources;

/// It limits its time, the bytes of a file, the entries of a folder and its output.
const SCRIPT: &str = include_str!("find_applications.py");

/// What a folder holds that can be served.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Applications {
    /// The likeliest first.
    pub applications: Vec<FoundApplication>,
    /// The framework of the likeliest one.
    pub framework: Option<Framework>,
    /// A virtual environment that `serve` does not find by itself.
    pub environment: Option<String>,
}

/// An application.
#[derive(Debug, PartialEq, Eq, Deserialize)]
pub struct FoundApplication {
    /// `import:package.module.object`, or `file:app.wsgi`.
    pub url: String,
    /// How it is called, as far as its source shows.
    pub interface: PythonInterface,
}

impl fmt::Display for FoundApplication {
    /// As it is written behind a gateway.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} {}", self.interface.word(), self.url)
    }
}

/// The library that a web application is built on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Framework {
    /// Django.
    Django,
    /// Flask.
    Flask,
}

/// Searches a folder. A folder without Python files needs no Python.
///
/// # Errors
/// The folder cannot be read, there is no Python to parse its files, or that Python fails.
pub fn find_applications(scope: &Scope, folder: &Path) -> Result<Applications, Failure> {
    let entries =
        fs::read_dir(folder).with_context(|| format!("cannot read `{}`", folder.display()))?;
    let is_source = |path: &Path| {
        let ending = path.extension();
        ending.is_some_and(|ending| ending == "py" || ending == "wsgi")
            || path.join("__init__.py").is_file()
    };
    if !entries.flatten().any(|entry| is_source(&entry.path())) {
        return Ok(Applications::default());
    }
    let python = python_for_sources(scope, folder)?;
    // `-I` and `-S`: neither the folder, the environment nor a `.pth` file adds code.
    let output = Command::new(&python)
        .args(["-I", "-S", "-W", "ignore", "-c", SCRIPT])
        .arg(folder)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot run `{}`", python.display()))?;
    serde_json::from_slice(&output.stdout).map_err(|_| {
        let said = String::from_utf8_lossy(&output.stderr);
        let why = said.lines().next_back().map(str::to_owned);
        let why = why.unwrap_or_else(|| output.status.to_string());
        let (python, folder) = (python.display(), folder.display());
        anyhow!("`{python}` cannot search `{folder}` for applications: {why}").into()
    })
}
