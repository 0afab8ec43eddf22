//! The body of a response between the application and the client: both ends, and the file in between. A worker is free
//! when it has made a response, however slowly the client receives it.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use bytes::Bytes;
use tokio::time::timeout;

use crate::interface::backlog::{Backlog, BacklogRoom, BodyEnd, QueuedBlock, Recipient};
use crate::interface::blocks::delivery::{Delivery, lock};
use crate::interface::conversation::Correspondent;
use crate::interface::request::RequestName;
use crate::log::LogKind;

pub use body_errors::{Gone, Truncated};
pub use depot::Depot;

mod body_errors;
mod delivery;
mod depot;
mod depot_limits;

/// A response body's receiving end. Dropping it tells the application that the client has gone away.
pub struct Blocks {
    delivery: Arc<Delivery>,
    /// A read from the file that is under way.
    reading: Option<PendingRead>,
    length: Option<u64>,
    /// See [`Blocks::pass_on`].
    passes_on: bool,
}

type PendingRead = Pin<Box<dyn Future<Output = io::Result<Bytes>> + Send>>;

/// A response body's sending end. Dropped before [`BlockSender::end`], it cuts the body off: the gateway then ends the
/// response so that the client notices.
#[derive(Debug)]
pub struct BlockSender(Arc<Delivery>);

impl BlockSender {
    /// Hands over a block. Waits while the client is slow and no more of the response is to be stored for it.
    ///
    /// # Errors
    /// [`Gone`] if the client has gone away.
    pub async fn send(&self, block: Bytes) -> Result<(), Gone> {
        self.room().await;
        self.push(block)
    }

    /// Waits until there is room for a block, or the client has gone away; or is given up, since it takes nothing and has its
    /// share of what is stored for all.
    pub async fn room(&self) {
        loop {
            let room = {
                let mut backlog = lock(&self.0.backlog);
                backlog.room(self.0.depot.limits.allowance_of_waiting())
            };
            let begun = Instant::now();
            let taken = self.0.taken.notified();
            match room {
                BacklogRoom::Yes => return,
                // The next turn finds out which of both has happened.
                BacklogRoom::Full(Some(patience)) => drop(timeout(patience, taken).await),
                BacklogRoom::Full(None) => self.0.wait_without_room(taken).await,
            }
            lock(&self.0.backlog).waited += begun.elapsed();
        }
    }

    /// How many bytes there is room for now.
    #[must_use]
    pub fn space(&self) -> usize {
        let backlog = lock(&self.0.backlog);
        backlog.space(self.0.depot.limits.allowance_of_waiting())
    }

    /// Hands over a block, whether there is room or not.
    ///
    /// # Errors
    /// [`Gone`] if the client has gone away.
    pub fn push(&self, block: Bytes) -> Result<(), Gone> {
        self.put(QueuedBlock::new(block))
    }

    /// The same with a block in memory whose owner waits for it: as much of that as may be in memory of a response is lent to
    /// the gateway at a time. Where the client is slow, the block is copied.
    ///
    /// # Errors
    /// [`Gone`] if the client has gone away.
    pub fn lend(&self, block: Bytes) -> Result<(), Gone> {
        self.put(QueuedBlock::lent(block))
    }

    fn put(&self, block: QueuedBlock) -> Result<(), Gone> {
        let mut backlog = lock(&self.0.backlog);
        match backlog.recipient {
            Recipient::Gone => return Err(Gone),
            _ if block.bytes.is_empty() => return Ok(()),
            Recipient::Satisfied => {
                self.0.log_excess();
                self.0.leave(&mut backlog);
                return Err(Gone);
            }
            Recipient::Listening => {}
        }
        let allowance = match self.0.depot.limits.allowance_of_waiting() {
            // Only then it matters whether there is room for it in a file.
            short if short.is_short => self.0.allowance(&backlog),
            enough => enough,
        };
        let begins = backlog.push(block, allowance);
        self.0.account(&mut backlog);
        if begins {
            tokio::spawn(Arc::clone(&self.0).write());
        }
        Ok(())
    }

    /// Ends the body: it is complete.
    pub fn end(self) {
        self.0.end(BodyEnd::Whole);
    }

    /// Waits until the client has gone away.
    pub async fn gone(&self) {
        while lock(&self.0.backlog).recipient != Recipient::Gone {
            self.0.gone.notified().await;
        }
    }
}

impl Drop for BlockSender {
    fn drop(&mut self) {
        self.0.end(BodyEnd::Truncated);
    }
}

impl Blocks {
    /// Both ends of the body of the response to a request.
    #[must_use]
    pub fn of(depot: &Arc<Depot>, about: Option<&RequestName>) -> (BlockSender, Self) {
        Self::told_to(None, depot, about)
    }

    /// The same, where the application's side is told of each block that the gateway has taken, and when the client has gone
    /// away, instead of waiting for that: nothing is stored in a file, as long as the application does not send more than
    /// it has room for.
    #[must_use]
    pub fn with_credit(
        correspondent: Arc<dyn Correspondent>,
        depot: &Arc<Depot>,
        about: Option<&RequestName>,
    ) -> (BlockSender, Self) {
        Self::told_to(Some(correspondent), depot, about)
    }

    fn told_to(
        correspondent: Option<Arc<dyn Correspondent>>,
        depot: &Arc<Depot>,
        about: Option<&RequestName>,
    ) -> (BlockSender, Self) {
        let delivery = Arc::new(Delivery::new(
            Arc::clone(depot),
            correspondent,
            about.cloned(),
        ));
        let blocks = Self {
            delivery: Arc::clone(&delivery),
            reading: None,
            length: None,
            passes_on: false,
        };
        (BlockSender(delivery), blocks)
    }

    /// The ends of a body that stays in memory: its sender waits for the client.
    #[must_use]
    pub fn channel() -> (BlockSender, Self) {
        Self::of(&Arc::new(Depot::new(PathBuf::new(), 0)), None)
    }

    /// The request whose response it is, for the log.
    #[must_use]
    pub fn about(&self) -> Option<&RequestName> {
        self.delivery.about()
    }

    /// The same body with a length, in bytes, that is known beforehand.
    #[must_use]
    pub fn with_length(mut self, length: u64) -> Self {
        self.length = Some(length);
        self
    }

    /// From now on blocks may be in memory that their owner waits for, and that another process could change: this end passes
    /// them on to a client, and does not look at them. Before, these are copied.
    pub fn pass_on(&mut self) {
        self.passes_on = true;
    }

    /// The length of the body in bytes, where it is known beforehand.
    #[must_use]
    pub fn length(&self) -> Option<u64> {
        self.length
    }

    /// The next block; `None` at the regular end.
    pub async fn next(&mut self) -> Option<Result<Bytes, Truncated>> {
        std::future::poll_fn(|context| self.poll_next(context)).await
    }

    /// Polls for the next block.
    pub fn poll_next(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Truncated>>> {
        loop {
            if let Some(reading) = &mut self.reading {
                let read = ready!(reading.as_mut().poll(context));
                self.reading = None;
                return Poll::Ready(Some(self.has_read(read)));
            }
            let mut backlog = lock(&self.delivery.backlog);
            if let Some(piece) = backlog.ready.pop() {
                return Poll::Ready(Some(Ok(self.take(&mut backlog, piece))));
            }
            if !backlog.kept.is_empty()
                && let Some(file) = &backlog.file
            {
                let left = backlog.kept.end - backlog.kept.start;
                let most = self.delivery.depot.limits.piece(left);
                self.reading = Some(Box::pin(file.read(backlog.kept.start, most)));
                continue;
            }
            if !backlog.writing {
                if let Some(piece) = backlog.waiting.pop() {
                    return Poll::Ready(Some(Ok(self.take(&mut backlog, piece))));
                }
                backlog.overflowing = false;
                match backlog.ending {
                    BodyEnd::Open => {}
                    BodyEnd::Whole => {
                        self.delivery.delivered(&mut backlog);
                        return Poll::Ready(None);
                    }
                    BodyEnd::Truncated => {
                        self.delivery.delivered(&mut backlog);
                        return Poll::Ready(Some(Err(Truncated)));
                    }
                }
            }
            backlog.reader = Some(context.waker().clone());
            return Poll::Pending;
        }
    }

    fn take(&self, backlog: &mut Backlog, block: QueuedBlock) -> Bytes {
        let length = block.bytes.len();
        backlog.taken += length as u64;
        self.delivery.account(backlog);
        if block.is_lent && self.passes_on {
            return self.delivery.lend(backlog, block.bytes);
        }
        self.delivery.make_room(length);
        block.into_own()
    }

    /// Notes the result of a read from the file.
    fn has_read(&self, read: io::Result<Bytes>) -> Result<Bytes, Truncated> {
        let mut backlog = lock(&self.delivery.backlog);
        match read {
            Ok(piece) => {
                backlog.kept.start += piece.len() as u64;
                self.delivery.give_back(&mut backlog);
                Ok(self.take(&mut backlog, QueuedBlock::new(piece)))
            }
            Err(error) => {
                let what = format_args!("cannot read the stored response: {error}");
                self.delivery.log(LogKind::NotStored, what);
                self.delivery.leave(&mut backlog);
                backlog.ending = BodyEnd::Truncated;
                Err(Truncated)
            }
        }
    }

    /// Receives nothing more, but lets the application finish: it may run code after its last block, and is not to be told
    /// that the client has gone away.
    pub fn satisfied(self) {
        let mut backlog = lock(&self.delivery.backlog);
        if backlog.recipient == Recipient::Listening {
            let more = !backlog.is_empty();
            backlog.recipient = Recipient::Satisfied;
            self.delivery.clear(&mut backlog);
            self.delivery.delivered(&mut backlog);
            if more {
                self.delivery.log_excess();
                self.delivery.leave(&mut backlog);
            }
            self.delivery.taken.notify_one();
        }
    }
}

impl Drop for Blocks {
    fn drop(&mut self) {
        let mut backlog = lock(&self.delivery.backlog);
        if backlog.recipient == Recipient::Listening {
            self.delivery.leave(&mut backlog);
        }
    }
}

impl fmt::Debug for Blocks {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Blocks").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
