//! What a folder holds that can be served, found by reading the text of its Python files; nothing is imported, so
//! nothing runs.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Bytes of a Python file beyond which it is not read.
const LARGEST: u64 = 1 << 20;

/// Entries of a folder beyond which no more are looked at.
const MOST_ENTRIES: usize = 2000;

/// Modules that usually hold the application, the likelier first.
const MODULES: &[&str] = &["wsgi", "app", "application", "main"];

/// Names that applications usually have, the likelier first.
const NAMES: &[&str] = &["application", "app"];

/// Names of functions that make one, the likelier first.
const FACTORIES: &[&str] = &["create_app", "make_app"];

/// What `app = …` calls where it makes no WSGI application.
const OTHERS: &[&str] = &[
    "FastAPI",
    "Starlette",
    "Quart",
    "Sanic",
    "Litestar",
    "get_asgi_application",
    "Celery",
    "Typer",
    "QApplication",
];

/// What is there to be served.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Names of applications, without `import:`, the likeliest first.
    pub applications: Vec<String>,
    /// What the likeliest one is made with.
    pub framework: Option<Framework>,
    /// A virtual environment that has no usual name.
    pub environment: Option<String>,
}

/// What a web application is made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framework {
    /// Django.
    Django,
    /// Flask.
    Flask,
}

/// Looks into a folder.
///
/// # Errors
/// It cannot be read.
pub fn look(folder: &Path) -> std::io::Result<Found> {
    let mut files = Vec::new();
    let mut packages = Vec::new();
    let mut environments = Vec::new();
    for entry in std::fs::read_dir(folder)?.take(MOST_ENTRIES) {
        let path = entry?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
            continue;
        };
        if path.join("pyvenv.cfg").is_file() && !name.contains(char::is_control) {
            environments.push(name.to_owned());
        } else if path.join("__init__.py").is_file() && is_identifier(name) {
            packages.push(name.to_owned());
        } else if let Some(module) = name.strip_suffix(".py").filter(|name| is_identifier(name)) {
            files.push(module.to_owned());
        }
    }
    let likely = |module: &String| {
        let place = MODULES.iter().position(|usual| usual == module);
        (place.unwrap_or(MODULES.len()), module.clone())
    };
    files.sort_by_key(likely);
    packages.sort();
    environments.sort();

    let mut modules: Vec<(String, PathBuf)> = Vec::new();
    modules.extend(django_module(folder));
    for module in files {
        let path = folder.join(format!("{module}.py"));
        modules.push((module, path));
    }
    for package in packages {
        let inside = folder.join(&package);
        modules.push((package.clone(), inside.join("__init__.py")));
        for module in MODULES {
            let path = inside.join(format!("{module}.py"));
            modules.push((format!("{package}.{module}"), path));
        }
    }
    let mut found = Found::default();
    for (module, path) in modules {
        let Some(text) = read(&path) else { continue };
        let Some(name) = application(&text) else {
            continue;
        };
        // What a package holds is told from its modules by the colon.
        let delimiter = match name.ends_with(')') || path.ends_with("__init__.py") {
            true => ':',
            false => '.',
        };
        let target = format!("{module}{delimiter}{name}");
        if found.applications.contains(&target) {
            continue;
        }
        if found.applications.is_empty() {
            found.framework = framework(&text);
        }
        found.applications.push(target);
    }
    // Those are found without being named.
    let usual = environments
        .iter()
        .any(|name| name == ".venv" || name == "venv");
    found.environment = environments.into_iter().next().filter(|_| !usual);
    Ok(found)
}

/// The module that a Django project's `manage.py` leads to: the `wsgi.py` nearest to its settings.
fn django_module(folder: &Path) -> Option<(String, PathBuf)> {
    let text = read(&folder.join("manage.py"))?;
    let (_, behind) = text.split_once("DJANGO_SETTINGS_MODULE")?;
    let line = behind.lines().next()?;
    let settings = line
        .split(['\'', '"'])
        .find(|part| part.split('.').all(is_identifier))?;
    let mut package = settings;
    while let Some((outer, _)) = package.rsplit_once('.') {
        package = outer;
        let path = folder.join(package.replace('.', "/")).join("wsgi.py");
        if path.is_file() {
            return Some((format!("{package}.wsgi"), path));
        }
    }
    None
}

fn framework(text: &str) -> Option<Framework> {
    let says = |word: &str| {
        text.lines().any(|line| {
            line.starts_with(&format!("from {word}"))
                || line.contains(word) && line.starts_with("import ")
        })
    };
    if says("django") {
        Some(Framework::Django)
    } else if says("flask") {
        Some(Framework::Flask)
    } else {
        None
    }
}

fn read(path: &Path) -> Option<String> {
    // A FIFO would be waited for.
    if !path.is_file() {
        return None;
    }
    let mut bytes = Vec::new();
    let file = File::open(path).ok()?;
    file.take(LARGEST + 1).read_to_end(&mut bytes).ok()?;
    (bytes.len() as u64 <= LARGEST).then(|| String::from_utf8_lossy(&bytes).into_owned())
}

fn is_identifier(word: &str) -> bool {
    let mut characters = word.chars();
    characters
        .next()
        .is_some_and(|first| first == '_' || first.is_alphabetic())
        && characters.all(|c| c == '_' || c.is_alphanumeric())
}

/// The name by which a module's text defines an application: `application`, or `create_app()`.
fn application(text: &str) -> Option<String> {
    let statements = statements(text);
    let defines = |name: &&&str| {
        let last = statements.iter().rev().find_map(|line| defines(line, name));
        last == Some(true)
    };
    if let Some(name) = NAMES.iter().find(defines) {
        return Some((*name).to_owned());
    }
    let makes = |name: &&&str| statements.iter().any(|line| is_factory(line, name));
    FACTORIES.iter().find(makes).map(|name| format!("{name}()"))
}

/// The lines in column 1 that are not inside a string, each with the lines behind it to the next of them.
fn statements(text: &str) -> Vec<String> {
    let mut statements: Vec<String> = Vec::new();
    let mut string: Option<&str> = None;
    for line in text.lines() {
        let outside = string.is_none();
        let mut rest = line;
        loop {
            match string {
                Some(end) => match rest.split_once(end) {
                    Some((_, behind)) => {
                        rest = behind;
                        string = None;
                    }
                    None => break,
                },
                None => {
                    let code = rest.split('#').next().unwrap_or_default();
                    let start = ["\"\"\"", "'''"]
                        .into_iter()
                        .filter_map(|quote| Some((code.find(quote)?, quote)))
                        .min();
                    let Some((at, quote)) = start else { break };
                    rest = &rest[at + quote.len()..];
                    string = Some(quote);
                }
            }
        }
        match statements.last_mut() {
            // A signature may go on for lines, and what follows it with empty ones between.
            Some(last) if !outside || line.is_empty() || line.starts_with([' ', '\t', ')']) => {
                last.push('\n');
                last.push_str(line);
            }
            _ => statements.push(line.to_owned()),
        }
    }
    statements
}

/// Whether a statement gives a name to something that may be a WSGI application; `None` if it does not
/// give the name to anything.
fn defines(statement: &str, name: &str) -> Option<bool> {
    if let Some(parameters) = behind_word(statement, "def").and_then(|rest| behind_word(rest, name))
    {
        return Some(parameters.starts_with('('));
    }
    // One that makes its answer an iterator is an application itself (PEP 3333, `AppClass`).
    if let Some(body) = behind_word(statement, "class").and_then(|rest| behind_word(rest, name)) {
        return Some(body.contains("def __iter__("));
    }
    if let Some(rest) = behind_word(statement, "async").and_then(|rest| behind_word(rest, "def")) {
        return behind_word(rest, name).map(|_| false);
    }
    if let Some((_, imported)) = statement
        .strip_prefix("from ")
        .and_then(|rest| rest.split_once(" import "))
    {
        let imported = imported.split('#').next().unwrap_or_default();
        let mut names = imported.trim_matches(['(', ')', ' ', '\n']).split(',');
        let named = names.any(|part| part.split_whitespace().next_back() == Some(name));
        return named.then_some(true);
    }
    let rest = behind_word(statement, name)?;
    let value = match rest.strip_prefix(':') {
        Some(annotation) => annotation.split_once('=')?.1,
        None => rest
            .strip_prefix('=')
            .filter(|rest| !rest.starts_with('='))?,
    };
    let called = value.split('(').next().unwrap_or_default();
    let called = called.rsplit('.').next().unwrap_or_default().trim();
    Some(!OTHERS.contains(&called))
}

/// Whether a statement defines a function that makes an application without being told anything.
fn is_factory(statement: &str, name: &str) -> bool {
    let parameters = behind_word(statement, "def")
        .and_then(|rest| behind_word(rest, name))
        .and_then(|rest| rest.strip_prefix('('));
    let Some(parameters) = parameters else {
        return false;
    };
    let mut depth = 0;
    let mut one = String::new();
    let optional = |one: &str| {
        let one = one.trim();
        one.is_empty() || one.starts_with(['*', '/']) || one.contains('=')
    };
    for c in parameters.chars() {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' if depth == 0 => return optional(&one),
            ')' | ']' | '}' => depth -= 1,
            ',' if depth == 0 => {
                if !optional(&one) {
                    return false;
                }
                one.clear();
                continue;
            }
            _ => {}
        }
        one.push(c);
    }
    false
}

/// What stands behind a word at the start of a text, and the blanks behind that.
fn behind_word<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    let rest = text.strip_prefix(word)?;
    let ends = !rest.starts_with(|c: char| c == '_' || c.is_alphanumeric());
    ends.then(|| rest.trim_start_matches([' ', '\t']))
}

#[cfg(test)]
mod tests {
    use super::application;

    #[test]
    fn applications_are_found_by_their_definition() {
        let cases: &[(&str, Option<&str>)] = &[
            (
                "def application(environ, start_response):\n    pass\n",
                Some("application"),
            ),
            ("app = Flask(__name__)\n", Some("app")),
            ("app: Flask = Flask(__name__)\n", Some("app")),
            ("app = 1\napplication = app\n", Some("application")),
            ("from site import (app)\n", Some("app")),
            (
                "from x import y as application, z  # for mod_wsgi\n",
                Some("application"),
            ),
            (
                "def create_app():\n    app = Flask()\n",
                Some("create_app()"),
            ),
            (
                "def create_app(\n    config=dict(a=1),\n    *more\n):\n",
                Some("create_app()"),
            ),
            ("def create_app(config, test=1):\n", None),
            ("def create_app(config: Dict[str, int]) -> X:\n", None),
            (
                "def make_app(a: Dict[str, int] = {}): pass\n",
                Some("make_app()"),
            ),
            ("app = FastAPI()\n", None),
            ("app = fastapi.FastAPI(title='x')\n", None),
            (
                "app = FastAPI()\napp = a2wsgi.ASGIMiddleware(app)\n",
                Some("app"),
            ),
            ("async def app(scope, receive, send):\n", None),
            (
                "class application:\n    def __init__(self, environ, start_response):\n        pass\n\n    def __iter__(self):\n",
                Some("application"),
            ),
            ("class app(Base):\n    def run(self): pass\n", None),
            ("if True:\n    app = 1\n", None),
            ("\"\"\"\napp = Flask()\n\"\"\"\n", None),
            ("'''x''' # '''\napp = 1\n", Some("app")),
            ("app == 1\napp.run()\napplications = 2\n# app = 3\n", None),
            ("", None),
            ("def create_app(", None),
            ("def create_app(]])", None),
        ];
        for (text, expected) in cases {
            assert_eq!(application(text).as_deref(), *expected, "{text}");
        }
    }
}
