//! How much of the disk the bodies of each client's requests have. A client may fill the disk of `runner.tmp` up to its last
//! tenth. Of that it has no more than it leaves free, as with [`ClientShares`]: others can send bodies as well, and write
//! what else they have there.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::clients::{ClientNetwork, ClientShares};
use crate::interface::body_file::{BodyFile, DiskSpace};

/// The part of the disk that one client cannot take alone.
const RESERVE: u64 = 10;

/// After which time, and after how many bytes, the system is asked again how much is free.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);
const LOOK_BYTES: u64 = 16 << 20;

/// What the bodies of all clients have.
#[derive(Debug, Default)]
pub struct DiskShares(Mutex<DiskState>);

#[derive(Debug, Default)]
struct DiskState {
    stored: ClientShares,
    /// What was free when the system was asked, less what was stored since.
    space: DiskSpace,
    asked: Option<Instant>,
    stored_since: u64,
}

/// What one body has, given back when it is dropped.
#[derive(Debug)]
pub(super) struct DiskShare {
    shares: Arc<DiskShares>,
    /// A client that is not known, as behind a web server, has no share of its own: the disk is the limit.
    client: Option<ClientNetwork>,
    bytes: AtomicU64,
}

impl DiskShares {
    fn lock(&self) -> MutexGuard<'_, DiskState> {
        // No change under the lock can be left half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the system is to be asked how much is free.
    fn is_outdated(&self, now: Instant) -> bool {
        let state = self.lock();
        let is_recent = |asked| now.saturating_duration_since(asked) < LOOK_INTERVAL;
        !state.asked.is_some_and(is_recent) || state.stored_since > LOOK_BYTES
    }

    fn note(&self, space: DiskSpace, now: Instant) {
        let mut state = self.lock();
        state.space = space;
        state.asked = Some(now);
        state.stored_since = 0;
    }

    /// Counts more bytes of a client, if it may have them.
    fn add(&self, client: ClientNetwork, bytes: u64) -> bool {
        let mut state = self.lock();
        let left = state.space.free.saturating_sub(bytes);
        let own = state.stored.of(client) + bytes;
        let may_have = left >= state.space.total / RESERVE || own <= left;
        if may_have {
            state.stored.add(Some(client), bytes);
            state.space.free = left;
            state.stored_since += bytes;
        }
        may_have
    }
}

impl DiskShare {
    /// Nothing yet.
    pub(super) fn new(shares: &Arc<DiskShares>, client: Option<ClientNetwork>) -> Self {
        Self {
            shares: Arc::clone(shares),
            client,
            bytes: AtomicU64::new(0),
        }
    }

    /// Takes more bytes, for a file; whether the client may have them.
    pub(super) async fn take(&self, bytes: u64, file: &BodyFile) -> bool {
        let Some(client) = self.client else {
            return true;
        };
        let now = Instant::now();
        if self.shares.is_outdated(now) || !self.add(client, bytes) {
            // A system that does not tell has no limit but what can be written.
            let Ok(space) = file.space().await else {
                return true;
            };
            self.shares.note(space, now);
            return self.add(client, bytes);
        }
        true
    }

    fn add(&self, client: ClientNetwork, bytes: u64) -> bool {
        let may_have = self.shares.add(client, bytes);
        if may_have {
            self.bytes.fetch_add(bytes, Ordering::Relaxed);
        }
        may_have
    }
}

impl Drop for DiskShare {
    fn drop(&mut self) {
        let bytes = *self.bytes.get_mut();
        self.shares.lock().stored.subtract(self.client, bytes);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Instant;

    use super::{DiskShare, DiskShares, LOOK_BYTES, LOOK_INTERVAL};
    use crate::clients::ClientNetwork;
    use crate::interface::body_file::{BodyFile, DiskSpace};

    fn client(number: u8) -> ClientNetwork {
        ClientNetwork::of([192, 0, 2, number].into())
    }

    /// Takes for a client what it may have, bit by bit.
    fn fill(shares: &Arc<DiskShares>, number: u8) -> (DiskShare, u64) {
        let share = DiskShare::new(shares, Some(client(number)));
        let taken = (0..10_000).take_while(|_| share.add(client(number), 1));
        let taken = taken.count() as u64;
        (share, taken)
    }

    #[test]
    fn a_client_leaves_some_of_the_disk_to_others() {
        let shares = Arc::new(DiskShares::default());
        let (total, free) = (1000, 700);
        shares.note(DiskSpace { total, free }, Instant::now());
        let (greedy, taken) = fill(&shares, 1);
        assert_eq!(taken, 600);
        let (_second, taken) = fill(&shares, 2);
        assert_eq!(taken, 50);
        let (_third, taken) = fill(&shares, 3);
        assert_eq!(taken, 25);
        assert_eq!(fill(&shares, 1).1, 0);
        // What a file had is free again when the system says so.
        drop(greedy);
        assert_eq!(fill(&shares, 1).1, 12);
        assert_eq!(shares.lock().stored.of(client(1)), 0);
        shares.note(DiskSpace { total, free: 625 }, Instant::now());
        assert_eq!(fill(&shares, 1).1, 525);
    }

    #[test]
    fn the_system_is_asked_again_after_a_time_and_after_many_bytes() {
        let shares = Arc::new(DiskShares::default());
        let now = Instant::now();
        assert!(shares.is_outdated(now));
        let (total, free) = (u64::MAX, u64::MAX);
        shares.note(DiskSpace { total, free }, now);
        assert!(!shares.is_outdated(now));
        assert!(shares.is_outdated(now + LOOK_INTERVAL));
        assert!(shares.add(client(1), LOOK_BYTES + 1));
        assert!(shares.is_outdated(now));
    }

    #[tokio::test]
    async fn a_body_that_is_larger_than_the_disk_has_no_place() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = BodyFile::in_folder(folder.path().to_owned()).await;
        let file = file.expect("a file");
        let shares = Arc::default();
        for (client, has_place) in [(Some(client(1)), false), (None, true)] {
            let share = DiskShare::new(&shares, client);
            assert!(share.take(1, &file).await);
            // What cannot be known is found out by writing it.
            assert_eq!(share.take(1 << 60, &file).await, has_place);
        }
    }
}
