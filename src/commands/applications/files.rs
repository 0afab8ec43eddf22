//! `files FOLDER`: serves the files of a folder.

use clap::ArgAction;
use http::HeaderValue;

use crate::application::files::{CacheRule, FilesOptions, try_files_of};
use crate::graph::entry::{Arguments, Entry, EntryKind, Options, flag_option, value_option};
use crate::graph::resolve;
use crate::line::failure::Failure;
use crate::line::scope::Scope;
use crate::line::word::{Line, Word};
use crate::plan::application::{ApplicationName, BuiltIn};
use crate::syntax::quoted;

/// The table's row.
pub const ENTRY: Entry = Entry {
    name: "files",
    usage: "FOLDER [OPTIONS]",
    summary: "An application that serves the files of a folder; needs no Python",
    help: "\
It stands behind a gateway: `serve files public`. For a folder, its `index.html`
is sent. Ranges, `If-None-Match` and `If-Modified-Since` are understood. Names
that begin with a dot, as `.git` and `.env`, are not served, but for
`.well-known`; links lead no further than the folder. Sources of PHP (`.php`,
`.inc`, and copies such as `.php.bak`) are not sent as text.

NAME answers what no file is there for, and methods other than GET and HEAD:
`serve files public --fallback site`, where a file has
`site = commands.Alias(command=['WSGI', 'import:site.application'])` in its
section `[peak.running.shortcuts]`, or `--fallback import:site.application`.

A rule of `--cache` is a pattern and a value for `Cache-Control`, as in
`--cache '*.css=max-age=3600'`. `*` stands for any characters; a pattern with a
slash in it is compared with the path, one without with the name. Of several
rules the first that matches counts.",
    kind: EntryKind::Application {
        arguments: options,
        name: |scope, arguments| named(scope, arguments),
    },
};

fn options(command: clap::Command) -> clap::Command {
    command
        .arg(
            value_option("index", "FILE", "The file that is sent for a folder")
                .default_value("index.html"),
        )
        .arg(value_option(
            "fallback",
            "NAME",
            "The application that answers what is not there",
        ))
        .arg(value_option(
            "spa",
            "FILE",
            "The page for browsers that ask for one that is not there",
        ))
        .arg(
            value_option(
                "cache",
                "RULE",
                "A rule for `Cache-Control`; several are possible",
            )
            .action(ArgAction::Append),
        )
        .arg(flag_option(
            "precompressed",
            "Send FILE.br, FILE.zst or FILE.gz to those who take it",
        ))
        .arg(flag_option(
            "listing",
            "List what is in folders without an index",
        ))
        .arg(flag_option("follow", "Follow links out of the folder"))
        .arg(flag_option(
            "hidden",
            "Serve names that begin with a dot, too",
        ))
        .arg(flag_option("sources", "Serve sources of PHP, as text"))
}

fn named(scope: &Scope, arguments: &mut Arguments) -> Result<BuiltIn, Failure> {
    let word = arguments.first("FOLDER")?;
    let folder = scope.path(&word);
    if let Err(error) = try_files_of(&folder) {
        let message = format!("cannot serve the files of {}: {error}", quoted(&word.text));
        let hint = "a relative path begins at the file in which it is written, or at the current folder if it was typed";
        return Err(scope.mistake(&word.origin, message, Some(hint.to_owned())));
    }
    let text = |name: &str| arguments.options.get_one::<String>(name).cloned();
    let flag = |name: &str| arguments.options.get_flag(name);
    let rules = arguments.options.get_many::<String>("cache");
    let rules = rules.into_iter().flatten();
    let cache = rules
        .map(|rule| cache_rule(arguments, rule))
        .collect::<Result<_, _>>()?;
    for name in ["index", "spa"] {
        if let Some(file) = text(name)
            && (file.is_empty()
                || file.starts_with('/')
                || file.split('/').any(|part| part == ".."))
        {
            let message = format!("{} is no file below the folder", quoted(&file));
            return Err(arguments.wrong_value(name, &file, (message, None)));
        }
    }
    let options = FilesOptions {
        folder,
        index: text("index").unwrap_or_default(),
        page: text("spa"),
        listing: flag("listing"),
        follow: flag("follow"),
        hidden: flag("hidden"),
        sources: flag("sources"),
        scripts: Vec::new(),
        precompressed: flag("precompressed"),
        cache,
    };
    let fallback = match text("fallback") {
        Some(name) => Some(Box::new(fallback(scope, arguments, &word, name)?)),
        None => None,
    };
    Ok(BuiltIn::Files(options, fallback))
}

/// The application behind the files. Its name was written as the value of an option, or where that of the folder was.
fn fallback(
    scope: &Scope,
    arguments: &Arguments,
    folder: &Word,
    name: String,
) -> Result<ApplicationName, Failure> {
    let given = arguments.value("fallback", &name).unwrap_or(folder);
    let word = Word {
        exact: name.clone().into(),
        origin: given.origin.clone(),
        text: name,
    };
    let line = Line {
        words: vec![word],
        ..arguments.line.clone()
    };
    // All of these words are those that the name stands for.
    let (application, rest) =
        resolve::application(arguments.commands, scope, line, Options::BeforeDashes)?;
    match rest.words.first() {
        None => Ok(application),
        Some(word) => {
            let message = format!("unexpected word {}", quoted(&word.text));
            Err(scope.mistake(&word.origin, message, None))
        }
    }
}

fn cache_rule(arguments: &Arguments, rule: &str) -> Result<CacheRule, Failure> {
    let parts = rule.split_once('=');
    let parts =
        parts.and_then(|(pattern, value)| Some((pattern, HeaderValue::from_str(value).ok()?)));
    match parts {
        Some((pattern, value)) if !pattern.is_empty() && !value.is_empty() => Ok(CacheRule {
            pattern: pattern.to_owned(),
            value,
        }),
        _ => {
            let message = format!("{} is no rule for `Cache-Control`", quoted(rule));
            let hint = "write a pattern, `=` and a value: `*.css=max-age=3600`";
            Err(arguments.wrong_value("cache", rule, (message, Some(hint.to_owned()))))
        }
    }
}
