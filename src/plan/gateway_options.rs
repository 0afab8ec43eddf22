//! Settings (`runner.http.*`, `runner.request.*`, `runner.log.access`) to the options of gateways.

use std::env;
use std::sync::Arc;

use crate::config::Configuration;
use crate::descriptor_limit;
use crate::gateway::body::spool::SpoolOptions;
use crate::gateway::cgi::CgiOptions;
use crate::gateway::fastcgi::{self, FastCgiOptions};
use crate::gateway::http::HttpOptions;
use crate::plan::gateway::Audience;

/// How an application is served by HTTP.
#[must_use]
pub fn http(configuration: &Configuration, audience: Audience) -> HttpOptions {
    HttpOptions {
        connections: connections(configuration),
        spool: spool(configuration),
        access_log: configuration
            .optional_boolean("runner.log.access")
            .unwrap_or(audience == Audience::Browser),
        min_rate: configuration.integer("runner.http.min_rate"),
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
        // Looked for when the server is the user that it is to be: [`crate::plan::temporary`].
        folder: env::temp_dir(),
        limit: match configuration.integer("runner.request.max_body") {
            0 => u64::MAX,
            limit => limit,
        },
    })
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
