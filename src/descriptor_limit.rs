//! How many descriptors this process may have open.

use std::sync::OnceLock;

/// The limit at the start of this process.
static AT_START: OnceLock<u64> = OnceLock::new();

/// Raises the limit as far as it may be: a server needs a descriptor for each connection, and the usual limit, 1024, is
/// meant for programs that use `select(2)`. Programs that we start get that one back: see [`at_start`].
pub fn raise() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    if let Some(current) = limit.current {
        AT_START.get_or_init(|| current);
        limit.current = limit.maximum;
        // If that is refused, the old limit must do.
        let _ = setrlimit(Resource::Nofile, limit);
    }
}

/// The limit after [`raise`]; `None` for no limit.
#[must_use]
pub fn most() -> Option<u64> {
    rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum
}

/// The limit for programs that we start; `None` for our own.
#[must_use]
pub fn at_start() -> Option<u64> {
    AT_START.get().copied()
}
