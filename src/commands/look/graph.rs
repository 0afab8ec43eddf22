//! `graph FILE`: shows what a file would run, as an indented tree or a picture.

use crate::commands::look::graph_formats;
use crate::commands::run::{run_ini, supervise};
use crate::config;
use crate::graph::entry::{Arguments, Entry, EntryKind, Options, format_option};
use crate::graph::first_line;
use crate::graph::node::{Branch, Job, Node};
use crate::graph::report::print;
use crate::line::failure::Failure;
use crate::line::scope::Scope;
use crate::line::script;
use crate::secrets::hidden;
use crate::supervisor::supervision::Supervision;

/// The table's row.
pub const ENTRY: Entry = Entry {
    name: "graph",
    usage: "FILE [--format FORMAT] [ARGS]...",
    summary: "Shows what a file would run, as a tree, without running it",
    help: "\
Shows the command, its gateway with the socket URL, the adapter and the
application, with their options, each with the file and line that it comes from.
FORMAT is `tree`, `dot` for Graphviz, `json`, or `svg`, a picture for browsers.",
    kind: EntryKind::Command {
        options: Options::BeforeWords,
        arguments: |command| command.arg(format_option(FORMATS)),
        resolve: |scope, mut arguments| {
            let format = format(&mut arguments)?;
            let node = resolve_file(scope, arguments)?;
            Ok(Box::new(Graph { node, format }))
        },
    },
};

/// Resolves the command that the file runs which the first word names; the other words are its arguments.
///
/// # Errors
/// There is no such file, or it has mistakes.
pub fn resolve_file(scope: Scope, arguments: Arguments) -> Result<Box<dyn Node>, Failure> {
    let mut line = arguments.line.clone();
    if let Some(word) = line.words.first().cloned()
        && let Some(first) = script::command(&scope.path(&word))
    {
        line.words.remove(0);
        return first_line::resolve(arguments.commands, &scope, &word, first, line);
    }
    let file = arguments.line.words.first().map(|word| scope.path(word));
    match file.and_then(|file| config::format(&file)) {
        Some(config::FileFormat::Keys) => Ok(Box::new(supervise::resolve(scope, arguments)?)),
        Some(config::FileFormat::Ini) | None => Ok(Box::new(run_ini::resolve(scope, arguments)?)),
    }
}

/// The formats by name, the default first.
const FORMATS: &[&str] = &["tree", "dot", "json", "svg"];

/// Writes a graph in one format.
type Drawing = fn(&[Branch]) -> String;

/// A file whose graph is shown.
struct Graph {
    /// `runIni` or `supervise`, which would run the file.
    node: Box<dyn Node>,
    format: Drawing,
}

/// Takes the format from before or directly after the file's name. Further words belong to the file.
fn format(arguments: &mut Arguments) -> Result<Drawing, Failure> {
    let words = &mut arguments.line.words;
    let second = words
        .get(1)
        .map(|word| word.text.clone())
        .unwrap_or_default();
    let behind = if second == "--format" {
        let value = words.get(2).map(|word| word.text.clone());
        words.drain(1..words.len().min(3));
        Some(value.ok_or_else(|| arguments.missing("FORMAT"))?)
    } else {
        let value = second.strip_prefix("--format=").map(str::to_owned);
        if value.is_some() {
            words.remove(1);
        }
        value
    };
    let name = behind.unwrap_or_else(|| arguments.format().to_owned());
    match name.as_str() {
        "tree" => Ok(graph_formats::text),
        "dot" => Ok(graph_formats::dot),
        "json" => Ok(graph_formats::json),
        "svg" => Ok(graph_formats::svg),
        _ => {
            let hint = format!("the formats are `{}`", FORMATS.join("`, `"));
            Err(arguments.wrong(format!("there is no format `{name}`"), Some(hint)))
        }
    }
}

impl Node for Graph {
    fn job(&self, _: Option<&Supervision>) -> Result<Job<'_>, Failure> {
        Ok(Job::Run(Box::new(|| {
            let mut tree = Vec::new();
            self.node.draw_file(0, &mut tree);
            for branch in &mut tree {
                branch.text = hidden(&branch.text);
            }
            Ok(print(&(self.format)(&tree)))
        })))
    }

    fn draw(&self, depth: usize, tree: &mut Vec<Branch>) {
        tree.push(Branch::new(depth, ENTRY.name));
        self.node.draw_file(depth + 1, tree);
    }
}
