//! The paths of the pages. Each is read with GET or HEAD only.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use http::{StatusCode, header};
use tokio::sync::Semaphore;

use super::live::Live;
use super::snapshot::Asker;
use super::{metrics, process_usage, status_page};

/// The most pages that are kept up to date at a time.
const MOST_LIVE: usize = 16;

const STYLE: &str = include_str!("status_page.css");
const SCRIPT: &str = include_str!("status_page.js");

/// What the handlers of the paths use.
#[derive(Clone, Debug)]
struct Handles {
    asker: Asker,
    live: Arc<Semaphore>,
}

/// The paths of the pages.
pub(super) fn router(asker: Asker) -> Router {
    let live = Arc::new(Semaphore::new(MOST_LIVE));
    Router::new()
        .route("/", get(page))
        .route("/events", get(events))
        .route("/status.css", get(async || text("text/css", STYLE)))
        .route("/status.js", get(async || text("text/javascript", SCRIPT)))
        .route("/status.json", get(status))
        .route("/metrics", get(prometheus))
        .route("/healthz", get(async || text("text/plain", "ok\n")))
        .route("/readyz", get(ready))
        .fallback(async || (StatusCode::NOT_FOUND, "404: there is no such page\n"))
        .with_state(Handles { asker, live })
}

/// A text of a media type, in UTF-8.
fn text(media_type: &'static str, text: impl Into<String>) -> Response {
    let content_type = format!("{media_type}; charset=utf-8");
    ([(header::CONTENT_TYPE, content_type)], text.into()).into_response()
}

/// The answer while the master is silent.
fn silent() -> Response {
    let text = "503: the master does not answer\n";
    (StatusCode::SERVICE_UNAVAILABLE, text).into_response()
}

/// The status for people.
async fn page(State(handles): State<Handles>) -> Response {
    let Some(snapshot) = handles.asker.ask().await else {
        return silent();
    };
    Html(status_page::page(&snapshot.status)).into_response()
}

/// The status for people, anew each second (server-sent events, HTML Standard §9.2).
async fn events(State(handles): State<Handles>) -> Response {
    match handles.live.try_acquire_owned() {
        Ok(place) => {
            let mut response = text("text/event-stream", "");
            response.extensions_mut().insert(Live::new(place));
            response
        }
        Err(_) => {
            let text = "503: too many pages are kept up to date\n";
            (StatusCode::SERVICE_UNAVAILABLE, text).into_response()
        }
    }
}

/// The status for programs.
async fn status(State(handles): State<Handles>) -> Response {
    let Some(snapshot) = handles.asker.ask().await else {
        return silent();
    };
    match serde_json::to_string(&snapshot.status) {
        Ok(json) => ([(header::CONTENT_TYPE, "application/json")], json + "\n").into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// Counters and gauges for Prometheus.
async fn prometheus(State(handles): State<Handles>) -> Response {
    let Some(snapshot) = handles.asker.ask().await else {
        return silent();
    };
    // It lists the open files of this process, of which there may be many.
    let usage = tokio::task::spawn_blocking(process_usage::read).await;
    match metrics::encode(snapshot, usage.unwrap_or_default()) {
        Ok(text) => ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// Whether requests should be sent here.
async fn ready(State(handles): State<Handles>) -> Response {
    let snapshot = handles.asker.ask().await;
    match snapshot.as_ref().map(|snapshot| &snapshot.status) {
        Some(status) if status.is_ready() => text("text/plain", "ready\n"),
        Some(status) => {
            let why = match &*status.state {
                "starting" | "stopping" => &status.state,
                _ => "no worker is ready",
            };
            let text = format!("not ready: {why}\n");
            (StatusCode::SERVICE_UNAVAILABLE, text).into_response()
        }
        None => silent(),
    }
}
