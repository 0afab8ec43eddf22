//! How many programs run at a time: the queue of the requests that wait for one to end.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::time::timeout;

use crate::clients::{ClientNetwork, FairPermit, FairSemaphore, WaitingClient};
use crate::interface::master_status::{QueueStatus, seconds};
use crate::interface::measurements::Distribution;

/// The processes that may run, and who waits for one.
#[derive(Debug)]
pub(super) struct ProcessSlots {
    free: Arc<FairSemaphore>,
    queue_length: usize,
    queue_timeout: Duration,
    waiting: Mutex<WaitingRequests>,
    /// How many these are.
    count: Arc<AtomicUsize>,
}

#[derive(Debug, Default)]
struct WaitingRequests {
    /// When each came, by numbers that grow.
    since: BTreeMap<u64, Instant>,
    next: u64,
    /// How long those waited that got a slot.
    waits: Distribution,
}

/// Why a request gets no process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoSlot {
    /// As many wait as may.
    QueueFull,
    /// It has waited for so long.
    TooLong(Duration),
    /// All are to end.
    Ending,
}

impl ProcessSlots {
    /// So many slots; a queue of that length, in which a request may wait for so long, zero for no limit.
    pub(super) fn new(slots: usize, queue_length: usize, queue_timeout: Duration) -> Self {
        Self {
            free: Arc::new(FairSemaphore::new(slots.max(1))),
            queue_length,
            queue_timeout,
            waiting: Mutex::default(),
            count: Arc::default(),
        }
    }

    /// How many requests wait.
    pub(super) fn count(&self) -> &Arc<AtomicUsize> {
        &self.count
    }

    fn waiting(&self) -> MutexGuard<'_, WaitingRequests> {
        // No change under the lock can be left half done.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a slot for a client's request, which is free again when it is dropped. Clients take turns.
    ///
    /// # Errors
    /// The queue is full, or the request has waited in it for too long.
    pub(super) async fn take(&self, client: WaitingClient) -> Result<FairPermit, NoSlot> {
        if let Some(slot) = self.free.try_acquire() {
            return Ok(slot);
        }
        let place = self.enter(client.network)?;
        let slot = self.free.acquire(client);
        let slot = match self.queue_timeout {
            Duration::ZERO => slot.await,
            limit => timeout(limit, slot)
                .await
                .map_err(|_| NoSlot::TooLong(place.since.elapsed()))?,
        };
        let slot = slot.ok_or(NoSlot::QueueFull)?;
        self.waiting().waits.record(place.since.elapsed());
        Ok(slot)
    }

    fn enter(&self, client: Option<ClientNetwork>) -> Result<QueuePlace<'_>, NoSlot> {
        let mut waiting = self.waiting();
        if waiting.since.len() >= self.queue_length && !self.free.displace_for(client) {
            return Err(NoSlot::QueueFull);
        }
        let (number, since) = (waiting.next, Instant::now());
        waiting.next += 1;
        waiting.since.insert(number, since);
        self.count.store(waiting.since.len(), Relaxed);
        Ok(QueuePlace {
            slots: self,
            number,
            since,
        })
    }

    /// The requests that wait.
    pub(super) fn status(&self) -> QueueStatus {
        let waiting = self.waiting();
        let oldest = waiting.since.values().next();
        QueueStatus {
            length: waiting.since.len(),
            oldest: oldest.map(|since| seconds(since.elapsed())),
        }
    }

    /// How long the requests waited that got a slot from the queue.
    pub(super) fn waits(&self) -> Distribution {
        self.waiting().waits.clone()
    }
}

/// A request's place in the queue, until it is dropped.
struct QueuePlace<'a> {
    slots: &'a ProcessSlots,
    number: u64,
    since: Instant,
}

impl Drop for QueuePlace<'_> {
    fn drop(&mut self) {
        let mut waiting = self.slots.waiting();
        waiting.since.remove(&self.number);
        self.slots.count.store(waiting.since.len(), Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::task::{Context, Poll, Waker};
    use std::time::Duration;

    use super::{NoSlot, ProcessSlots, WaitingClient};

    fn unknown() -> WaitingClient {
        WaitingClient::default()
    }

    /// Whether a future is ready, polled once.
    fn is_ready<F: Future>(future: Pin<&mut F>) -> bool {
        let polled = future.poll(&mut Context::from_waker(Waker::noop()));
        matches!(polled, Poll::Ready(_))
    }

    #[tokio::test]
    async fn the_queue_is_bounded_in_length_and_in_time() {
        let slots = ProcessSlots::new(1, 2, Duration::from_millis(50));
        let held = slots.take(unknown()).await.expect("a free slot");
        let (mut first, mut second) = (
            Box::pin(slots.take(unknown())),
            Box::pin(slots.take(unknown())),
        );
        assert!(!is_ready(first.as_mut()));
        assert!(!is_ready(second.as_mut()));
        assert_eq!(slots.take(unknown()).await.err(), Some(NoSlot::QueueFull));
        assert_eq!(slots.status().length, 2);
        drop(held);
        assert!(!is_ready(second.as_mut()), "the first comes first");
        let held = first.await.expect("a slot");
        assert_eq!(slots.waits().count(), 1);
        assert!(matches!(second.await, Err(NoSlot::TooLong(_))));
        assert_eq!((slots.status().length, slots.status().oldest), (0, None));
        drop(held);
        assert!(slots.take(unknown()).await.is_ok());
    }

    #[tokio::test]
    async fn a_client_that_leaves_gives_up_its_place() {
        let slots = ProcessSlots::new(0, 1, Duration::ZERO);
        let held = slots.take(unknown()).await.expect("at least one slot");
        let mut waiting = Box::pin(slots.take(unknown()));
        assert!(!is_ready(waiting.as_mut()));
        drop(waiting);
        assert_eq!(slots.status().length, 0);
        drop(held);
        assert!(slots.take(unknown()).await.is_ok());
        let none = ProcessSlots::new(1, 0, Duration::ZERO);
        let _held = none.take(unknown()).await.expect("a free slot");
        assert_eq!(none.take(unknown()).await.err(), Some(NoSlot::QueueFull));
    }
}
