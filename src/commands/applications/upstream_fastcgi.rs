//! The options of `upstream` for servers that speak FastCGI: which script answers, and what it is told.

use std::path::Path;

use clap::{Arg, ArgAction};

use crate::application::files::FilesOptions;
use crate::config;
use crate::graph::entry::{Arguments, flag_option, value_option};
use crate::line::failure::Failure;
use crate::line::scope::Scope;
use crate::line::word::Word;
use crate::syntax::quoted;
use crate::upstream::fastcgi::fastcgi_client_options::{FastCgiClientOptions, ScriptOptions};

/// Those that say something of scripts, so that they need `--root`.
const OF_SCRIPTS: [&str; 7] = [
    "index",
    "front",
    "split",
    "files",
    "follow",
    "resolve-root",
    "remote",
];

/// The index of a folder that is sent as it is.
const INDEX_PAGE: &str = "index.html";

/// Adds the options.
pub(super) fn options(command: clap::Command) -> clap::Command {
    let several = |argument: Arg| argument.action(ArgAction::Append);
    command
        .arg(value_option(
            "root",
            "FOLDER",
            "FastCGI: the folder of the scripts",
        ))
        .arg(value_option(
            "index",
            "FILE",
            "FastCGI: the script of a folder (`index.php`)",
        ))
        .arg(value_option(
            "front",
            "FILE",
            "FastCGI: the script for what no other is there for",
        ))
        .arg(several(value_option(
            "split",
            "ENDING",
            "FastCGI: the ending of scripts (`.php`); several are possible",
        )))
        .arg(flag_option(
            "files",
            "FastCGI: send files below the root that are no scripts",
        ))
        .arg(flag_option(
            "follow",
            "FastCGI: follow links out of the root",
        ))
        .arg(flag_option(
            "resolve-root",
            "FastCGI: follow links in the root's own path",
        ))
        .arg(flag_option(
            "remote",
            "FastCGI: the root is on the server's machine",
        ))
        .arg(several(value_option(
            "param",
            "NAME=VALUE",
            "FastCGI: a variable; several are possible",
        )))
}

/// Checks that none of the options is given.
///
/// # Errors
/// One is.
pub(super) fn none_given(arguments: &Arguments) -> Result<(), Failure> {
    let names = OF_SCRIPTS.iter().chain(&["root", "param"]);
    match first_given(arguments, names) {
        Some(name) => {
            let message = format!("`--{name}` is for servers that speak FastCGI");
            Err(arguments.wrong(message, None))
        }
        None => Ok(()),
    }
}

/// What the options say; and the files that are to be sent, if some are. A relative root begins where the word is written
/// that names the server.
///
/// # Errors
/// They contradict each other, or the scripts are not there.
pub(super) fn fastcgi_options(
    scope: &Scope,
    arguments: &Arguments,
    server: &Word,
) -> Result<(FastCgiClientOptions, Option<FilesOptions>), Failure> {
    let added = arguments.options.get_many::<String>("param");
    let added = added.into_iter().flatten();
    let added = added.map(|text| param(arguments, text));
    let added = added.collect::<Result<Vec<_>, _>>()?;
    let Some(root) = arguments.options.get_one::<String>("root") else {
        return match first_given(arguments, &OF_SCRIPTS) {
            Some(name) => {
                let message = format!("`--{name}` needs `--root`");
                let hint = "write `--root FOLDER`, the folder of the scripts".to_owned();
                Err(arguments.wrong(message, Some(hint)))
            }
            None => {
                let scripts = None;
                Ok((FastCgiClientOptions { scripts, added }, None))
            }
        };
    };
    let scripts = scripts(scope, arguments, server, root)?;
    let files = arguments.options.get_flag("files").then(|| FilesOptions {
        folder: scripts.root.clone(),
        index: INDEX_PAGE.to_owned(),
        page: None,
        listing: false,
        follow: scripts.follow,
        hidden: false,
        sources: false,
        scripts: script_names(&scripts),
        precompressed: false,
        cache: Vec::new(),
    });
    let scripts = Some(scripts);
    Ok((FastCgiClientOptions { scripts, added }, files))
}

/// The endings of scripts, and the names of those that answer for others.
fn script_names(scripts: &ScriptOptions) -> Vec<String> {
    let name = |script: &String| Some(Path::new(script).file_name()?.to_str()?.to_owned());
    let answering = scripts.front.iter().chain([&scripts.index]);
    let names = answering.filter_map(name);
    scripts.endings.iter().cloned().chain(names).collect()
}

fn scripts(
    scope: &Scope,
    arguments: &Arguments,
    server: &Word,
    root: &str,
) -> Result<ScriptOptions, Failure> {
    let flag = |name: &str| arguments.options.get_flag(name);
    let text = |name: &str| arguments.options.get_one::<String>(name).cloned();
    let is_remote = flag("remote");
    if is_remote && let Some(name) = first_given(arguments, &["files", "follow", "resolve-root"]) {
        let message = format!("`--remote` and `--{name}` exclude each other");
        let hint = "no file of another machine can be looked at".to_owned();
        return Err(arguments.wrong(message, Some(hint)));
    }
    let folder = match is_remote {
        true => root.into(),
        false => {
            let word = Word {
                exact: root.into(),
                text: root.to_owned(),
                origin: server.origin.clone(),
            };
            let folder = scope.path(&word);
            // The server runs in another folder.
            std::path::absolute(&folder).unwrap_or(folder)
        }
    };
    if is_remote && !folder.is_absolute() {
        let message = format!("{} is no path on another machine", quoted(root));
        let hint = "begin it with a slash".to_owned();
        return Err(arguments.wrong(message, Some(hint)));
    }
    for name in ["index", "front"] {
        if let Some(file) = text(name) {
            let is_below = !file.is_empty()
                && !file.starts_with('/')
                && file.split('/').all(|part| part != "..");
            if !is_below {
                let message = format!("{} is no script below the root", quoted(&file));
                return Err(arguments.wrong(message, None));
            }
        }
    }
    let front = text("front");
    if !is_remote {
        // The folder is entered, which needs no permission to list it.
        let needed = front.as_ref().map_or(Path::new("."), Path::new);
        if let Err(error) = std::fs::metadata(folder.join(needed)) {
            let shown = match &front {
                Some(front) => format!("{root}/{front}"),
                None => root.to_owned(),
            };
            let message = format!("cannot find the scripts at {}: {error}", quoted(&shown));
            let hint = "for PHP on another machine, write `--remote`".to_owned();
            return Err(arguments.wrong(message, Some(hint)));
        }
    }
    let endings = arguments.options.get_many::<String>("split");
    let endings: Vec<String> = endings.into_iter().flatten().cloned().collect();
    if let Some(ending) = endings.iter().find(|ending| !is_ending(ending)) {
        let message = format!("{} is no ending of a file's name", quoted(ending));
        let hint = "write a dot and letters: `.php`".to_owned();
        return Err(arguments.wrong(message, Some(hint)));
    }
    Ok(ScriptOptions {
        root: folder,
        index: text("index").unwrap_or_else(|| "index.php".to_owned()),
        front,
        endings: match endings.is_empty() {
            true => vec![".php".to_owned()],
            false => endings,
        },
        follow: flag("follow"),
        resolve: flag("resolve-root"),
        is_remote,
    })
}

fn is_ending(text: &str) -> bool {
    text.len() > 1 && text.starts_with('.') && !text.contains('/')
}

fn param(arguments: &Arguments, text: &str) -> Result<(String, String), Failure> {
    match text.split_once('=') {
        Some((name, value)) if config::is_variable_name(name) => {
            Ok((name.to_owned(), value.to_owned()))
        }
        Some(_) | None => {
            let message = format!("{} is no variable", quoted(text));
            let hint = "write a name, `=` and a value: `APP_ENV=prod`".to_owned();
            Err(arguments.wrong(message, Some(hint)))
        }
    }
}

/// The first of these options that is given.
fn first_given<'a>(
    arguments: &Arguments,
    names: impl IntoIterator<Item = &'a &'static str>,
) -> Option<&'static str> {
    let given = |name: &&'static str| {
        let source = arguments.options.value_source(name);
        source == Some(clap::parser::ValueSource::CommandLine)
    };
    names.into_iter().copied().find(|name| given(name))
}
