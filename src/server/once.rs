//! Answers one CGI request.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context;
use tokio::runtime::{Builder, Runtime};

use crate::gateway::cgi;
use crate::line::failure::Failure;
use crate::plan::application::Readiness;
use crate::plan::one_request::OneRequest;
use crate::server::signals::outlive_full_files;

/// Answers the request that this process was started for.
///
/// # Errors
/// The application cannot be started. There is no response then; the web server answers for it.
pub fn run(mut request: OneRequest) -> Result<ExitCode, Failure> {
    request.identity.assume()?;
    request.find_folder()?;
    runtime()?.block_on(async {
        outlive_full_files()?;
        let application = request.recipe.start(Readiness::First).await?;
        let served = cgi::serve(Arc::clone(&application), request.gateway).await;
        application.stop(request.patience).await;
        served?;
        Ok(ExitCode::SUCCESS)
    })
}

/// One thread owns all connections; the workers do the work.
///
/// # Errors
/// The system has no descriptors left.
pub fn runtime() -> Result<Runtime, Failure> {
    Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the event loop")
        .map_err(Failure::World)
}
