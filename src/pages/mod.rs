//! What the master answers about itself (`runner.status.http`): its status for people, for programs, and for Prometheus.
//!
//! The pages are an [`Application`] without workers, behind the HTTP gateway with a listener and limits of its own: so they
//! are served while every worker hangs and the public side is full. What they show comes from the master's loop, which is
//! asked for each page by a [`SnapshotRequest`].
//!
//! They are made on the thread that owns all connections: a page takes about a tenth of a millisecond, and there are few
//! clients ([`MOST_CONNECTIONS`]). Only what asks the kernel for more, how many files are open, goes to another thread.
//!
//! - [`router`] has the paths, [`published`] leaves out what is not for everybody who can connect.
//! - [`metrics`] and [`process_usage`] are for Prometheus, [`status_view`] is what the template of the page shows.
//! - [`allowed_hosts`] keeps web sites from reading the pages through the browser of a user who can (DNS rebinding).

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, to_bytes};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use tokio::sync::{mpsc, watch};
use tower_service::Service;

pub use self::allowed_hosts::AllowedHosts;
use self::live::Live;
use self::snapshot::Asker;
pub use self::snapshot::{Snapshot, SnapshotRequest};
use crate::interface::{Application, Blocks, Pending, Request, Response, ResponseBody};

mod allowed_hosts;
mod live;
pub mod metrics;
mod process_usage;
mod published;
mod router;
mod snapshot;
mod status_page;
mod status_view;

/// The most connections to the pages at a time.
pub const MOST_CONNECTIONS: usize = 64;

/// The largest page, in bytes.
const LARGEST: usize = 64 << 20;

/// The fields of every answer: nothing from elsewhere is loaded or may frame the page, nothing is kept.
const FIELDS: [(HeaderName, &str); 6] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-store"),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
];

/// The pages, as an application.
#[derive(Debug)]
pub struct Pages {
    router: Router,
    hosts: AllowedHosts,
    asker: Asker,
    /// Becomes true when the pages that stay up to date are to end.
    ended: watch::Sender<bool>,
}

impl Pages {
    /// Pages for clients that use one of these names, and their requests for the present state.
    #[must_use]
    pub fn new(hosts: AllowedHosts) -> (Self, mpsc::Receiver<SnapshotRequest>) {
        let (asker, requests) = Asker::new();
        let pages = Self {
            router: router::router(asker.clone()),
            hosts,
            asker,
            ended: watch::Sender::new(false),
        };
        (pages, requests)
    }

    async fn answer(&self, request: Request) -> Response {
        if !self.hosts.allow(&request.headers) {
            return misdirected();
        }
        let Ok(uri) = Uri::try_from(&*request.target) else {
            return Response::plain(StatusCode::BAD_REQUEST);
        };
        let mut asked = http::Request::new(Body::empty());
        *asked.method_mut() = request.method;
        *asked.uri_mut() = uri;
        *asked.headers_mut() = request.headers;
        let Ok(answered) = self.router.clone().call(asked).await;
        let (mut parts, body) = answered.into_parts();
        let body = match parts.extensions.remove::<Live>() {
            Some(live) => {
                // The router has announced the body that it knows: none.
                parts.headers.remove(header::CONTENT_LENGTH);
                let (sender, blocks) = Blocks::channel();
                tokio::spawn(live.run(self.asker.clone(), sender, self.ended.subscribe()));
                ResponseBody::Stream(blocks)
            }
            None => match to_bytes(body, LARGEST).await {
                Ok(bytes) => ResponseBody::Bytes(bytes),
                Err(_) => return Response::plain(StatusCode::INTERNAL_SERVER_ERROR),
            },
        };
        Response {
            status: parts.status,
            reason: None,
            about: None,
            headers: with_fields(parts.headers),
            body,
        }
    }
}

/// The answer to a request for another host.
fn misdirected() -> Response {
    let text = "421: the pages are not for this name. They are for IP addresses, `localhost`, and the host in \
        `runner.status.http`.\n";
    let mut response = Response::plain(StatusCode::MISDIRECTED_REQUEST);
    response.headers.remove(header::CONTENT_LENGTH);
    response.body = ResponseBody::Bytes(Bytes::from_static(text.as_bytes()));
    response.headers = with_fields(response.headers);
    response
}

fn with_fields(mut headers: HeaderMap) -> HeaderMap {
    for (name, value) in FIELDS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers
}

impl Application for Pages {
    fn respond(self: Arc<Self>, request: Request) -> Pending<'static, Response> {
        Box::pin(async move { self.answer(request).await })
    }

    fn drain(&self, _: bool) {
        self.ended.send_replace(true);
    }
}
