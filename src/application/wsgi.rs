//! WSGI: stands in for the architect's until that is merged.
use std::sync::Arc;

use http::StatusCode;

use super::{Application, Pending, Request, Response};
use crate::workers::WorkerOptions;

/// A WSGI application.
#[derive(Debug)]
pub struct Wsgi;

impl Wsgi {
    /// Starts it.
    ///
    /// # Errors
    /// None.
    pub async fn start(options: WorkerOptions) -> anyhow::Result<Arc<Self>> {
        let _ = options;
        std::future::ready(()).await;
        Ok(Arc::new(Self))
    }
}

impl Application for Wsgi {
    fn respond(&self, request: Request) -> Pending<'_, Response> {
        let _ = request;
        Box::pin(std::future::ready(Response::plain(StatusCode::OK)))
    }
}
