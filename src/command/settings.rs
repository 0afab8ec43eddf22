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
use crate::descriptor_limit;
use crate::gateway::body::spool::SpoolOptions;
use crate::gateway::cgi::CgiOptions;
use crate::gateway::fastcgi::{self, FastCgiOptions};
use crate::gateway::http::HttpOptions;
use crate::here;
use crate::workers::options::Limits;
use crate::workers::options::Resources;
use crate::workers::options::Turnover;
use crate::workers::options::{Preload, WorkerOptions};

/// How an application is served by HTTP.
#[must_use]
pub fn http(configuration: &Configuration, audience: Audience) -> HttpOptions {
    HttpOptions {
        connections: connections(configuration),
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
        connections: connections(configuration),
        spool: spool(configuration),
        ..FastCgiOptions::default()
    })
}

/// How many connections there may be at most, unless somebody wants more.
const MOST_CONNECTIONS: u64 = 10_000;

/// How many connections there may be.
fn connections(configuration: &Configuration) -> usize {
    let threads = configuration.integer("runner.workers.threads");
    let workers = configuration.integer("runner.workers.max");
    let room = match descriptor_limit::most() {
        Some(limit) => room_for_connections(limit, workers, threads),
        None => u64::MAX,
    };
    let count = match configuration.optional_integer("runner.http.max_connections") {
        Some(wanted) if wanted > room => {
            crate::log!(
                "runner.http.max_connections is {wanted}, but the limit on open files leaves room for {room}"
            );
            room
        }
        Some(wanted) => wanted,
        None => MOST_CONNECTIONS.min(room),
    };
    usize::try_from(count).unwrap_or(usize::MAX)
}

/// How many connections a limit on descriptors leaves room for, each with a file beside it, the body of a request or of a
/// response. The reserve is for what a master itself needs: for each worker, and the one that takes its place in a reload,
/// four descriptors and five for each thread; for logs, sockets, files that are read, and processes that are watched, 64.
fn room_for_connections(limit: u64, workers: u64, threads: u64) -> u64 {
    let worker = threads.saturating_mul(5).saturating_add(4);
    let reserve = workers
        .saturating_mul(2)
        .saturating_mul(worker)
        .saturating_add(64);
    // A limit that is far too low leaves little for both.
    let left = limit.saturating_sub(reserve.min(limit / 2));
    (left / 2).max(1)
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

#[cfg(test)]
mod tests {
    use super::room_for_connections;

    #[test]
    fn there_is_a_reserve_for_ourselves() {
        for (limit, workers, threads, expected) in [
            (1024, 4, 1, 444),
            (1024, 4, 4, 384),
            (256, 4, 1, 64),
            (1_048_576, 64, 100, 492_000),
            (64, 10_000, 1000, 16),
            (1, 1, 1, 1),
            (u64::MAX, u64::MAX, u64::MAX, u64::MAX / 4 + 1),
        ] {
            let found = room_for_connections(limit, workers, threads);
            assert_eq!(found, expected, "{limit} {workers} {threads}");
            // A connection, its file, and what a master needs even then.
            assert!(limit < 4 || found.saturating_mul(2) <= limit);
        }
    }
}
