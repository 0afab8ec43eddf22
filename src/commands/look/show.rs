//! `show FILE [PREFIX]`: every setting in force, its value, and where it comes from.

use std::slice;

use serde_json::{Map, Value as Json, json};

use crate::commands::json;
use crate::commands::look::redact::{HIDDEN, Redactor, is_secret};
use crate::commands::run::supervise;
use crate::config::{self, Gives, Layer, Listed, SETTINGS, SHORT, Whence};
use crate::eval::Value;
use crate::graph::entry::{Arguments, Entry, EntryKind, Options, format_option};
use crate::graph::node::action;
use crate::graph::report::{Report, Verdict};
use crate::line::failure::Failure;
use crate::line::run_file::{read, run_file};
use crate::line::scope::Scope;
use crate::syntax::{Diagnostic, Diagnostics, Lines, did_you_mean, quoted, render};

/// The table's row.
pub const ENTRY: Entry = Entry {
    name: "show",
    usage: "[--format FORMAT] FILE [PREFIX]",
    summary: "Shows every setting in force, its value, and where it comes from",
    help: "\
FILE is read over the layers below it, as `runIni` or `supervise` does. Each setting is shown
with its value, the file and line where it stands, and the layer: the file
itself, `-c`, `PEAK_CONFIG`, the user's own file, or the built-in default. With
PREFIX only the settings below it are shown, and it is an error if there are
none; `environ` shows the environment. Of a rule for several names (`a.*`) the
expression is shown.

Secrets are hidden: values of settings whose names contain `password`,
`secret`, `token` or `key`, passwords in URLs, and what repeats them.",
    kind: EntryKind::Command {
        options: Options::BeforeDashes,
        arguments: options,
        resolve: |scope, arguments| {
            let report = report(scope, arguments)?;
            Ok(action(ENTRY.name, move || Ok(report.run())))
        },
    },
};

fn options(command: clap::Command) -> clap::Command {
    command.arg(format_option(&["text", "json"]))
}

/// A setting as it is shown, without secrets.
struct Shown {
    listed: Listed,
    gives: Gives,
    hidden: bool,
}

fn report(scope: Scope, mut arguments: Arguments) -> Result<Report, Failure> {
    arguments.line.words.append(&mut arguments.behind);
    let file = arguments.first("FILE")?;
    let prefix = match arguments.line.words.is_empty() {
        true => String::new(),
        false => plain_prefix(&arguments.first("PREFIX")?.text),
    };
    if let Some(word) = arguments.line.words.first() {
        return Err(arguments.unexpected(word, None));
    }
    let scope = match config::format(&scope.path(&file)) {
        Some(config::FileFormat::Keys) => {
            let file = run_file(&scope, &file);
            supervise::read(scope, file)?
        }
        Some(config::FileFormat::Ini) | None => read(scope, &file)?,
    };
    let mut settings = config::list(&scope.configuration, "");
    settings.extend(config::list(&scope.configuration, "environ"));
    let listing = config::list(&scope.configuration, &prefix);
    if listing.is_empty() && matches!(scope.configuration.get(&prefix), Ok(None)) {
        return Err(nothing(&prefix, &settings));
    }
    let mut redactor = Redactor::default();
    for listed in settings {
        if let (Gives::Value(value), true) = (&listed.gives, is_secret(&listed.name)) {
            redactor.learn(value);
        }
    }
    redactor.ready();
    let shown: Vec<Shown> = listing
        .into_iter()
        .map(|listed| conceal(listed, &redactor))
        .collect();
    let as_json = arguments.format() == "json";
    let mut lines = Lines::default();
    let text = match as_json {
        true => {
            let settings: Vec<Json> = shown
                .iter()
                .map(|one| object(&scope, one, &mut lines))
                .collect();
            json::document(&json!({ "settings": settings }))
        }
        false => shown
            .iter()
            .map(|one| line(&scope, one, &mut lines))
            .collect(),
    };
    let mistakes: Vec<Diagnostic> = shown
        .into_iter()
        .filter_map(|one| match one.gives {
            Gives::Mistake(mistake) => Some(mistake),
            Gives::Value(_) | Gives::Expression(_) => None,
        })
        .collect();
    Ok(Report {
        text,
        verdict: match mistakes.is_empty() {
            true => Verdict::Well,
            false => Verdict::Failure(Diagnostics(mistakes).into()),
        },
    })
}

/// A prefix without the dot or `.*` at its end; short names in full.
fn plain_prefix(word: &str) -> String {
    let plain = word.strip_suffix('*').unwrap_or(word).trim_end_matches('.');
    let long = SHORT.iter().find(|(short, _)| *short == plain);
    long.map_or(plain, |(_, long)| long).to_owned()
}

/// What to say where nothing has a name or stands below it.
fn nothing(prefix: &str, settings: &[Listed]) -> Failure {
    let hint = if SETTINGS.iter().any(|setting| setting.name == prefix) {
        Some(format!("`runner explain {prefix}` says what it is"))
    } else {
        let known = SETTINGS.iter().map(|setting| setting.name);
        let names = settings.iter().map(|listed| listed.name.as_str());
        did_you_mean(prefix, known.chain(names).flat_map(and_above))
    };
    Failure::mistake(
        format!(
            "nothing is set that is called {} or stands below it",
            quoted(prefix)
        ),
        hint,
    )
}

/// A name and the prefixes that it stands below, the longest first.
fn and_above(name: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(name), |name| Some(name.rsplit_once('.')?.0))
}

fn conceal(listed: Listed, redactor: &Redactor) -> Shown {
    let secret = is_secret(&listed.name);
    let (gives, hidden) = match &listed.gives {
        Gives::Value(Value::None) => (Gives::Value(Value::None), false),
        Gives::Value(_) if secret => (Gives::Value(Value::text(HIDDEN)), true),
        Gives::Value(value) => {
            let shown = redactor.over(value);
            let hidden = shown != *value;
            (Gives::Value(shown), hidden)
        }
        Gives::Expression(text) if secret || is_secret(text) => {
            (Gives::Expression(format!("'{HIDDEN}'")), true)
        }
        Gives::Expression(text) => {
            let shown = redactor.text(text);
            let hidden = shown != *text;
            (Gives::Expression(shown), hidden)
        }
        // The message, or a line that would be drawn with it, holds a secret.
        Gives::Mistake(mistake)
            if secret || redactor.hides(&render(slice::from_ref(mistake), false)) =>
        {
            let message = format!("the value of `{}` cannot be computed", listed.name);
            (
                Gives::Mistake(Diagnostic::new("setting/value", message)),
                true,
            )
        }
        Gives::Mistake(mistake) => (Gives::Mistake(mistake.clone()), false),
    };
    Shown {
        listed,
        gives,
        hidden,
    }
}

/// A setting as a line of a configuration file, with where it comes from as its comment.
fn line(scope: &Scope, shown: &Shown, lines: &mut Lines) -> String {
    let name = &shown.listed.name;
    let (_, layer) = layer(scope, &shown.listed.from);
    let from = match &shown.listed.from {
        Whence::File { place, .. } => {
            let (line, _) = lines.position(&place.source, place.span.start);
            format!("{}:{line}, {layer}", place.source.name)
        }
        Whence::Option(_) | Whence::Environment | Whence::BuiltIn => layer.to_owned(),
    };
    match &shown.gives {
        Gives::Value(value) => format!("{name} = {}  # {from}\n", value.repr()),
        // What continues a line stays indented.
        Gives::Expression(text) => {
            let lines: Vec<&str> = text.lines().map(str::trim).collect();
            format!("{name} = {}  # {from}\n", lines.join("\n    "))
        }
        Gives::Mistake(mistake) => format!("# {name}: error: {}  # {from}\n", mistake.message),
    }
}

/// A setting for other programs.
fn object(scope: &Scope, shown: &Shown, lines: &mut Lines) -> Json {
    let mut object = Map::new();
    let mut insert = |name: &str, value: Json| object.insert(name.to_owned(), value);
    insert("name", json!(shown.listed.name));
    match &shown.gives {
        Gives::Value(value) => {
            insert("value", json::value(value));
            insert("repr", json!(value.repr()));
        }
        Gives::Expression(text) => {
            insert("expression", json!(text));
        }
        Gives::Mistake(mistake) => {
            insert(
                "error",
                json!({ "code": mistake.code, "message": mistake.message }),
            );
        }
    }
    insert("hidden", json!(shown.hidden));
    insert("layer", json!(layer(scope, &shown.listed.from).0));
    if let Whence::File { place, .. } = &shown.listed.from {
        json::place(&mut object, place, lines);
    }
    Json::Object(object)
}

/// The layer that a setting comes from, for programs and for people.
fn layer<'a>(scope: &Scope, from: &'a Whence) -> (&'static str, &'a str) {
    match from {
        Whence::File { layer, .. } => match scope.layers.get(*layer) {
            Some(Layer::Own(_)) => ("user", "the user's own file"),
            Some(Layer::Listed(_)) => ("PEAK_CONFIG", "PEAK_CONFIG"),
            Some(Layer::Named(_)) => ("-c", "-c"),
            Some(Layer::File(_) | Layer::Keys(_) | Layer::Option { .. }) | None => {
                ("file", "the file")
            }
        },
        Whence::Option(option) => ("option", option),
        Whence::Environment => ("environment", "the environment"),
        Whence::BuiltIn => ("built-in", "built in"),
    }
}
