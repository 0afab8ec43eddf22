//! A service of systemd whose program is a server that is known.

use std::sync::Arc;

use crate::import::imported_site::{ImportedSite, Placed};
use crate::import::imported_text::ImportedText;
use crate::import::procfile::served_if_known;
use crate::import::section_lines::{GoesOn, KeyValue, SectionSyntax, sections, whole};
use crate::import::servers::command_words::CommandWords;
use crate::import::servers::said::Facts;
use crate::import::shell_command::{as_program, in_shell};
use crate::import::systemd_values::{size, specified, time, unsigned};
use crate::import::systemd_variables::{counting, variables, with_variables};
use crate::syntax::{Diagnostic, Place, Source};

const SYNTAX: SectionSyntax = SectionSyntax {
    separators: &['='],
    has_comments_behind: false,
    goes_on: GoesOn::Backslash,
    has_flags: false,
};

/// The sections that say what a unit is to others, which the unit that starts `runner` says itself.
const OF_UNITS: &[&str] = &["Unit", "Install"];

/// What is always so here, or is the same whatever is started: a master starts again what ends, says that it is ready, and
/// ends by SIGTERM.
pub const ALWAYS: &[&str] = &[
    "GuessMainPID",
    "KillMode",
    "NotifyAccess",
    "PassEnvironment",
    "Restart",
    "RestartMode",
    "RestartSec",
    "StartLimitBurst",
    "StartLimitInterval",
    "StartLimitIntervalSec",
    "SuccessExitStatus",
    "SyslogLevelPrefix",
    "Type",
];

/// Reads a unit.
///
/// # Errors
/// It is broken.
pub fn read(source: &Arc<Source>, facts: &Facts<'_>) -> Result<ImportedSite, Diagnostic> {
    let sections = sections(source, SYNTAX)?;
    let unit = source.name.rsplit('/').next().unwrap_or_default();
    let mut site = ImportedSite::default();
    let services = sections.iter().filter(|section| section.name == "Service");
    let lines: Vec<&KeyValue> = services.flat_map(|section| &section.lines).collect();
    let counting = counting(&lines);
    let variables = variables(&counting);
    let mut is_served = false;
    for section in &sections {
        let is_service = section.name == "Service";
        if OF_UNITS.contains(&section.name.as_str()) || section.name.starts_with("X-") {
            continue;
        }
        for line in &section.lines {
            if is_service && !counting.iter().any(|it| std::ptr::eq(*it, line)) {
                continue;
            }
            let (value, unknown) = specified(line.value.as_deref().unwrap_or_default(), unit);
            for specifier in unknown {
                let why = format!("what `{specifier}` stands for is known only to systemd");
                site.leave(&line.place, why);
            }
            let place = &line.place;
            if !is_service {
                let why = format!("`[{}]` is no part of a service", section.name);
                site.leave(place, why);
            } else if line.key == "ExecStart" {
                let (signs, command) = signed(&value, place, &mut site);
                if is_served {
                    site.leave(
                        place,
                        "one file serves one application: a second file can serve this one",
                    );
                    continue;
                }
                is_served = true;
                if signs.contains('-') {
                    site.leave(place, "the unit that starts `runner` says what is no failure: `SuccessExitStatus=`");
                }
                let command = with_variables(&command, &variables, place, &mut site);
                site.add(served_if_known(&command, place, facts)?);
            } else if !setting(&line.key, &value, place, &mut site)
                && !ALWAYS.contains(&line.key.as_str())
            {
                site.leave(place, why_left(&line.key, &value));
            }
        }
    }
    if !is_served {
        site.miss(&whole(source), "it has no `ExecStart`");
    }
    Ok(site)
}

/// A command and the signs before it: what they change is told, but for those that a caller knows.
fn signed(value: &str, place: &Place, site: &mut ImportedSite) -> (String, String) {
    let (signs, command) = unsigned(value);
    if signs.contains(['+', '!']) {
        site.leave(
            place,
            "it ran with all rights, and runs as `runner.user` here",
        );
    }
    if signs.contains('|') {
        site.leave(
            place,
            "it ran in the user's shell, and runs without one here",
        );
    }
    // The second word is what the program sees as its own name.
    let command = match (signs.contains('@'), command.split_once(' ')) {
        (true, Some((program, rest))) => {
            let rest = rest.trim_start();
            let behind = rest.split_once(' ').map_or("", |(_, behind)| behind);
            format!("{program} {behind}")
        }
        _ => command.to_owned(),
    };
    // No variables are put in.
    let command = match signs.contains(':') {
        true => command.replace('$', "\\$"),
        false => command,
    };
    (signs.to_owned(), command)
}

/// Takes a key of `[Service]` over. Returns false if it has no equivalent.
fn setting(key: &str, value: &str, place: &Place, site: &mut ImportedSite) -> bool {
    let text = ImportedText::known(value);
    let found = match key {
        "ExecStartPre" => {
            let (signs, command) = signed(value, place, site);
            let command = match signs.contains('-') {
                // It may fail.
                true => in_shell(&format!("{command} || true")),
                // Operators of a shell are plain words there, as they are here; variables are put in.
                false if command.contains('$') => as_program(&command),
                false => command,
            };
            site.before_start.push(Placed::new(command, place));
            return true;
        }
        "WorkingDirectory" => {
            let folder = value.strip_prefix('-').unwrap_or(value);
            if folder != value {
                site.leave(place, "the folder must be there");
            }
            if folder.starts_with('~') {
                site.leave(
                    place,
                    "it is the home of the user: write its path into `runner.workers.directory`",
                );
                return true;
            }
            let folder = ImportedText::known(folder);
            site.set_text("runner.workers.directory", &folder, place);
            site.path.insert(0, Placed::new(folder, place));
            return true;
        }
        "Environment" => {
            let words = CommandWords::parse(value).unwrap_or_default();
            if words.environment.is_empty() || !words.words.is_empty() {
                site.leave(place, "it has no `NAME=VALUE`");
            }
            for pair in words.environment {
                site.environment.push(Placed::new(pair, place));
            }
            return true;
        }
        "EnvironmentFile" => {
            match value.strip_prefix('-') {
                // It may be missing there, but not here.
                Some(path) => site.leave(
                    place,
                    format!("if the file is there, write `runner.environment_file = '{path}'`"),
                ),
                None => site.append("runner.environment_file", text, place),
            }
            return true;
        }
        "User" | "Group" => {
            let name = format!("runner.{}", key.to_lowercase());
            site.set_identity(&name, &text, place);
            return true;
        }
        "SyslogIdentifier" => Some(("runner.log.name", Some(text.expression()))),
        "UMask" => Some(("runner.umask", Some(text.expression()))),
        "TimeoutStopSec" => Some(("runner.stop_timeout", end(value))),
        "TimeoutStartSec" => Some(("runner.start_timeout", end(value))),
        "TimeoutSec" => {
            if let Some(time) = end(value) {
                site.set("runner.start_timeout", time, place);
            }
            Some(("runner.stop_timeout", end(value)))
        }
        "LimitNOFILE" => Some(("runner.workers.limits.files", limit(value))),
        "LimitNPROC" => Some(("runner.workers.limits.processes", limit(value))),
        "LimitAS" => Some(("runner.workers.limits.memory", size(value))),
        "LimitCORE" => Some(("runner.workers.limits.core", size(value))),
        _ => None,
    };
    match found {
        Some((name, Some(value))) => site.set(name, value, place),
        Some((name, None)) => {
            let why = format!("`{value}` is nothing that `{name}` can be");
            site.leave(place, why);
        }
        None => return false,
    }
    true
}

/// A time after which systemd gives up; 0 is its word for never.
fn end(value: &str) -> Option<String> {
    time(value).filter(|time| time != "0")
}

/// A number of things: the limit that counts, of `SOFT:HARD`.
fn limit(value: &str) -> Option<String> {
    let soft = value.split(':').next().unwrap_or_default();
    soft.parse::<u32>().ok().map(|number| number.to_string())
}

/// Why a key of `[Service]` has no equivalent, and what to do about it.
fn why_left(key: &str, value: &str) -> String {
    let why = match key {
        "MemoryMax" | "MemoryHigh" | "MemoryLimit" => {
            "it is of all processes together: keep it in the unit that starts `runner`, or replace each worker at `runner.workers.max_memory`"
        }
        "StandardOutput" | "StandardError" => {
            "the log goes to standard error; `runner.log.*` says what is in it"
        }
        "PIDFile" => {
            "a service needs no file of its process: with `Type=notify` the server says that it is ready (else `runner.supervise.pid_file`)"
        }
        "ExecReload" => "the server reloads by SIGHUP: `ExecReload=kill -HUP $MAINPID`",
        "ExecStop" | "KillSignal" => "the server stops by SIGTERM, which systemd sends",
        "ExecStartPost" | "ExecStopPost" | "ExecCondition" => {
            "only commands before the start are run (`runner.before_start`): keep it in the unit that starts `runner`"
        }
        _ => {
            let why = format!("keep `{key}={value}` in the unit that starts `runner`");
            return why;
        }
    };
    why.to_owned()
}
