//! `graph FILE`: shows what a file runs, as an indented tree or a picture.

use std::process::ExitCode;

use crate::command::arguments::{Arguments, Options};
use crate::command::drawing::{self, Branch};
use crate::command::exit::Exit;
use crate::command::failure::Failure;
use crate::command::graph::{Application, Node};
use crate::command::line::{Origin, Scope};
use crate::command::run_ini::{self, RunIni};
use crate::command::serve::Audience;
use crate::command::show::format_option;
use crate::command::supervise::{self, PROGRAMS, Supervise, Supervised};
use crate::command::{Entry, Kind};
use crate::config::{self, PID_FILE};

/// The table's row.
pub const ENTRY: Entry = Entry {
    name: "graph",
    usage: "FILE [--format FORMAT] [ARGS]...",
    about: "Shows what a file would run, as a tree, without running it",
    help: "\
The command, its gateway with the socket URL, the adapter and the application,
each with the file and line that it comes from. FORMAT is `tree` for reading,
`dot` for Graphviz, `json`, or `svg`, a picture for browsers.",
    kind: Kind::Command {
        options: Options::BeforeWords,
        arguments: |command| command.arg(format_option(FORMATS)),
        resolve: |scope, mut arguments| {
            let format = format(&mut arguments)?;
            let node = resolve(scope, arguments)?;
            Ok(Node::Tree(Box::new(Tree { node, format })))
        },
    },
};

/// In place of a file's name and a line.
const DEFAULT: &str = "(the default)";

/// A file that is shown, not run.
#[derive(Debug)]
pub struct Tree {
    /// What a file runs: `runIni` or `supervise`.
    node: Node,
    format: Format,
}

/// What the file that the first word names runs.
fn resolve(scope: Scope, arguments: Arguments) -> Result<Node, Failure> {
    let file = arguments.line.words.first().map(|word| scope.path(word));
    match file.and_then(|file| config::format(&file)) {
        Some(config::Format::Keys) => {
            let supervise = supervise::resolve(scope, arguments)?;
            Ok(Node::Supervise(Box::new(supervise)))
        }
        Some(config::Format::Ini) | None => {
            let run_ini = run_ini::resolve(scope, arguments)?;
            Ok(Node::RunIni(Box::new(run_ini)))
        }
    }
}

/// The formats by name, the default first.
const FORMATS: &[&str] = &["tree", "dot", "json", "svg"];

/// What a graph becomes.
type Format = fn(&[Branch]) -> String;

/// The format that is wanted: before the file's name, or right behind it. What follows belongs to the file.
fn format(arguments: &mut Arguments) -> Result<Format, Failure> {
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
    let before = arguments.options.get_one::<String>("format").cloned();
    let name = behind.or(before).unwrap_or_default();
    match name.as_str() {
        "tree" => Ok(drawing::text),
        "dot" => Ok(drawing::dot),
        "json" => Ok(drawing::json),
        "svg" => Ok(drawing::svg),
        _ => {
            let hint = format!("the formats are `{}`", FORMATS.join("`, `"));
            Err(arguments.wrong(format!("there is no format `{name}`"), Some(hint)))
        }
    }
}

impl Tree {
    /// Prints the tree.
    #[must_use]
    pub fn run(&self) -> ExitCode {
        let mut branches = Vec::new();
        top(&self.node, 0, &mut branches);
        crate::command::print(&(self.format)(&branches))
    }
}

/// A file that is shown, rather than the command that runs it.
fn top(node: &Node, depth: usize, branches: &mut Vec<Branch>) {
    match node {
        Node::RunIni(node) => file(node, depth, branches),
        Node::Supervise(node) => {
            let depth = match &node.file {
                Some(file) => {
                    branches.push(Branch {
                        depth,
                        text: file.written.clone(),
                        origin: String::new(),
                    });
                    depth + 1
                }
                None => depth,
            };
            branches.push(Branch {
                depth,
                text: supervise::ENTRY.name.to_owned(),
                origin: String::new(),
            });
            supervised(node, depth, branches);
        }
        other => command(other, depth, branches),
    }
}

/// What is supervised, below the command's name.
fn supervised(node: &Supervise, depth: usize, branches: &mut Vec<Branch>) {
    let mut push = |depth: usize, text: String, origin: &Origin| {
        branches.push(Branch {
            depth,
            text,
            origin: place(&node.scope, origin),
        });
    };
    let setting = |name: &str| Origin::Property(name.into());
    let supervision = &node.supervision;
    let pid_file = format!("pid file {}", supervision.seat.pid_file.display());
    push(depth + 1, pid_file, &setting(PID_FILE));
    for program in &supervision.programs {
        push(depth + 1, format!("program {program}"), &setting(PROGRAMS));
    }
    match &node.what {
        Supervised::Program(program, origin) => {
            push(depth + 1, format!("program {program}"), origin);
        }
        Supervised::Application(node) => command(node, depth + 1, branches),
    }
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
        Node::Supervise(node) => {
            push(depth, "supervise".to_owned(), String::new());
            if let Some(file) = &node.file {
                push(depth + 1, file.written.clone(), String::new());
            }
            let below = usize::from(node.file.is_some());
            supervised(node, depth + below, branches);
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
            top(&tree.node, depth + 1, branches);
        }
        Node::Init(_) => push(depth, "init".to_owned(), String::new()),
        Node::Format(_) => push(depth, "fmt".to_owned(), String::new()),
        Node::Completions(_) => push(depth, "completions".to_owned(), String::new()),
        Node::Report(node) => push(depth, node.name.to_owned(), String::new()),
        Node::Status(_) => push(depth, "status".to_owned(), String::new()),
        Node::Order(node) => push(depth, node.name().to_owned(), String::new()),
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
    let Some(name) = origin.property() else {
        return "(the command line)".to_owned();
    };
    let place = scope.configuration.place(name);
    place.unwrap_or_else(|| DEFAULT.to_owned())
}
