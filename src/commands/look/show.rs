//! `show FILE [PREFIX]`: shows every setting in force, its value, and where it comes from.

use std::slice;

use serde_json::{Value as Json, json};

use crate::commands::json;
use crate::commands::look::check::{resolve_app, resolve_supervised};
use crate::commands::look::redact::{Redactor, concealed};
use crate::commands::run::supervise;
use crate::config::{self, FileFormat, Gives, Layer, Listed, SETTINGS, SHORT, Setting, Whence};
use crate::eval::Repr;
use crate::graph::entry::{Arguments, Entry, EntryKind, Options, format_option};
use crate::graph::node::{Node, action};
use crate::graph::report::print;
use crate::line::failure::Failure;
use crate::line::scope::Scope;
use crate::secrets::{HIDDEN, is_secret, mentions};
use crate::syntax::{Diagnostic, Diagnostics, Lines, MaskedSources, did_you_mean, quoted, render};

/// The table's row.
pub const ENTRY: Entry = Entry {
    name: "show",
    usage: "[--format FORMAT] FILE [PREFIX]",
    summary: "Shows every setting in force, its value, and where it comes from",
    help: "\
Reads FILE over the configuration layers below it, as `runIni` or `supervise`
does, and the files that its command names, as `graph` does. Each setting is
shown with its value, the file and line that set it, and its layer: the file
itself, `-c`, `PEAK_CONFIG`, the user's own file, or the built-in default. For a
rule for several names (`a.*`), the expression is shown.

With PREFIX, only the settings below it are shown; it is an error if none of
them is set. The prefix `environ` shows the environment.

Secrets are hidden, and other values that repeat them: values of settings,
variables and keys in whose names a word is `password`, `passwd`, `pass`, `pwd`,
`passphrase`, `secret`, `token`, `key`, `credentials`, `auth`, `authorization`,
`bearer`, `private`, `salt`, `signature` or the like (`db_pass` and `dbPass`,
but not `passenger`); what follows such a name in a text (`--password=…`); and
passwords in URLs. `True`, `False` and `None` are shown.",
    kind: EntryKind::Command {
        options: Options::BeforeDashes,
        arguments: options,
        resolve: |scope, arguments| {
            let (text, mistakes) = listing(scope, arguments)?;
            Ok(action(ENTRY.name, move || {
                let status = print(&text);
                Ok(mistakes.as_ref().map_or(status, Failure::report))
            }))
        },
    },
};

fn options(command: clap::Command) -> clap::Command {
    command.arg(format_option(&["text", "json"]))
}

/// A setting without its secrets.
struct Shown {
    listed: Listed,
    /// Whether it had any.
    hidden: bool,
}

/// The settings as a text, and the mistakes of those that have no value.
fn listing(scope: Scope, mut arguments: Arguments) -> Result<(String, Option<Failure>), Failure> {
    arguments.line.words.append(&mut arguments.behind);
    let file = arguments.first("FILE")?;
    let prefix = match arguments.line.words.is_empty() {
        true => String::new(),
        false => plain_prefix(&arguments.first("PREFIX")?.text),
    };
    if let Some(word) = arguments.line.words.first() {
        return Err(arguments.unexpected(word, None));
    }
    let keys = config::format(&scope.path(&file)) == Some(FileFormat::Keys);
    let scope = supervise::read_settings(scope, &file)?;
    let resolved = match keys {
        true => resolve_supervised(arguments.commands, &scope),
        false => resolve_app(arguments.commands, &scope),
    };
    // A command that cannot be run has no settings of its own; `check` says why.
    let node = resolved.ok().flatten();
    let scope = node.as_deref().and_then(in_force).unwrap_or(scope);
    let mut settings = config::list(&scope.configuration, "");
    settings.extend(config::list(&scope.configuration, "environ"));
    let listing = config::list(&scope.configuration, &prefix);
    if listing.is_empty() && matches!(scope.configuration.get(&prefix), Ok(None)) {
        return Err(nothing(&prefix, &settings));
    }
    let values = settings.iter().filter_map(|listed| match &listed.gives {
        Gives::Value(value) => Some((listed.name.as_str(), value)),
        Gives::Expression(_) | Gives::Mistake(_) => None,
    });
    let redactor = Redactor::new(values);
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
        .filter_map(|one| match one.listed.gives {
            Gives::Mistake(mistake) => Some(mistake),
            Gives::Value(_) | Gives::Expression(_) => None,
        })
        .collect();
    let failure = match mistakes.is_empty() {
        true => None,
        false => Some(Diagnostics(mistakes).into()),
    };
    Ok((text, failure))
}

/// The settings that hold for what a file runs: those of files that its command names are among them.
fn in_force(node: &dyn Node) -> Option<Scope> {
    let served = node.served().map(|served| served.scope);
    served.or_else(|| Some(node.supervised()?.scope.clone()))
}

/// A prefix without `.` or `.*` at its end, and a short name in full.
fn plain_prefix(word: &str) -> String {
    let plain = word.strip_suffix('*').unwrap_or(word).trim_end_matches('.');
    let long = SHORT.iter().find(|(short, _)| *short == plain);
    long.map_or(plain, |(_, long)| long).to_owned()
}

/// The error if no setting has this name or stands below it.
fn nothing(prefix: &str, settings: &[Listed]) -> Failure {
    if let Some(setting) = SETTINGS.iter().find(|setting| setting.name == prefix) {
        let hint = match by_default(setting) {
            Some(default) => format!("by default, {default}"),
            None => format!("it has no default; `runner explain {prefix}` says what it is"),
        };
        return Failure::mistake(format!("`{prefix}` is not set"), Some(hint));
    }
    let below = SETTINGS.iter().filter(|setting| {
        let rest = setting.name.strip_prefix(prefix);
        rest.is_some_and(|rest| rest.starts_with('.'))
    });
    let below: Vec<String> = below.map(|setting| format!("`{}`", setting.name)).collect();
    if !below.is_empty() {
        let hint = format!("its settings are {}", below.join(", "));
        return Failure::mistake(format!("nothing below `{prefix}` is set"), Some(hint));
    }
    let known = SETTINGS.iter().map(|setting| setting.name);
    let names = settings.iter().map(|listed| listed.name.as_str());
    let hint = did_you_mean(prefix, known.chain(names).flat_map(and_above));
    Failure::mistake(
        format!("no setting is called {} or stands below it", quoted(prefix)),
        hint,
    )
}

/// What holds where a setting has no value, as its help says it.
fn by_default(setting: &Setting) -> Option<&'static str> {
    let mut sentences = setting.help.split_inclusive(". ");
    let told = sentences.find_map(|sentence| sentence.strip_prefix("By default"))?;
    Some(told.trim_matches([',', ' ', '.']))
}

/// A name and its prefixes, the longest first.
fn and_above(name: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(name), |name| Some(name.rsplit_once('.')?.0))
}

fn conceal(listed: Listed, redactor: &Redactor) -> Shown {
    let secret = is_secret(&listed.name);
    let redacted = match &listed.gives {
        Gives::Value(value) => {
            let shown = match secret {
                true => concealed(value),
                false => redactor.over(value),
            };
            (shown != *value).then_some(Gives::Value(shown))
        }
        Gives::Expression(text) if secret || mentions(text) && text.contains(['\'', '"']) => {
            Some(Gives::Expression(format!("'{HIDDEN}'")))
        }
        Gives::Expression(text) => {
            let shown = redactor.text(text);
            (shown != *text).then_some(Gives::Expression(shown))
        }
        Gives::Mistake(mistake) => {
            // The message, or the source line that is drawn with it, may hold a secret.
            let drawn = || render(slice::from_ref(mistake), false);
            match secret || redactor.hides(&drawn()) {
                true => {
                    let message = format!("the value of `{}` cannot be computed", listed.name);
                    Some(Gives::Mistake(Diagnostic::new("setting/value", message)))
                }
                false => {
                    let shown = MaskedSources::default().without_secrets(mistake);
                    (shown.message != mistake.message).then_some(Gives::Mistake(shown))
                }
            }
        }
    };
    Shown {
        hidden: redacted.is_some(),
        listed: match redacted {
            Some(gives) => Listed { gives, ..listed },
            None => listed,
        },
    }
}

/// A setting as a line of a configuration file, with its origin as the comment.
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
    match &shown.listed.gives {
        Gives::Value(value) => format!("{name} = {}  # {from}\n", value.repr()),
        // Continuation lines stay indented.
        Gives::Expression(text) => {
            let lines: Vec<&str> = text.lines().map(str::trim).collect();
            format!("{name} = {}  # {from}\n", lines.join("\n    "))
        }
        Gives::Mistake(mistake) => format!("# {name}: error: {}  # {from}\n", mistake.message),
    }
}

/// A setting as JSON.
fn object(scope: &Scope, shown: &Shown, lines: &mut Lines) -> Json {
    let mut object = json!({ "name": shown.listed.name });
    match &shown.listed.gives {
        Gives::Value(value) => {
            object["value"] = json::value(value);
            object["repr"] = json!(value.repr());
        }
        Gives::Expression(text) => object["expression"] = json!(text),
        Gives::Mistake(mistake) => {
            object["error"] = json!({ "code": mistake.code, "message": mistake.message });
        }
    }
    object["hidden"] = json!(shown.hidden);
    object["layer"] = json!(layer(scope, &shown.listed.from).0);
    if let Whence::File { place, .. } = &shown.listed.from {
        json::place(&mut object, place, lines);
    }
    object
}

/// The layer that a setting comes from: for JSON, and for people.
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
