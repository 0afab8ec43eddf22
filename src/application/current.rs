//! The version of an application that answers at the moment: what a gateway is given, so that it need not know
//! that another version takes the first one's place.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::status::Status;
use super::{Application, Pending, Request, Response};

/// Passes everything on to the version that is current.
pub struct Current(Mutex<Arc<dyn Application>>);

impl Current {
    /// Begins with a version.
    #[must_use]
    pub fn new(application: Arc<dyn Application>) -> Self {
        Self(Mutex::new(application))
    }

    /// The version that answers now.
    #[must_use]
    pub fn get(&self) -> Arc<dyn Application> {
        Arc::clone(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Has another one answer from now on, and gives the one that did. What that one is answering, it goes
    /// on answering.
    pub fn replace(&self, application: Arc<dyn Application>) -> Arc<dyn Application> {
        let mut current = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut current, application)
    }
}

impl Application for Current {
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
        self.get().status()
    }

    fn write_stacks(&self) {
        self.get().write_stacks();
    }
}

impl std::fmt::Debug for Current {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Current").finish_non_exhaustive()
    }
}
