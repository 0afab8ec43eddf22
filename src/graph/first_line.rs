//! Files whose `#!` line has a whole command, such as `#!/usr/bin/env -S runner FastCGI WSGI import:my_app.application`.

use crate::config::Layer;
use crate::graph::entry::Commands;
use crate::graph::node::{Branch, Job, Node, Served, Supervised};
use crate::graph::resolve;
use crate::line::failure::Failure;
use crate::line::run_file::{enter, run_file};
use crate::line::scope::Scope;
use crate::line::script::FirstLine;
use crate::line::word::{Line, Word};
use crate::supervisor::supervision::Supervision;

/// A file and the command in its first line.
struct Script {
    written: String,
    node: Box<dyn Node>,
}

/// Resolves the command in the first line of the file that the word names, as the process that runs the file would; the
/// words of the line are further arguments. The scope has the settings below.
///
/// # Errors
/// The command cannot be run, or leads back to the file.
pub fn resolve(
    commands: Commands,
    scope: &Scope,
    word: &Word,
    first: FirstLine,
    mut line: Line,
) -> Result<Box<dyn Node>, Failure> {
    enter(scope, &mut line, word, &run_file(scope, word))?;
    let named = first.files.into_iter().map(Layer::Named);
    let layers = scope.layers.iter().cloned().chain(named).collect();
    line.words.splice(0..0, first.words);
    Ok(Box::new(Script {
        written: word.text.clone(),
        node: resolve::command(commands, scope.clone().with_layers(layers, None)?, line)?,
    }))
}

impl Node for Script {
    fn job(&self, supervision: Option<&Supervision>) -> Result<Job<'_>, Failure> {
        self.node.job(supervision)
    }

    fn draw(&self, depth: usize, tree: &mut Vec<Branch>) {
        tree.push(Branch::new(depth, &self.written));
        self.node.draw(depth + 1, tree);
    }

    fn supervisable(&self) -> Option<&Scope> {
        self.node.supervisable()
    }

    fn served(&self) -> Option<Served> {
        self.node.served()
    }

    fn supervised(&self) -> Option<&Supervised> {
        self.node.supervised()
    }
}
