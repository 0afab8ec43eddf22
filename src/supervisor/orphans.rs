//! The duty of a process with the number 1, as in a container: whatever loses its parent becomes its child, and has
//! to be waited for when it ends.

use std::convert::Infallible;

use tokio::signal::unix::{SignalKind, signal};

use crate::children;
use crate::log;

/// Buries orphans for as long as it is polled; does nothing in a process with another number. Must be called within
/// a tokio runtime.
pub async fn bury() -> Infallible {
    if std::process::id() != 1 {
        return std::future::pending().await;
    }
    match signal(SignalKind::child()) {
        Ok(mut children) => loop {
            // First those that ended before anybody listened.
            children::bury_orphans();
            children.recv().await;
        },
        Err(error) => {
            log!("cannot watch processes: {error}");
            std::future::pending().await
        }
    }
}
