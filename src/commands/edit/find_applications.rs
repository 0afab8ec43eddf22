//! The WSGI applications of a folder, found by a Python script in the syntax trees of its files. Nothing of the
//! application is imported, so none of its code runs.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, anyhow};
use serde::Deserialize;

use crate::line::failure::Failure;
use crate::line::scope::Scope;
use crate::plan::python::python_for_sources;

/// Bounds itself: seconds, bytes of a file, entries of a folder, applications.
const SCRIPT: &str = include_str!("find_applications.py");

/// What a folder holds that can be served.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Applications {
    /// Names of applications, without `import:`, the likeliest first.
    pub applications: Vec<String>,
    /// The framework of the likeliest one.
    pub framework: Option<Framework>,
    /// A virtual environment that is not found without being named.
    pub environment: Option<String>,
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
/// The folder cannot be read, there is no Python to read its files, or that Python fails.
pub fn find_applications(scope: &Scope, folder: &Path) -> Result<Applications, Failure> {
    let entries =
        fs::read_dir(folder).with_context(|| format!("cannot read `{}`", folder.display()))?;
    let is_source = |path: &Path| {
        path.extension().is_some_and(|ending| ending == "py") || path.join("__init__.py").is_file()
    };
    if !entries.flatten().any(|entry| is_source(&entry.path())) {
        return Ok(Applications::default());
    }
    let python = python_for_sources(scope, folder)?;
    // Isolated and without `site`: neither the environment nor a `.pth` file adds code.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn applications_are_found_by_their_definition() {
        let cases = [
            (
                "def application(environ, start_response):\n    pass\n",
                "m.application",
            ),
            ("app = Flask(__name__)\n", "m.app"),
            ("app: Flask = Flask(__name__)\n", "m.app"),
            ("app = 1\napplication = app\n", "m.application"),
            ("main = app = Flask(__name__)\n", "m.app"),
            ("from site import (app)\n", "m.app"),
            (
                "from x import y as application, z  # for mod_wsgi\n",
                "m.application",
            ),
            ("def create_app():\n    app = Flask()\n", "m:create_app()"),
            (
                "def create_app(\n    config=dict(a=1),\n    *more\n):\n    pass\n",
                "m:create_app()",
            ),
            ("def create_app(*, config): pass\n", ""),
            ("def create_app(config, test=1): pass\n", ""),
            ("def create_app(config: Dict[str, int]) -> X: pass\n", ""),
            (
                "def make_app(a: Dict[str, int] = {}): pass\n",
                "m:make_app()",
            ),
            ("app = FastAPI()\n", ""),
            ("app = fastapi.FastAPI(title='x')\n", ""),
            (
                "app = FastAPI()\napp = a2wsgi.ASGIMiddleware(app)\n",
                "m.app",
            ),
            ("async def app(scope, receive, send): pass\n", ""),
            (
                "class application:\n    def __iter__(self): pass\n",
                "m.application",
            ),
            ("class app(Base):\n    def run(self): pass\n", ""),
            ("app.config = 1\n", ""),
            ("if True:\n    app = 1\n", ""),
            ("\"\"\"\napp = Flask()\n\"\"\"\n", ""),
            ("'''x''' # '''\napp = 1\n", "m.app"),
            ("app == 1\napp.run()\napplications = 2\n# app = 3\n", ""),
            ("# coding: latin-1\napp = '\u{e9}'\n", "m.app"),
            ("# coding: nothing\napp = 1\n", ""),
            ("app = '\0'\n", ""),
            ("app = '\\d'\n", "m.app"),
            ("", ""),
            ("def create_app(", ""),
        ];
        let scope = Scope::load(Vec::new(), None).expect("settings");
        for (text, expected) in cases {
            let folder = tempfile::tempdir().expect("a folder");
            fs::write(folder.path().join("m.py"), text).expect("a file");
            let found = find_applications(&scope, folder.path()).expect("Python");
            assert_eq!(found.applications.join(" "), expected, "{text}");
        }
    }
}
