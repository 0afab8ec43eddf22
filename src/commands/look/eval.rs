//! `eval EXPR`: prints the value of an expression, as Python would.

use std::path::PathBuf;

use clap::builder::PathBufValueParser;
use clap::{Arg, ArgAction};

use crate::config::Layer;
use crate::eval::Repr;
use crate::graph::entry::{Arguments, Entry, EntryKind, Options};
use crate::graph::node::action;
use crate::graph::report::print;
use crate::line::failure::Failure;
use crate::line::scope::Scope;

/// The table's row.
pub const ENTRY: Entry = Entry {
    name: "eval",
    usage: "[-c FILE]... EXPR",
    summary: "Prints the value of an expression, as Python would print it",
    help: "\
EXPR is what may stand after the `=` of a setting. It reads other settings with
`config.lookup('NAME')`. Paths in it are relative to the current directory. An
expression that begins with a dash needs `--` before it: `runner eval -- -7//2`.
Unlike `show`, it hides no secrets.",
    kind: EntryKind::Command {
        options: Options::BeforeDashes,
        arguments: options,
        resolve: |scope, arguments| {
            let text = value(scope, arguments)?;
            Ok(action(ENTRY.name, move || Ok(print(&text))))
        },
    },
};

fn options(command: clap::Command) -> clap::Command {
    command.arg(
        Arg::new("config")
            .short('c')
            .long("config")
            .value_name("FILE")
            .help("Configuration file with settings for EXPR; repeatable")
            .value_parser(PathBufValueParser::new())
            .action(ArgAction::Append),
    )
}

fn value(scope: Scope, mut arguments: Arguments) -> Result<String, Failure> {
    arguments.line.words.append(&mut arguments.behind);
    let expression = arguments.first("EXPR")?;
    if let Some(word) = arguments.line.words.first() {
        let hint = "an expression with spaces needs quotes around it".to_owned();
        return Err(arguments.unexpected(word, Some(hint)));
    }
    let files = arguments.options.remove_many::<PathBuf>("config");
    let scope = match files {
        Some(files) => {
            let mut layers = scope.layers;
            layers.extend(files.map(Layer::Named));
            Scope::load(layers, None)?
        }
        None => scope,
    };
    let value = scope.configuration.evaluate(&expression.text)?;
    let mut text = value.repr();
    text.push('\n');
    Ok(text)
}
