//! `launch`: `serve`, with a web browser that shows the application.

use crate::commands::run::serve;
use crate::graph::entry::{Entry, EntryKind, Options};
use crate::plan::gateway::Audience;

/// The table's row.
pub const ENTRY: Entry = Entry {
    name: "launch",
    usage: serve::USAGE,
    summary: "Serves an application by HTTP and opens a web browser on it",
    help: "\
The same as `serve`, with an access log and a web browser. Once the application
answers, its address (the first, if there are several) is opened in the browser
that BROWSER names, or else in the default browser. Without a display and without BROWSER, the address is only
printed.",
    kind: EntryKind::Command {
        options: Options::BeforeDashes,
        arguments: serve::options,
        resolve: |scope, arguments| {
            Ok(Box::new(serve::resolve(
                scope,
                arguments,
                Audience::Browser,
            )?))
        },
    },
};
