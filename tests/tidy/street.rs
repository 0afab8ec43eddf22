//! Rules of the street: who names whom, and which crates are named where. Each looks at a project and tells its offences, so
//! that a test can show it one that was planted.

use std::collections::BTreeSet;

use crate::crate_map::{Imports, circles};
use crate::project::Project;
use crate::promises::{LIB, quoted, row_of, table};

/// Programs: they start the library and are not part of it.
fn is_program(file: &str) -> bool {
    file == "src/main.rs" || file.starts_with("src/bin/")
}

/// The rows that stand in lib.rs are those that are there, and each is above the ones that it names.
pub fn table_is_the_street(project: &Project) -> Vec<String> {
    let rows = table(project);
    let position = |name: &str| rows.iter().position(|row| row.name == name);
    let mut faults = Vec::new();
    let there = project.source().map(|file| file.name.as_str());
    let there = there.filter(|name| !is_program(name) && *name != LIB);
    let there: BTreeSet<&str> = there.map(row_of).collect();
    for name in &there {
        if position(name).is_none() {
            faults.push(format!("{LIB}: its table has no row for `{name}`"));
        }
    }
    for (at, row) in rows.iter().enumerate() {
        if !there.contains(row.name.as_str()) {
            faults.push(format!("{LIB}: `{}` has a row but is not there", row.name));
        }
        for lower in &row.may_name {
            match position(lower) {
                None => faults.push(format!(
                    "{LIB}: `{}` may name `{lower}`, which has no row",
                    row.name
                )),
                Some(position) if position <= at => faults.push(format!(
                    "{LIB}: `{}` may name `{lower}`, which is not below it",
                    row.name
                )),
                Some(_) => {}
            }
        }
    }
    faults
}

/// Each arrow of lib.rs's picture is one of its table.
pub fn picture_shows_the_table(project: &Project) -> Vec<String> {
    let rows = table(project);
    let row = |name: &str| rows.iter().find(|row| row.name == name);
    let mut faults = Vec::new();
    for line in project.text(LIB).lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        for three in words.windows(3) {
            let (from, to) = match three[1] {
                "─►" => (three[0], three[2]),
                "◄─" => (three[2], three[0]),
                _ => continue,
            };
            if let (Some(from), Some(_)) = (row(from), row(to))
                && !from.may_name.iter().any(|name| name == to)
            {
                let from = &from.name;
                faults.push(format!("{LIB}: the picture has an arrow from `{from}` to `{to}`, but `{from}` may not name it"));
            }
        }
    }
    faults
}

/// The files and folders that lib.rs names exist, below `src` or in the project.
pub fn map_names_what_is_there(project: &Project) -> Vec<String> {
    let is_there = |path: &str| {
        let mut names = project.files.iter().map(|file| file.name.as_str());
        names.any(|name| {
            name.starts_with(path)
                || name
                    .strip_prefix("src/")
                    .is_some_and(|name| name.starts_with(path))
        })
    };
    let path = |character: char| character.is_ascii_lowercase() || "_/.".contains(character);
    let text = project.text(LIB);
    let documentation = text.lines().filter(|line| line.starts_with("//!"));
    let spans = documentation.flat_map(quoted);
    spans
        .filter(|span| span.contains('/') && span.chars().all(path) && !is_there(span))
        .map(|span| format!("{LIB}: names `{span}`, which is not there"))
        .collect()
}

/// A file names only the rows that its own row lists, and each of these is named by one.
pub fn folders_name_what_they_may(project: &Project) -> Vec<String> {
    let rows = table(project);
    let mut faults = Vec::new();
    let mut used = BTreeSet::new();
    for (file, source) in &project.map.sources {
        let own = row_of(file);
        let Some(row) = rows.iter().find(|row| row.name == own) else {
            continue;
        };
        for (imported, path) in &source.imports {
            let other = row_of(imported);
            if other == own || imported == LIB {
                continue;
            }
            used.insert((own, other));
            if !row.may_name.iter().any(|name| name == other) {
                faults.push(format!(
                    "{file}: names `{path}`, but `{own}` may not name `{other}`"
                ));
            }
        }
    }
    for row in &rows {
        for name in &row.may_name {
            if !used.contains(&(row.name.as_str(), name.as_str())) {
                faults.push(format!(
                    "{LIB}: `{}` may name `{name}` but does not",
                    row.name
                ));
            }
        }
    }
    faults
}

pub fn files_form_no_circle(project: &Project) -> Vec<String> {
    let sources = project.map.sources.iter();
    let imports = sources.map(|(file, source)| (file.clone(), source.imports.clone()));
    told(&circles(&imports.collect()), "files")
}

/// Folders within a folder import each other in one direction; the files beside them may be above and below.
pub fn folders_form_no_circle(project: &Project) -> Vec<String> {
    let mut imports = Imports::new();
    for (file, source) in &project.map.sources {
        for (imported, path) in &source.imports {
            let both = file.split('/').zip(imported.split('/'));
            let shared = both.take_while(|(one, other)| one == other).count();
            let folder = |name: &str| {
                let parts: Vec<&str> = name.split('/').collect();
                (parts.len() > shared + 1).then(|| parts[..=shared].join("/"))
            };
            if let (Some(from), Some(to)) = (folder(file), folder(imported)) {
                let imports = imports.entry(from).or_default();
                let edge = || format!("{path}` in `{file}");
                imports.entry(to).or_insert_with(edge);
            }
        }
    }
    told(&circles(&imports), "folders")
}

fn told(circles: &[Vec<(String, String)>], what: &str) -> Vec<String> {
    let tell = |edges: &Vec<(String, String)>| {
        let names: BTreeSet<&String> = edges.iter().map(|(name, _)| name).collect();
        let edges = edges.iter();
        let edges: String = edges
            .map(|(name, path)| format!("\n    {name}: `{path}`"))
            .collect();
        let count = names.len();
        format!("{count} {what} import each other in a circle:{edges}")
    };
    circles.iter().map(tell).collect()
}

/// Crates that only a part of a part may name.
const CORNERS: &[(&[&str], &[&str])] = &[(
    &["src/gateway/http/", "src/upstream/http/"],
    &["http_body", "hyper", "hyper_util"],
)];

/// A crate that lib.rs lists is named only in the parts where it stands, and a crate that one part alone names is listed.
pub fn crates_stay_where_they_belong(project: &Project) -> Vec<String> {
    let mut faults = Vec::new();
    let rows = table(project);
    for name in dependencies(project.text("Cargo.toml")) {
        let listed: Vec<&str> = rows
            .iter()
            .filter(|row| row.crates.contains(&name))
            .map(|row| row.name.as_str())
            .collect();
        let mut naming = BTreeSet::new();
        for (file, source) in &project.map.sources {
            let Some(path) = source.foreign.iter().find(|path| is_below(path, &name)) else {
                continue;
            };
            let part = row_of(file);
            naming.insert(part);
            if !listed.is_empty() && !listed.contains(&part) {
                let listed = listed.join("` and `");
                faults.push(format!(
                    "{file}: names `{path}`, which only `{listed}` may name"
                ));
            }
            for (corners, crates) in CORNERS {
                let is_inside = corners.iter().any(|corner| file.starts_with(corner));
                if crates.contains(&name.as_str()) && !is_inside {
                    let corners = corners.join(" and ");
                    faults.push(format!("{file}: names `{path}` outside {corners}"));
                }
            }
        }
        for part in listed.iter().filter(|part| !naming.contains(*part)) {
            faults.push(format!("{LIB}: `{part}` does not name `{name}`"));
        }
        if let ([], [part]) = (&listed[..], &Vec::from_iter(naming)[..]) {
            faults.push(format!(
                "{LIB}: `{name}` is not in the row of `{part}`, which alone names it"
            ));
        }
    }
    faults
}

/// The names by which Rust code knows what Cargo.toml lists under `[dependencies]`.
fn dependencies(manifest: &str) -> Vec<String> {
    let (_, rest) = manifest.split_once("[dependencies]\n").unwrap_or_default();
    let lines = rest.lines().take_while(|line| !line.starts_with('['));
    let names = lines.filter_map(|line| Some(line.split_once(" = ")?.0));
    names
        .filter(|name| !name.starts_with('#'))
        .map(|name| match name {
            "rust-ini" => "ini".to_owned(),
            "layout-rs" => "layout".to_owned(),
            name => name.replace('-', "_"),
        })
        .collect()
}

/// What the world is reached through.
const WORLD: &[&str] = &[
    "nix",
    "rustix",
    "std::env",
    "std::fs",
    "std::net",
    "std::process",
    "std::thread",
    "tempfile",
    "tokio",
];

/// What lib.rs calls pure names nothing through which the world is reached.
pub fn pure_parts_do_not_touch_the_world(project: &Project) -> Vec<String> {
    let rows = table(project);
    let words = |does: &str| does.split([' ', ',', ';']).any(|word| word == "pure");
    let pure: BTreeSet<&str> = rows
        .iter()
        .filter(|row| words(&row.does))
        .map(|row| row.name.as_str())
        .collect();
    let mut faults = Vec::new();
    for (file, source) in &project.map.sources {
        let row = row_of(file);
        for path in source.foreign.iter().filter(|_| pure.contains(row)) {
            // Constants of the compiler's target.
            let is_constant = is_below(path, "std::env::consts");
            if !is_constant && WORLD.iter().any(|name| is_below(path, name)) {
                faults.push(format!("{file}: names `{path}`, but `{row}` is pure"));
            }
        }
    }
    faults
}

/// Whether a path is that of a crate or module, or of something in it.
fn is_below(path: &str, name: &str) -> bool {
    let rest = path.strip_prefix(name);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}
