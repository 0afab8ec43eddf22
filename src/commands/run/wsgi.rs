//! `WSGI NAME_OR_URL`: not a command, but a word between a gateway and a Python object.

use crate::graph::entry::{Entry, EntryKind};

/// The table's row.
pub const ENTRY: Entry = Entry {
    name: "WSGI",
    usage: "NAME_OR_URL",
    summary: "Says that a Python object is a WSGI application",
    help: "\
It stands behind a gateway: `serve WSGI import:my_app.application`. The object is
named as `import:package.module.object`, `import:package.module:object` or, where
a function makes it, `import:package.module:function()`. Modules are looked for next to the file
that is run, in the current folder if no file is run or the name was typed,
then where Python itself looks. It runs in worker processes: see `runner.python`
and `runner.workers.*` in runner.ini(5).",
    kind: EntryKind::Adapter,
};
