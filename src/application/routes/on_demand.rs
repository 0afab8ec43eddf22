//! An application that is started when a request needs it: a process that answers one request starts no other.

use std::sync::Arc;

use http::StatusCode;
use tokio::sync::OnceCell;

use crate::interface::{Application, Pending, Request, Response};

/// Starts an application; or says why it does not start.
pub type DemandedStart =
    Box<dyn Fn() -> Pending<'static, Result<Arc<dyn Application>, String>> + Send + Sync>;

/// Starts the application for its first request.
pub struct OnDemand {
    start: DemandedStart,
    started: OnceCell<Arc<dyn Application>>,
}

impl OnDemand {
    /// Starts nothing yet.
    #[must_use]
    pub fn new(start: DemandedStart) -> Self {
        Self {
            start,
            started: OnceCell::new(),
        }
    }
}

impl Application for OnDemand {
    fn respond(self: Arc<Self>, request: Request) -> Pending<'static, Response> {
        Box::pin(async move {
            match self.started.get_or_try_init(&self.start).await {
                Ok(application) => Arc::clone(application).respond(request).await,
                Err(failure) => {
                    crate::log_error!("{}", failure.trim_end());
                    Response::plain(StatusCode::INTERNAL_SERVER_ERROR)
                }
            }
        })
    }

    fn inner(&self) -> Vec<&dyn Application> {
        let started = self.started.get().into_iter();
        started.map(|application| &**application).collect()
    }
}
