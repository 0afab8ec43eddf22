//! Since when an application has had no requests.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::interface::{Application, Pending, Request, Response};

/// Passes requests on, and remembers when the last one ended.
pub struct Watched {
    application: Arc<dyn Application>,
    work: Mutex<Work>,
}

/// The requests of an application.
struct Work {
    /// Requests whose responses have not begun.
    waiting: usize,
    /// When the last of them ended.
    last: Instant,
}

/// A request whose response has not begun.
struct Unanswered(Arc<Watched>);

impl Watched {
    /// Begins to watch.
    #[must_use]
    pub fn new(application: Arc<dyn Application>) -> Self {
        Self {
            application,
            work: Mutex::new(Work {
                waiting: 0,
                last: Instant::now(),
            }),
        }
    }

    /// Since when there has been no request; `None` while there is one.
    #[must_use]
    pub fn idle_since(&self) -> Option<Instant> {
        let status = self.application.status();
        // The status has the responses that have begun and go on.
        let lanes = status.workers.into_iter();
        let streaming = lanes.flat_map(|worker| worker.current).flatten().count();
        let work = self.work();
        (work.waiting == 0 && streaming == 0 && status.delivering == 0).then_some(work.last)
    }

    fn work(&self) -> MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Unanswered {
    fn drop(&mut self) {
        let mut work = self.0.work();
        work.waiting = work.waiting.saturating_sub(1);
        work.last = Instant::now();
    }
}

impl Application for Watched {
    fn respond(self: Arc<Self>, request: Request) -> Pending<'static, Response> {
        self.work().waiting += 1;
        let answer = Arc::clone(&self.application).respond(request);
        let waiting = Unanswered(self);
        Box::pin(async move {
            let _waiting = waiting;
            answer.await
        })
    }

    fn inner(&self) -> Vec<&dyn Application> {
        vec![&*self.application]
    }
}

impl std::fmt::Debug for Watched {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Watched").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::task::{Context, Poll, Waker};

    use super::{Application, Arc, Pending, Request, Response, Watched};
    use crate::interface::master_status::Status;
    use crate::interface::master_status::{CurrentRequest, WorkerStatus};

    /// Never answers.
    struct Endless;

    impl Application for Endless {
        fn respond(self: Arc<Self>, _: Request) -> Pending<'static, Response> {
            Box::pin(pending())
        }
    }

    /// Has begun a response that goes on.
    struct Streaming;

    impl Application for Streaming {
        fn respond(self: Arc<Self>, _: Request) -> Pending<'static, Response> {
            Box::pin(pending())
        }

        fn status(&self) -> Status {
            Status {
                workers: vec![WorkerStatus {
                    current: vec![None, Some(CurrentRequest::default())],
                    ..WorkerStatus::default()
                }],
                ..Status::default()
            }
        }
    }

    #[test]
    fn nothing_is_idle_while_a_request_waits_even_if_its_client_goes_away() {
        let watched = Arc::new(Watched::new(Arc::new(Endless)));
        let began = watched.idle_since().expect("no request has come");
        let mut answer = Arc::clone(&watched).respond(Request::default());
        let mut context = Context::from_waker(Waker::noop());
        assert!(matches!(answer.as_mut().poll(&mut context), Poll::Pending));
        assert_eq!(watched.idle_since(), None);
        drop(answer);
        assert!(watched.idle_since().is_some_and(|since| since >= began));
    }

    #[test]
    fn nothing_is_idle_while_a_response_goes_on() {
        assert_eq!(Watched::new(Arc::new(Streaming)).idle_since(), None);
    }
}
