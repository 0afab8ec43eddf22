//! The start of applications that have processes: all at the same time, all or none.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{join_all, try_join_all};

use crate::interface::{Application, Pending};
use crate::line::failure::Failure;

/// How much of an application must run before it counts as started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// One worker.
    First,
    /// All workers that are always kept running.
    All,
}

/// An application whose processes are being started.
pub(super) struct Starting {
    /// The application, which can be stopped already.
    pub(super) application: Arc<dyn Application>,
    /// Ends when it is ready, or cannot be started.
    pub(super) ready: Pending<'static, Result<(), Failure>>,
}

impl Starting {
    /// An application that need not be started.
    pub(super) fn ready(application: Arc<dyn Application>) -> Self {
        Self {
            application,
            ready: Box::pin(std::future::ready(Ok(()))),
        }
    }
}

/// Waits until all are ready. If one cannot be started, ends the others.
pub(super) async fn all_started(
    starting: Vec<Starting>,
) -> Result<Vec<Arc<dyn Application>>, Failure> {
    let (applications, ready): (Vec<_>, Vec<_>) = starting
        .into_iter()
        .map(|Starting { application, ready }| (application, ready))
        .unzip();
    match try_join_all(ready).await {
        Ok(_) => Ok(applications),
        Err(failure) => {
            let ends = applications.iter().map(|one| one.stop(Duration::ZERO));
            join_all(ends).await;
            Err(failure)
        }
    }
}
