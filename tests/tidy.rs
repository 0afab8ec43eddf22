//! The architecture, held by a test: what each part must not know, and how every file begins and ends.
//!
//! A rule that turns out to be wrong is changed here, on purpose, not worked around there.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A text that may stand only in some places.
struct Rule {
    /// What must not be named. A word boundary is wanted before and after it.
    names: &'static [&'static str],
    /// The files under these prefixes are looked at.
    within: &'static [&'static str],
    /// The files under these prefixes may name it all the same.
    except: &'static [&'static str],
    /// Why.
    because: &'static str,
}

const RULES: &[Rule] = &[
    Rule {
        names: &["pest", "pest_derive"],
        within: &["src/"],
        except: &["src/syntax/"],
        because: "pest's types end in src/syntax",
    },
    Rule {
        names: &["axum", "hyper", "hyper_util"],
        within: &["src/"],
        except: &["src/gateway/http"],
        because: "HTTP's library ends in the HTTP gateway",
    },
    Rule {
        names: &["clap"],
        within: &["src/"],
        except: &["src/cli", "src/command/"],
        because: "options end where it is known what they mean",
    },
    Rule {
        names: &["ini::Ini", "ini::Properties"],
        within: &["src/"],
        except: &["src/config/"],
        because: "files of other programs are read in src/config",
    },
    Rule {
        names: &["unsafe {", "unsafe fn", "unsafe impl"],
        within: &["src/"],
        except: &["src/unix.rs"],
        because: "src/unix.rs is the only unsafe file",
    },
    Rule {
        names: &[
            "tokio::net",
            "std::net",
            "std::fs",
            "std::process",
            "std::env",
        ],
        within: &["src/protocol/", "src/syntax/", "src/eval/"],
        except: &[],
        because: "codecs, the parser and the evaluator are pure",
    },
    Rule {
        names: &[
            "crate::application::wsgi",
            "crate::application::demo",
            "crate::workers",
            "Wsgi",
            "Demo",
        ],
        within: &["src/gateway/"],
        except: &[],
        because: "a gateway knows no application, only the interface",
    },
    Rule {
        names: &["crate::gateway"],
        within: &["src/application/", "src/workers/", "src/protocol/"],
        except: &[],
        because: "an application knows no gateway",
    },
    Rule {
        names: &[
            "crate::command",
            "crate::gateway",
            "crate::application",
            "crate::workers",
        ],
        within: &["src/syntax/", "src/config/", "src/eval/"],
        except: &[],
        because: "the language does not know what its values are for",
    },
    Rule {
        names: &["crate::config", "crate::eval", "crate::command"],
        within: &["src/syntax/"],
        except: &[],
        because: "text becomes a tree without regard to what it means",
    },
    Rule {
        names: &["crate::gateway", "crate::config", "crate::command"],
        within: &["src/supervisor/"],
        except: &[],
        because: "the master knows processes, locks and its own sockets",
    },
    Rule {
        names: &["crate::config", "crate::eval", "crate::syntax"],
        within: &["src/gateway/", "src/protocol/"],
        except: &[],
        because: "gateways get values, not settings",
    },
    Rule {
        names: &[
            "todo!",
            "unimplemented!",
            "#[ignore",
            "TODO",
            "FIXME",
            "XXX",
        ],
        within: &["src/", "tests/", "grammar/", "examples/"],
        except: &["tests/tidy.rs"],
        because: "what is not done is an issue, not a comment",
    },
    Rule {
        names: &["sleep(", "sleep ("],
        within: &["tests/"],
        // There it is what the tests are about.
        except: &["tests/tidy.rs", "tests/apps/stuck.py"],
        because: "tests wait for events",
    },
    Rule {
        names: &["dbg!"],
        within: &["src/", "tests/"],
        except: &["tests/tidy.rs"],
        because: "it is for the moment",
    },
];

/// What stands at the top of the project.
const TOP: &[&str] = &[
    ".ci",
    ".gitignore",
    "CHANGELOG.md",
    "Cargo.lock",
    "Cargo.toml",
    "Makefile",
    "README.md",
    "benches",
    "clippy.toml",
    "examples",
    "fuzz",
    "grammar",
    "man",
    "src",
    "tests",
];

/// The longest file, in lines.
const LONGEST: usize = 500;

#[test]
fn each_part_knows_only_what_it_should() {
    let mut faults = String::new();
    for file in files() {
        for rule in RULES.iter().filter(|rule| rule.looks_at(&file.name)) {
            for (number, line) in file.text.lines().enumerate() {
                let comment = line.trim_start().starts_with("//");
                let marks = |name: &str| name.chars().all(char::is_uppercase);
                let said = |name: &&&str| names(line, name) && (!comment || marks(name));
                for name in rule.names.iter().filter(said) {
                    let (file, because) = (&file.name, rule.because);
                    let _ = writeln!(faults, "{file}:{}: `{name}`: {because}", number + 1);
                }
            }
        }
    }
    assert!(faults.is_empty(), "\n{faults}");
}

#[test]
fn each_file_says_what_it_is_and_is_short() {
    let mut faults = String::new();
    for File { name, text } in files() {
        // Requests and answers in case files are what they are, and so is what parsers are fed.
        let is_input = name.starts_with("fuzz/corpus/");
        if is_input || name.ends_with(".txt") || name.ends_with(".case") {
            continue;
        }
        let lines = text.lines().count();
        if lines > LONGEST && name != "Cargo.lock" {
            let _ = writeln!(faults, "{name}: {lines} lines, {LONGEST} are enough");
        }
        let opening = text.trim_start_matches("#!/usr/bin/env python3\n");
        let opens_well = match Path::new(&name)
            .extension()
            .and_then(|ending| ending.to_str())
        {
            Some("rs") => text.starts_with("//! "),
            Some("pest") => text.starts_with("//! ") || text.starts_with("// "),
            Some("py") => opening.starts_with("\"\"\"") || opening.is_empty(),
            Some("sh" | "conf" | "ini") => text.lines().take(4).any(|line| line.starts_with("# ")),
            _ => true,
        };
        if !opens_well {
            let _ = writeln!(faults, "{name}: does not begin by saying what it is");
        }
        if text.lines().any(|line| line.ends_with([' ', '\t', '\r'])) {
            let _ = writeln!(faults, "{name}: white space at the end of a line");
        }
        if !text.is_empty() && !text.ends_with('\n') {
            let _ = writeln!(faults, "{name}: no line end at its end");
        }
    }
    assert!(faults.is_empty(), "\n{faults}");
}

/// Beside an application, `import os` is what the application has made of it by the time that it is used.
#[test]
fn workers_use_modules_as_they_were_before_the_application_came() {
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
    let files = files();
    let keeper = "src/workers/python/kept.py";
    let kept = files.iter().find(|file| file.name == keeper);
    let kept = imported(&kept.expect("it keeps modules").text);
    assert!(kept.contains("os") && kept.contains("thread"), "{kept:?}");
    for File { name, text } in files {
        // Two of them run before everything else.
        let except = [
            keeper,
            "src/workers/python/bootstrap.py",
            "src/workers/python/start.py",
        ];
        let is_python = name.starts_with("src/workers/") && name.ends_with(".py");
        if is_python && !except.contains(&name.as_str()) {
            let mut found = imported(&text);
            // What an application replaces there, such as sys.stdout and sys.path, it replaces for us, too.
            found.remove("sys");
            let found: Vec<_> = found.intersection(&kept).collect();
            assert!(found.is_empty(), "{name}: {found:?}");
        }
    }
}

#[test]
fn the_top_level_is_the_table_of_contents() {
    let found: BTreeSet<String> = tracked()
        .iter()
        .filter_map(|path| Some(path.iter().next()?.to_str()?.to_owned()))
        .collect();
    let unknown: Vec<_> = found
        .iter()
        .filter(|name| !TOP.contains(&name.as_str()))
        .collect();
    assert!(unknown.is_empty(), "at the top level: {unknown:?}");
}

#[test]
fn no_module_is_a_drawer_for_everything() {
    let drawers = [
        "util", "utils", "common", "helpers", "types", "misc", "prelude",
    ];
    for path in tracked() {
        let stem = path
            .file_stem()
            .and_then(|stem| stem.to_str())
            .unwrap_or_default();
        assert!(!drawers.contains(&stem), "{}", path.display());
    }
}

#[test]
fn the_rules_find_what_they_forbid() {
    assert!(names("use pest::Parser;", "pest"));
    assert!(!names("the fastest", "pest"));
    assert!(names("    sleep(1)", "sleep("));
    assert!(!names("unsafe_code = 1", "unsafe"));
    let pest = &RULES[0];
    assert!(pest.looks_at("src/config/files/load.rs"));
    assert!(!pest.looks_at("src/syntax/parser.rs"));
    assert!(!pest.looks_at("tests/tidy.rs"));
}

impl Rule {
    fn looks_at(&self, name: &str) -> bool {
        let starts = |prefixes: &[&str]| prefixes.iter().any(|prefix| name.starts_with(prefix));
        starts(self.within) && !starts(self.except)
    }
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

struct File {
    name: String,
    text: String,
}

/// The text files of the project.
fn files() -> Vec<File> {
    let read = |path: PathBuf| {
        let text = fs::read_to_string(root().join(&path)).ok()?;
        let name = path.to_str()?.to_owned();
        Some(File { name, text })
    };
    let files: Vec<File> = tracked().into_iter().filter_map(read).collect();
    assert!(files.iter().any(|file| file.name == "tests/tidy.rs"));
    files
}

/// The paths of all files that are part of the project, as git knows them (new ones too); without git,
/// as they lie there.
fn tracked() -> Vec<PathBuf> {
    let listing = Command::new("git")
        .args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ])
        .current_dir(root())
        .output();
    match listing {
        Ok(output) if output.status.success() => output
            .stdout
            .split(|&byte| byte == 0)
            .filter(|path| !path.is_empty())
            .map(|path| PathBuf::from(String::from_utf8_lossy(path).into_owned()))
            .filter(|path| root().join(path).is_file())
            .collect(),
        _ => walk(&root()),
    }
}

fn walk(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)
        .expect("a folder of the project")
        .flatten()
    {
        let path = entry.path();
        let name = entry.file_name();
        if path.is_dir() {
            if name != "target" && name != ".git" && name != "__pycache__" {
                found.append(&mut walk(&path));
            }
        } else if let Ok(relative) = path.strip_prefix(root()) {
            found.push(relative.to_path_buf());
        }
    }
    found
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}
