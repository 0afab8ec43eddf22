//! The one interface between gateways and applications: [`Request`], [`Response`] and the trait [`Application`].
//!
//! A gateway makes a [`Request`] and writes a [`Response`]; an application always answers. Neither names the other, so that
//! N gateways and M applications need N + M pieces of code.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;

use crate::interface::master_status::Status;
use crate::interface::measurements::{EndedRequest, Measurements, RefusedRequest};
pub use blocks::{BlockSender, Blocks, Depot, Gone, Truncated};
pub use conversation::{
    CloseReason, Correspondent, Outgoing, WebSocket, WebSocketMessage, WebSocketSender, web_socket,
};
pub use request::{
    Connection, Errors, Request, RequestBody, RequestIds, RequestName, RequestNotes, Scheme,
    log_response,
};
pub use response::{Response, ResponseBody};
pub use tls_connection::{TlsClient, TlsConnection};

pub mod amounts;
mod backlog;
mod blocks;
pub mod body_file;
mod conversation;
pub mod master_status;
pub mod measurements;
mod request;
mod response;
pub mod response_memory;
mod tls_connection;

/// An application: it answers requests.
pub trait Application: Send + Sync {
    /// Accepts one request. The future is the answer; it holds no more of the request than it needs. Never fails: a failure inside is logged there and answered with a status (`500`, `502`,
    /// `503`, `504`).
    ///
    /// The future is dropped when the client has gone away; the application then stops working for
    /// it as far as it can.
    fn respond(self: Arc<Self>, request: Request) -> Pending<'static, Response>;

    /// The applications that it wraps or stands in front of, each once. What is asked below is asked of all of them, unless
    /// the wrapper knows better: so none of it is lost in one that passes on what it need not know.
    fn inner(&self) -> Vec<&dyn Application> {
        Vec::new()
    }

    /// The name in lines of the log of the application that would answer a request with this value of `Host` and this decoded
    /// path, where a server has several.
    fn name_for(&self, host: &[u8], path: &Bytes) -> Option<Arc<str>> {
        let inner = self.inner();
        inner.first().and_then(|inner| inner.name_for(host, path))
    }

    /// Whether it may accept WebSockets, so that clients are to know that they can offer them (RFC 8441 §3).
    fn takes_web_sockets(&self) -> bool {
        let inner = self.inner();
        inner.into_iter().any(<dyn Application>::takes_web_sockets)
    }

    /// Ends the processes of the application: accepts no more requests, answers those that it has, also in its queue, and
    /// lets each process leave when no request is left for it. Kills those that are not done after the time `within`.
    /// Returns when no process is left.
    fn stop(&self, within: Duration) -> Pending<'_, ()> {
        let ends = self.inner().into_iter().map(|inner| inner.stop(within));
        let all = join_all(ends);
        Box::pin(async move {
            all.await;
        })
    }

    /// Asks what does not end by itself to end: WebSockets and responses that have begun, once they have had the time that
    /// the application's settings give them (`runner.asgi.drain`). `returns` if clients may come back at once, because
    /// another version or process serves. Returns at once; what has not begun a response is not touched. The first call
    /// decides.
    fn drain(&self, returns: bool) {
        for inner in self.inner() {
            inner.drain(returns);
        }
    }

    /// The state of the application. Answers at once, however busy it is.
    fn status(&self) -> Status {
        let status = self.inner().into_iter().map(<dyn Application>::status);
        status.reduce(Status::beside).unwrap_or_default()
    }

    /// What was counted and measured of its requests.
    fn measurements(&self) -> Measurements {
        let mut all = Measurements::default();
        for inner in self.inner() {
            all.add(&inner.measurements());
        }
        all
    }

    /// Tells of a request that the gateway has refused, so that it is counted. It has not reached the application.
    fn note_refused(&self, refused: RefusedRequest) {
        // It is one request, whatever the number of applications.
        if let Some(inner) = self.inner().first() {
            inner.note_refused(refused);
        }
    }

    /// Tells of a request whose response has ended, if the gateway measures that.
    fn note_ended(&self, ended: EndedRequest) {
        if let Some(inner) = self.inner().first() {
            inner.note_ended(ended);
        }
    }

    /// Writes the stacks of the processes to the log, where they can be had. Returns at once.
    fn write_stacks(&self) {
        for inner in self.inner() {
            inner.write_stacks();
        }
    }
}

/// A boxed future that an [`Application`] returns.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
