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

/// Answers the request in the environment and on standard input.
///
/// # Errors
/// The application does not start. Nothing was answered then, so the web server sends its own error.
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

/// The event loop: one thread owns all connections, the workers do the work.
///
/// # Errors
/// The process has no descriptors left.
pub fn runtime() -> Result<Runtime, Failure> {
    Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the event loop")
        .map_err(Failure::World)
}
