//! Which files and folders are worth watching, by their names.

use std::ffi::OsStr;
use std::path::Path;

/// Endings of files from which an application is made. No application writes them while it runs, as it does databases, logs,
/// data and uploads: a file that is changed by showing a page would reload that page for ever.
const ENDINGS: [&str; 17] = [
    "py", "html", "htm", "xhtml", "jinja", "jinja2", "j2", "mako", "djhtml", "css", "js", "mjs",
    "cjs", "ts", "rb", "erb", "po",
];

/// Endings that count below a folder with this name only.
const OF_TEMPLATES: [&str; 4] = ["txt", "xml", "md", "svg"];

/// The folder of templates, as Flask, Django and others have it.
const TEMPLATES: &str = "templates";

/// Folders with files that are generated, or that belong to other programs, beside those whose names begin with a point.
const PASSED_OVER: [&str; 5] = [
    "__pycache__",
    "__pypackages__",
    "bower_components",
    "node_modules",
    "site-packages",
];

/// Files by which the same is known of folders with other names: virtual environments, and caches
/// (<https://bford.info/cachedir/>) such as `target` of Cargo.
const SIGNS: [&str; 2] = ["pyvenv.cfg", "CACHEDIR.TAG"];

/// Whether a file counts.
#[must_use]
pub(super) fn is_relevant(file: &Path) -> bool {
    let (Some(name), Some(ending)) = (file.file_name(), file.extension()) else {
        return false;
    };
    let is = |endings: &[&str]| endings.iter().any(|one| ending == OsStr::new(one));
    let in_templates = || file.iter().any(|part| part == TEMPLATES);
    !is_hidden(name) && (is(&ENDINGS) || is(&OF_TEMPLATES) && in_templates())
}

/// Whether a folder below another is looked into.
#[must_use]
pub(super) fn is_looked_into(folder: &Path) -> bool {
    let has_name = |name: &OsStr| !is_hidden(name) && !PASSED_OVER.iter().any(|one| name == *one);
    folder.file_name().is_some_and(has_name) && !SIGNS.iter().any(|sign| folder.join(sign).exists())
}

/// Whether a name is that of a file that an editor has made for itself (`.views.py.swp`, `.#views.py`, `#views.py#`), or
/// of a folder that belongs to a tool (`.git`, `.venv`).
fn is_hidden(name: &OsStr) -> bool {
    matches!(name.as_encoded_bytes().first(), Some(b'.' | b'#'))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{is_looked_into, is_relevant};

    #[test]
    fn code_and_templates_count_and_not_what_programs_write() {
        for (file, counts) in [
            ("/app/views.py", true),
            ("/app/templates/mail.txt", true),
            ("/app/site/templates/site/feed.xml", true),
            ("/app/page.html", true),
            ("/app/static/site.css", true),
            ("/app/server.ts", true),
            ("/app/views/index.html.erb", true),
            ("/app/notes.txt", false),
            ("/app/db.sqlite3", false),
            ("/app/db.sqlite3-journal", false),
            ("/app/data.json", false),
            ("/app/app.log", false),
            ("/app/views.pyc", false),
            ("/app/views.py~", false),
            ("/app/.views.py.swp", false),
            ("/app/.#views.py", false),
            ("/app/#views.py#", false),
            ("/app/4913", false),
            ("/app/Makefile", false),
        ] {
            assert_eq!(is_relevant(Path::new(file)), counts, "{file}");
        }
    }

    #[test]
    fn folders_of_tools_are_passed_over() {
        let folder = tempfile::tempdir().expect("a folder");
        let environment = folder.path().join("python");
        std::fs::create_dir(&environment).expect("a folder");
        assert!(is_looked_into(&environment));
        std::fs::write(environment.join("pyvenv.cfg"), "").expect("a file");
        assert!(!is_looked_into(&environment));
        for (folder, is_watched) in [
            ("/app/pages", true),
            ("/app/templates", true),
            ("/app/.git", false),
            ("/app/.venv", false),
            ("/app/__pycache__", false),
            ("/app/node_modules", false),
        ] {
            assert_eq!(is_looked_into(Path::new(folder)), is_watched, "{folder}");
        }
    }
}
