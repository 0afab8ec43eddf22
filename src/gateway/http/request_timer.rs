//! How long a client is waited for: for its next request, and then for the rest of its head.
//!
//! With a timer of tokio's for each wait, a request would cost two changes of the runtime's list of timers. A connection has
//! one timer here, which is only moved when it has rung before the deadline of that moment: once in the time that a head may
//! take.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant as StdInstant};

use hyper::rt::{Sleep as HyperSleep, Timer};
use tokio::time::{Instant, Sleep, sleep_until};

/// The timer of one connection.
#[derive(Debug)]
pub(super) struct RequestTimer {
    head_timeout: Duration,
    keep_alive: Duration,
    /// What is waited for, and until when.
    wait: Option<(AwaitedRequest, Instant)>,
    timer: Option<Pin<Box<Sleep>>>,
    overdue: Option<Overdue>,
}

/// What a client owes. Two that are equal are the same wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AwaitedRequest {
    /// The number of requests before it on the connection.
    pub begun: u64,
    /// Whether some of the head is there.
    pub in_head: bool,
}

/// What a client is late with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Overdue {
    /// The rest of a head.
    Head,
    /// A request, of which nothing has come.
    Idle,
}

impl RequestTimer {
    /// The longest time for a head, and between two requests. The first request has to begin in the former.
    pub(super) fn new(head_timeout: Duration, keep_alive: Duration) -> Self {
        Self {
            head_timeout,
            keep_alive,
            wait: None,
            timer: None,
            overdue: None,
        }
    }

    /// Nothing is waited for.
    pub(super) fn stop(&mut self) {
        self.wait = None;
    }

    /// What the client is late with.
    pub(super) fn overdue(&self) -> Option<Overdue> {
        self.overdue
    }

    /// Begins to wait, or goes on. Ready when the client is late.
    pub(super) fn poll(&mut self, awaited: AwaitedRequest, context: &mut Context<'_>) -> Poll<()> {
        let deadline = match self.wait {
            Some((before, deadline)) if before == awaited => deadline,
            _ => {
                let is_first = awaited.begun == 0;
                let limit = match awaited.in_head || is_first {
                    true => self.head_timeout,
                    false => self.keep_alive,
                };
                let deadline = Instant::now() + limit;
                self.wait = Some((awaited, deadline));
                deadline
            }
        };
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        // An earlier deadline does not wait for a later one.
        if timer.deadline() > deadline {
            timer.as_mut().reset(deadline);
        }
        loop {
            ready!(timer.as_mut().poll(context));
            if timer.deadline() >= deadline {
                break;
            }
            timer.as_mut().reset(deadline);
        }
        self.overdue = Some(match awaited.in_head {
            true => Overdue::Head,
            false => Overdue::Idle,
        });
        Poll::Ready(())
    }
}

/// A time limit for hyper, which the transport makes unnecessary: but only with one does hyper read on after a response
/// before something has come, so that the transport can wait for that.
pub(super) const READ_ON: Duration = Duration::from_secs(3600);

/// A timer that never rings, and whose waits cost nothing.
#[derive(Debug)]
pub(super) struct NoTimer(pub StdInstant);

struct Never;

impl Timer for NoTimer {
    fn sleep(&self, _: Duration) -> Pin<Box<dyn HyperSleep>> {
        Box::pin(Never)
    }

    fn sleep_until(&self, _: StdInstant) -> Pin<Box<dyn HyperSleep>> {
        Box::pin(Never)
    }

    fn now(&self) -> StdInstant {
        self.0
    }
}

impl HyperSleep for Never {}

impl Future for Never {
    type Output = ();

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::task::Poll;
    use std::time::Duration;

    use tokio::time::{Instant, timeout};

    use super::{AwaitedRequest, Overdue, RequestTimer};

    const SHORT: Duration = Duration::from_millis(20);
    const LONG: Duration = Duration::from_secs(3600);

    fn awaited(begun: u64, in_head: bool) -> AwaitedRequest {
        AwaitedRequest { begun, in_head }
    }

    async fn begins(timer: &mut RequestTimer, awaited: AwaitedRequest) {
        poll_fn(|context| {
            assert!(timer.poll(awaited, context).is_pending());
            Poll::Ready(())
        })
        .await;
    }

    #[tokio::test]
    async fn each_wait_has_its_own_time_whatever_was_waited_for_before() {
        for (head_timeout, keep_alive, next, overdue) in [
            (SHORT, LONG, awaited(0, false), Overdue::Idle),
            (SHORT, LONG, awaited(0, true), Overdue::Head),
            (SHORT, LONG, awaited(2, true), Overdue::Head),
            (LONG, SHORT, awaited(2, false), Overdue::Idle),
        ] {
            for before in [awaited(1, false), awaited(1, true)] {
                let mut timer = RequestTimer::new(head_timeout, keep_alive);
                begins(&mut timer, before).await;
                let since = Instant::now();
                let late = poll_fn(|context| timer.poll(next, context));
                let rang = timeout(Duration::from_secs(60), late).await;
                assert!(rang.is_ok() && since.elapsed() >= SHORT, "{next:?}");
                assert_eq!(timer.overdue(), Some(overdue), "{next:?}");
            }
        }
    }

    /// A byte now and then is no more time for a head, and a request that is worked on ends the wait.
    #[tokio::test]
    async fn the_same_wait_goes_on_until_it_is_stopped() {
        let mut timer = RequestTimer::new(SHORT, LONG);
        begins(&mut timer, awaited(1, true)).await;
        let deadline = timer.wait.expect("a wait").1;
        begins(&mut timer, awaited(1, true)).await;
        assert_eq!(timer.wait.expect("a wait").1, deadline);
        timer.stop();
        begins(&mut timer, awaited(1, true)).await;
        assert!(timer.wait.expect("a wait").1 > deadline);
    }
}
