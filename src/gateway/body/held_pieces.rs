//! The pieces of a response that its gateway has taken and its client has not: they lie in the buffers of libraries, and are
//! counted there until the last byte of each is written. Where the memory of responses is used up, a gateway takes a piece
//! only when it holds little of the response.

use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::{AcqRel, Acquire};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;

use crate::interface::response_memory::{LEAST, ResponseMemory};

/// The pieces that are held of a response. There is no memory for it as long as the pieces are few and small.
#[derive(Default)]
pub(super) struct HeldPieces(Option<Arc<HoldCount>>);

struct HoldCount {
    memory: Arc<ResponseMemory>,
    /// In bytes.
    held: AtomicUsize,
    /// The task that waits until less is held.
    waiting: Mutex<Option<Waker>>,
}

/// A piece, which is counted until it is dropped.
struct HeldPiece {
    bytes: Bytes,
    count: Arc<HoldCount>,
}

impl HeldPieces {
    /// Ready when one more piece may be taken.
    pub(super) fn poll_room(&self, context: &mut Context<'_>) -> Poll<()> {
        match &self.0 {
            Some(count) if !count.has_room() => count.poll_room(context),
            Some(_) | None => Poll::Ready(()),
        }
    }

    /// How many bytes the next piece should have at most.
    pub(super) fn share(&self) -> usize {
        let memory = match &self.0 {
            Some(count) => &count.memory,
            None => ResponseMemory::of_process(),
        };
        match memory.is_short() {
            true => LEAST,
            false => usize::MAX,
        }
    }

    /// Counts a piece until it, and what is split off it, is dropped.
    pub(super) fn hold(&mut self, piece: Bytes) -> Bytes {
        let count = self
            .0
            .get_or_insert_with(|| HoldCount::of(ResponseMemory::of_process()));
        count.memory.add(piece.len());
        count.held.fetch_add(piece.len(), AcqRel);
        Bytes::from_owner(HeldPiece {
            bytes: piece,
            count: Arc::clone(count),
        })
    }
}

impl HoldCount {
    fn of(memory: &Arc<ResponseMemory>) -> Arc<Self> {
        Arc::new(Self {
            memory: Arc::clone(memory),
            held: AtomicUsize::new(0),
            waiting: Mutex::default(),
        })
    }

    fn has_room(&self) -> bool {
        self.held.load(Acquire) < LEAST || !self.memory.is_short()
    }

    fn poll_room(&self, context: &mut Context<'_>) -> Poll<()> {
        // Whatever lets go of a piece looks for the waker after it has counted, so that none is missed.
        *self.waiting() = Some(context.waker().clone());
        match self.has_room() {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, Option<Waker>> {
        // No operation under the lock leaves it half done.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AsRef<[u8]> for HeldPiece {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for HeldPiece {
    fn drop(&mut self) {
        let length = self.bytes.len();
        self.count.memory.subtract(length);
        let before = self.count.held.fetch_sub(length, AcqRel);
        if before >= LEAST {
            let waker = self.count.waiting().take();
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Context, Poll, Wake, Waker};

    use bytes::Bytes;

    use super::{HeldPieces, HoldCount, LEAST};
    use crate::interface::response_memory::ResponseMemory;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_gateway_holds_little_of_each_response_where_all_hold_much() {
        let memory = Arc::new(ResponseMemory::new(100_000));
        let pieces = || HeldPieces(Some(HoldCount::of(&memory)));
        let woken = Arc::new(Woken::default());
        let waker = Waker::from(Arc::clone(&woken));
        let mut context = Context::from_waker(&waker);
        let (mut first, mut second) = (pieces(), pieces());
        let much = first.hold(Bytes::from(vec![b'x'; 90_000]));
        assert_eq!(first.poll_room(&mut context), Poll::Ready(()));
        assert_eq!(second.share(), usize::MAX);
        let little = second.hold(Bytes::from(vec![b'y'; LEAST]));
        // The sum is what counts; each response may have a little.
        assert_eq!(first.poll_room(&mut context), Poll::Pending);
        assert_eq!(second.poll_room(&mut context), Poll::Pending);
        assert_eq!(pieces().poll_room(&mut context), Poll::Ready(()));
        assert_eq!(second.share(), LEAST);
        // A part that is left keeps the whole.
        let mut rest = little.clone();
        let end = rest.split_off(LEAST - 1);
        drop((little, rest));
        assert_eq!(second.poll_room(&mut context), Poll::Pending);
        assert_eq!(woken.0.load(Ordering::Relaxed), 0);
        assert_eq!(&*end, b"y");
        drop(end);
        assert_eq!(woken.0.load(Ordering::Relaxed), 1);
        assert_eq!(second.poll_room(&mut context), Poll::Ready(()));
        drop(much);
        assert_eq!(memory.held(), 0);
    }
}
