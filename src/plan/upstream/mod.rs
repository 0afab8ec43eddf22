//! Settings to the limits of an application over servers (`upstream`).

use std::env;

use crate::config::Configuration;
use crate::upstream::upstream_options::{ServerLimits, UpstreamName, UpstreamOptions};

/// What is needed to start an application over servers.
#[must_use]
pub fn upstream(settings: &Configuration, name: UpstreamName) -> UpstreamOptions {
    let count = |name| usize::try_from(settings.integer(name)).unwrap_or(usize::MAX);
    UpstreamOptions {
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
    }
}
