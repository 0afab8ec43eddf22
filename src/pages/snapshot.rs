//! What the pages show, and how they ask the master for it.

use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::published;
use crate::interface::master_status::Status;
use crate::interface::measurements::Measurements;

/// How long the master's loop may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// What can be asked of the master at a time; more wait.
const REQUESTS: usize = 16;

/// All that the pages show.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// The state of the master and of the application.
    pub status: Status,
    /// What was counted and measured.
    pub measurements: Measurements,
}

/// A request for the present state: where the master sends it.
pub type SnapshotRequest = oneshot::Sender<Snapshot>;

/// Asks the master. Clones ask the same one.
#[derive(Clone, Debug)]
pub(super) struct Asker(mpsc::Sender<SnapshotRequest>);

impl Asker {
    /// Both ends.
    pub(super) fn new() -> (Self, mpsc::Receiver<SnapshotRequest>) {
        let (sender, requests) = mpsc::channel(REQUESTS);
        (Self(sender), requests)
    }

    /// The present state, as far as everybody may see it; `None` if the master ends or does not answer.
    pub(super) async fn ask(&self) -> Option<Snapshot> {
        let (request, answer) = oneshot::channel();
        let asked = async {
            self.0.send(request).await.ok()?;
            answer.await.ok()
        };
        let mut snapshot = timeout(PATIENCE, asked).await.ok().flatten()?;
        published::publish(&mut snapshot.status);
        Some(snapshot)
    }
}
