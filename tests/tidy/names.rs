//! Rules of names and files: what a file looks like, how many there are, what is named once. Each looks at a project and
//! tells its offences, so that a test can show it one that was planted.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::project::Project;

/// The longest file, in lines.
const LONGEST: usize = 500;
/// The most Rust files in a folder, those of its own folders not counted.
const MOST_FILES: usize = 12;

/// What stands at the top of the project.
const TOP: &[&str] = &[
    ".ci",
    ".dockerignore",
    ".gitignore",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "Containerfile",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "Makefile",
    "README.md",
    "benches",
    "clippy.toml",
    "docs",
    "examples",
    "fuzz",
    "grammar",
    "man",
    "packaging",
    "pyproject.toml",
    "src",
    "tests",
];

/// File names that several folders share, since each has its part in one subject.
const TWIN_FILES: &[&str] = &["cgi", "fastcgi", "wsgi", "status", "stop"];

/// No two types have one name.
pub fn one_name_is_one_type(project: &Project) -> Vec<String> {
    let mut declared: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (file, source) in &project.map.sources {
        for name in &source.types {
            declared.entry(name).or_default().push(file);
        }
    }
    let twice = declared.into_iter().filter(|(_, files)| files.len() > 1);
    twice
        .map(|(name, files)| {
            format!(
                "type `{name}` is declared {} times: {}",
                files.len(),
                files.join(", ")
            )
        })
        .collect()
}

/// No two files have one name, but `mod.rs` and `tests.rs` and what [`TWIN_FILES`] lists.
pub fn one_name_is_one_file(project: &Project) -> Vec<String> {
    let mut named: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for file in project.source() {
        let stem = Path::new(&file.name)
            .file_stem()
            .and_then(|stem| stem.to_str());
        let stem =
            stem.filter(|stem| !["mod", "tests"].contains(stem) && !TWIN_FILES.contains(stem));
        if let Some(stem) = stem {
            named.entry(stem).or_default().push(&file.name);
        }
    }
    let twice = named.into_iter().filter(|(_, files)| files.len() > 1);
    twice
        .map(|(stem, files)| {
            format!(
                "{} files are named `{stem}`: {}",
                files.len(),
                files.join(", ")
            )
        })
        .collect()
}

/// The methods of a type stand in one file.
pub fn one_type_is_in_one_file(project: &Project) -> Vec<String> {
    let mut spread: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (file, source) in &project.map.sources {
        for name in &source.impls {
            spread.entry(name).or_default().push(file);
        }
    }
    let spread = spread.into_iter().filter(|(_, files)| files.len() > 1);
    spread
        .map(|(name, files)| {
            format!(
                "`impl {name}` stands in {} files: {}",
                files.len(),
                files.join(", ")
            )
        })
        .collect()
}

/// In `src` are sources only, no files that editors and merges leave.
pub fn source_folders_have_sources(project: &Project) -> Vec<String> {
    let is_other = |name: &&String| {
        // What browsers get is written in their languages; a list of names is text.
        let languages = [".rs", ".py", ".html", ".css", ".js", ".txt"];
        let is_source = languages.iter().any(|ending| name.ends_with(ending));
        name.starts_with("src/") && !is_source
    };
    let names = project.files.iter().map(|file| &file.name);
    names
        .filter(is_other)
        .map(|name| format!("{name}: no source"))
        .collect()
}

pub fn folders_are_small(project: &Project) -> Vec<String> {
    let mut files: BTreeMap<&str, usize> = BTreeMap::new();
    for file in project.source() {
        let folder = file.name.rsplit_once('/').map_or("", |(folder, _)| folder);
        *files.entry(folder).or_default() += 1;
    }
    let large = files.into_iter().filter(|(_, files)| *files > MOST_FILES);
    large
        .map(|(folder, files)| format!("{folder}: {files} Rust files, {MOST_FILES} are enough"))
        .collect()
}

/// Each file opens with what it is, is no longer than [`LONGEST`], and ends with a line end.
pub fn files_open_well_and_are_short(project: &Project) -> Vec<String> {
    let mut faults = Vec::new();
    for file in &project.files {
        let (name, text) = (&file.name, &file.text);
        // Requests and answers in case files are what they are, and so is what parsers are fed, and a license.
        let is_input = name.starts_with("fuzz/corpus/");
        if is_input || name.ends_with(".txt") || name.ends_with(".case") {
            continue;
        }
        let lines = text.lines().count();
        // By Cargo, by the benchmark, and from the tables of settings and commands: man pages, and the book's reference.
        let is_measured = name.starts_with("benches/results.");
        let is_reference = name.starts_with("docs/src/reference/");
        let is_manual = is_reference || name.ends_with(".1") || name.ends_with(".5");
        let is_generated = name == "Cargo.lock" || is_measured || is_manual;
        if lines > LONGEST && !is_generated {
            faults.push(format!("{name}: {lines} lines, {LONGEST} are enough"));
        }
        let opening = text.trim_start_matches("#!/usr/bin/env python3\n");
        let extension = Path::new(name).extension();
        let opens_well = match extension.and_then(|extension| extension.to_str()) {
            Some("rs") => text.starts_with("//! "),
            Some("pest") => text.starts_with("//! ") || text.starts_with("// "),
            Some("py") => opening.starts_with("\"\"\"") || opening.is_empty(),
            Some("sh" | "conf" | "ini") => text.lines().take(4).any(|line| line.starts_with("# ")),
            _ => true,
        };
        if !opens_well {
            faults.push(format!("{name}: does not begin by saying what it is"));
        }
        if text.lines().any(|line| line.ends_with([' ', '\t', '\r'])) {
            faults.push(format!("{name}: white space at the end of a line"));
        }
        if !text.is_empty() && !text.ends_with('\n') {
            faults.push(format!("{name}: no line end at its end"));
        }
    }
    faults
}

/// A text that may stand only in some places.
pub struct Phrase {
    /// What must not stand there: as a word, if it begins or ends with a letter.
    names: &'static [&'static str],
    /// The files under these prefixes are looked at.
    within: &'static [&'static str],
    /// The files under these prefixes may name it all the same.
    except: &'static [&'static str],
    because: &'static str,
}

const PHRASES: &[Phrase] = &[
    Phrase {
        names: &["unsafe {", "unsafe fn", "unsafe impl"],
        within: &["src/"],
        except: &["src/unix.rs"],
        because: "src/unix.rs is the only unsafe file",
    },
    Phrase {
        names: &[
            "todo!",
            "unimplemented!",
            "#[ignore",
            "TODO",
            "FIXME",
            "XXX",
        ],
        within: &["src/", "tests/", "benches/", "grammar/", "examples/"],
        except: &["tests/tidy"],
        because: "what is not done is an issue, not a comment",
    },
    Phrase {
        names: &["sleep(", "sleep ("],
        within: &["tests/"],
        // There it is what the tests are about.
        except: &["tests/tidy", "tests/apps/stuck.py"],
        because: "tests wait for events",
    },
    Phrase {
        names: &["dbg!"],
        within: &["src/", "tests/"],
        except: &["tests/tidy"],
        because: "it is for the moment",
    },
];

pub fn phrases_stand_where_they_may(project: &Project) -> Vec<String> {
    let mut faults = Vec::new();
    for file in &project.files {
        let starts =
            |prefixes: &[&str]| prefixes.iter().any(|prefix| file.name.starts_with(prefix));
        for phrase in PHRASES
            .iter()
            .filter(|one| starts(one.within) && !starts(one.except))
        {
            for (number, line) in file.text.lines().enumerate() {
                let comment = line.trim_start().starts_with("//");
                let marks = |name: &str| name.chars().all(char::is_uppercase);
                let said = |name: &&&str| names(line, name) && (!comment || marks(name));
                for name in phrase.names.iter().filter(said) {
                    let (file, because) = (&file.name, phrase.because);
                    faults.push(format!("{file}:{}: `{name}`: {because}", number + 1));
                }
            }
        }
    }
    faults
}

/// Whether a line names something, as a word of its own.
fn names(line: &str, name: &str) -> bool {
    let word = |character: char| character.is_alphanumeric() || character == '_';
    line.match_indices(name).any(|(at, _)| {
        let starts = name.starts_with(word) && line[..at].ends_with(word);
        let ends = name.ends_with(word) && line[at + name.len()..].starts_with(word);
        !starts && !ends
    })
}

/// Beside an application, `import os` is what the application has made of it by the time that it is used: a worker's code
/// takes such modules from `kept.py`, which kept them before.
pub fn workers_use_the_modules_that_were_kept(project: &Project) -> Vec<String> {
    let imported = |text: &str| -> BTreeSet<String> {
        let modules = text.lines().map(str::trim_start).flat_map(|line| {
            let whole = line.strip_prefix("import ").map(|list| list.split(", "));
            let part = line
                .strip_prefix("from ")
                .map(|rest| rest.split(" import "));
            let part = part.into_iter().flat_map(|part| part.take(1));
            whole.into_iter().flatten().chain(part)
        });
        let name = |module: &str| module.trim_start_matches('_').to_owned();
        modules.map(name).collect()
    };
    let python = |name: &str| name.starts_with("src/workers/") && name.ends_with(".py");
    let stem = |name: &str| name.rsplit('/').next().unwrap_or_default().to_owned();
    let scripts: Vec<_> = project
        .files
        .iter()
        .filter(|file| python(&file.name))
        .collect();
    let keeper = scripts.iter().find(|file| stem(&file.name) == "kept.py");
    let kept = keeper.map(|file| imported(&file.text)).unwrap_or_default();
    let mut faults = Vec::new();
    if !kept.contains("os") {
        faults.push("src/workers: no kept.py keeps modules".to_owned());
    }
    for file in scripts {
        // Two of them run before everything else.
        if ["kept.py", "bootstrap.py", "start.py"].contains(&stem(&file.name).as_str()) {
            continue;
        }
        let mut found = imported(&file.text);
        // What an application replaces there, such as sys.stdout and sys.path, it replaces for us, too.
        found.remove("sys");
        for module in found.intersection(&kept) {
            faults.push(format!(
                "{}: imports `{module}`, which kept.py keeps",
                file.name
            ));
        }
    }
    faults
}

pub fn top_level_is_the_table_of_contents(project: &Project) -> Vec<String> {
    let first = |name: &str| name.split('/').next().map(str::to_owned);
    let found: BTreeSet<String> = project
        .files
        .iter()
        .filter_map(|file| first(&file.name))
        .collect();
    let unknown = found
        .into_iter()
        .filter(|name| !TOP.contains(&name.as_str()));
    unknown
        .map(|name| format!("`{name}` is not among what stands at the top"))
        .collect()
}

pub fn no_file_is_a_drawer_for_everything(project: &Project) -> Vec<String> {
    let drawers = [
        "util", "utils", "common", "helpers", "types", "misc", "prelude",
    ];
    let stem = |name: &str| Path::new(name).file_stem()?.to_str().map(str::to_owned);
    let names = project.files.iter().map(|file| &file.name);
    names
        .filter(|name| stem(name).is_some_and(|stem| drawers.contains(&stem.as_str())))
        .map(|name| format!("{name}: a name that fits everything"))
        .collect()
}
