//! What systemd reads in a unit.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::support::Folder;

/// The lines that systemd shows of a unit once it has read it. Only a user that is not root may ask for them.
pub fn systemd_reads(units: &str, name: &str, wanted: &str) -> Vec<String> {
    let home = Folder::new().file("units/.keep", "");
    let home = home.file(format!("units/{name}"), units);
    let open = |path: &str| {
        let mode = fs::Permissions::from_mode(0o777);
        fs::set_permissions(home.path(path), mode).expect("an own folder");
    };
    open("");
    open("units");
    let words = "--reuid 65534 --regid 65534 --clear-groups /lib/systemd/systemd --test --user";
    let words = match rustix::process::geteuid().is_root() {
        true => words.split(' ').map(str::to_owned).collect::<Vec<_>>(),
        false => ["--reset-env", "/lib/systemd/systemd", "--test", "--user"]
            .map(str::to_owned)
            .to_vec(),
    };
    let here = home.path("").display().to_string();
    let outcome = home
        .program("setpriv", words)
        .arguments([format!("--unit={name}")])
        .env("HOME", &here)
        .env("XDG_RUNTIME_DIR", &here)
        .env("SYSTEMD_UNIT_PATH", format!("{here}/units:"))
        .run();
    let said = outcome.stdout + &outcome.stderr;
    let unit = said
        .split("-> Unit ")
        .find(|part| part.starts_with(&format!("{name}:")))
        .unwrap_or_else(|| panic!("{said}"));
    let lines = unit
        .lines()
        .filter_map(|line| line.trim().strip_prefix(wanted));
    lines.map(|line| line.trim().to_owned()).collect()
}

/// The words of a command as systemd shows it: in double quotes if a shell needs them.
pub fn words_of_systemd(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = line.chars().peekable();
    while let Some(&first) = rest.peek() {
        let is_quoted = first == '"';
        if is_quoted {
            rest.next();
        }
        let mut word = String::new();
        while let Some(c) = rest.next() {
            match c {
                '"' if is_quoted => break,
                ' ' if !is_quoted => break,
                '\\' if is_quoted => word.extend(rest.next()),
                c => word.push(c),
            }
        }
        if is_quoted {
            rest.next();
        }
        words.push(word);
    }
    words
}
