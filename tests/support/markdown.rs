//! Code blocks of Markdown, as README.md and the pages of the book have them.

use std::fs;

use super::project;

/// A block between lines of three backticks.
pub struct Block {
    /// What stands behind the first three backticks.
    pub language: String,
    pub text: String,
    /// The file that it shows: the paragraph before it ends with the name, in backticks, and a colon.
    pub file: Option<String>,
    /// What a comment in the line before it says: `<!-- numbers vary -->`.
    pub remark: Option<String>,
}

impl Block {
    /// Whether a comment before it says so.
    pub fn is(&self, remark: &str) -> bool {
        self.remark.as_deref() == Some(remark)
    }
}

/// The blocks of a page, with the files that they include from `examples`.
pub fn blocks(page: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut lines = page.lines();
    let mut remark = None;
    let mut before = "";
    while let Some(line) = lines.next() {
        let indent = &line[..line.len() - line.trim_start().len()];
        if let Some(language) = line.trim_start().strip_prefix("```") {
            let text: String = lines
                .by_ref()
                .map(|line| line.strip_prefix(indent).unwrap_or(line))
                .take_while(|line| *line != "```")
                .map(|line| format!("{line}\n"))
                .collect();
            blocks.push(Block {
                language: language.to_owned(),
                text: included(&text),
                file: named(before),
                remark: remark.take(),
            });
            before = "";
        } else if let Some(comment) = line.trim().strip_prefix("<!-- ") {
            remark = comment.strip_suffix(" -->").map(str::to_owned);
        } else if !line.trim().is_empty() {
            before = line;
            remark = None;
        }
    }
    blocks
}

/// The file that a paragraph ends with.
fn named(line: &str) -> Option<String> {
    let line = line.trim_end().strip_suffix("`:")?;
    let (_, name) = line.rsplit_once('`')?;
    let is_file = name.contains('.') && !name.contains([' ', '=', '(']);
    is_file.then(|| name.to_owned())
}

/// The text with the files that mdBook puts into it: `{{#include ../../../examples/hello/hello.py}}`.
fn included(text: &str) -> String {
    let mut whole = String::new();
    for line in text.split_inclusive('\n') {
        let path = line
            .trim()
            .strip_prefix("{{#include ")
            .and_then(|rest| rest.strip_suffix("}}"));
        match path {
            None => whole.push_str(line),
            Some(path) => {
                let path = project(path.trim_start_matches("../"));
                let file = fs::read_to_string(&path);
                whole.push_str(&file.unwrap_or_else(|error| panic!("{}: {error}", path.display())));
            }
        }
    }
    whole
}

/// The commands of a block, each with what it says.
pub fn commands(text: &str) -> Vec<(String, String)> {
    let mut commands: Vec<(String, String)> = Vec::new();
    for line in text.lines() {
        match (line.strip_prefix("$ "), commands.last_mut()) {
            (Some(command), _) => commands.push((command.to_owned(), String::new())),
            (None, Some((_, output))) => output.push_str(&format!("{line}\n")),
            (None, None) => panic!("output without a command: {line}"),
        }
    }
    commands
}
