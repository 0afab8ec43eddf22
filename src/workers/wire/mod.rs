//! The connection with a lane of a worker: [`link`] is runner's end, [`ring`] the shared memory for whole answers,
//! [`body_stream`] that for answers in parts, with `slots` for large blocks, [`frames`] what comes over the socket, `responses`
//! makes responses of it.

use std::io;

use crate::protocol::worker::frame::LaneOrder;
use crate::workers::pending_request::PendingRequest;

pub mod body_stream;
pub mod frames;
pub(crate) mod link;
pub(crate) mod responses;
pub mod ring;
mod slots;

/// The connection with a lane, as the pool uses it: a [`link::Link`], except in simulations.
pub(crate) trait Wire {
    /// Adds a request to those that are to be written. A body that is a file is sent at once. `announce` if the worker is to
    /// say at once that it has answered.
    ///
    /// # Errors
    /// [`Unsent`].
    fn push(&mut self, number: u32, pending: &PendingRequest, announce: bool)
    -> Result<(), Unsent>;

    /// Adds a frame that is no request to what is to be written.
    fn order(&mut self, order: LaneOrder, number: u32, payload: &[u8]);

    /// Adds a request without a token: the worker drops it, and says that it has read it.
    fn probe(&mut self, number: u32);

    /// Takes back the tokens of all requests that have not begun, including those that are not written yet.
    fn take_tokens(&mut self) -> Vec<u8>;

    /// The number of the last request that the worker says it has read.
    fn last_read(&self) -> u32;

    /// Whether the worker says that it waits for requests.
    fn is_waiting(&self) -> bool;

    /// Whether requests are to be written.
    fn has_unwritten(&self) -> bool;

    /// How many lines the worker could not write to the log and has not reported.
    fn lost_lines(&self) -> u64;

    /// The lane's thread, as the worker's Python numbers it; 0 if it has not begun.
    fn thread(&self) -> u64;

    /// Tells the worker that the client of a request has gone away.
    fn cancel(&self, number: u32);

    /// Lets the worker leave when it has answered the requests that it has.
    fn close(&self);
}

/// Why a request was not sent. The worker has not begun it.
#[derive(Debug)]
pub(crate) enum Unsent {
    /// The worker is gone.
    Gone,
    /// Its body cannot be sent to any worker.
    Body(io::Error),
}

impl From<io::Error> for Unsent {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => Self::Gone,
            _ => Self::Body(error),
        }
    }
}
