//! FastCGI: stands in for the gateway of the branch `fastcgi` until that is merged.
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::application::Application;
use crate::gateway::listener::Listener;

/// Options.
#[derive(Clone, Debug)]
pub struct FastCgiOptions {
    /// How long.
    pub stop_timeout: Duration,
    /// Where.
    pub spool_folder: Option<PathBuf>,
}

/// Serves.
pub async fn serve(
    listener: Listener,
    application: Arc<dyn Application>,
    options: FastCgiOptions,
    stop: CancellationToken,
) {
    let _ = (listener, application, options);
    stop.cancelled().await;
}
