//! `launch`: `serve` for a developer, with a web browser that shows the application.

use clap::{Arg, ArgAction};

use crate::commands::run::serve;
use crate::graph::entry::{Arguments, Entry, EntryKind, Options};
use crate::plan::development::ReloadMode;
use crate::plan::gateway::Audience;

/// The table's row.
pub const ENTRY: Entry = Entry {
    name: "launch",
    usage: "[-p PORT] [--host HOST] [--tls] [--reload=browser] [SOCKET_URL...] NAME_OR_URL [-- ARGS...]",
    summary: "Serves an application by HTTP and opens a web browser on it",
    help: "\
The same as `serve`, with an access log and a web browser. Once the application
answers, its address (the first, if there are several) is opened in the browser
that BROWSER names, or else in the default browser. Without a display and
without BROWSER, the address is only printed.

With `--tls`, all addresses are for https. Unless `runner.tls.cert` names a
certificate, one is made for localhost and the hosts of the addresses. It is in
memory only and stays the same until the program ends, so that a browser, which
warns of it, asks once.

When a file changes, the application is reloaded, as `runner.launch.reload`
says: Python code and templates (also style sheets and scripts) in the folder of
the file that runs, or in the current folder, and in folders that the
application has imported modules from; and the configuration files. Hidden
folders, virtual environments and `node_modules` are not looked at. Requests
that come during a reload are answered by the new version. `--reload=browser`
also reloads the pages in browsers, by a small script in each HTML page.

If the application cannot be imported, each request is answered with status 503
and the reason, until a change mends it. If a configuration file has a mistake,
the version before it goes on. An exception that the application does not handle
is answered with a page that shows the traceback with source lines, and the
request. Only clients on this machine get such pages; others get the status.",
    kind: EntryKind::Command {
        options: Options::BeforeDashes,
        arguments: options,
        resolve: |scope, arguments| {
            let typed = typed(&arguments);
            let serve = serve::resolve(scope, arguments, Audience::Browser)?;
            Ok(Box::new(serve.reloading(typed)))
        },
    },
};

/// The values of `--reload`.
const ON: &str = "on";
const BROWSER: &str = "browser";

fn options(command: clap::Command) -> clap::Command {
    serve::options(command)
        .arg(
            Arg::new(serve::TLS)
                .long("tls")
                .action(ArgAction::SetTrue)
                .help("Speak https, with a certificate that is made for this run"),
        )
        .arg(
            Arg::new("reload")
                .long("reload")
                .value_name("WHAT")
                .num_args(0..=1)
                .require_equals(true)
                .default_missing_value(ON)
                .value_parser([ON, BROWSER])
                .overrides_with("no-reload")
                .help("Reload the application when a file changes, and pages in browsers"),
        )
        .arg(
            Arg::new("no-reload")
                .long("no-reload")
                .action(ArgAction::SetTrue)
                .overrides_with("reload")
                .help("Do not watch files"),
        )
}

/// What the command line says; `None` if that is for the setting to say.
fn typed(arguments: &Arguments) -> Option<ReloadMode> {
    if arguments.options.get_flag("no-reload") {
        return Some(ReloadMode::Off);
    }
    let what = arguments.options.get_one::<String>("reload")?;
    Some(match what.as_str() {
        BROWSER => ReloadMode::Browser,
        _ => ReloadMode::Application,
    })
}
