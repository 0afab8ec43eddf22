//! `Procfile`: a process by its name on each line.

use std::sync::Arc;

use crate::import::imported_site::{
    ApplicationObject, ImportedApplication, ImportedSite, ListenProtocol, Placed,
};
use crate::import::imported_text::ImportedText;
use crate::import::section_lines::{broken, lines, whole};
use crate::import::servers::command_words::{CommandWords, NeedsShell};
use crate::import::servers::said::Facts;
use crate::import::servers::server_program;
use crate::import::shell_command::as_program;
use crate::syntax::{Diagnostic, Place, Source, Span};

/// The process that gets requests.
const WEB: &[&str] = &["web", "api", "app", "server"];

/// Reads a file. `section` is the name of the process that gets requests.
///
/// # Errors
/// A line has no name, or no command; there is no such process.
pub fn read(
    source: &Arc<Source>,
    section: Option<&str>,
    facts: &Facts<'_>,
) -> Result<ImportedSite, Diagnostic> {
    let mut processes = Vec::new();
    for (start, line) in lines(&source.text) {
        let trimmed = line.trim();
        let begin = start + (line.len() - line.trim_start().len());
        let place = Place {
            source: Arc::clone(source),
            span: Span::new(begin, begin + trimmed.len()),
        };
        if trimmed.is_empty() || trimmed.starts_with('#') {
            continue;
        }
        let named = trimmed.split_once(':').filter(|(name, _)| {
            let is_of_name = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
            !name.is_empty() && name.chars().all(is_of_name)
        });
        let Some((name, command)) = named else {
            let hint = "write `web: COMMAND`";
            return Err(broken(&place, "a name and a colon are missing").with_hint(hint));
        };
        if command.trim().is_empty() {
            return Err(broken(&place, "a command is missing behind the name"));
        }
        processes.push((name.to_owned(), command.trim().to_owned(), place));
    }
    let called = |wanted: &str| processes.iter().position(|(name, ..)| name == wanted);
    let web = match section {
        Some(wanted) if called(wanted).is_none() => {
            let message = format!("no process is named `{wanted}`");
            return Err(broken(&whole(source), message));
        }
        Some(wanted) => called(wanted),
        None => WEB.iter().find_map(|web| called(web)),
    };
    let mut site = ImportedSite::default();
    for (number, (name, command, place)) in processes.iter().enumerate() {
        if Some(number) == web {
            site.add(match WEB.contains(&name.as_str()) {
                true => served(command, place, facts)?,
                false => served_if_known(command, place, facts)?,
            });
        } else if name == "release" {
            site.before_start
                .push(Placed::new(as_program(command), place));
        } else {
            site.programs.push(Placed::new(as_program(command), place));
        }
    }
    if web.is_none() {
        site.miss(&whole(source), "no process is named `web`");
    }
    Ok(site)
}

/// The site that the command of a process describes.
///
/// # Errors
/// The command has a mistake.
pub fn served(command: &str, place: &Place, facts: &Facts<'_>) -> Result<ImportedSite, Diagnostic> {
    let words = match CommandWords::parse(command) {
        Ok(words) => words,
        Err(NeedsShell::OpenQuote) => {
            return Err(broken(place, "a quotation mark has no other"));
        }
        Err(NeedsShell::Operators) => return shell(command, place, facts),
    };
    if let Some(missing) = option_without_value(&words) {
        return Err(broken(
            place,
            format!("the value of `{missing}` is missing"),
        ));
    }
    match server_program::site(&words, place, facts)? {
        Some(site) => Ok(site),
        None => Ok(program(words, place)),
    }
}

/// The same of a command that is not known to get requests: a program that no server is known by must take its port.
///
/// # Errors
/// The command has a mistake.
pub fn served_if_known(
    command: &str,
    place: &Place,
    facts: &Facts<'_>,
) -> Result<ImportedSite, Diagnostic> {
    let mut site = served(command, place, facts)?;
    let object = site.application.as_ref().map(|it| &it.value.object);
    if matches!(object, Some(ApplicationObject::Words(_))) && !command.contains("PORT") {
        site.miss(
            place,
            "its program is no server that is known: one must listen by HTTP on `$PORT`, which it is given here",
        );
    }
    Ok(site)
}

/// A server in any language: it gets its port as `$PORT`, and in its words.
fn program(command: CommandWords, place: &Place) -> ImportedSite {
    let words = command.words.into_iter();
    let words = words.map(|word| word.with_variable("PORT", "{port}"));
    let mut site = ImportedSite::default();
    let application = ImportedApplication::program(words.collect());
    site.application = Some(Placed::new(application, place));
    for pair in command.environment {
        site.environment.push(Placed::new(pair, place));
    }
    let port = ImportedText::of_variable("PORT", Some("8000"));
    let url = port.after("tcp://*:");
    site.listen(ListenProtocol::Http, url, place);
    site
}

/// What needs a shell: the last command of it is the server, what is before it runs before the start.
fn shell(command: &str, place: &Place, facts: &Facts<'_>) -> Result<ImportedSite, Diagnostic> {
    let mut steps: Vec<&str> = command.split("&&").map(str::trim).collect();
    let last = steps.pop().unwrap_or_default();
    let words = CommandWords::parse(last);
    let site = match words {
        Ok(words) if !steps.is_empty() => server_program::site(&words, place, facts)?,
        Ok(_) | Err(_) => None,
    };
    let Some(mut site) = site else {
        let words = ["sh", "-c", command].map(ImportedText::known);
        let command = CommandWords {
            environment: Vec::new(),
            words: words.to_vec(),
        };
        return Ok(program(command, place));
    };
    for step in steps {
        match step.strip_prefix("cd ") {
            Some(folder) => {
                let folder = ImportedText::known(folder.trim());
                site.set_text("runner.workers.directory", &folder, place);
                site.path.insert(0, Placed::new(folder, place));
            }
            None => {
                site.before_start.push(Placed::new(as_program(step), place));
            }
        }
    }
    Ok(site)
}

/// An option that is followed by another one although it wants a value: `-b --chdir src`.
fn option_without_value(command: &CommandWords) -> Option<String> {
    const WANT: &[&str] = &[
        "-b",
        "--bind",
        "-w",
        "--workers",
        "-k",
        "-t",
        "-c",
        "--chdir",
    ];
    let (at, "gunicorn") = command.program()? else {
        return None;
    };
    let words = &command.words[at..];
    let pair = words.windows(2).find(|pair| {
        let is_wanting = pair[0].literal().is_some_and(|word| WANT.contains(&word));
        is_wanting && pair[1].beginning().starts_with('-') && pair[1].beginning() != "-"
    });
    pair.and_then(|pair| pair[0].literal()).map(str::to_owned)
}
