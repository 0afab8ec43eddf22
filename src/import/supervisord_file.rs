//! `supervisord.conf`: its programs, of which one serves.

use std::sync::Arc;

use crate::import::imported_site::{ImportedSite, Placed};
use crate::import::imported_text::{ImportedPiece, ImportedText};
use crate::import::procfile::served_if_known;
use crate::import::section_lines::{
    FileSection, GoesOn, KeyValue, SectionSyntax, broken, sections, whole,
};
use crate::import::servers::command_words::CommandWords;
use crate::import::servers::said::Facts;
use crate::import::servers::server_program::SERVERS;
use crate::import::shell_command::{as_program, in_shell, shell_quoted};
use crate::syntax::{Diagnostic, Place, Source};

const SYNTAX: SectionSyntax = SectionSyntax {
    separators: &['=', ':'],
    has_comments_behind: true,
    goes_on: GoesOn::Indented,
    has_flags: false,
};

/// The processes of a program that are run at most.
const MOST_PROCESSES: usize = 64;

/// Reads a file. `section` is the name of the program that serves.
///
/// # Errors
/// The file is broken, or there is no such program.
pub fn read(
    source: &Arc<Source>,
    section: Option<&str>,
    facts: &Facts<'_>,
) -> Result<ImportedSite, Diagnostic> {
    let sections = sections(source, SYNTAX)?;
    let programs: Vec<(&str, &FileSection)> = sections
        .iter()
        .filter_map(|section| Some((section.name.strip_prefix("program:")?, section)))
        .collect();
    let serves = |section: &FileSection| {
        let command = value(section, "command").map(|(command, _)| shell_text(&command));
        let words = command.and_then(|command| CommandWords::parse(&inner(&command)).ok());
        words.is_some_and(|words| {
            words
                .program()
                .is_some_and(|(_, program)| SERVERS.contains(&program))
        })
    };
    let server = match section {
        Some(wanted) => {
            let found = programs.iter().position(|(name, _)| *name == wanted);
            if found.is_none() {
                let message = format!("there is no section `[program:{wanted}]`");
                return Err(broken(&whole(source), message));
            }
            found
        }
        None => programs.iter().position(|(_, section)| serves(section)),
    };
    let mut site = ImportedSite::default();
    for section in &sections {
        match section.name.as_str() {
            "supervisord" => of_daemon(section, &mut site),
            name => {
                if let Some(why) = why_left(name) {
                    site.leave(&section.place, why);
                }
            }
        }
    }
    for (number, (name, section)) in programs.iter().enumerate() {
        let Some((command, line)) = value(section, "command") else {
            let place = section.lines.first().map(|line| line.place.clone());
            let place = place.unwrap_or_else(|| whole(source));
            return Err(broken(&place, format!("`[program:{name}]` has no command")));
        };
        let command = shell_text(&command);
        if Some(number) == server {
            let command = of_process(&inner(&command), name, 0);
            let mut served = served_if_known(&command, &line.place, facts)?;
            of_server(section, &mut served);
            site.add(served);
            continue;
        }
        if let Some((_, line)) = value(section, "autostart").filter(|(text, _)| is_off(text)) {
            site.leave(
                &line.place,
                "a program that is not started is not taken over",
            );
            continue;
        }
        if server.is_some() && is_web_server(&command) {
            site.leave(&line.place, "a web server in front is not needed; as a program of the service manager it goes on");
            continue;
        }
        of_program(section, &mut site);
        let count = value(section, "numprocs").and_then(|(text, _)| text.parse::<usize>().ok());
        for number in 0..count.unwrap_or(1).min(MOST_PROCESSES) {
            let command = of_process(&command, name, number);
            let program = Placed::new(beside(section, &command), &line.place);
            site.programs.push(program);
        }
    }
    if server.is_none() {
        if site.programs.is_empty() {
            site.miss(&whole(source), "it has no programs");
        } else {
            site.main_program = Some(site.programs.remove(0));
        }
    }
    Ok(site)
}

/// A command with what stands for the name of its program and the number of a process (`%(process_num)02d`).
fn of_process(command: &str, name: &str, number: usize) -> String {
    let number = number as i64;
    let mut written = command
        .replace("%(program_name)s", name)
        .replace("%(group_name)s", name)
        .replace("%(process_num)s", &number.to_string())
        .replace("%(process_num)d", &number.to_string());
    while let Some((before, behind)) = written.split_once("%(process_num)0")
        && let Some((width, behind)) = behind.split_once('d')
        && let Ok(width) = width.parse::<usize>()
        && width < 10
    {
        written = format!("{before}{number:0width$}{behind}");
    }
    written
}

/// The command of a program beside the server, with its folder and environment.
fn beside(section: &FileSection, command: &str) -> String {
    let folder = value(section, "directory").map(|(folder, _)| shell_text(&folder));
    let environment = value(section, "environment").map(|(text, _)| pairs(&text));
    let environment = environment.unwrap_or_default();
    if folder.is_none() && environment.is_empty() {
        return as_program(command);
    }
    let mut script = String::new();
    if let Some(folder) = folder {
        script.push_str(&format!("cd {} && ", shell_quoted(&folder)));
    }
    script.push_str("exec ");
    if !environment.is_empty() {
        script.push_str("env ");
    }
    for (name, value) in environment {
        script.push_str(&format!("{name}={} ", shell_quoted(&value)));
    }
    script.push_str(command);
    in_shell(&script)
}

/// The value of a key, and its line.
fn value<'a>(section: &'a FileSection, key: &str) -> Option<(String, &'a KeyValue)> {
    let line = section.lines.iter().rev().find(|line| line.key == key)?;
    Some((line.value.clone().unwrap_or_default(), line))
}

/// `%(ENV_NAME)s` as a shell writes it, on one line. `%(here)s` is the folder of the file, and so of the file that is written.
fn shell_text(text: &str) -> String {
    let text = text.replace("%(here)s", ".");
    let mut written = String::new();
    let mut rest = text.as_str();
    while let Some((before, behind)) = rest.split_once("%(ENV_") {
        written.push_str(before);
        let Some((name, behind)) = behind.split_once(")s") else {
            written.push_str("%(ENV_");
            rest = behind;
            continue;
        };
        written.push_str(&format!("${{{name}}}"));
        rest = behind;
    }
    written.push_str(rest);
    written.replace("%%", "%").replace('\n', " ")
}

/// A value in which `%(ENV_NAME)s` is an environment variable.
fn with_variables(value: &str) -> ImportedText {
    if let Some((before, behind)) = value.split_once("%(here)s") {
        let mut whole = with_variables(before);
        whole = ImportedText::of_text_expression("file_dir").joined_after(&whole);
        return with_variables(behind).joined_after(&whole);
    }
    let mut whole = ImportedText::default();
    let mut rest = value;
    while let Some((before, name, behind)) = rest.split_once("%(ENV_").and_then(|(before, from)| {
        from.split_once(")s")
            .map(|(name, behind)| (before, name, behind))
    }) {
        whole.push(ImportedPiece::Literal(before.to_owned()));
        whole = ImportedText::of_variable(name, None).joined_after(&whole);
        rest = behind;
    }
    whole.push(ImportedPiece::Literal(rest.to_owned()));
    whole
}

/// The command in `bash -c "…"`.
fn inner(command: &str) -> String {
    let words = CommandWords::parse(command).unwrap_or_default().words;
    let literal: Vec<&str> = words.iter().filter_map(ImportedText::literal).collect();
    match &*literal {
        [shell, flag, inner, ..]
            if is_shell(shell) && flag.starts_with('-') && flag.ends_with('c') =>
        {
            (*inner).to_owned()
        }
        _ => {
            // With variables in it, it is no literal: taken as it is written.
            let quoted = command
                .split_once(" -c ")
                .filter(|(shell, _)| is_shell(shell.trim()));
            let trimmed = quoted.map(|(_, inner)| inner.trim().trim_matches(['"', '\'']));
            trimmed.unwrap_or(command).to_owned()
        }
    }
}

fn is_shell(word: &str) -> bool {
    matches!(
        word.rsplit('/').next(),
        Some("sh" | "bash" | "dash" | "zsh")
    )
}

fn is_web_server(command: &str) -> bool {
    let first = command.split_whitespace().next().unwrap_or_default();
    matches!(
        first.rsplit('/').next(),
        Some("nginx" | "apache2" | "httpd" | "caddy")
    )
}

/// What supervisord says of the program that serves.
fn of_server(section: &FileSection, site: &mut ImportedSite) {
    for line in &section.lines {
        let value = line.value.as_deref().unwrap_or_default();
        let place = &line.place;
        let text = ImportedText::known(value);
        match line.key.as_str() {
            "directory" => {
                let text = ImportedText::known(value.replace("%(here)s", "."));
                site.set_text("runner.workers.directory", &text, place);
                site.path.insert(0, Placed::new(text, place));
            }
            "user" => site.set_identity("runner.user", &text, place),
            "umask" => site.set_text("runner.umask", &text, place),
            "stopwaitsecs" => site.set_number("runner.stop_timeout", &text, place),
            "environment" => environment(value, place, site),
            "numprocs" if value != "1" => {
                site.leave(
                    place,
                    "one server has several workers: `runner.workers.max`",
                );
            }
            "command" | "numprocs" => {}
            key => said_of_any(key, value, place, site),
        }
    }
}

/// What supervisord says of a program beside the server, but for what [`beside`] takes over.
fn of_program(section: &FileSection, site: &mut ImportedSite) {
    for line in &section.lines {
        let value = line.value.as_deref().unwrap_or_default();
        match line.key.as_str() {
            "command" | "directory" | "environment" | "numprocs" => {}
            "user" => site.leave(
                &line.place,
                "programs run as the user of the server: `runner.user`",
            ),
            "stopwaitsecs" => site.leave(
                &line.place,
                "all programs have the same time to end: `runner.stop_timeout`",
            ),
            key => said_of_any(key, value, &line.place, site),
        }
    }
}

/// What is always so here: programs are started again, are stopped as a group, and their output is in the log.
pub const ALWAYS: &[&str] = &[
    "exitcodes",
    "killasgroup",
    "priority",
    "process_name",
    "redirect_stderr",
    "startretries",
    "startsecs",
    "stderr_capture_maxbytes",
    "stderr_events_enabled",
    "stderr_logfile_backups",
    "stderr_logfile_maxbytes",
    "stdout_capture_maxbytes",
    "stdout_events_enabled",
    "stdout_logfile_backups",
    "stdout_logfile_maxbytes",
    "stopasgroup",
];

/// The same of the daemon itself, which is not there.
pub const ALWAYS_OF_DAEMON: &[&str] = &[
    "childlogdir",
    "identifier",
    "logfile",
    "logfile_backups",
    "logfile_maxbytes",
    "loglevel",
    "nocleanup",
    "nodaemon",
    "pidfile",
    "silent",
    "strip_ansi",
];

/// A key of any program that is not taken over.
fn said_of_any(key: &str, value: &str, place: &Place, site: &mut ImportedSite) {
    let why = match key {
        key if ALWAYS.contains(&key) => return,
        "autostart" | "autorestart" if !is_off(value) => return,
        "autostart" | "autorestart" => {
            "what is in the file is started, and started again when it ends"
        }
        "stopsignal" if ["TERM", "SIGTERM"].contains(&value) => return,
        "stopsignal" => "the server and its programs are stopped by SIGTERM",
        "stdout_logfile" | "stderr_logfile"
            if value.starts_with("/dev/") || ["NONE", "AUTO", ""].contains(&value) =>
        {
            return;
        }
        "stdout_logfile" | "stderr_logfile" | "stdout_syslog" | "stderr_syslog" => {
            "the log goes to standard error, which the service manager keeps"
        }
        key => {
            let why = format!("`{key}` has no equivalent");
            return site.leave(place, why);
        }
    };
    site.leave(place, why);
}

fn is_off(value: &str) -> bool {
    ["false", "no", "off", "0", "none"].contains(&value.to_lowercase().as_str())
}

/// What `[supervisord]` says, of which programs take over some.
fn of_daemon(section: &FileSection, site: &mut ImportedSite) {
    for line in &section.lines {
        let value = line.value.as_deref().unwrap_or_default();
        let text = ImportedText::known(value);
        match line.key.as_str() {
            "environment" => environment(value, &line.place, site),
            "user" => site.set_identity("runner.user", &text, &line.place),
            "umask" => site.set_text("runner.umask", &text, &line.place),
            key if ALWAYS_OF_DAEMON.contains(&key) => {}
            key => site.leave(&line.place, format!("`{key}` has no equivalent")),
        }
    }
}

fn environment(value: &str, place: &Place, site: &mut ImportedSite) {
    for (name, value) in pairs(value) {
        let pair = (name, with_variables(&value));
        site.environment.push(Placed::new(pair, place));
    }
}

/// Why a section is not taken over; `None` for programs, and for what is of the daemon and its groups.
fn why_left(section: &str) -> Option<&'static str> {
    let kind = section.split(':').next().unwrap_or_default();
    match kind {
        // A master has a control socket, which `runner status` asks.
        "program" | "group" | "supervisorctl" | "unix_http_server" | "rpcinterface"
        | "ctlplugin" => None,
        "inet_http_server" => Some("the pages of a master are at `runner.status.http`"),
        "include" => Some("what other files say is not read: `runner import` each of them"),
        "eventlistener" => Some("it listens to events of supervisord, which there are none of"),
        "fcgi-program" => Some("a program that serves FastCGI is `upstream fastcgi exec: PROGRAM`"),
        _ => Some("this section has no equivalent"),
    }
}

/// `A="1",B=2`.
fn pairs(text: &str) -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    let mut rest = text.trim();
    while let Some((name, behind)) = rest.split_once('=') {
        let behind = behind.trim_start();
        let (value, after) = match behind.chars().next() {
            Some(mark @ ('"' | '\'')) => {
                let inner = &behind[1..];
                inner.split_once(mark).unwrap_or((inner, ""))
            }
            _ => {
                let end = behind.find([',', '\n']).unwrap_or(behind.len());
                behind.split_at(end)
            }
        };
        pairs.push((name.trim().to_owned(), value.trim().replace("%%", "%")));
        rest = after.trim_start_matches([',', ' ', '\n', '\t']);
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::{inner, pairs, shell_text};

    #[test]
    fn values_are_those_of_supervisord() {
        assert_eq!(shell_text("a %(ENV_PORT)s 50%%\nb"), "a ${PORT} 50% b");
        assert_eq!(inner("/bin/bash -lc 'gunicorn a:b'"), "gunicorn a:b");
        assert_eq!(
            inner("bash -c \"gunicorn -b :$PORT a:b\""),
            "gunicorn -b :$PORT a:b"
        );
        let found = pairs("A=\"1,2\",B=x, C='y'");
        let found: Vec<(&str, &str)> = found.iter().map(|(a, b)| (&**a, &**b)).collect();
        assert_eq!(found, [("A", "1,2"), ("B", "x"), ("C", "y")]);
    }
}
