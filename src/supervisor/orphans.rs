//! The duty of a process whose children orphans become: they have to be waited for when they end.

use std::convert::Infallible;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::time::sleep;

use crate::children;

/// How long a process that has ended may wait for that. A server of CGI programs has thousands of children a second, few of which
/// are orphans.
const PAUSE: Duration = Duration::from_secs(1);

/// Waits for orphans that end, for as long as it is polled. Must be called within a tokio runtime.
pub async fn bury() -> Infallible {
    match signal(SignalKind::child()) {
        Ok(mut signals) => loop {
            // At first for those that ended before signals were watched.
            if children::adopts_orphans() {
                children::bury_orphans();
            }
            signals.recv().await;
            sleep(PAUSE).await;
        },
        Err(error) => {
            crate::log_error!("cannot watch processes: {error}");
            std::future::pending().await
        }
    }
}
