//! `true` and `false`: commands that do nothing, and succeed or fail.

use std::process::ExitCode;

use crate::graph::entry::{Entry, EntryKind, Options, no_options};
use crate::graph::node::action;

/// The row of `true`.
pub const TRUE: Entry = Entry {
    name: "true",
    usage: "[ARGS]...",
    summary: "Does nothing, with exit status 0",
    help: "\
For files that only hold settings, and for trying out aliases.",
    kind: EntryKind::Command {
        options: Options::BeforeWords,
        arguments: no_options,
        resolve: |_, _| Ok(action(TRUE.name, || Ok(ExitCode::SUCCESS))),
    },
};

/// The row of `false`.
pub const FALSE: Entry = Entry {
    name: "false",
    usage: "[ARGS]...",
    summary: "Does nothing, with exit status 1",
    help: "\
To switch a command off: an alias for `false` always fails.",
    kind: EntryKind::Command {
        options: Options::BeforeWords,
        arguments: no_options,
        resolve: |_, _| Ok(action(FALSE.name, || Ok(ExitCode::FAILURE))),
    },
};
