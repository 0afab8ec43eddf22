//! The one interface between gateways and applications: [`Request`], [`Response`] and the trait [`Application`].
//!
//! A gateway turns what came in into a [`Request`] and writes a [`Response`]; an application has one method and
//! always answers. Neither names the other, so that N gateways and M applications need N + M pieces of code.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

pub use blocks::{BlockSender, Blocks, Depot, Gone, Truncated};
pub use request::{Connection, Errors, Request, RequestBody, Scheme};
pub use response::{Response, ResponseBody};
use status::Status;

mod backlog;
mod blocks;
pub mod body_file;
mod request;
mod response;
pub mod status;

/// Something that answers requests.
pub trait Application: Send + Sync {
    /// Answers one request. Never fails: what goes wrong inside is logged there and answered with
    /// a status (`500`, `502`, `503`, `504`).
    ///
    /// The future is dropped when the client has gone away; the application then stops working for
    /// it as far as it can.
    fn respond(&self, request: Request) -> Pending<'_, Response>;

    /// Ends what stands behind the application (its processes): accepts no more requests, answers those that
    /// it has, also those that wait in its queue, and lets each process leave when there is nothing
    /// left for it to do. What is not finished after the time `within` is ended. Returns when nothing
    /// is left running.
    fn stop(&self, within: Duration) -> Pending<'_, ()> {
        let _ = within;
        Box::pin(std::future::ready(()))
    }

    /// How the application is. Answers at once, however busy it is.
    fn status(&self) -> Status {
        Status::default()
    }

    /// Writes to the log what each process is doing, call by call, where that can be seen. Returns at once.
    fn write_stacks(&self) {}
}

/// A boxed future that an [`Application`] returns.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
