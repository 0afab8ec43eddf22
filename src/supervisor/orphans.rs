//! The duty of process 1, in a container for example: a process that loses its parent becomes its child, and has to be
//! waited for when it ends.

use std::convert::Infallible;

use tokio::signal::unix::{SignalKind, signal};

use crate::children;

/// Waits for orphans that end, for as long as it is polled; does nothing in any other process than number 1. Must be called
/// within a tokio runtime.
pub async fn bury() -> Infallible {
    if std::process::id() != 1 {
        return std::future::pending().await;
    }
    match signal(SignalKind::child()) {
        Ok(mut children) => loop {
            // At first for those that ended before signals were watched.
            children::bury_orphans();
            children.recv().await;
        },
        Err(error) => {
            crate::log_error!("cannot watch processes: {error}");
            std::future::pending().await
        }
    }
}
