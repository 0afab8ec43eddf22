//! Settings to the processes of an application that is a program (`runner.workers.*`, `runner.environment`).

use crate::line::failure::Failure;
use crate::line::scope::Scope;
use crate::plan::surroundings::{DIRECTORY, environment};
use crate::plan::worker_options::{resources, retire_after};
use crate::upstream::programs::program_settings::ProcessSettings;

/// What the settings say of processes.
///
/// # Errors
/// There is no such user, or a file of variables cannot be read.
pub(super) fn processes(scope: &Scope) -> Result<ProcessSettings, Failure> {
    let settings = &scope.configuration;
    let count = |name| usize::try_from(settings.integer(name)).unwrap_or(usize::MAX);
    Ok(ProcessSettings {
        application: None,
        begins_in: settings.path(DIRECTORY),
        environment: environment(scope)?,
        min: count("runner.workers.min"),
        max: count("runner.workers.max"),
        retire_after: retire_after(settings),
        start_interval: settings.duration("runner.workers.start_interval"),
        start_timeout: settings.duration("runner.start_timeout"),
        stop_timeout: settings.duration("runner.stop_timeout"),
        resources: resources(settings),
    })
}
