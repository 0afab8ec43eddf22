//! Permits for what only so many requests may have at a time. Where none is free, clients take turns ([`FairQueue`]): a
//! permit goes to one that waits when it is given back, and not before, so that the queue says at that moment whose turn it is.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::oneshot;

use crate::clients::client_end::WaitingClient;
use crate::clients::client_network::ClientNetwork;
use crate::clients::client_turns::Queued;
use crate::clients::fair_queue::FairQueue;

/// How many that wait no longer are kept in any case, until they are looked for.
const FEW: usize = 64;

/// A number of permits, and who waits for one.
#[derive(Debug, Default)]
pub struct FairSemaphore(Mutex<SemaphoreState>);

#[derive(Debug, Default)]
struct SemaphoreState {
    /// None is free while a client waits.
    free: usize,
    waiting: FairQueue<PermitWaiter>,
    /// The length of the queue at which those are removed that wait no longer.
    crowd: usize,
}

#[derive(Debug)]
struct PermitWaiter {
    client: WaitingClient,
    since: Instant,
    sender: oneshot::Sender<FairPermit>,
}

impl Queued for PermitWaiter {
    fn client(&self) -> Option<ClientNetwork> {
        self.client.network
    }

    fn entered(&self) -> Instant {
        self.since
    }

    fn has_ended(&self) -> bool {
        self.client.end.has_come()
    }
}

/// A permit, until it is dropped: then the next one that waits has it.
#[derive(Debug)]
pub struct FairPermit(Option<Arc<FairSemaphore>>);

impl FairSemaphore {
    /// So many permits.
    #[must_use]
    pub fn new(permits: usize) -> Self {
        let free = permits;
        Self(Mutex::new(SemaphoreState {
            free,
            ..SemaphoreState::default()
        }))
    }

    fn lock(&self) -> MutexGuard<'_, SemaphoreState> {
        // No operation under the lock leaves it half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A permit, if one is free.
    #[must_use]
    pub fn try_acquire(self: &Arc<Self>) -> Option<FairPermit> {
        let mut state = self.lock();
        state.free = state.free.checked_sub(1)?;
        Some(self.permit())
    }

    /// Waits for a permit. `None` if another client has displaced this one ([`FairSemaphore::displace_for`]). It is given up
    /// if the future is dropped.
    pub async fn acquire(self: &Arc<Self>, client: WaitingClient) -> Option<FairPermit> {
        let received = {
            let mut state = self.lock();
            if let Some(left) = state.free.checked_sub(1) {
                state.free = left;
                return Some(self.permit());
            }
            if state.waiting.len() >= state.crowd {
                state.forget_closed();
                state.crowd = 2 * state.waiting.len() + FEW;
            }
            let (sender, received) = oneshot::channel();
            state.waiting.push(PermitWaiter {
                client,
                since: Instant::now(),
                sender,
            });
            received
        };
        received.await.ok()
    }

    /// Has one that waits give up, for another one of this client ([`FairQueue::displace_for`]). Returns whether that makes
    /// room for it.
    pub fn displace_for(&self, client: Option<ClientNetwork>) -> bool {
        let displaced = {
            let mut state = self.lock();
            state.forget_closed();
            state.waiting.displace_for(client)
        };
        displaced.is_some()
    }

    /// Adds so many permits, for those that wait and for others.
    pub fn add_permits(self: &Arc<Self>, mut count: usize) {
        loop {
            let next = {
                let mut state = self.lock();
                let next = (count > 0).then(|| state.waiting.pop()).flatten();
                if next.is_none() {
                    state.free = state.free.saturating_add(count);
                }
                next
            };
            let Some(next) = next else { return };
            match next.sender.send(self.permit()) {
                Ok(()) => count -= 1,
                // It waits no longer.
                Err(permit) => permit.forget(),
            }
        }
    }

    /// Takes away so many permits of those that are free.
    pub fn forget_permits(&self, count: usize) {
        let mut state = self.lock();
        state.free = state.free.saturating_sub(count);
    }

    fn permit(self: &Arc<Self>) -> FairPermit {
        FairPermit(Some(Arc::clone(self)))
    }
}

impl SemaphoreState {
    /// Removes those that wait no longer.
    fn forget_closed(&mut self) {
        self.waiting.retain(|waiter| !waiter.sender.is_closed());
    }
}

impl FairPermit {
    /// Takes it away: no other request gets it.
    pub fn forget(mut self) {
        self.0 = None;
    }
}

impl Drop for FairPermit {
    fn drop(&mut self) {
        if let Some(semaphore) = self.0.take() {
            semaphore.add_permits(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::sync::Arc;
    use std::task::{Context, Poll, Waker};

    use super::{FEW, FairPermit, FairSemaphore};
    use crate::clients::client_end::WaitingClient;
    use crate::clients::client_network::ClientNetwork;

    fn network(number: u8) -> Option<ClientNetwork> {
        Some(ClientNetwork::of([192, 0, 2, number].into()))
    }

    type WaitingForPermit = Pin<Box<dyn Future<Output = Option<FairPermit>>>>;

    fn waiting_for(semaphore: &Arc<FairSemaphore>, client: WaitingClient) -> WaitingForPermit {
        let semaphore = Arc::clone(semaphore);
        let mut waiting: WaitingForPermit =
            Box::pin(async move { semaphore.acquire(client).await });
        assert!(polled(&mut waiting).is_pending());
        waiting
    }

    fn waiting(semaphore: &Arc<FairSemaphore>, number: u8) -> WaitingForPermit {
        let client = WaitingClient {
            network: network(number),
            ..WaitingClient::default()
        };
        waiting_for(semaphore, client)
    }

    fn polled(waiting: &mut WaitingForPermit) -> Poll<Option<FairPermit>> {
        waiting
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
    }

    #[track_caller]
    fn permit(waiting: &mut WaitingForPermit) -> FairPermit {
        match polled(waiting) {
            Poll::Ready(Some(permit)) => permit,
            other => panic!("{other:?}"),
        }
    }

    fn semaphore(permits: usize) -> Arc<FairSemaphore> {
        Arc::new(FairSemaphore::new(permits))
    }

    #[test]
    fn clients_take_turns_and_a_permit_that_is_not_taken_is_the_next_ones() {
        let semaphore = semaphore(1);
        let held = semaphore.try_acquire().expect("a permit");
        assert!(semaphore.try_acquire().is_none());
        let (mut first, second) = (waiting(&semaphore, 1), waiting(&semaphore, 1));
        let (mut other, mut late) = (waiting(&semaphore, 2), waiting(&semaphore, 1));
        drop(second);
        drop(held);
        let held = permit(&mut first);
        assert!(semaphore.try_acquire().is_none());
        drop(held);
        let held = permit(&mut other);
        let last = waiting(&semaphore, 2);
        drop(held);
        // It has a permit, and leaves without a look.
        drop(last);
        drop(permit(&mut late));
        assert!(semaphore.try_acquire().is_some());
    }

    #[test]
    fn who_waits_for_the_most_makes_room() {
        let semaphore = semaphore(0);
        let (first, mut second) = (waiting(&semaphore, 1), waiting(&semaphore, 1));
        assert!(!semaphore.displace_for(network(1)));
        assert!(semaphore.displace_for(network(2)));
        assert!(matches!(polled(&mut second), Poll::Ready(None)));
        drop(first);
        assert!(!semaphore.displace_for(network(2)));
    }

    #[test]
    fn a_client_that_ends_its_side_while_it_waits_is_the_last() {
        let semaphore = semaphore(0);
        let leaves = WaitingClient::default();
        let mut before = waiting_for(&semaphore, leaves.clone());
        let mut stays = waiting(&semaphore, 1);
        leaves.end.note();
        semaphore.add_permits(1);
        assert!(polled(&mut before).is_pending());
        let held = permit(&mut stays);
        let mut stays = waiting(&semaphore, 1);
        assert!(semaphore.displace_for(network(1)));
        assert!(matches!(polled(&mut before), Poll::Ready(None)));
        drop(held);
        drop(permit(&mut stays));
    }

    #[test]
    fn permits_come_and_go() {
        let semaphore = semaphore(1);
        let mut held = vec![semaphore.try_acquire().expect("a permit")];
        let mut both = [1, 2].map(|number| waiting(&semaphore, number));
        semaphore.add_permits(4);
        held.extend(both.iter_mut().map(permit));
        semaphore.forget_permits(1);
        held.push(semaphore.try_acquire().expect("the other one"));
        assert!(semaphore.try_acquire().is_none());
        held.into_iter().for_each(FairPermit::forget);
        semaphore.forget_permits(1);
        assert!(semaphore.try_acquire().is_none());
    }

    #[test]
    fn those_that_wait_no_longer_take_no_room() {
        let semaphore = semaphore(0);
        let mut stays = waiting(&semaphore, 1);
        for _ in 0..100 * FEW {
            drop(waiting(&semaphore, 2));
        }
        assert!(semaphore.lock().waiting.len() <= 2 * FEW);
        semaphore.add_permits(1);
        drop(permit(&mut stays));
    }
}
