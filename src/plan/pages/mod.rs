//! The setting `runner.status.http` to the address of the pages that the master answers itself, and their limits.

use std::time::Duration;

use crate::gateway::body::spool::SpoolOptions;
use crate::gateway::http::HttpOptions;
use crate::gateway::socket::server_url::ServerUrl;
use crate::gateway::socket::url::{InvalidSocketUrl, SocketUrl};
use crate::interface::Scheme;
use crate::line::failure::Failure;
use crate::line::scope::Scope;
use crate::line::word::Origin;
use crate::plan::address::{PlacedUrl, collision};
use crate::plan::seating;
use crate::syntax::Diagnostic;

/// The setting with the address of the pages.
pub const STATUS_HTTP: &str = "runner.status.http";

/// How long a client of the pages may be silent in a request, or read nothing.
const SHORT: Duration = Duration::from_secs(10);

/// The largest request body, in bytes. The pages need none.
const BODY: u64 = 4096;

/// The address of the pages, if the settings give them one.
///
/// # Errors
/// It is not valid, or in use by the server itself: for requests, or as its control socket.
pub fn url(scope: &Scope, served: &[ServerUrl]) -> Result<Option<ServerUrl>, Failure> {
    let Some(text) = scope.configuration.text(STATUS_HTTP) else {
        return Ok(None);
    };
    let origin = Origin::Property(STATUS_HTTP.into());
    let url: ServerUrl = text.parse().map_err(|invalid: InvalidSocketUrl| {
        scope.mistake(&origin, invalid.message, invalid.hint)
    })?;
    let url = url.relative_to(&scope.folder(&origin));
    let is_fit = match url.socket {
        SocketUrl::Tcp { .. } | SocketUrl::Unix(_) => url.scheme == Scheme::Http,
        SocketUrl::Descriptor(_) | SocketUrl::Passed(_) => false,
    };
    if !is_fit {
        let message = format!("`{text}` cannot be the address of the status pages");
        let hint = format!("write `{STATUS_HTTP} = 'tcp://localhost:9090'` or `'unix:PATH'`");
        return Err(scope.mistake(&origin, message, Some(hint)));
    }
    let control = seating::socket(scope).ok().flatten().map(SocketUrl::Unix);
    let control = control.map(ServerUrl::clear);
    let placed = PlacedUrl { url, origin };
    let others = served.iter().chain(&control);
    match collision(scope, others, &placed) {
        Some(collision) => Err(collision.into()),
        None => Ok(Some(placed.url)),
    }
}

/// What is wrong with the setting, where the configured URLs of a server are these.
#[must_use]
pub fn problems(scope: &Scope, served: &[PlacedUrl]) -> Vec<Diagnostic> {
    let served: Vec<ServerUrl> = served.iter().map(|placed| placed.url.clone()).collect();
    match url(scope, &served) {
        Err(Failure::Mistakes(mistakes)) => mistakes.0,
        Ok(_) | Err(_) => Vec::new(),
    }
}

/// The limits of the pages. They are apart from those of clients, so that the pages are served when the server is full.
#[must_use]
pub fn options(connections: usize) -> HttpOptions {
    HttpOptions {
        spool: SpoolOptions {
            limit: BODY,
            ..SpoolOptions::default()
        }
        .into(),
        head_timeout: SHORT,
        body_timeout: SHORT,
        write_timeout: SHORT,
        connections,
        ..HttpOptions::default()
    }
}
