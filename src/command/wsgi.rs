//! `WSGI` and `demo`: not commands but what stands behind a gateway.

use crate::command::{Entry, Kind};

/// `WSGI NAME_OR_URL`.
pub const WSGI: Entry = Entry {
    name: "WSGI",
    usage: "NAME_OR_URL",
    about: "Says that a Python object is a WSGI application: `serve WSGI import:my_app.application`",
    help: "\
The object is named as `import:package.module.object`,
`import:package.module:object` or, where a function makes it,
`import:package.module:function()`. Modules are looked for next to the file
that is run, in the current folder if no file is run or the name was typed,
then where Python itself looks. It runs in worker processes: see `runner.python`
and `runner.workers.*` in runner.ini(5).",
    kind: Kind::Adapter,
};

/// `demo`.
pub const DEMO: Entry = Entry {
    name: "demo",
    usage: "",
    about: "An application that shows each request, without Python: `launch demo`",
    help: "\
It answers every request with the request itself, as CGI variables: a page for
browsers, plain text for others.",
    kind: Kind::Application,
};
