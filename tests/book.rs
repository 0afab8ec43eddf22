//! The book in `docs/`: each page is tried out as a reader would, what it names exists, and its links lead somewhere.

mod support;

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use runner::commands::COMMANDS;
use runner::config::SETTINGS;
use runner::graph::entry::clap_command;
use runner::line::program_options;
use support::markdown::{Block, blocks, commands};
use support::walkthrough::Walkthrough;
use support::{Folder, project};

/// The remark before a block that is not tried; the reason follows.
const NOT_TRIED: &str = "not tried: ";

/// The remark before a block that shows what a command writes; the words behind `runner` follow.
const WRITTEN_BY: &str = "by runner ";

fn is_not_tried(remark: &str) -> bool {
    remark.starts_with(NOT_TRIED)
}

/// The pages, by their paths below `docs/src`, each with its text. Those of the reference are made of the man pages, which
/// `tests/man.rs` tries.
fn pages() -> Vec<(String, String)> {
    let root = project("docs/src");
    let mut pages = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of the book") {
            let path = entry.expect("an entry").path();
            let name = path
                .strip_prefix(&root)
                .expect("a path below")
                .to_string_lossy()
                .into_owned();
            match path.is_dir() {
                true => folders.push(path),
                false => pages.push((name, fs::read_to_string(&path).expect("a page"))),
            }
        }
    }
    pages.sort();
    pages
}

/// The pages that people write.
fn written() -> impl Iterator<Item = (String, String)> {
    pages()
        .into_iter()
        .filter(|(name, _)| !name.starts_with("reference/"))
}

/// Tries out the pages whose names begin so.
#[track_caller]
fn try_out(wanted: &str) {
    let pages = written().filter(|(name, _)| name.starts_with(wanted));
    let tried: usize = pages.map(|(name, text)| walk(&name, &text)).sum();
    assert!(tried > 0, "no command was tried");
}

/// Does what a page says, and checks what it shows. Returns how many commands it has.
#[track_caller]
fn walk(name: &str, text: &str) -> usize {
    eprintln!("page {name}");
    let walkthrough = Walkthrough::of(text, check);
    let tried = walkthrough.tried;
    let is_tried = |block: &Block| !block.remark.as_deref().is_some_and(is_not_tried);
    let blocks = blocks(text).into_iter().filter(is_tried);
    let files = blocks.filter_map(|block| block.file);
    for file in files.filter(|file| file.ends_with(".ini") || file.ends_with(".conf")) {
        if is_ours(&walkthrough.folder.read(&file)) {
            has_no_problems(&walkthrough.folder, &file);
        }
    }
    walkthrough.stop();
    tried
}

/// Whether a file is one of `runner`, not of a web server.
fn is_ours(text: &str) -> bool {
    text.contains("app = ") || text.contains("PidFile ") || text.contains("runner.")
}

/// A part of a file, or commands that are not run.
#[track_caller]
fn check(walkthrough: &Walkthrough, block: &Block) {
    if block.remark.as_deref().is_some_and(is_not_tried) {
        return;
    }
    match block.language.as_str() {
        "ini" | "conf" => {
            let file = format!("part.{}", block.language);
            let folder = walkthrough.folder.clone().file(&file, &block.text);
            has_no_problems(&folder, &file);
        }
        "systemd" => {
            let unit = block
                .text
                .replace("/usr/local/bin/runner", env!("CARGO_BIN_EXE_runner"));
            Folder::new()
                .file("hello.service", unit)
                .program("systemd-analyze", ["verify", "--man=no", "hello.service"])
                .run()
                .is(0, "", "");
        }
        // What these show is not a file of `runner`, or is a part of one that stands whole elsewhere.
        "sh" | "text" | "nginx" | "yaml" | "dockerfile" | "python" => (),
        other => panic!("what is a block of {other:?}?"),
    }
}

/// What `export` writes stands in the book as it is written, but for what depends on the folder in which it is tried.
#[test]
fn each_export_is_as_it_is_written() {
    let mut shown = 0;
    for (name, text) in written() {
        let mut folder = Folder::new();
        for block in blocks(&text) {
            if let Some(file) = &block.file {
                folder = folder.file(file, &block.text);
            }
            let remark = block.remark.as_deref().unwrap_or_default();
            let Some(words) = remark.strip_prefix(WRITTEN_BY) else {
                continue;
            };
            // As a service finds its Python.
            let runner = folder.runner(words.split(' '));
            let outcome = runner
                .env("PATH", "/usr/bin:/bin")
                .env("VIRTUAL_ENV", "")
                .run();
            let found = outcome.stdout.replace("[folder]", "/srv/hello");
            let found = found.replace(env!("CARGO_BIN_EXE_runner"), "/usr/local/bin/runner");
            assert_eq!(
                anywhere(&found),
                anywhere(&block.text),
                "{name}: {words}\n{found}"
            );
            shown += 1;
        }
    }
    assert!(shown > 3, "{shown}");
}

/// The lines of an export, without what depends on the folder of its file.
fn anywhere(text: &str) -> Vec<String> {
    // A unit opens homes and folders for temporary files if its file is there.
    const OF_PLACES: [&str; 6] = [
        "ProtectHome=",
        "PrivateTmp=",
        "ReadWritePaths=",
        "# What it needs is in a ",
        "# - a user that systemd makes has a /tmp",
        "# What is not expressed here:",
    ];
    let upstream = text.lines().find_map(|line| {
        let name = line.strip_prefix("upstream ")?;
        name.strip_suffix(" {")
    });
    let lines = text.lines().filter(|line| {
        let is_of_place = OF_PLACES.iter().any(|start| line.starts_with(start));
        !(is_of_place || line.is_empty() || *line == "#")
    });
    // Its name has a checksum of the path.
    let lines = lines
        .map(|line| upstream.map_or_else(|| line.to_owned(), |name| line.replace(name, "name")));
    lines.collect()
}

/// The number of a processor that this process may use.
fn first_processor() -> String {
    let status = fs::read_to_string("/proc/self/status").expect("the status of this process");
    let allowed = status
        .lines()
        .find_map(|line| line.strip_prefix("Cpus_allowed_list:"))
        .expect("a list of processors");
    let digits = |c: &char| c.is_ascii_digit();
    allowed.trim().chars().take_while(digits).collect()
}

#[track_caller]
fn has_no_problems(folder: &Folder, file: &str) {
    let venv = project("target/venv");
    // On one processor, which is the least that a reader has.
    let processor = first_processor();
    let words = [
        "-c",
        &processor,
        env!("CARGO_BIN_EXE_runner"),
        "check",
        file,
    ];
    let outcome = folder
        .program("taskset", words)
        .env("VIRTUAL_ENV", venv)
        .run();
    let is_well =
        outcome.status == 0 && !outcome.stdout.contains("warning") && outcome.stderr.is_empty();
    assert!(is_well, "{file}: {outcome:#?}\n{}", folder.read(file));
}

/// The pages that are tried out, in groups: each a test, which run side by side.
const PYTHON: &[&str] = &["flask", "django", "fastapi"];
const OTHERS: &[&str] = &["php", "node", "site", "install"];
const OPERATION: &[&str] = &["development", "logs", "tls", "migration", "trouble"];

#[test]
fn the_tutorial_works() {
    try_out("tutorial.md");
}

#[test]
fn how_to_run_python_works() {
    for page in PYTHON {
        try_out(&format!("how-to/{page}.md"));
    }
}

#[test]
fn how_to_run_other_applications_works() {
    for page in OTHERS {
        try_out(&format!("how-to/{page}.md"));
    }
}

#[test]
fn how_to_operate_works() {
    for page in OPERATION {
        try_out(&format!("how-to/{page}.md"));
    }
}

/// The pages that have nothing to run: what they show is checked. All others are in a test above.
#[test]
fn pages_without_commands_have_no_mistakes() {
    let groups = [PYTHON, OTHERS, OPERATION].concat();
    let is_tried = |name: &str| {
        let page = name.trim_start_matches("how-to/").trim_end_matches(".md");
        name == "tutorial.md" || groups.contains(&page)
    };
    for (name, text) in written().filter(|(name, _)| name != "SUMMARY.md") {
        let runs = blocks(&text)
            .iter()
            .any(|block| block.language == "console");
        assert_eq!(runs, is_tried(&name), "{name}");
        if !runs {
            walk(&name, &text);
        }
    }
}

/// The code between backticks in the lines that are not in blocks.
fn spans(text: &str) -> Vec<&str> {
    let mut spans = Vec::new();
    for (index, outside) in text.split("```").enumerate() {
        if index % 2 == 0 {
            spans.extend(outside.split('`').skip(1).step_by(2));
        }
    }
    spans
}

#[test]
fn each_setting_that_is_named_exists() {
    let mut named = 0;
    for (page, text) in written() {
        for span in spans(&text) {
            let end = span.find(|c: char| !(c.is_alphanumeric() || matches!(c, '.' | '_')));
            let name = &span[..end.unwrap_or(span.len())];
            // `runner.error` is a logger.
            if name.starts_with("runner.") && name != "runner.error" {
                let below = format!("{}.", name.trim_end_matches('.'));
                let exists = |setting: &str| setting == name || setting.starts_with(&below);
                assert!(
                    SETTINGS.iter().any(|setting| exists(setting.name)),
                    "{page}: `{span}`"
                );
                named += 1;
            }
        }
    }
    assert!(named > 50, "{named}");
}

/// Where a table has a setting and its default, that is the default.
#[test]
fn each_default_in_a_table_is_right() {
    let mut rows = 0;
    for (page, text) in written() {
        for line in text.lines().filter(|line| line.starts_with("| [`runner.")) {
            let cells: Vec<&str> = line.split('|').map(str::trim).collect();
            let name = cells[1].split('`').nth(1).expect("a name");
            let setting = SETTINGS.iter().find(|setting| setting.name == name);
            let default = setting.expect(name).default_text().unwrap_or_default();
            assert_eq!(cells[2], default, "{page}: {name}");
            rows += 1;
        }
    }
    assert!(rows > 20, "{rows}");
}

#[test]
fn each_command_that_is_shown_exists() {
    let mut shown = 0;
    for (page, text) in written() {
        let mut lines: Vec<String> = Vec::new();
        lines.extend(spans(&text).into_iter().map(|span| span.replace('\n', " ")));
        for block in blocks(&text) {
            match block.language.as_str() {
                "console" => lines.extend(commands(&block.text).into_iter().map(|(line, _)| line)),
                _ => lines.extend(block.text.lines().map(str::to_owned)),
            }
        }
        for line in lines {
            if let Some((before, words)) = line.split_once("runner ") {
                let is_command = before.is_empty() || before.ends_with(['/', ' ']);
                let is_one = words.starts_with(|c: char| c.is_ascii_alphabetic() || c == '-');
                let in_sentence =
                    line.trim_start().starts_with(['#', '<', '/']) && !line.contains("#!");
                if is_command && is_one && !in_sentence && exists(&page, words) {
                    shown += 1;
                }
            }
        }
    }
    assert!(shown > 30, "{shown}");
}

/// Asserts that the command behind `runner` and its options exist. False if the words are no command line.
#[track_caller]
fn exists(page: &str, words: &str) -> bool {
    let words: Vec<&str> = words
        .split_whitespace()
        .map(|word| word.trim_matches(['\'', '"', ';']))
        .collect();
    let own: Vec<&str> = words
        .iter()
        .take_while(|word| !matches!(**word, "--" | "exec:" | "|" | "&&"))
        .copied()
        .collect();
    let Some(first) = own.iter().position(|word| !word.starts_with('-')) else {
        return true;
    };
    // `-c FILE` stands before the name.
    let name = match own[..first].contains(&"-c") {
        true => own.get(first + 1).copied().unwrap_or("help"),
        false => own[first],
    };
    let is_file = name.contains(['/', '.', ':']);
    let entry = COMMANDS.find(name);
    assert!(
        entry.is_some() || is_file,
        "{page}: there is no command `{name}`: {words:?}"
    );
    let mut known: BTreeSet<String> = BTreeSet::new();
    let mut add = |command: clap::Command| {
        for option in command.get_opts() {
            known.extend(option.get_long().map(|long| format!("--{long}")));
            known.extend(option.get_short().map(|short| format!("-{short}")));
        }
    };
    add(program_options::command());
    for entry in own.iter().filter_map(|word| COMMANDS.find(word)) {
        add(clap_command(entry));
    }
    for option in own.iter().filter(|word| word.starts_with('-')) {
        let option = option.split('=').next().expect("a part");
        assert!(
            known.contains(option),
            "{page}: there is no option `{option}`: {words:?}"
        );
    }
    true
}

#[test]
fn the_summary_lists_each_page_once() {
    let pages = pages();
    let (_, summary) = pages
        .iter()
        .find(|(name, _)| name == "SUMMARY.md")
        .expect("a summary");
    let mut listed: Vec<&str> = summary
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next())
        .collect();
    listed.sort_unstable();
    let there: Vec<&str> = pages
        .iter()
        .map(|(name, _)| name.as_str())
        .filter(|name| *name != "SUMMARY.md")
        .collect();
    assert_eq!(listed, there);
}

/// mdBook has no complaint, each link leads to a page and a place of the book, and nothing is loaded from elsewhere.
#[test]
fn the_book_is_built() {
    let mdbook = project("target/tools/mdbook/bin/mdbook");
    assert!(
        mdbook.exists(),
        "{} is missing: `make test` makes it",
        mdbook.display()
    );
    let folder = Folder::new();
    let book = folder.path("book");
    let outcome = folder
        .program(mdbook, ["build", "--dest-dir"])
        .arguments([&book])
        .arguments([project("docs")])
        .run();
    let said = format!("{}{}", outcome.stdout, outcome.stderr);
    assert!(
        outcome.status == 0 && !said.contains("WARN") && !said.contains("ERROR"),
        "{said}"
    );
    let pages = html(&book);
    assert!(pages.len() > 20, "{} pages", pages.len());
    let mut mistakes = Vec::new();
    for (path, text) in pages
        .iter()
        .filter(|(path, _)| !path.ends_with("print.html"))
    {
        let here = path.parent().expect("a folder");
        for target in attributes(text, "href").chain(attributes(text, "src")) {
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let is_elsewhere = target.starts_with("http") || target.starts_with("mailto:");
            let file = match file {
                "" => path.clone(),
                file => here.join(file),
            };
            let found = fs::canonicalize(&file).ok();
            let leads = |found: &PathBuf| {
                anchor.is_empty()
                    || pages
                        .get(found)
                        .is_some_and(|page| attributes(page, "id").any(|id| id == anchor))
            };
            if !is_elsewhere && !found.is_some_and(|found| leads(&found)) {
                mistakes.push(format!("{}: {target}", path.display()));
            }
        }
        let loaded = attributes(text, "src").chain(
            text.split("<link")
                .skip(1)
                .filter_map(|link| attributes(link, "href").next()),
        );
        mistakes.extend(
            loaded
                .filter(|from| from.starts_with("http"))
                .map(|from| format!("loads {from}")),
        );
    }
    assert_eq!(mistakes, [] as [&str; 0]);
}

/// The values of an attribute in a page.
fn attributes<'a>(text: &'a str, name: &str) -> impl Iterator<Item = &'a str> {
    let mark = format!(" {name}=\"");
    let starts: Vec<usize> = text
        .match_indices(&mark)
        .map(|(index, _)| index + mark.len())
        .collect();
    starts
        .into_iter()
        .filter_map(|start| text[start..].split('"').next())
}

/// All pages below a folder.
fn html(folder: &Path) -> HashMap<PathBuf, String> {
    let mut pages = HashMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder of the book") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "html") {
                let text = fs::read_to_string(&path).expect("a page");
                pages.insert(path, text);
            }
        }
    }
    pages
}
