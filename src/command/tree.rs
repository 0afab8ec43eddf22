//! `graph FILE`: shows what a file runs, as an indented tree.

use std::fmt::Write;
use std::process::ExitCode;

use crate::command::arguments::Options;
use crate::command::exit::Exit;
use crate::command::graph::{Application, Node};
use crate::command::line::{Origin, Scope};
use crate::command::run_ini::{self, RunIni};
use crate::command::serve::Audience;
use crate::command::{Entry, Kind, no_options};

/// The table's row.
pub const ENTRY: Entry = Entry {
    name: "graph",
    usage: "FILE [ARGS]...",
    about: "Shows what an INI file would run, as a tree, without running it",
    help: "\
The command, its gateway with the socket URL, the adapter and the application,
each with the file and line that it comes from.",
    kind: Kind::Command {
        options: Options::BeforeWords,
        arguments: no_options,
        resolve: |scope, arguments| {
            let run_ini = run_ini::resolve(scope, arguments)?;
            Ok(Node::Tree(Box::new(Tree(run_ini))))
        },
    },
};

/// In place of a file's name and a line.
const DEFAULT: &str = "(the default)";

/// A file that is shown, not run.
#[derive(Debug)]
pub struct Tree(RunIni);

/// A line of the tree.
struct Branch {
    depth: usize,
    text: String,
    origin: String,
}

impl Tree {
    /// Prints the tree.
    #[must_use]
    pub fn run(&self) -> ExitCode {
        let mut branches = Vec::new();
        file(&self.0, 0, &mut branches);
        crate::command::print(&draw(&branches))
    }
}

/// Lines with their origins in a second column.
fn draw(branches: &[Branch]) -> String {
    let width = |branch: &Branch| 2 * branch.depth + branch.text.chars().count();
    let column = branches.iter().map(width).max().unwrap_or_default();
    let mut text = String::new();
    for branch in branches {
        let line = format!("{:indent$}{}", "", branch.text, indent = 2 * branch.depth);
        // Writing to a string does not fail.
        let _ = match branch.origin.is_empty() {
            true => writeln!(text, "{line}"),
            false => writeln!(text, "{line:column$}  {}", branch.origin),
        };
    }
    text
}

fn file(node: &RunIni, depth: usize, branches: &mut Vec<Branch>) {
    branches.push(Branch {
        depth,
        text: node.file.written.clone(),
        origin: String::new(),
    });
    command(&node.node, depth + 1, branches);
}

fn command(node: &Node, depth: usize, branches: &mut Vec<Branch>) {
    let mut push = |depth: usize, text: String, origin: String| {
        branches.push(Branch {
            depth,
            text,
            origin,
        });
    };
    match node {
        Node::RunIni(node) => {
            push(depth, "runIni".to_owned(), String::new());
            file(node, depth + 1, branches);
        }
        Node::Serve(node) => {
            let name = match node.audience {
                Audience::Anybody => "serve",
                Audience::Browser => "launch",
            };
            push(depth, name.to_owned(), String::new());
            let origin = place(&node.scope, &node.url_origin);
            push(depth + 1, format!("HTTP on {}", node.url), origin);
            application(&node.scope, &node.application, depth + 2, branches);
        }
        Node::FastCgi(node) => {
            push(depth, "FastCGI".to_owned(), String::new());
            let origin = match &node.url_origin {
                Some(origin) => place(&node.scope, origin),
                None => DEFAULT.to_owned(),
            };
            push(depth + 1, format!("FastCGI on {}", node.url), origin);
            application(&node.scope, &node.application, depth + 2, branches);
        }
        Node::Cgi(node) => {
            push(depth, "CGI".to_owned(), String::new());
            let text = "CGI on the environment and standard input".to_owned();
            push(depth + 1, text, String::new());
            application(&node.scope, &node.application, depth + 2, branches);
        }
        Node::Call(node) => push(
            depth,
            node.target.to_string(),
            place(&node.scope, &node.origin),
        ),
        Node::Tree(tree) => {
            push(depth, "graph".to_owned(), String::new());
            file(&tree.0, depth + 1, branches);
        }
        Node::Report(node) => push(depth, node.name.to_owned(), String::new()),
        Node::Check(_) => push(depth, "check".to_owned(), String::new()),
        Node::Help(_) => push(depth, "help".to_owned(), String::new()),
        Node::Exit(Exit::True) => push(depth, "true".to_owned(), String::new()),
        Node::Exit(Exit::False) => push(depth, "false".to_owned(), String::new()),
    }
}

fn application(scope: &Scope, application: &Application, depth: usize, branches: &mut Vec<Branch>) {
    let mut push = |depth: usize, text: String, origin: &Origin| {
        branches.push(Branch {
            depth,
            text,
            origin: place(scope, origin),
        });
    };
    match application {
        Application::Demo { origin } => push(depth, "demo".to_owned(), origin),
        Application::Wsgi {
            target,
            origin,
            adapter,
        } => {
            push(depth, "WSGI".to_owned(), adapter.as_ref().unwrap_or(origin));
            push(depth + 1, target.to_string(), origin);
        }
    }
}

/// Where something was written.
fn place(scope: &Scope, origin: &Origin) -> String {
    match origin {
        Origin::CommandLine => "(the command line)".to_owned(),
        Origin::Property(name) => scope
            .configuration
            .place(name)
            .unwrap_or_else(|| DEFAULT.to_owned()),
    }
}
