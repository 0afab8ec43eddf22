//! `WSGI NAME_OR_URL`, `ASGI NAME_OR_URL` and `demo`: not commands, but the words that name an application behind a gateway.

use crate::graph::entry::{Arguments, Entry, EntryKind, Options, no_options};
use crate::graph::resolve;
use crate::line::failure::Failure;
use crate::line::scope::Scope;
use crate::plan::application::{ApplicationName, BuiltIn, PythonInterface};

/// The row of `WSGI`.
pub const WSGI: Entry = Entry {
    name: "WSGI",
    usage: "NAME_OR_URL",
    summary: "Says that a Python object is a WSGI application",
    help: "\
It stands behind a gateway: `serve WSGI import:my_app.application`. The object
is named `import:package.module.object`, `import:package.module:object` or, if a
function creates the application, `import:package.module:function()`. For a
Django project `mysite`, it is `import:mysite.wsgi.application`. In a file that
cannot be imported by name, it is `file:app.wsgi` or `file:path/my-app.py:NAME`;
without a NAME, it is `application`.

Python looks for modules next to the file that is run, then in its own search
path. It also looks in the current folder if no file is run, or if the name was
typed. The application runs in worker processes; the settings `runner.python`
and `runner.workers.*` in runner.ini(5) control them.",
    kind: EntryKind::Adapter(PythonInterface::Wsgi),
};

/// The row of `ASGI`.
pub const ASGI: Entry = Entry {
    name: "ASGI",
    usage: "NAME_OR_URL",
    summary: "Says that a Python object is an ASGI application",
    help: "\
It stands behind a gateway: `serve ASGI import:main.app`. FastAPI, Starlette,
Quart, Litestar and Django (`import:mysite.asgi.application`) make such objects.
The name is written as behind `WSGI`, and modules are looked for in the same
places.

Each worker process has one event loop, in which any number of requests are
handled at a time, WebSockets too; the settings `runner.asgi.*`,
`runner.websocket.*` and `runner.workers.*` in runner.ini(5) control it. Behind
`CGI`, `FastCGI` and `uwsgi` there are no WebSockets.",
    kind: EntryKind::Adapter(PythonInterface::Asgi),
};

/// The row of `demo`.
pub const DEMO: Entry = Entry {
    name: "demo",
    usage: "",
    summary: "An application that shows each request; needs no Python",
    help: "\
Answers every request with its CGI variables: as an HTML page for browsers, as
plain text for other clients. It is for trying out gateways.",
    kind: EntryKind::Application {
        arguments: no_options,
        name: |_, _| Ok(BuiltIn::Demo),
    },
};

/// Takes the words of an application from those behind a command.
///
/// # Errors
/// There are none, or they name no application.
pub fn take_application(
    scope: &Scope,
    arguments: &mut Arguments,
) -> Result<ApplicationName, Failure> {
    take_application_with(scope, arguments, Options::BeforeDashes)
}

/// The same where the application's own options may stand at a place only.
///
/// # Errors
/// Those of [`take_application`].
pub fn take_application_with(
    scope: &Scope,
    arguments: &mut Arguments,
    place: Options,
) -> Result<ApplicationName, Failure> {
    if arguments.line.words.is_empty() {
        return Err(arguments.missing("NAME_OR_URL"));
    }
    let line = std::mem::take(&mut arguments.line);
    let (application, rest) = resolve::application(arguments.commands, scope, line, place)?;
    arguments.line = rest;
    Ok(application)
}
