//! `true` and `false`: commands that do nothing, well or badly.

use std::process::ExitCode;

use crate::command::arguments::Options;
use crate::command::graph::Node;
use crate::command::{Entry, Kind, no_options};

/// `true`.
pub const TRUE: Entry = Entry {
    name: "true",
    usage: "[ARGS]...",
    about: "Does nothing, with exit status 0",
    help: "\
For files that only hold settings, and for trying out aliases.",
    kind: Kind::Command {
        options: Options::BeforeWords,
        arguments: no_options,
        resolve: |_, _| Ok(Node::Exit(Exit::True)),
    },
};

/// `false`.
pub const FALSE: Entry = Entry {
    name: "false",
    usage: "[ARGS]...",
    about: "Does nothing, with exit status 1",
    help: "\
For switching a command off: an alias for `false` fails.",
    kind: Kind::Command {
        options: Options::BeforeWords,
        arguments: no_options,
        resolve: |_, _| Ok(Node::Exit(Exit::False)),
    },
};

/// An exit status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Status 0.
    True,
    /// Status 1.
    False,
}

impl Exit {
    /// Does nothing.
    #[must_use]
    pub fn run(self) -> ExitCode {
        match self {
            Self::True => ExitCode::SUCCESS,
            Self::False => ExitCode::FAILURE,
        }
    }
}
