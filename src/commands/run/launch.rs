//! `launch`: `serve`, with a web browser that shows the application.

use clap::{Arg, ArgAction};

use crate::commands::run::serve;
use crate::graph::entry::{Entry, EntryKind, Options};
use crate::plan::gateway::Audience;

/// The table's row.
pub const ENTRY: Entry = Entry {
    name: "launch",
    usage: "[-p PORT] [--host HOST] [--tls] [SOCKET_URL...] NAME_OR_URL [-- ARGS...]",
    summary: "Serves an application by HTTP and opens a web browser on it",
    help: "\
The same as `serve`, with an access log and a web browser. Once the application
answers, its address (the first, if there are several) is opened in the browser
that BROWSER names, or else in the default browser. Without a display and
without BROWSER, the address is only printed.

With `--tls`, all addresses are for https. Unless `runner.tls.cert` names a
certificate, one is made for localhost and the hosts of the addresses. It is in
memory only and stays the same until the program ends, so that a browser, which
warns of it, asks once.",
    kind: EntryKind::Command {
        options: Options::BeforeDashes,
        arguments: options,
        resolve: |scope, arguments| {
            Ok(Box::new(serve::resolve(
                scope,
                arguments,
                Audience::Browser,
            )?))
        },
    },
};

fn options(command: clap::Command) -> clap::Command {
    serve::options(command).arg(
        Arg::new(serve::TLS)
            .long("tls")
            .action(ArgAction::SetTrue)
            .help("Speak https, with a certificate that is made for this run"),
    )
}
