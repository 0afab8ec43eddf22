//! The version of an application that answers at the moment: what a gateway is given, so that it need not know
//! that another version takes the first one's place. It knows what happened to all of them.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::interface::status::Status;
use crate::interface::{Application, Pending, Request, Response};

/// Passes everything on to the version that is current.
pub struct Replaceable(Mutex<Versions>);

struct Versions {
    current: Arc<dyn Application>,
    /// Those that finish what they have begun.
    leaving: Vec<Arc<dyn Application>>,
    /// Those that are gone but for responses that are on their way to their clients.
    delivering: Vec<Arc<dyn Application>>,
    /// What happened to those that are gone.
    past: Status,
}

impl Replaceable {
    /// Begins with a version.
    #[must_use]
    pub fn new(application: Arc<dyn Application>) -> Self {
        Self(Mutex::new(Versions {
            current: application,
            leaving: Vec::new(),
            delivering: Vec::new(),
            past: Status::default(),
        }))
    }

    /// The version that answers now.
    #[must_use]
    pub fn get(&self) -> Arc<dyn Application> {
        Arc::clone(&self.versions().current)
    }

    /// Has another one answer from now on. What the one that did has begun, it finishes, for which it has the time
    /// `within`; the future returns when nothing of it is left.
    pub fn replace(
        self: &Arc<Self>,
        application: Arc<dyn Application>,
        within: Duration,
    ) -> impl Future<Output = ()> + Send + use<> {
        let old = {
            let mut versions = self.versions();
            let old = std::mem::replace(&mut versions.current, application);
            versions.leaving.push(Arc::clone(&old));
            old
        };
        let all = Arc::clone(self);
        async move {
            old.stop(within).await;
            let mut versions = all.versions();
            versions.leaving.retain(|one| !Arc::ptr_eq(one, &old));
            versions.past.add_history(&old.status());
            versions.delivering.push(old);
            versions.forget_delivered();
        }
    }

    fn versions(&self) -> MutexGuard<'_, Versions> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Versions {
    /// Forgets the versions whose last responses have arrived; how many responses of others are on their way.
    fn forget_delivered(&mut self) -> usize {
        let mut sum = 0;
        self.delivering.retain(|version| {
            let delivering = version.status().delivering;
            sum += delivering;
            delivering > 0
        });
        sum
    }
}

impl Application for Replaceable {
    fn respond(&self, request: Request) -> Pending<'_, Response> {
        // Chosen when the answer is begun, not when it is asked for: between the two, the version could be told to
        // accept no more.
        Box::pin(async move {
            let application = self.get();
            application.respond(request).await
        })
    }

    fn stop(&self, within: Duration) -> Pending<'_, ()> {
        Box::pin(async move {
            let application = self.get();
            application.stop(within).await;
        })
    }

    fn status(&self) -> Status {
        let mut versions = self.versions();
        let mut status = versions.current.status();
        status.add_history(&versions.past);
        for leaving in &versions.leaving {
            let other = leaving.status();
            status.add_history(&other);
            status.delivering += other.delivering;
        }
        status.delivering += versions.forget_delivered();
        status
    }

    fn write_stacks(&self) {
        self.get().write_stacks();
    }
}

impl std::fmt::Debug for Replaceable {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Replaceable")
            .finish_non_exhaustive()
    }
}
