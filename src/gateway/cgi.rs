//! CGI: stands in for the gateway of the branch `fastcgi` until that is merged.
use std::path::PathBuf;
use std::sync::Arc;

use crate::application::Application;

/// Options.
#[derive(Clone, Debug)]
pub struct CgiOptions {
    /// Where.
    pub spool_folder: Option<PathBuf>,
}

/// Serves.
///
/// # Errors
/// None.
pub async fn serve(application: Arc<dyn Application>, options: CgiOptions) -> anyhow::Result<()> {
    let _ = (application, options);
    std::future::ready(()).await;
    Ok(())
}
