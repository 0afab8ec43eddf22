//! HTTP: stands in for the gateway of the branch `http` until that is merged.
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::application::Application;
use crate::gateway::listener::Listener;

/// Options.
#[derive(Clone, Debug)]
pub struct HttpOptions {
    /// How long.
    pub stop_timeout: Duration,
    /// Where.
    pub spool_folder: Option<PathBuf>,
    /// Whether.
    pub access_log: bool,
}

/// Serves.
pub async fn serve(
    listener: Listener,
    application: Arc<dyn Application>,
    options: HttpOptions,
    stop: CancellationToken,
) {
    let _ = (listener, application, options);
    stop.cancelled().await;
}
