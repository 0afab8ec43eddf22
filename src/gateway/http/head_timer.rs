//! hyper's timer for the time that a client may take for the head of a request.
//!
//! hyper makes a new deadline for each request, and drops it when the head is there. With a timer of tokio's for each of
//! them, a request would cost two changes of the runtime's list of timers. A connection has one timer here, which is only
//! moved when it has rung before the deadline of that moment: once in the time that a head may take.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker, ready};
use std::time::{Duration, Instant};

use hyper::rt::{Sleep as HyperSleep, Timer};
use tokio::time::{Sleep, sleep_until};

/// The timer of one connection, of which hyper waits for one deadline at a time.
#[derive(Debug, Default)]
pub(super) struct HeadTimer(Arc<Mutex<Alarm>>);

#[derive(Debug, Default)]
struct Alarm {
    timer: Option<Pin<Box<Sleep>>>,
    /// The task that it wakes.
    waker: Option<Waker>,
}

/// A deadline.
struct Deadline {
    at: Instant,
    alarm: Arc<Mutex<Alarm>>,
}

impl Timer for HeadTimer {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn HyperSleep>> {
        self.sleep_until(self.now() + duration)
    }

    fn sleep_until(&self, at: Instant) -> Pin<Box<dyn HyperSleep>> {
        let alarm = Arc::clone(&self.0);
        Box::pin(Deadline { at, alarm })
    }
}

impl HyperSleep for Deadline {}

impl Future for Deadline {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        // No operation under the lock leaves it half done.
        let mut alarm = self.alarm.lock().unwrap_or_else(PoisonError::into_inner);
        alarm.poll_until(self.at, context)
    }
}

impl Alarm {
    /// Ready when it is `at`.
    fn poll_until(&mut self, at: Instant, context: &mut Context<'_>) -> Poll<()> {
        let at = at.into();
        let knows_task = |waker: &Waker| waker.will_wake(context.waker());
        if let Some(timer) = &self.timer
            && timer.deadline() <= at
            && !timer.is_elapsed()
            && self.waker.as_ref().is_some_and(knows_task)
        {
            return Poll::Pending;
        }
        self.waker = Some(context.waker().clone());
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(at)));
        loop {
            if timer.is_elapsed() && timer.deadline() >= at {
                return Poll::Ready(());
            }
            if timer.is_elapsed() || timer.deadline() > at {
                timer.as_mut().reset(at);
            }
            ready!(timer.as_mut().poll(context));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::task::Poll;
    use std::time::{Duration, Instant};

    use tokio::time::timeout;

    use super::{HeadTimer, Timer};

    /// hyper waits for a deadline, and drops it when the head of the request is there.
    async fn waits_for(timer: &HeadTimer, at: Instant) {
        let mut deadline = timer.sleep_until(at);
        poll_fn(|context| {
            assert!(deadline.as_mut().poll(context).is_pending());
            Poll::Ready(())
        })
        .await;
    }

    #[tokio::test]
    async fn each_deadline_is_kept_whatever_was_waited_for_before() {
        let (timer, begun) = (HeadTimer::default(), Instant::now());
        let later = begun + Duration::from_millis(60);
        waits_for(&timer, begun + Duration::from_millis(20)).await;
        waits_for(&timer, begun + Duration::from_millis(40)).await;
        timer.sleep_until(later).await;
        assert!(Instant::now() >= later);
        // An earlier one than the last.
        waits_for(&timer, begun + Duration::from_secs(3600)).await;
        let soon = timer.sleep(Duration::from_millis(1));
        let rang = timeout(Duration::from_secs(60), soon).await;
        assert_eq!(rang, Ok(()));
    }
}
