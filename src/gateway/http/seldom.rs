//! A future beside a busier one in the same task.
//!
//! A task is polled as a whole: whenever a connection has bytes, all that it waits for otherwise would be asked, too, twice
//! for each request. [`Seldom`] has a waker of its own, and asks its future only when that was woken.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

/// A future that is polled only when it was woken.
pub(super) struct Seldom<F> {
    future: F,
    bell: Arc<Bell>,
    /// Of the bell.
    waker: Waker,
}

/// Whether the future was woken, and the task that it belongs to.
struct Bell {
    rung: AtomicBool,
    task: Mutex<Waker>,
}

impl<F: Future + Unpin> Seldom<F> {
    /// Polls the future once in any case.
    pub(super) fn new(future: F) -> Self {
        let bell = Arc::new(Bell {
            rung: AtomicBool::new(true),
            task: Mutex::new(Waker::noop().clone()),
        });
        let waker = Waker::from(Arc::clone(&bell));
        Self {
            future,
            bell,
            waker,
        }
    }
}

impl<F: Future + Unpin> Future for Seldom<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let this = &mut *self;
        {
            let mut task = this.bell.task();
            if !task.will_wake(context.waker()) {
                task.clone_from(context.waker());
            }
        }
        // It may ring again while it is polled.
        if !this.bell.rung.swap(false, Ordering::AcqRel) {
            return Poll::Pending;
        }
        Pin::new(&mut this.future).poll(&mut Context::from_waker(&this.waker))
    }
}

impl Bell {
    fn task(&self) -> std::sync::MutexGuard<'_, Waker> {
        // No operation under the lock leaves it half done.
        self.task.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.rung.store(true, Ordering::Release);
        let task = self.task().clone();
        task.wake();
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::future::{Future, poll_fn};
    use std::pin::{Pin, pin};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Context, Poll, Wake, Waker};

    use super::Seldom;

    #[derive(Default)]
    struct Task(AtomicUsize);

    impl Wake for Task {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn it_is_polled_when_it_was_woken_and_the_task_with_it() {
        let polls = Cell::new(0);
        let waker = Cell::new(None::<Waker>);
        let inner = pin!(poll_fn(|context| {
            polls.set(polls.get() + 1);
            waker.set(Some(context.waker().clone()));
            if polls.get() == 4 {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        }));
        let mut seldom = Seldom::new(inner);
        let tasks: [Arc<Task>; 2] = Default::default();
        let mut poll = |task: &Arc<Task>| {
            let waker = Waker::from(Arc::clone(task));
            Pin::new(&mut seldom).poll(&mut Context::from_waker(&waker))
        };
        let ring = || waker.take().expect("it was polled").wake();
        let woken = |task: &Arc<Task>| task.0.load(Ordering::Relaxed);
        for _ in 0..3 {
            assert_eq!(poll(&tasks[0]), Poll::Pending);
        }
        assert_eq!((polls.get(), woken(&tasks[0])), (1, 0));
        ring();
        assert_eq!(woken(&tasks[0]), 1);
        assert_eq!(poll(&tasks[0]), Poll::Pending);
        assert_eq!(polls.get(), 2);
        // It is in another task now: rung before and after.
        ring();
        assert_eq!(poll(&tasks[1]), Poll::Pending);
        ring();
        assert_eq!((polls.get(), woken(&tasks[0]), woken(&tasks[1])), (3, 2, 1));
        assert_eq!(poll(&tasks[1]), Poll::Ready(()));
    }
}
