//! What users of other servers write for an application (`app:app`, `app.py`, `mysite.wsgi`), and how it is written here.

use std::path::{Component, Path, PathBuf};

use crate::config::source;
use crate::line::target::{FILE_SCHEME, SCHEME, Target};
use crate::plan::application::PythonInterface;
use crate::syntax::nearest;

/// The names that applications have, the likelier first, and those of functions that make one.
const NAMES: [&str; 2] = ["application", "app"];
const FACTORIES: [&str; 2] = ["create_app", "make_app"];

/// Stands for the object where the file does not show its name.
const UNKNOWN: &str = "NAME";

/// Packages whose applications speak ASGI.
const ASGI_PACKAGES: [&str; 6] = [
    "fastapi",
    "starlette",
    "quart",
    "litestar",
    "blacksheep",
    "channels",
];

/// What to write in place of a word that names a Python file, a module of a folder, or an object. `before` gives the words
/// that are missing before the name of an object. `None` if the word is none of these. A module that is not in the folder
/// may be installed elsewhere, if the word `may_be_elsewhere`.
pub(super) fn hint(
    word: &str,
    folder: &Path,
    before: &dyn Fn(PythonInterface) -> String,
    may_be_elsewhere: bool,
) -> Option<String> {
    let (place, object) = match word.split_once(':') {
        Some((place, object)) => (place, Some(object)),
        None => (word, None),
    };
    let file = match place.strip_suffix(".py") {
        Some(_) => Some(folder.join(place)).filter(|file| file.is_file()),
        None => module_file(place, folder),
    };
    let before = before(interface(file.as_deref(), place));
    let write = |name: &str| {
        let is_name = name.parse::<Target>().is_ok();
        is_name.then(|| format!("write `{before}{SCHEME}{name}`"))
    };
    let Some(file) = file else {
        if let Some(meant) = misspelt_scheme(word) {
            return Some(format!("did you mean `{meant}`?"));
        }
        let may_be_one = may_be_elsewhere && (object.is_some() || place.contains('.'));
        return may_be_one.then(|| write(word))?;
    };
    let module = match place.strip_suffix(".py") {
        Some(path) => module(Path::new(path)),
        None => Some(place.to_owned()),
    };
    let object = match object {
        Some(object) => format!(":{object}"),
        None => application(&file).unwrap_or_else(|| format!(".{UNKNOWN}")),
    };
    let explained = |hint: String| match object.ends_with(UNKNOWN) {
        true => format!("{hint}, with the application's name"),
        false => hint,
    };
    let by_name = module.and_then(|module| write(&format!("{module}{object}")));
    let hint = by_name.unwrap_or_else(|| {
        // It cannot be imported by name.
        let shown = file.strip_prefix(folder).unwrap_or(&file).display();
        let object = object.trim_start_matches(['.', ':']);
        format!("write `{before}{FILE_SCHEME}{shown}:{object}`")
    });
    Some(explained(hint))
}

/// The URL that a word is with the scheme that it nearly has: `imprt:shop.application`.
fn misspelt_scheme(word: &str) -> Option<String> {
    let (scheme, name) = word.split_once(':')?;
    let is_object = name.parse::<Target>().is_ok();
    let known = match is_object {
        true => SCHEME,
        false if is_python_file(name) => FILE_SCHEME,
        false => return None,
    };
    nearest(scheme, [known.trim_end_matches(':')])?;
    Some(format!("{known}{name}"))
}

/// Whether a text is the path of a Python file, perhaps with the name of an object.
fn is_python_file(text: &str) -> bool {
    let path = text.rsplit_once(':').map_or(text, |(path, _)| path);
    path.ends_with(".py") || path.ends_with(".wsgi")
}

/// How an application is called, as far as the imports in its file, or the name of its module, show it.
fn interface(file: Option<&Path>, module: &str) -> PythonInterface {
    let text = file.and_then(|file| Some(source(file).ok()?.text.clone()));
    let imports = |line: &str| {
        let rest = ["from ", "import "].iter();
        let package = rest.filter_map(|word| line.strip_prefix(word)).next();
        let package = package.and_then(|package| package.split([' ', '.', ',']).next());
        package.is_some_and(|package| ASGI_PACKAGES.contains(&package))
    };
    let is_asgi = text.is_some_and(|text| text.lines().any(imports));
    let stem = module.strip_suffix(".py").unwrap_or(module);
    match is_asgi || stem.rsplit(['.', '/']).next() == Some("asgi") {
        true => PythonInterface::Asgi,
        false => PythonInterface::Wsgi,
    }
}

/// The file of a module, if it is in a folder.
fn module_file(module: &str, folder: &Path) -> Option<PathBuf> {
    let path = module.replace('.', "/");
    let files = [format!("{path}.py"), format!("{path}/__init__.py")];
    let mut files = files.iter().map(|file| folder.join(file));
    files.find(|file| file.is_file())
}

/// The module that a path without `.py` stands for, from the current folder; `None` if it is in another.
fn module(path: &Path) -> Option<String> {
    let mut parts = Vec::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::Normal(part) => parts.push(part.to_str()?),
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    if parts.len() > 1 && parts.last() == Some(&"__init__") {
        parts.pop();
    }
    Some(parts.join("."))
}

/// The name of the application in a file, with what separates it from the module, as far as the text shows it.
fn application(file: &Path) -> Option<String> {
    let text = &source(file).ok()?.text;
    let bound = |name: &&&str| text.lines().any(|line| binds(line, name));
    if let Some(name) = NAMES.iter().find(bound) {
        // `package.name` would be a submodule.
        let is_package = file.ends_with("__init__.py");
        return Some(format!("{}{name}", if is_package { ':' } else { '.' }));
    }
    let factory = FACTORIES.iter().find(bound)?;
    Some(format!(":{factory}()"))
}

/// Whether a line of Python at the top level binds a name.
fn binds(line: &str, name: &str) -> bool {
    let is_letter = |letter: char| letter.is_alphanumeric() || letter == '_';
    if let Some((_, names)) = line
        .strip_prefix("from ")
        .and_then(|line| line.split_once(" import "))
    {
        return names
            .split(|letter| !is_letter(letter))
            .any(|it| it == name);
    }
    let defined = ["def ", "class "];
    let defined = defined.iter().find_map(|word| line.strip_prefix(word));
    let (rest, delimiters) = match defined {
        Some(rest) => (rest, ['(', ':']),
        None => (line, ['=', ':']),
    };
    let rest = rest.strip_prefix(name).map(str::trim_start);
    rest.is_some_and(|rest| rest.starts_with(delimiters) && !rest.starts_with("=="))
}

#[cfg(test)]
mod tests {
    use super::binds;

    #[test]
    fn lines_that_bind_a_name() {
        for line in [
            "app = Flask(__name__)",
            "app=1",
            "app: Flask = Flask(__name__)",
            "def app(environ, start_response):",
            "class app:",
            "from shop import a, app",
            "from shop import site as app",
        ] {
            assert!(binds(line, "app"), "{line}");
        }
        for line in [
            "apple = 1",
            "app == 1",
            "app.run()",
            "    app = 1",
            "# app = 1",
            "from app import b",
            "async def app(scope, receive, send):",
        ] {
            assert!(!binds(line, "app"), "{line}");
        }
    }
}
