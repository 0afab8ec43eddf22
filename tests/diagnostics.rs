//! Every diagnostic of the program with its whole text: `tests/diagnostics/*.case`.
//!
//! A case is a title (`== CODE: what is wrong`), its files (each after a line `-- NAME`), a line of dashes, and the
//! complete output. The first file is loaded, and each property of the root namespace is read; if the first line is
//! `$ COMMAND`, that command runs instead. In files, `⟨TEXT×NUMBER⟩` repeats a text, `⟪ff⟫` is a byte and `␀` a zero
//! byte; `unreadable.ini` has no read permission. A title that ends with `(two places)` promises that both places are
//! shown.
//!
//! `RUNNER_UPDATE=1 cargo test --test diagnostics` writes the current output; read it before you commit it.

mod support;

use std::collections::BTreeSet;
use std::env;
use std::fmt::Write;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use runner::config::{Configuration, Layer};
use runner::syntax::{Diagnostic, render};
use support::{Folder, project};

/// Families of codes; other texts with a slash are not codes.
const FAMILIES: &[&str] = &[
    "command", "include", "limit", "name", "section", "setting", "syntax", "type",
];

struct Case {
    /// `== …`, without the marks.
    title: String,
    /// Files or a command line.
    input: String,
    expected: String,
}

/// The output of a case, and its codes.
struct Said {
    text: String,
    codes: BTreeSet<&'static str>,
    /// The largest number of places that one diagnostic shows.
    places: usize,
}

#[test]
fn all_of_them_have_their_whole_text() {
    let mut wrong = String::new();
    for path in case_files() {
        let text = fs::read_to_string(&path).expect("a file of cases");
        let (opening, cases) = cases(&text);
        let mut now = opening;
        for case in cases {
            let said = said(&case);
            let code = code(&case);
            if !said.codes.contains(code) {
                let _ = writeln!(wrong, "{}: {:?} was said", case.title, said.codes);
            }
            if case.title.ends_with("(two places)") && said.places < 2 {
                let _ = writeln!(wrong, "{}: one place is shown", case.title);
            }
            if said.text != case.expected && env::var_os("RUNNER_UPDATE").is_none() {
                let (title, expected, got) = (&case.title, &case.expected, &said.text);
                let _ = writeln!(wrong, "{title}\n--- expected\n{expected}--- got\n{got}");
            }
            let (title, input, text) = (&case.title, &case.input, &said.text);
            let _ = write!(now, "\n== {title}\n{input}\n----\n{text}");
        }
        if env::var_os("RUNNER_UPDATE").is_some() {
            fs::write(&path, now).expect("a writable file of cases");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn each_code_has_a_case() {
    let mut shown = BTreeSet::new();
    for path in case_files() {
        let text = fs::read_to_string(&path).expect("a file of cases");
        let (_, cases) = cases(&text);
        shown.extend(cases.iter().map(|case| code(case).to_owned()));
    }
    let known = codes();
    assert!(known.len() > 30, "only {known:?} were found");
    let missing: Vec<_> = known.difference(&shown).collect();
    assert!(missing.is_empty(), "without a case: {missing:?}");
    let gone: Vec<_> = shown.difference(&known).collect();
    assert!(gone.is_empty(), "no longer in the source: {gone:?}");
}

fn case_files() -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = fs::read_dir(project("tests/diagnostics"))
        .expect("the folder of cases")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    paths.sort();
    paths
}

/// Splits a file into the text before the first case, and the cases.
fn cases(text: &str) -> (String, Vec<Case>) {
    let mut parts = text.split("\n== ");
    let opening = parts.next().unwrap_or_default().to_owned();
    let case = |part: &str| {
        let (title, rest) = part.split_once('\n').expect("a title");
        let (input, expected) = rest.split_once("\n----\n").unwrap_or((rest, ""));
        Case {
            title: title.to_owned(),
            input: input.to_owned(),
            expected: expected.to_owned(),
        }
    };
    (opening, parts.map(case).collect())
}

fn code(case: &Case) -> &str {
    let title = case.title.split_once(": ");
    title.expect("a code and what is wrong").0
}

fn said(case: &Case) -> Said {
    let (command, files) = match case.input.strip_prefix("$ ") {
        Some(rest) => {
            let (command, files) = rest.split_once('\n').unwrap_or((rest, ""));
            (Some(command), files)
        }
        None => (None, case.input.as_str()),
    };
    let mut folder = Folder::new();
    let mut first = None;
    for file in format!("\n{files}\n").split("\n-- ").skip(1) {
        let (name, text) = file.split_once('\n').expect("a file's name");
        folder = folder.file(name, bytes(&repeated(text)));
        let path = folder.path(name);
        if name == "unreadable.ini" {
            let unreadable = fs::Permissions::from_mode(0o000);
            fs::set_permissions(&path, unreadable).expect("an owned file");
        }
        first.get_or_insert(path);
    }
    let mut said = match command {
        Some(command) => run(&folder, command, code(case)),
        None => load(&first.expect("a case has a file")),
    };
    let place = format!("{}/", folder.path("").display());
    let text = said.text.replace(&place, "");
    said.text = text
        .lines()
        .flat_map(|line| [line.trim_end(), "\n"])
        .collect();
    said
}

fn load(path: &Path) -> Said {
    let diagnostics = match Configuration::load(&[Layer::File(path.to_owned())]) {
        Err(mistakes) => mistakes.0,
        Ok(configuration) => {
            let mut all: Vec<Diagnostic> = configuration.warnings().to_vec();
            let mut names = configuration.names("");
            names.retain(|name| name.starts_with("x"));
            all.extend(
                names
                    .iter()
                    .filter_map(|name| configuration.get(name).err()),
            );
            all
        }
    };
    Said {
        text: render(&diagnostics, false),
        codes: diagnostics.iter().map(|one| one.code).collect(),
        places: diagnostics
            .iter()
            .map(|one| one.labels.len())
            .max()
            .unwrap_or_default(),
    }
}

/// The output of `runner`; only the case knows its code.
fn run(folder: &Folder, command: &str, code: &str) -> Said {
    let words = command.strip_prefix("runner ").expect("one of our own");
    let words: Vec<&str> = words.split(' ').collect();
    // Even root, which may read all files, loses that right here.
    let program = match rustix::process::geteuid().is_root() {
        true => folder
            .program(
                "setpriv",
                ["--bounding-set=-dac_override,-dac_read_search", "runner"],
            )
            .arguments(words),
        false => folder.runner(words),
    };
    let outcome = program.run();
    // Problems that `check` finds may be warnings only.
    let text = if command.starts_with("runner check ") {
        assert_eq!(outcome.stderr, "", "{command}");
        outcome.stdout
    } else {
        assert!([1, 2].contains(&outcome.status), "{command}: {outcome:#?}");
        outcome.stderr
    };
    let known = codes().into_iter().find(|known| known == code);
    Said {
        places: text.matches("─ ").count(),
        text,
        codes: known.map(|code| &*code.leak()).into_iter().collect(),
    }
}

/// Expands `⟨TEXT×NUMBER⟩`, the innermost first; `␀` becomes a zero byte.
fn repeated(text: &str) -> String {
    let mut text = text.replace('␀', "\0");
    while let Some(end) = text.find('⟩') {
        let start = text[..end].rfind('⟨').expect("its beginning");
        let inside = &text[start + '⟨'.len_utf8()..end];
        let (unit, count) = inside.rsplit_once('×').expect("a number");
        let whole = unit.repeat(count.parse().expect("a number"));
        text.replace_range(start..end + '⟩'.len_utf8(), &whole);
    }
    text
}

/// `⟪ff⟫` becomes a byte that is not UTF-8.
fn bytes(text: &str) -> Vec<u8> {
    let mut parts = text.split('⟪');
    let mut out = Vec::from(parts.next().unwrap_or_default());
    for part in parts {
        let (byte, rest) = part.split_once('⟫').expect("its end");
        out.push(u8::from_str_radix(byte, 16).expect("a hexadecimal number"));
        out.extend(rest.as_bytes());
    }
    out
}

/// The codes in the source.
fn codes() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut folders = vec![project("src")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder of source") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = fs::read_to_string(path).unwrap_or_default();
            let text = text.split("#[cfg(test)]").next().unwrap_or_default();
            // Every second part is within quotes; the others are between strings. Either way no code is missed.
            for word in text.split('"') {
                let is_code = word.split_once('/').is_some_and(|(family, rest)| {
                    FAMILIES.contains(&family)
                        && !rest.is_empty()
                        && rest.chars().all(|c| c.is_ascii_lowercase())
                });
                if is_code {
                    found.insert(word.to_owned());
                }
            }
        }
    }
    found
}
