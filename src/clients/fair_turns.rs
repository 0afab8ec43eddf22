//! Whose turn it is to wait for something that others give back, such as a permit of a semaphore: one at a time waits for it,
//! and the others for their turns, which clients take one after the other.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::clients::client_network::ClientNetwork;
use crate::clients::fair_queue::FairQueue;

/// Those that wait for their turns.
#[derive(Debug, Default)]
pub struct FairTurns(Mutex<TurnsState>);

#[derive(Debug, Default)]
struct TurnsState {
    waiting: FairQueue<oneshot::Sender<Turn>>,
    is_taken: bool,
}

/// The turn, until it is dropped: then the next one has it.
#[derive(Debug)]
pub struct Turn(Option<Arc<FairTurns>>);

impl FairTurns {
    fn lock(&self) -> MutexGuard<'_, TurnsState> {
        // No operation under the lock leaves it half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the turn. `None` if another client has displaced this one ([`FairTurns::displace_for`]). It is given up if
    /// the future is dropped.
    pub async fn turn(self: &Arc<Self>, client: Option<ClientNetwork>) -> Option<Turn> {
        let received = {
            let mut state = self.lock();
            if !std::mem::replace(&mut state.is_taken, true) {
                return Some(Turn(Some(Arc::clone(self))));
            }
            let (sender, receiver) = oneshot::channel();
            state.waiting.push(client, sender);
            receiver
        };
        received.await.ok()
    }

    /// Has the client that waits for the most give up one of its turns, if that is more than this one will wait for. Returns
    /// whether that makes room for it.
    pub fn displace_for(&self, client: Option<ClientNetwork>) -> bool {
        let mut state = self.lock();
        state.waiting.retain(|sender| !sender.is_closed());
        state.waiting.displace_for(client).is_some()
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let Some(turns) = self.0.take() else { return };
        loop {
            let next = {
                let mut state = turns.lock();
                let next = state.waiting.pop();
                state.is_taken = next.is_some();
                next
            };
            let Some(next) = next else { return };
            match next.send(Turn(Some(Arc::clone(&turns)))) {
                Ok(()) => return,
                // It waits no longer. The turn is not passed on in its own drop: many may have left.
                Err(mut turn) => drop(turn.0.take()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::sync::Arc;
    use std::task::{Context, Poll, Waker};

    use super::{FairTurns, Turn};
    use crate::clients::client_network::ClientNetwork;

    fn client(number: u8) -> Option<ClientNetwork> {
        Some(ClientNetwork::of([192, 0, 2, number].into()))
    }

    type WaitingForTurn = Pin<Box<dyn Future<Output = Option<Turn>>>>;

    fn waiting(turns: &Arc<FairTurns>, number: u8) -> WaitingForTurn {
        let turns = Arc::clone(turns);
        let mut waiting: WaitingForTurn = Box::pin(async move { turns.turn(client(number)).await });
        assert!(polled(&mut waiting).is_pending());
        waiting
    }

    fn polled(waiting: &mut WaitingForTurn) -> Poll<Option<Turn>> {
        waiting
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
    }

    #[tokio::test]
    async fn clients_take_turns_and_a_turn_that_is_given_up_is_the_next_ones() {
        let turns = Arc::new(FairTurns::default());
        let first = turns.turn(client(1)).await.expect("a turn");
        let (mut second, third) = (waiting(&turns, 1), waiting(&turns, 1));
        let (mut other, mut late) = (waiting(&turns, 2), waiting(&turns, 1));
        drop(third);
        drop(first);
        let Poll::Ready(Some(turn)) = polled(&mut second) else {
            panic!("it came first");
        };
        drop(turn);
        // It has its turn, and leaves without a look.
        assert!(polled(&mut late).is_pending());
        let Poll::Ready(Some(turn)) = polled(&mut other) else {
            panic!("it is another client's turn");
        };
        let last = waiting(&turns, 2);
        drop(turn);
        drop(last);
        let Poll::Ready(Some(turn)) = polled(&mut late) else {
            panic!("nobody else waits");
        };
        drop(turn);
        assert!(turns.turn(client(3)).await.is_some());
    }

    #[tokio::test]
    async fn who_waits_for_the_most_makes_room() {
        let turns = Arc::new(FairTurns::default());
        let held = turns.turn(client(1)).await;
        let (first, mut second) = (waiting(&turns, 1), waiting(&turns, 1));
        assert!(!turns.displace_for(client(1)));
        assert!(turns.displace_for(client(2)));
        assert!(matches!(polled(&mut second), Poll::Ready(None)));
        drop(first);
        assert!(!turns.displace_for(client(2)));
        drop(held);
    }
}
