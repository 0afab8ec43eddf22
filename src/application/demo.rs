//! The demonstration: stands in for that of the branch `http` until that is merged.
use http::StatusCode;

use super::{Application, Pending, Request, Response};

/// Shows requests.
#[derive(Debug)]
pub struct Demo;

impl Application for Demo {
    fn respond(&self, request: Request) -> Pending<'_, Response> {
        let _ = request;
        Box::pin(std::future::ready(Response::plain(StatusCode::OK)))
    }
}
