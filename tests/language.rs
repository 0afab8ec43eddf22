//! The configuration language, by cases: `tests/language/*.case` have inputs and results.
//!
//! A case is a title (`== title`), its files (each after a line `-- NAME`; the first is read, and may include the
//! others), a line of dashes, and the expected result: lines `NAME → REPR` with the value of a property as Python would
//! print it, or the whole rendered diagnostic.
//! In `expressions.case` each line is `EXPRESSION → REPR`, or `EXPRESSION → error: MESSAGE`.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use runner::config::{Configuration, Layer};
use runner::eval::Repr;
use runner::syntax::render;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/language")
}

/// Writes files to a fresh folder; returns the first one's path.
fn written(files: &[(String, String)]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (name, text) in files {
        let path = folder.path().join(name);
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).expect("its folder");
        }
        fs::write(path, text).expect("a file of the case");
    }
    let first = folder
        .path()
        .join(&files.first().expect("a case has a file").0);
    (folder, first)
}

fn load(path: &Path) -> Result<Configuration, runner::syntax::Diagnostics> {
    Configuration::load(&[Layer::File(path.to_owned())])
}

/// The result of a case, in the form of the expected result.
fn outcome(files: &[(String, String)], asked: &[&str]) -> String {
    let (folder, first) = written(files);
    let place = format!("{}/", folder.path().display());
    let mut out = String::new();
    match load(&first) {
        Err(mistakes) => out = render(&mistakes.0, false),
        Ok(configuration) => {
            for name in asked {
                match configuration.get(name) {
                    Ok(Some(value)) => writeln!(out, "{name} → {}", value.repr()),
                    Ok(None) => writeln!(out, "{name} is not set"),
                    Err(mistake) => write!(out, "{}", render(&[mistake], false)),
                }
                .expect("writing to a string");
            }
        }
    }
    let out = out.replace(&place, "");
    out.lines()
        .flat_map(|line| [line.trim_end(), "\n"])
        .collect()
}

/// The name in a line of the expected result.
fn asked(line: &str) -> Option<&str> {
    let name = line.split_once(" → ").map(|(name, _)| name);
    let name = name.or_else(|| line.strip_suffix(" is not set"));
    name.or_else(|| line.strip_prefix("? "))
        .filter(|name| !name.contains(' '))
}

#[test]
fn cases() {
    let mut count = 0;
    let mut wrong = String::new();
    let mut paths: Vec<PathBuf> = fs::read_dir(folder())
        .expect("the folder of cases")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "case")
        })
        .filter(|path| !path.ends_with("expressions.case"))
        .collect();
    paths.sort();
    for path in paths {
        let text = fs::read_to_string(&path).expect("a file of cases");
        for case in text.split("\n== ").skip(1) {
            count += 1;
            let (title, rest) = case.split_once('\n').expect("a title");
            let (input, expected) = rest.split_once("\n----\n").expect("a line of dashes");
            let mut files = Vec::new();
            for file in format!("\n{input}\n").split("\n-- ").skip(1) {
                let (name, text) = file.split_once('\n').expect("a file's name");
                let text = text.replace("␍", "\r").replace("␉", "\t");
                files.push((name.to_owned(), text));
            }
            // `? name` asks for a property whose evaluation is a mistake.
            let names: Vec<&str> = expected.lines().filter_map(asked).collect();
            let expected: String = expected
                .lines()
                .filter(|line| !line.starts_with("? "))
                .flat_map(|line| [line, "\n"])
                .collect();
            let got = outcome(&files, &names);
            if got.trim_end() != expected.trim_end() {
                let file = path.file_name().unwrap_or_default().display();
                write!(
                    wrong,
                    "\n{file}: {title}\n--- expected\n{expected}--- got\n{got}"
                )
                .expect("writing to a string");
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(count > 30, "only {count} cases were found");
}

#[test]
fn expressions() {
    let text = fs::read_to_string(folder().join("expressions.case")).expect("the expressions");
    let rows: Vec<(&str, &str)> = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once(" → "))
        .collect();
    assert!(
        rows.len() > 150,
        "only {} expressions were found",
        rows.len()
    );
    let mut wrong = String::new();
    for (expression, expected) in rows {
        let (_folder, path) = written(&[("x.ini".to_owned(), format!("x = {expression}\n"))]);
        let got = match load(&path) {
            Err(mistakes) => format!("error: {}", mistakes.0[0].message),
            Ok(configuration) => match configuration.get("x") {
                Ok(value) => value.map_or("nothing".to_owned(), |value| value.repr()),
                Err(mistake) => format!("error: {}", mistake.message),
            },
        };
        if got != expected {
            writeln!(
                wrong,
                "{expression}\n  expected {expected}\n  got      {got}"
            )
            .expect("writing to a string");
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}
