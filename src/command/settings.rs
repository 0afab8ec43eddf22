//! Settings (`runner.*`) to the options of gateways and workers.

use std::env;
use std::ffi::OsString;
use std::sync::Arc;

use crate::command::failure::Failure;
use crate::command::identity::Identity;
use crate::command::line::{Origin, Scope};
use crate::command::plan::{python, python_arguments};
use crate::command::serve::Audience;
use crate::command::target::Target;
use crate::config::Configuration;
use crate::gateway::cgi::CgiOptions;
use crate::gateway::fastcgi::{self, FastCgiOptions};
use crate::gateway::http::HttpOptions;
use crate::gateway::spool::SpoolOptions;
use crate::here;
use crate::workers::pool::Limits;
use crate::workers::resources::Resources;
use crate::workers::turnover::Turnover;
use crate::workers::{Preload, WorkerOptions};

/// How an application is served by HTTP.
#[must_use]
pub fn http(configuration: &Configuration, audience: Audience) -> HttpOptions {
    HttpOptions {
        spool: spool(configuration),
        access_log: configuration
            .optional_boolean("runner.log.access")
            .unwrap_or(match audience {
                Audience::Anybody => false,
                Audience::Browser => true,
            }),
        min_rate: configuration.size("runner.http.min_rate"),
        ..HttpOptions::default()
    }
}

/// How an application is served by FastCGI. Process managers say in the environment which web servers may
/// connect (FastCGI specification, section 3.2).
///
/// # Errors
/// They say something that makes no sense.
pub fn fastcgi(configuration: &Configuration) -> anyhow::Result<FastCgiOptions> {
    let allowed = env::var("FCGI_WEB_SERVER_ADDRS").unwrap_or_default();
    Ok(FastCgiOptions {
        web_servers: fastcgi::web_servers(&allowed)?,
        spool: spool(configuration),
        ..FastCgiOptions::default()
    })
}

/// How a CGI request is answered.
#[must_use]
pub fn cgi(configuration: &Configuration) -> CgiOptions {
    CgiOptions {
        spool: spool(configuration),
    }
}

/// How request bodies are kept.
fn spool(configuration: &Configuration) -> Arc<SpoolOptions> {
    Arc::new(SpoolOptions {
        // Looked for when the server is the user that it is to be: [`super::temporary`].
        folder: env::temp_dir(),
        limit: match configuration.size("runner.request.max_body") {
            0 => u64::MAX,
            limit => limit,
        },
    })
}

/// The workers of a Python application.
///
/// # Errors
/// There is no Python, or no user as they are to be.
pub fn workers(
    scope: &Scope,
    target: &Target,
    origin: &Origin,
    arguments: Vec<OsString>,
) -> Result<WorkerOptions, Failure> {
    let settings = &scope.configuration;
    let count = |name| usize::try_from(settings.integer(name)).unwrap_or(usize::MAX);
    Ok(WorkerOptions {
        python: python(scope, origin)?,
        target: target.as_str().to_owned(),
        search_path: scope.search_path(origin),
        arguments: python_arguments(scope, target, arguments),
        environment: Identity::of(scope)?.environment(),
        // Where that is refused, they begin in ours.
        begins_in: here::hold().ok().map(Arc::new),
        imports: settings.texts("runner.workers.imports"),
        min: count("runner.workers.min"),
        max: count("runner.workers.max"),
        turnover: Turnover {
            max_requests: settings.integer("runner.workers.max_requests"),
            max_lifetime: settings.duration("runner.workers.max_lifetime"),
            max_memory: settings.size("runner.workers.max_memory"),
            idle_timeout: settings.duration("runner.workers.idle_timeout"),
        },
        threads: count("runner.workers.threads"),
        start_interval: settings.duration("runner.workers.start_interval"),
        preload: match settings.automatic("runner.workers.preload") {
            None => Preload::Auto,
            Some(true) => Preload::Always,
            Some(false) => Preload::Never,
        },
        run_once: false,
        start_timeout: settings.duration("runner.start_timeout"),
        stop_timeout: settings.duration("runner.stop_timeout"),
        limits: Limits {
            request_timeout: settings.duration("runner.request.timeout"),
            request_slow: settings.duration("runner.request.slow"),
            queue_length: count("runner.request.queue_length"),
            queue_timeout: settings.duration("runner.request.queue_timeout"),
        },
        resources: resources(settings),
        // As for request bodies.
        folder: env::temp_dir(),
        max_buffer: settings.size("runner.response.max_buffer"),
    })
}

/// What the system is to allow workers. Everywhere but for core files, 0 says that there is no limit of ours.
fn resources(settings: &Configuration) -> Resources {
    let limit = |name| Some(settings.integer(name)).filter(|&limit| limit > 0);
    Resources {
        memory: limit("runner.workers.limits.memory"),
        files: limit("runner.workers.limits.files"),
        cpu: Some(settings.duration("runner.workers.limits.cpu")).filter(|time| !time.is_zero()),
        processes: limit("runner.workers.limits.processes"),
        core: settings.optional_size("runner.workers.limits.core"),
    }
}

/// The same for a process that answers one request and ends: nothing is kept ready for others.
#[must_use]
pub fn for_one_request(options: WorkerOptions) -> WorkerOptions {
    WorkerOptions {
        min: 1,
        max: 1,
        turnover: Turnover::default(),
        threads: 1,
        preload: Preload::Never,
        run_once: true,
        ..options
    }
}
