//! `upstream … exec: COMMAND`: passes requests on to processes of a program, and keeps these.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::interface::master_status::Status;
use crate::interface::{Application, Pending, Request, Response};
use crate::upstream::programs::ProgramPool;

/// An application over servers that are processes of a program. `C` is what their protocol keeps of a connection.
#[derive(Debug)]
pub struct ProgramUpstream<A, C> {
    /// Answers requests by the processes.
    client: Arc<A>,
    pool: ProgramPool<C>,
}

impl<A, C> ProgramUpstream<A, C> {
    /// The application, whose requests the client passes on to the processes.
    #[must_use]
    pub fn new(client: A, pool: ProgramPool<C>) -> Self {
        Self {
            client: Arc::new(client),
            pool,
        }
    }
}

impl<A: Application, C: Send + 'static> Application for ProgramUpstream<A, C> {
    fn respond(self: Arc<Self>, request: Request) -> Pending<'static, Response> {
        Arc::clone(&self.client).respond(request)
    }

    fn takes_web_sockets(&self) -> bool {
        self.client.takes_web_sockets()
    }

    fn stop(&self, within: Duration) -> Pending<'_, ()> {
        let deadline = Instant::now() + within;
        Box::pin(async move {
            // Processes are told to end when no request is left for them.
            self.client.stop(within).await;
            let left = deadline.saturating_duration_since(Instant::now());
            self.pool.stop(left).await;
        })
    }

    fn drain(&self, returns: bool) {
        self.client.drain(returns);
    }

    fn status(&self) -> Status {
        let mut status = self.client.status();
        self.pool.show(&mut status);
        status
    }
}
