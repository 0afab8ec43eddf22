//! Every configuration that is shown somewhere, in the examples, README.md, the manual and the output of `explain`, has
//! the layout of `fmt`.

mod support;

use std::fs;
use std::path::PathBuf;

use runner::config::{KEYS, SETTINGS, SPECIAL};
use runner::eval::FUNCTIONS;
use runner::syntax::KEYWORDS;
use support::{Folder, project};

/// Lets `fmt` check files with these names and texts.
#[track_caller]
fn are_laid_out(files: &[(String, String)]) {
    let mut folder = Folder::new();
    for (name, text) in files {
        folder = folder.file(name, text);
    }
    let names = files.iter().map(|(name, _)| name);
    let check = folder.runner(["fmt", "--check"]).arguments(names);
    check.run().is(0, "", "");
}

/// Numbered names for texts.
fn named(texts: impl IntoIterator<Item = String>, kind: &str) -> Vec<(String, String)> {
    let numbered = texts.into_iter().enumerate();
    numbered
        .map(|(number, text)| (format!("{number}.{kind}"), text))
        .collect()
}

fn read(name: &str) -> String {
    fs::read_to_string(project(name)).expect("a file of the project")
}

/// The files of a folder and its subfolders whose names end with this.
fn files(folder: PathBuf, ends: &[&str]) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder");
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.expect("an entry").path();
        match path.extension() {
            _ if path.is_dir() => found.extend(files(path, ends)),
            Some(end) if ends.iter().any(|wanted| end == *wanted) => found.push(path),
            Some(_) | None => {}
        }
    }
    found
}

#[test]
fn the_examples() {
    let mut paths = files(project("examples"), &["ini", "conf"]);
    // Files of other servers are not in our format.
    paths.retain(|path| !path.starts_with(project("examples/servers")));
    assert!(paths.len() >= 5, "only {paths:?}");
    Folder::new()
        .runner(["fmt", "--check"])
        .arguments(paths)
        .run()
        .is(0, "", "");
}

#[test]
fn the_files_of_the_readme() {
    let text = read("README.md");
    let mut blocks = Vec::new();
    for (at, start) in text.match_indices("```ini\n") {
        let rest = &text[at + start.len()..];
        blocks.push(rest.split_inclusive("```").next().expect("a block"));
    }
    for (at, _) in text.match_indices("$ cat ") {
        let (_, rest) = text[at..].split_once('\n').expect("a line");
        let end = rest.find("$ ").expect("a further command");
        blocks.push(&rest[..end]);
    }
    let texts = blocks
        .iter()
        .map(|block| block.trim_end_matches('`').to_owned());
    let files = named(texts, "conf");
    assert!(files.len() >= 4, "only {files:?}");
    are_laid_out(&files);
}

#[test]
fn the_files_of_the_manual() {
    let mut texts = Vec::new();
    for path in files(project("man"), &["1", "5"]) {
        let page = fs::read_to_string(path).expect("a man page");
        for block in page.split(".EX\n").skip(1) {
            let (text, _) = block.split_once(".EE\n").expect("its end");
            if text.starts_with("#!") {
                texts.push(text.replace("\\-", "-"));
            }
        }
    }
    assert!(texts.len() >= 4, "only {texts:?}");
    are_laid_out(&named(texts, "conf"));
}

#[test]
fn the_examples_of_explain() {
    let line = |example: &str| format!("{example}\n");
    let value = |example: &str| format!("a = {example}\n");
    let settings = SETTINGS.iter().map(|setting| line(setting.example));
    let special = SPECIAL
        .iter()
        .map(|special| format!("[{}]\n{}\n", special.name, special.example));
    let functions = FUNCTIONS.iter().map(|function| value(function.example.0));
    let words = KEYWORDS.iter().map(|word| value(word.example.0));
    let lines = settings.chain(special).chain(functions).chain(words);
    are_laid_out(&named(lines, "ini"));
    let keys = KEYS
        .iter()
        .map(|key| format!("#!/usr/bin/env -S runner supervise\n{}\n", key.example));
    are_laid_out(&named(keys, "conf"));
}
