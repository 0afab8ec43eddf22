//! The rest of a response, behind what came of it at once.

use std::future::poll_fn;
use std::time::Duration;

use bytes::Bytes;
use hyper::body::Incoming;

use crate::interface::BlockSender;
use crate::interface::RequestName;
use crate::log::LogKind;
use crate::log_of;
use crate::upstream::http::http_connection::{HttpConnection, cause};
use crate::upstream::servers::lease::Lease;

/// The rest of a response, which goes on.
pub(super) struct ResponseRest {
    pub(super) body: Incoming,
    pub(super) connection: HttpConnection,
    pub(super) lease: Lease<HttpConnection>,
    pub(super) keep: Duration,
    pub(super) name: RequestName,
}

impl ResponseRest {
    /// Passes on what the server sends until its end, or until the client leaves: then the connection is closed, so that the
    /// server notices. Whether all was passed on.
    pub(super) async fn pass_on(mut self, beginning: Bytes, sender: &BlockSender) -> bool {
        let mut block = beginning;
        loop {
            if sender.send(block).await.is_err() {
                return false;
            }
            let next = poll_fn(|context| self.connection.poll_body(&mut self.body, context));
            let next = tokio::select! {
                next = next => next,
                () = sender.gone() => return false,
            };
            block = match next {
                Some(Ok(next)) => next,
                Some(Err(error)) => {
                    self.lease.broken_off();
                    log_of!(
                        LogKind::InvalidAnswer,
                        about = self.name.subject(),
                        "the response to {} is broken off: {} broke off: {}",
                        self.name,
                        self.lease.server().address(),
                        cause(&error)
                    );
                    return false;
                }
                None => {
                    if self.connection.is_usable().await {
                        self.lease.give_back(self.connection, self.keep);
                    }
                    return true;
                }
            };
        }
    }
}
