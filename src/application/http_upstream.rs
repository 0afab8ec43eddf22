//! `upstream http://…`: passes requests on to servers that speak HTTP.

use std::sync::Arc;
use std::time::Duration;

use crate::interface::master_status::Status;
use crate::interface::{Application, Pending, Request, Response};
use crate::upstream::http::HttpClient;
use crate::upstream::http::http_connection::HttpConnection;
use crate::upstream::servers::Servers;
use crate::upstream::upstream_options::{HttpClientOptions, UpstreamOptions};

/// An application over servers that speak HTTP.
#[derive(Debug)]
pub struct HttpUpstream {
    client: Arc<HttpClient>,
}

impl HttpUpstream {
    /// The application over these servers, which are asked only when there are requests.
    #[must_use]
    pub fn new(
        servers: Arc<Servers<HttpConnection>>,
        options: &UpstreamOptions,
        http: &HttpClientOptions,
    ) -> Self {
        Self {
            client: Arc::new(HttpClient::new(servers, options, http)),
        }
    }
}

impl Application for HttpUpstream {
    fn respond(self: Arc<Self>, request: Request) -> Pending<'static, Response> {
        Box::pin(Arc::clone(&self.client).respond(request))
    }

    fn takes_web_sockets(&self) -> bool {
        true
    }

    fn stop(&self, within: Duration) -> Pending<'_, ()> {
        Box::pin(self.client.stop(within))
    }

    fn drain(&self, returns: bool) {
        self.client.drain(returns);
    }

    fn status(&self) -> Status {
        self.client.status()
    }
}
