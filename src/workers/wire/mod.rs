//! What connects us with the lanes of a worker.

use std::io;

use crate::workers::task::Task;

pub mod frames;
pub(crate) mod link;
pub mod ring;

/// What a pool asks of the connection with a lane. It is a [`Link`], but in simulations.
pub(crate) trait Wire {
    /// Puts a request among what is to be written, its body first if that is a file.
    ///
    /// # Errors
    /// [`Unsent`].
    fn push(&mut self, number: u32, task: &Task) -> Result<(), Unsent>;

    /// Takes back the tokens of all requests that have not begun; those not even written too.
    fn take_tokens(&mut self) -> Vec<u8>;

    /// The number of the last request that the worker says it has read.
    fn last_read(&self) -> u32;

    /// Whether the worker says that it waits for requests.
    fn is_waiting(&self) -> bool;

    /// Whether anything is to be written.
    fn has_unwritten(&self) -> bool;

    /// How many lines the worker could not write to the log, and has not said so.
    fn lost_lines(&self) -> u64;

    /// The lane's thread, as the worker's Python numbers it; 0 if it has not begun.
    fn thread(&self) -> u64;

    /// Tells the worker that nobody wants the rest of an answer.
    fn cancel(&self, number: u32);

    /// Lets the worker leave when it has answered what it has.
    fn close(&self);
}

/// Why a request was not sent. The worker has not begun it.
#[derive(Debug)]
pub(crate) enum Unsent {
    /// The worker is gone.
    Gone,
    /// Its body cannot be sent to anybody.
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
