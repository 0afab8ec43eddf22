//! Faults of our own, which Rust calls panics. The log says where each is ([`crate::log::begin`]); here is what becomes of
//! the task that it happens in. A request is answered 500, a lane is closed with its worker, what can be begun anew is, and
//! where the server cannot go on without a task it ends in good order, with status 1, so that whoever has started it
//! starts another.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;

use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::log;

/// A task had a fault. The log says which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Panicked;

/// A task without which the server cannot go on has failed.
static VITAL: Notify = Notify::const_new();

/// How often a task is begun anew: a fault that comes each time would keep us at it for ever.
const ATTEMPTS: u32 = 10;

/// Does something to its end, or to its first fault.
///
/// # Errors
/// [`Panicked`].
pub async fn caught<F: Future>(what: &'static str, future: F) -> Result<F::Output, Panicked> {
    let mut future = pin!(future);
    poll_fn(|context| {
        let poll = || {
            stumble(what);
            future.as_mut().poll(context)
        };
        // Behind a fault the future is dropped and not looked at again. What it shares with others is behind locks, and
        // as good as it can be.
        match catch_unwind(AssertUnwindSafe(poll)) {
            Ok(Poll::Ready(output)) => Poll::Ready(Ok(output)),
            Ok(Poll::Pending) => Poll::Pending,
            Err(_) => Poll::Ready(Err(Panicked)),
        }
    })
    .await
}

/// Starts a task without which the server cannot go on.
pub fn spawn_vital(
    what: &'static str,
    task: impl Future<Output = ()> + Send + 'static,
) -> JoinHandle<()> {
    tokio::spawn(async move {
        if caught(what, task).await == Err(Panicked) {
            give_up(what);
        }
    })
}

/// The same for one that can be begun anew.
pub fn spawn_again<F: Future<Output = ()> + Send + 'static>(
    what: &'static str,
    begin: impl Fn() -> F + Send + 'static,
) -> JoinHandle<()> {
    tokio::spawn(async move {
        for _ in 0..ATTEMPTS {
            match caught(what, begin()).await {
                Ok(()) => return,
                Err(Panicked) => log!("{what} is begun anew"),
            }
        }
        give_up(what);
    })
}

/// Waits until a task has failed without which the server cannot go on.
pub async fn vital() {
    VITAL.notified().await;
}

fn give_up(what: &str) {
    log!("{what} has failed: the server ends");
    VITAL.notify_one();
}

/// For tests: `RUNNER_FAULT=WHAT:NUMBER` has a task have a fault when it is looked at for the so-manieth time. There is
/// no such thing in what is installed.
#[cfg(debug_assertions)]
fn stumble(what: &str) {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicI64, Ordering};
    static WANTED: OnceLock<Option<(String, AtomicI64)>> = OnceLock::new();
    let wanted = WANTED.get_or_init(|| {
        let wanted = std::env::var("RUNNER_FAULT").ok()?;
        let (what, number) = wanted.rsplit_once(':')?;
        Some((what.to_owned(), AtomicI64::new(number.parse().ok()?)))
    });
    if let Some((wanted, left)) = wanted
        && wanted == what
    {
        assert!(
            left.fetch_sub(1, Ordering::Relaxed) != 1,
            "wanted by a test"
        );
    }
}

#[cfg(not(debug_assertions))]
fn stumble(_: &str) {}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::{ATTEMPTS, Panicked, caught, spawn_again, spawn_vital, vital};

    async fn fails() {
        tokio::task::yield_now().await;
        panic!("a test wants it");
    }

    #[tokio::test]
    async fn a_fault_ends_what_it_is_in_and_nothing_else() {
        let fine = async {
            tokio::task::yield_now().await;
            7
        };
        assert_eq!(caught("fine", fine).await, Ok(7));
        assert_eq!(caught("faulty", fails()).await, Err(Panicked));
    }

    #[tokio::test]
    async fn what_can_be_begun_anew_is_and_what_cannot_ends_the_server() {
        let begun = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&begun);
        let again = spawn_again("faulty", move || {
            count.fetch_add(1, Ordering::Relaxed);
            fails()
        });
        again.await.unwrap();
        assert_eq!(begun.load(Ordering::Relaxed), ATTEMPTS);
        vital().await;
        spawn_vital("fine", async {}).await.unwrap();
        spawn_vital("faulty", fails()).await.unwrap();
        vital().await;
        let twice = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&twice);
        let once = spawn_again("faulty once", move || {
            let attempt = count.fetch_add(1, Ordering::Relaxed);
            async move { assert!(attempt > 0, "a test wants it") }
        });
        once.await.unwrap();
        assert_eq!(twice.load(Ordering::Relaxed), 2);
    }
}
