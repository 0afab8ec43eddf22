//! `demo`: not a command, but an application, for trying out gateways.

use crate::graph::entry::{Entry, EntryKind};

/// The table's row.
pub const ENTRY: Entry = Entry {
    name: "demo",
    usage: "",
    summary: "An application that shows each request; needs no Python",
    help: "\
It answers every request with the request itself, as CGI variables: a page for
browsers, plain text for others.",
    kind: EntryKind::Application,
};
