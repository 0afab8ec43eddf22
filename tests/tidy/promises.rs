//! The table in `src/lib.rs`: what each folder does, what it may name, which crates are kept to it. The rules hold the
//! tree to it as it stands there, so that it cannot say anything else than what is so.

use crate::project::Project;

pub const LIB: &str = "src/lib.rs";

/// A row of the table: a folder below `src`, or a file.
pub struct Row {
    pub name: String,
    pub does: String,
    /// The rows whose files its own files may name.
    pub may_name: Vec<String>,
    /// The crates that are named only in the rows where they stand.
    pub crates: Vec<String>,
}

/// The rows, from the top of the street down.
pub fn table(project: &Project) -> Vec<Row> {
    let lines = project.text(LIB).lines();
    lines
        .filter_map(|line| {
            let cells: Vec<&str> = line.strip_prefix("//! |")?.split('|').collect();
            let [name, does, may_name, crates, _] = cells[..] else {
                return None;
            };
            Some(Row {
                // A link to a module that has the name of a macro says which of them it means.
                name: quoted(name).pop()?.replace("mod@", ""),
                does: does.trim().to_owned(),
                may_name: quoted(may_name),
                crates: quoted(crates),
            })
        })
        .collect()
}

/// What stands in backticks.
pub fn quoted(text: &str) -> Vec<String> {
    let parts = text.split('`').skip(1).step_by(2);
    parts.map(str::to_owned).collect()
}

/// The row that a file belongs to: `gateway` for `src/gateway/http/head.rs`, `unix` for `src/unix.rs`.
pub fn row_of(file: &str) -> &str {
    let path = file.trim_start_matches("src/");
    let first = path.split('/').next().unwrap_or_default();
    first.strip_suffix(".rs").unwrap_or(first)
}
