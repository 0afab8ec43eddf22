//! SIGQUIT: what the application is doing is written to the log.

use std::sync::Arc;

use anyhow::Context;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::task::AbortOnDropHandle;

use crate::application::Application;

/// The signal. From the moment that this exists, it ends nobody any more.
#[derive(Debug)]
pub struct Stacks(Signal);

impl Stacks {
    /// Receives the signal from now on.
    ///
    /// # Errors
    /// The system refuses.
    pub fn receive() -> anyhow::Result<Self> {
        let quit = signal(SignalKind::quit()).context("cannot receive signals")?;
        Ok(Self(quit))
    }

    /// Has an application's stacks written whenever the signal comes, as long as the handle lives.
    pub fn of(mut self, application: &Arc<dyn Application>) -> AbortOnDropHandle<()> {
        let application = Arc::clone(application);
        AbortOnDropHandle::new(tokio::spawn(async move {
            while self.0.recv().await.is_some() {
                application.write_stacks();
            }
        }))
    }
}
