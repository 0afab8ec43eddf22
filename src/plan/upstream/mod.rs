//! Settings to the limits of an application over servers (`upstream`).

use std::env;

use crate::line::failure::Failure;
use crate::line::scope::Scope;
use crate::plan::upstream::process_settings::processes;
use crate::upstream::upstream_options::{ServerLimits, UpstreamName, UpstreamOptions};

mod process_settings;

/// What is needed to start an application over servers.
///
/// # Errors
/// There is no such user, or a file of variables cannot be read.
pub fn upstream(scope: &Scope, name: UpstreamName) -> Result<UpstreamOptions, Failure> {
    let settings = &scope.configuration;
    let count = |name| usize::try_from(settings.integer(name)).unwrap_or(usize::MAX);
    Ok(UpstreamOptions {
        processes: processes(scope)?,
        limits: ServerLimits {
            requests: name.connections,
            queue_length: count("runner.request.queue_length"),
            queue_timeout: settings.duration("runner.request.queue_timeout"),
        },
        request_timeout: settings.duration("runner.request.timeout"),
        drain: settings.duration("runner.asgi.drain"),
        max_buffer: settings.integer("runner.response.max_buffer"),
        max_buffers: match settings.integer("runner.response.max_buffers") {
            0 => u64::MAX,
            limit => limit,
        },
        // Replaced later, as for request bodies.
        folder: env::temp_dir(),
        name,
    })
}
