//! Answers one CGI request, or only imports what would answer it.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context;
use tokio::runtime::{Builder, Runtime};

use crate::gateway::cgi;
use crate::line::failure::Failure;
use crate::plan::application::start::Readiness;
use crate::plan::one_request::OneRequest;
use crate::server::events::signals::outlive_full_files;

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

/// Imports applications, one after the other, as they would be for one request. They write to standard error; nothing of
/// them is left running.
///
/// # Errors
/// The process has no descriptors left.
pub fn import(
    applications: Vec<Result<OneRequest, Failure>>,
) -> Result<Vec<Result<(), Failure>>, Failure> {
    runtime()?.block_on(async {
        outlive_full_files()?;
        let mut imported = Vec::new();
        for application in applications {
            imported.push(match application {
                Ok(request) => import_one(request).await,
                Err(failure) => Err(failure),
            });
        }
        Ok(imported)
    })
}

/// The import and the end of the process share the time limit for a start.
async fn import_one(request: OneRequest) -> Result<(), Failure> {
    let begun = Instant::now();
    request.identity.assume()?;
    let recipe = request.recipe.only_imported();
    let application = recipe.start(Readiness::First).await?;
    let left = recipe.start_timeout().map_or(request.patience, |limit| {
        limit.saturating_sub(begun.elapsed())
    });
    application.stop(left.min(request.patience)).await;
    Ok(())
}

/// The event loop: one thread owns all connections, the workers do the work.
///
/// A request takes 26 000 instructions of it, 11 µs where 64 connections are busy and 20 µs where 1 024 are: the state of so
/// many is larger than the cache of a core. With one of 2 MiB callgrind counts 114 misses a request at 800 connections, and
/// none at 32, one or two in each part of a connection that its request and its answer touch. It is no help to take fewer
/// events at a time (32 to 128), to ask for events more often, or to have huge pages: none made a difference.
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
