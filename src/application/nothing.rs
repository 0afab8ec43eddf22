//! No application at all: what stands behind a server that only keeps programs running.

use http::StatusCode;

use super::{Application, Pending, Request, Response};

/// Answers nothing.
#[derive(Clone, Copy, Debug)]
pub struct Nothing;

impl Application for Nothing {
    fn respond(&self, _: Request) -> Pending<'_, Response> {
        let response = Response::plain(StatusCode::SERVICE_UNAVAILABLE);
        Box::pin(std::future::ready(response))
    }
}
