//! What becomes of a task that panics. The log says where ([`crate::log::begin`]). A request is answered 500, a lane is
//! closed with its worker, a task that can be restarted is. If the server cannot go on without the task, it ends gracefully
//! with status 1, so that the supervisor that has started it starts another.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::log::{self, Level, LogSubject};

/// A task has panicked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Panicked;

/// Notified when a task has failed without which the server cannot go on.
static VITAL: Notify = Notify::const_new();

/// How often a task is restarted: one that panics each time would be restarted for ever.
const ATTEMPTS: u32 = 10;

pin_project! {
    /// A future up to its end, or to its first panic.
    pub struct Caught<F> {
        what: &'static str,
        #[pin]
        future: F,
    }
}

/// Polls a future to its end, or to its first panic: the result is [`Panicked`] then. It takes no more room than the future.
pub fn caught<F: Future>(what: &'static str, future: F) -> Caught<F> {
    Caught { what, future }
}

impl<F: Future> Future for Caught<F> {
    type Output = Result<F::Output, Panicked>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let poll = || this.future.poll(context);
        // After a panic the future is not polled again.
        match caught_call(this.what, poll) {
            Ok(Poll::Ready(output)) => Poll::Ready(Ok(output)),
            Ok(Poll::Pending) => Poll::Pending,
            Err(Panicked) => Poll::Ready(Err(Panicked)),
        }
    }
}

/// Calls a function.
///
/// # Errors
/// [`Panicked`].
pub fn caught_call<T>(what: &'static str, call: impl FnOnce() -> T) -> Result<T, Panicked> {
    // What it shares with other tasks is behind locks, whose contents are still the best that there is.
    let call = AssertUnwindSafe(|| {
        stumble(what);
        call()
    });
    catch_unwind(call).map_err(|_| Panicked)
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

/// Starts a task without which the server cannot go on, and which can be restarted.
pub fn spawn_again<F: Future<Output = ()> + Send + 'static>(
    what: &'static str,
    begin: impl Fn() -> F + Send + 'static,
) -> JoinHandle<()> {
    tokio::spawn(async move {
        for _ in 0..ATTEMPTS {
            match caught(what, begin()).await {
                Ok(()) => return,
                Err(Panicked) => {
                    let text = format_args!("{what} is restarted");
                    log::write(Level::Error, LogSubject::default(), text);
                }
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
    let text = format_args!("{what} has failed: the server ends");
    log::write(Level::Error, LogSubject::default(), text);
    VITAL.notify_one();
}

/// For tests: `RUNNER_FAULT=WHAT:NUMBER` makes a task panic at its poll number `NUMBER`. Release builds do not have it.
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
    async fn a_panic_ends_its_task_and_nothing_else() {
        let fine = async {
            tokio::task::yield_now().await;
            7
        };
        assert_eq!(caught("fine", fine).await, Ok(7));
        assert_eq!(caught("faulty", fails()).await, Err(Panicked));
    }

    #[tokio::test]
    async fn a_task_is_restarted_or_its_panic_ends_the_server() {
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
