//! A case in `tests/diagnostics` shows every wording of a diagnostic: each string in the source that can become part of
//! a message, a hint or a label must be part of an expected output.
//!
//! All strings of the language (`src/syntax`, `src/config`, `src/eval`) are wordings; elsewhere those of functions that
//! return diagnostics. `is_wording` says which strings are not. Placeholders of a format stand for any text, and a
//! string that is a whole message must be a whole message in a case.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use reader::Reader;
use syn::visit::Visit;

#[path = "wordings/reader.rs"]
mod reader;

/// Where all strings are wordings.
const LANGUAGE: &[&str] = &[
    "src/syntax",
    "src/config",
    "src/eval",
    "src/line/target.rs",
    "src/gateway/socket/url.rs",
    "src/upstream/server_address.rs",
];

/// Where the strings of functions that return diagnostics, or what becomes one, are wordings.
const BESIDE: &[&str] = &[
    "src/commands",
    "src/graph",
    "src/line",
    "src/plan",
    "src/server",
    "src/supervisor",
    "src/workers",
];

/// Files whose diagnostics depend on the machine or on a running server, and the test that shows them instead.
const CONDITIONS: &[(&str, &str)] = &[
    ("src/commands/edit/export.rs", "tests/export.rs"),
    ("src/commands/edit/exported_facts.rs", "tests/export.rs"),
    ("src/commands/edit/exported_settings.rs", "tests/export.rs"),
    ("src/commands/edit/fmt.rs", "tests/format.rs"),
    ("src/commands/edit/import.rs", "tests/import/gunicorn.case"),
    ("src/commands/edit/import.rs", "tests/import/others.case"),
    ("src/commands/edit/import_trial.rs", "tests/import.rs"),
    ("src/server/next_version.rs", "tests/reload.rs"),
    ("src/plan/address.rs", "tests/commands.rs"),
    ("src/plan/surroundings/mod.rs", "tests/surroundings.rs"),
    ("src/config/files/read_bounded.rs", "tests/layers.rs"),
    ("src/supervisor/privileges.rs", "tests/privileges.rs"),
    (
        "src/workers/python/executable.rs",
        "tests/python_programs.rs",
    ),
];

/// The functions that take the message of a diagnostic.
const MAKERS: &[&str] = &[
    "bad_value",
    "complain",
    "missing",
    "mistake",
    "unexpected",
    "wrong",
    "wrong_type",
];

/// Diagnostics, and types that become one: all strings of a function that returns one of them are wordings.
const BECOME: &[&str] = &[
    "AccountError",
    "CertificateFault",
    "Diagnostic",
    "Diagnostics",
    "Failure",
    "InvalidAddress",
    "InvalidLockUrl",
    "InvalidSocketUrl",
    "NoPython",
    "Usage",
];

/// The types whose `new` takes a message.
const MADE: &[&str] = &["Diagnostic", "Fault"];

/// Macros and methods whose strings are not shown as a diagnostic: errors of the system, and panics.
const WORLD: &[&str] = &[
    "anyhow",
    "assert",
    "bail",
    "json",
    "context",
    "expect",
    "panic",
    "unreachable",
    "with_context",
];

/// Functions whose strings are documentation, or go elsewhere.
const DOCUMENTS: &[&str] = &["default_text", "written"];

/// Strings that read like a wording but are not one, and why.
const INNER: &[(&str, &str)] = &[
    ("{} has ended", "good news"),
    ("{} serves the new version", "good news"),
    ("load on demand {}", "a key of a table"),
    (
        "a URL or a list of URLs",
        "`plan/address.rs` checks the only such setting",
    ),
    ("there is nothing to run", "every caller has a word"),
    (
        "this cannot be read",
        "the grammar lets no such thing through",
    ),
    (
        "the group `{}` cannot be looked up: {}",
        "the system's own files would be broken",
    ),
    (
        "the user `{}` cannot be looked up: {}",
        "the system's own files would be broken",
    ),
    ("user {}", "the user that runs the tests has a name"),
    ("… and {} more", "counts diagnostics and is none"),
];

/// A string in the source.
struct Wording {
    file: String,
    /// The fixed parts between placeholders.
    parts: Vec<String>,
    /// Whether it is a whole message.
    whole: bool,
}

#[test]
fn each_wording_is_shown_by_a_case() {
    let conditions = CONDITIONS.iter().flat_map(|(file, test)| [file, test]);
    for path in LANGUAGE.iter().chain(BESIDE).chain(conditions) {
        assert!(project(path).exists(), "{path}");
    }
    names_are_declared();
    let lines = expected_lines();
    assert!(lines.len() > 1_000, "{} lines are expected", lines.len());
    let wordings = wordings();
    assert!(wordings.len() > 500, "only {} wordings", wordings.len());
    let shown = |wording: &&Wording| {
        lines.iter().any(|line| wording.is_in(line)) || wording.is_shown_elsewhere()
    };
    let (inner, said): (Vec<&Wording>, Vec<&Wording>) = wordings
        .iter()
        .partition(|wording| INNER.iter().any(|(inner, _)| *inner == wording.text()));
    let missing: BTreeSet<String> = said
        .into_iter()
        .filter(|wording| !shown(wording))
        .map(|wording| format!("\n{}: {}", wording.file, wording.text()))
        .collect();
    let count = missing.len();
    let missing: String = missing.into_iter().collect();
    assert!(missing.is_empty(), "{count} without a case:{missing}");
    for (text, _) in INNER {
        let there = inner.iter().any(|wording| wording.text() == *text);
        assert!(there, "no longer in the source: {text}");
    }
}

/// What the lists above name exists: a renamed function or type would otherwise no longer be read.
fn names_are_declared() {
    let mut files = Vec::new();
    walk(&project("src"), &mut files);
    let read = |path| fs::read_to_string(path).expect("a file of source");
    let source: String = files.iter().map(read).collect();
    let is_declared = |kind: &str, name: &str| source.contains(&format!("{kind} {name}"));
    for name in MAKERS.iter().chain(DOCUMENTS) {
        assert!(is_declared("fn", name), "{name}");
    }
    for name in BECOME.iter().chain(MADE) {
        assert!(
            is_declared("struct", name) || is_declared("enum", name),
            "{name}"
        );
    }
}

impl Wording {
    fn new(file: &str, text: &str, format: bool, whole: bool) -> Vec<Self> {
        let parts = match format {
            true => parts(text),
            false => vec![text.to_owned()],
        };
        // Lines are looked for one by one.
        let mut lines: Vec<Vec<String>> = vec![Vec::new()];
        for part in parts {
            for (number, piece) in part.split('\n').enumerate() {
                if number > 0 {
                    lines.push(Vec::new());
                }
                let last = lines.last_mut().expect("one from the start");
                last.push(piece.to_owned());
            }
        }
        let several = lines.len() > 1;
        let wording = |parts| Self {
            file: file.to_owned(),
            parts,
            whole: whole && !several,
        };
        lines.into_iter().map(wording).collect()
    }

    /// As in the source, with empty braces.
    fn text(&self) -> String {
        self.parts.join("{}")
    }

    /// Whether the test that [`CONDITIONS`] names for its file contains it.
    fn is_shown_elsewhere(&self) -> bool {
        let mut tests = CONDITIONS.iter().filter(|(file, _)| *file == self.file);
        tests.any(|(_, test)| {
            let text = fs::read_to_string(project(test)).expect("a test");
            in_order(&text, &self.parts)
        })
    }

    fn is_in(&self, line: &str) -> bool {
        if !self.whole {
            return in_order(line, &self.parts);
        }
        let message = line.strip_prefix("error: ");
        let message = message.or(line.strip_prefix("warning: "));
        let (first, rest) = self.parts.split_first().expect("a text has a part");
        let last = rest.last().unwrap_or(first);
        message.is_some_and(|message| {
            let behind = message.strip_prefix(first.as_str());
            message.ends_with(last.as_str()) && behind.is_some_and(|behind| in_order(behind, rest))
        })
    }
}

/// Whether a text contains all these parts, in order.
fn in_order(mut text: &str, parts: &[String]) -> bool {
    parts.iter().all(|part| match text.split_once(part) {
        Some((_, behind)) => {
            text = behind;
            true
        }
        None => false,
    })
}

/// The parts between the `{…}` of a format.
fn parts(format: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut characters = format.chars().peekable();
    while let Some(c) = characters.next() {
        let last = parts.last_mut().expect("one from the start");
        match c {
            '{' | '}' if characters.peek() == Some(&c) => {
                characters.next();
                last.push(c);
            }
            '{' => {
                assert!(characters.any(|c| c == '}'), "{format}");
                parts.push(String::new());
            }
            c => last.push(c),
        }
    }
    parts
}

/// The expected outputs of the cases.
fn expected_lines() -> Vec<String> {
    let mut lines = Vec::new();
    for entry in fs::read_dir(project("tests/diagnostics")).expect("the folder of cases") {
        let path = entry.expect("an entry").path();
        let text = fs::read_to_string(path).expect("a file of cases");
        for case in text.split("\n== ").skip(1) {
            let (_, expected) = case.split_once("\n----\n").expect("what is expected");
            lines.extend(expected.lines().map(str::to_owned));
        }
    }
    lines
}

fn wordings() -> Vec<Wording> {
    let mut files = Vec::new();
    walk(&project("src"), &mut files);
    let mut wordings = Vec::new();
    for path in files {
        let name = path
            .strip_prefix(project(""))
            .expect("a file of the project");
        let is_below = |folders: &[&str]| folders.iter().any(|folder| name.starts_with(folder));
        if !is_below(LANGUAGE) && !is_below(BESIDE) {
            continue;
        }
        let mut reader = Reader {
            file: name.display().to_string(),
            all: is_below(LANGUAGE),
            wordings: &mut wordings,
        };
        let text = fs::read_to_string(&path).expect("a file of source");
        reader.visit_file(&syn::parse_file(&text).expect("Rust"));
    }
    wordings
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder of source") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            walk(&path, files);
        } else if path.extension().is_some_and(|ending| ending == "rs")
            && !path.ends_with("tests.rs")
        {
            files.push(path);
        }
    }
}

fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}
