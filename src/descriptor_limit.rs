//! How many descriptors this process may have, and was allowed at its start.

use std::sync::OnceLock;

/// How many descriptors this process was allowed at its start.
static AT_START: OnceLock<u64> = OnceLock::new();

/// Allows this process as many descriptors as it may have: a server wants one for each connection, and the usual
/// limit, 1024, is meant for programs that use `select(2)`. Those are given theirs back: see
/// [`at_start`].
pub fn raise() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    if let Some(current) = limit.current {
        AT_START.get_or_init(|| current);
        limit.current = limit.maximum;
        // Where that is refused, what we have must do.
        let _ = setrlimit(Resource::Nofile, limit);
    }
}

/// How many descriptors this process may have once [`raise`] was called; `None` for as many as it likes.
#[must_use]
pub fn most() -> Option<u64> {
    rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum
}

/// How many descriptors a program that we start is to be allowed; `None` for as many as we are.
#[must_use]
pub fn at_start() -> Option<u64> {
    AT_START.get().copied()
}
