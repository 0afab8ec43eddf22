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
    /// Imports the application and starts its workers. Returns when the first of them is ready.
    ///
    /// # Errors
    /// If Python cannot be run, or the application cannot be imported; no process is left then.
    pub async fn start(options: WorkerOptions) -> anyhow::Result<Self> {
        let is_asgi = options.asgi.is_some();
        let workers = Workers::start(options).await?;
        Ok(Self { workers, is_asgi })
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
