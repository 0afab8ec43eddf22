//! What comes back from a lane of a WSGI worker, which answers in order: answers from the ring, the stream and the socket
//! become responses.

use std::io::ErrorKind;
use std::sync::Arc;

use bytes::Bytes;
use tokio::net::UnixStream;
use tokio_util::sync::CancellationToken;

use crate::interface::{BlockSender, Blocks, Errors, Gone, ResponseBody};
use crate::log::escaped;
use crate::protocol::worker::answer_head;
use crate::protocol::worker::frame::{Header, Kind};
use crate::workers::event::WorkerEvent;
use crate::workers::hub::{Hub, lock};
use crate::workers::id::LaneId;
use crate::workers::pool::Pool;
use crate::workers::pool::lane::in_flight::Violation;
use crate::workers::wire::body_stream::{BodyStream, Reading, StreamPart};
use crate::workers::wire::frames::Frames;
use crate::workers::wire::link;
use crate::workers::wire::responses;

/// Reads what a lane sends to the end.
///
/// # Errors
/// [`Violation`] if no worker of runner's would send what came.
pub(super) async fn read(
    hub: &Arc<Hub>,
    lane: LaneId,
    (socket, stream): (Arc<UnixStream>, BodyStream),
    ended: &CancellationToken,
) -> Result<(), Violation> {
    let reader = LaneReader {
        hub,
        lane,
        socket: &socket,
        ended,
        stream,
        answer: None,
    };
    reader.read().await
}

struct LaneReader<'a> {
    hub: &'a Arc<Hub>,
    lane: LaneId,
    socket: &'a UnixStream,
    /// The worker's process has ended.
    ended: &'a CancellationToken,
    stream: BodyStream,
    /// The answer that is coming through the stream. Dropped before its end, it is cut off.
    answer: Option<PartialAnswer>,
}

/// An answer that has begun.
struct PartialAnswer {
    number: u32,
    /// Where its body goes; `None` if its client has gone away.
    body: Option<BlockSender>,
}

/// Why a lane's reader no longer waits.
enum WaitEnd {
    /// There is something to read, or room for what was read.
    Progress,
    /// The client has gone away that the answer is for.
    Gone,
    /// The worker's process has ended.
    Ended,
    /// The lane has closed.
    Closed,
}

impl LaneReader<'_> {
    /// Reads until the lane closes, or until the worker's process has ended and all that it sent is read: a process that
    /// the application has forked may hold the lane open.
    ///
    /// Nothing here waits for a client, unless so much of an answer is stored for it already that the worker has to wait.
    ///
    /// # Errors
    /// [`Violation`] if no worker of runner's would send what came.
    async fn read(mut self) -> Result<(), Violation> {
        let mut frames = Frames::default();
        // The main thread of a worker is the last to begin.
        let mut begins = self.lane.1 == 0;
        loop {
            let any = self.pass_on(false)?;
            if !self.is_full() {
                if any && self.answer.is_some() {
                    // While the client gets this, the worker makes more, and need not wake anybody up.
                    tokio::task::yield_now().await;
                    continue;
                }
                self.stream.expect_wake_up();
                if self.pass_on(false)? {
                    self.stream.expect_none();
                    continue;
                }
            }
            let end = self.wait().await;
            self.stream.expect_none();
            let last = match end {
                WaitEnd::Progress => false,
                WaitEnd::Gone => {
                    self.give_up();
                    continue;
                }
                WaitEnd::Ended => true,
                WaitEnd::Closed => break,
            };
            match link::read(self.socket, frames.space()) {
                Err(error) if error.kind() == ErrorKind::WouldBlock && !last => continue,
                Ok(0) | Err(_) => break,
                Ok(_) => {}
            }
            if std::mem::take(&mut begins) {
                self.hub.tell(WorkerEvent::Begun(self.lane.0));
            }
            self.collect()?;
            while let Some((header, payload)) = frames.take()? {
                self.take_frame(header, payload).await?;
            }
        }
        self.pass_on(true)?;
        self.collect()
    }

    /// Where the body goes that is coming through the stream.
    fn body(&self) -> Option<&BlockSender> {
        self.answer.as_ref()?.body.as_ref()
    }

    /// Whether the client has to take some of a body before more of it can be passed on.
    fn is_full(&self) -> bool {
        self.body().is_some() && self.stream.has_more()
    }

    /// Waits until there is something to read, and room for it.
    async fn wait(&self) -> WaitEnd {
        let (body, is_full) = (self.body(), self.is_full());
        let gone = async {
            match body {
                Some(body) => body.gone().await,
                None => std::future::pending().await,
            }
        };
        let room = async {
            match body {
                Some(body) if is_full => body.room().await,
                _ => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = room => WaitEnd::Progress,
            ready = self.socket.readable(), if !is_full => match ready {
                Ok(()) => WaitEnd::Progress,
                Err(_) => WaitEnd::Closed,
            },
            () = self.ended.cancelled() => WaitEnd::Ended,
            () = gone => WaitEnd::Gone,
        }
    }

    fn collect(&self) -> Result<(), Violation> {
        collect(self.hub, self.lane)
    }

    /// The number of the request that the lane is to answer next.
    fn current(&self) -> Option<u32> {
        let mut pool = lock(&self.hub.pool);
        pool.workers.lane(self.lane)?.in_flight.oldest_number()
    }

    /// Passes on what is in the stream: as much as there is room for, or `all`. Returns whether that was anything.
    fn pass_on(&mut self, all: bool) -> Result<bool, Violation> {
        let mut any = false;
        while let Some(reading) = self.reading(all)?
            && let Some(part) = self.stream.take(reading)?
        {
            match part {
                StreamPart::Head(header, payload) => self.begin(header, &payload)?,
                StreamPart::Bytes(bytes) => self.pass(|body| body.push(bytes)),
                StreamPart::Lent(bytes) => self.pass(|body| body.lend(bytes)),
                StreamPart::End(header) => self.end(header)?,
            }
            any = true;
        }
        if any {
            self.hub.wake();
        }
        Ok(any)
    }

    /// What to do with what is in the stream; `None` if nothing is.
    fn reading(&self, all: bool) -> Result<Option<Reading>, Violation> {
        if !self.stream.has_more() {
            return Ok(None);
        }
        let Some(PartialAnswer { number, body }) = &self.answer else {
            // Answers in the ring may be to earlier requests.
            self.collect()?;
            return Ok(self.current().map(Reading::Begins));
        };
        Ok(Some(match body {
            Some(_) if all => Reading::Takes(*number, usize::MAX),
            Some(body) => Reading::Takes(*number, body.space()),
            None => Reading::Drops(*number),
        }))
    }

    async fn take_frame(&mut self, header: Header, payload: Bytes) -> Result<(), Violation> {
        match header.kind {
            Kind::Wake => {
                let mut pool = lock(&self.hub.pool);
                pool.note_read(self.lane);
                pool.dispatch();
            }
            Kind::Answer { .. } | Kind::File => {
                self.catch_up(header.number).await?;
                let mut pool = lock(&self.hub.pool);
                match header.kind {
                    Kind::File => answer_file(&mut pool, self.lane, header, &payload)?,
                    _ => answer(&mut pool, self.lane, header, &payload)?,
                }
                pool.dispatch();
                drop(pool);
                // Answers in the ring to later requests were waiting for their turn.
                self.collect()?;
            }
            Kind::Errors => self.write_error(header.number, &payload),
            _ => return Err(Violation),
        }
        self.hub.wake();
        Ok(())
    }

    /// Passes on all answers in the stream that come before the answer to a request.
    async fn catch_up(&mut self, number: u32) -> Result<(), Violation> {
        while self.answer.is_some() || self.current() != Some(number) {
            if self.pass_on(false)? {
                continue;
            }
            // The worker has written all of them before.
            if !self.stream.has_more() || self.answer.is_none() {
                return Err(Violation);
            }
            if !self.is_full() {
                tokio::task::yield_now().await;
                continue;
            }
            match self.wait().await {
                WaitEnd::Progress => {}
                WaitEnd::Gone => self.give_up(),
                WaitEnd::Ended | WaitEnd::Closed => {
                    self.pass_on(true)?;
                }
            }
        }
        Ok(())
    }

    /// Begins an answer whose body follows.
    fn begin(&mut self, header: Header, payload: &Bytes) -> Result<(), Violation> {
        let mut pool = lock(&self.hub.pool);
        let pending = pool.current(self.lane, header.number)?;
        let (sender, mut blocks) = Blocks::of(&self.hub.depot, Some(&pending.about));
        let response = match answer_head::begun(header, payload) {
            Ok((head, length)) => {
                if let Some(length) = length {
                    blocks = blocks.with_length(length);
                }
                responses::of(head, ResponseBody::Stream(blocks))
            }
            Err(error) => responses::bad(pending, &error),
        };
        let is_wanted = pending.answer(response).is_ok();
        if !is_wanted {
            cancel(&mut pool, self.lane, header.number);
        }
        self.answer = Some(PartialAnswer {
            number: header.number,
            body: is_wanted.then_some(sender),
        });
        Ok(())
    }

    /// Passes on a part of a body.
    fn pass(&mut self, part: impl FnOnce(&BlockSender) -> Result<(), Gone>) {
        if let Some(body) = self.body()
            && part(body).is_err()
        {
            self.give_up();
        }
    }

    /// Tells the application that the client has gone away for which it makes a body.
    fn give_up(&mut self) {
        if let Some(answer) = &mut self.answer {
            answer.body = None;
            cancel(&mut lock(&self.hub.pool), self.lane, answer.number);
        }
    }

    /// Ends an answer whose body came in parts.
    fn end(&mut self, header: Header) -> Result<(), Violation> {
        let mut pool = lock(&self.hub.pool);
        pool.answered(self.lane, header.number, header.service)?;
        let body = self.answer.take().and_then(|answer| answer.body);
        if let (Some(body), Kind::End { truncated: false }) = (body, header.kind) {
            body.end();
        }
        pool.dispatch();
        drop(pool);
        // Answers in the ring to later requests were waiting for their turn.
        self.collect()
    }

    /// Passes on text that the application wrote to `wsgi.errors`.
    fn write_error(&self, number: u32, text: &Bytes) {
        let written = String::from_utf8_lossy(text);
        let shown = escaped(&written);
        let mut pool = lock(&self.hub.pool);
        // A thread that the application has left behind may write for a request that is over.
        let pending = pool.current(self.lane, number).ok();
        if let Some(Errors::Gateway(sender)) = pending.as_ref().map(|pending| &pending.errors)
            && sender
                .try_send(Bytes::copy_from_slice(shown.as_bytes()))
                .is_ok()
        {
            return;
        }
        let about = pending.map_or_else(|| self.hub.subject(), |pending| pending.about.subject());
        crate::log_error!(about = about, "{}", shown.trim_end());
    }
}

/// The same, with the pool not locked yet.
fn collect(hub: &Arc<Hub>, lane: LaneId) -> Result<(), Violation> {
    collect_locked(&mut lock(&hub.pool), lane)?;
    hub.wake();
    Ok(())
}

/// Takes all answers from a lane's ring.
pub(super) fn collect_locked(pool: &mut Pool, lane: LaneId) -> Result<(), Violation> {
    let mut any = false;
    while let Some((header, payload)) = pool.ring(lane)? {
        answer(pool, lane, header, &payload)?;
        any = true;
    }
    if any {
        pool.note_read(lane);
        pool.dispatch();
    }
    Ok(())
}

fn answer(pool: &mut Pool, lane: LaneId, header: Header, payload: &Bytes) -> Result<(), Violation> {
    if !matches!(header.kind, Kind::Answer { .. }) {
        return Err(Violation);
    }
    let mut pending = pool.answered(lane, header.number, header.service)?;
    let response = match answer_head::answer(header, payload) {
        Ok((head, body)) => responses::of(head, ResponseBody::Bytes(body)),
        Err(error) => responses::bad(&pending, &error),
    };
    // If its client has gone away, the answer is dropped.
    let _ = pending.answer(response);
    Ok(())
}

fn answer_file(
    pool: &mut Pool,
    lane: LaneId,
    header: Header,
    payload: &Bytes,
) -> Result<(), Violation> {
    let file = pool.link(lane).ok_or(Violation)?.receive_file();
    let mut pending = pool.answered(lane, header.number, header.service)?;
    let response = responses::of_file(&pending, header, payload, file);
    // If its client has gone away, the answer is dropped.
    let _ = pending.answer(response);
    Ok(())
}

fn cancel(pool: &mut Pool, lane: LaneId, number: u32) {
    if let Some(link) = pool.link(lane) {
        link.ring.cancel(number);
    }
}
