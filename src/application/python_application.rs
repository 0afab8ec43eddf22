//! An application that is imported: it runs in Python processes, and speaks WSGI (PEP 3333) or ASGI.

use std::sync::Arc;
use std::time::Duration;

use crate::interface::master_status::Status;
use crate::interface::measurements::Measurements;
use crate::interface::{Application, Pending, Request, Response};
use crate::workers::Workers;
use crate::workers::options::WorkerOptions;

/// The application and its workers.
#[derive(Debug)]
pub struct PythonApplication {
    workers: Workers,
    is_asgi: bool,
}

impl PythonApplication {
    /// Begins to import the application and to start its workers. It can be stopped at once. The future returns when the
    /// first of the workers is ready. Its error is that Python cannot be run, or the application cannot be imported; no
    /// process is left then.
    pub fn begin(
        options: WorkerOptions,
    ) -> (
        Self,
        impl Future<Output = anyhow::Result<()>> + Send + use<>,
    ) {
        let is_asgi = options.asgi.is_some();
        let (workers, started) = Workers::begin(options);
        (Self { workers, is_asgi }, started)
    }

    /// The same, once the first of the workers is ready.
    ///
    /// # Errors
    /// Those of the future of [`Self::begin`].
    pub async fn start(options: WorkerOptions) -> anyhow::Result<Self> {
        let (application, started) = Self::begin(options);
        started.await?;
        Ok(application)
    }

    /// Waits until the least number of workers is ready.
    ///
    /// # Errors
    /// Why one of them cannot be started. The others go on.
    pub async fn all_ready(&self) -> anyhow::Result<()> {
        self.workers.all_ready().await
    }
}

impl Application for PythonApplication {
    fn respond(self: Arc<Self>, request: Request) -> Pending<'static, Response> {
        Box::pin(self.workers.respond(request))
    }

    fn takes_web_sockets(&self) -> bool {
        self.is_asgi
    }

    fn stop(&self, within: Duration) -> Pending<'_, ()> {
        Box::pin(self.workers.stop(within))
    }

    fn drain(&self, returns: bool) {
        self.workers.drain(returns);
    }

    fn status(&self) -> Status {
        self.workers.status()
    }

    fn measurements(&self) -> Measurements {
        self.workers.measurements()
    }

    fn write_stacks(&self) {
        self.workers.write_stacks();
    }
}
