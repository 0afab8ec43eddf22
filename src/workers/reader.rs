//! What comes back from a lane: answers from the ring and from the socket become responses.

use std::io::ErrorKind;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderValue, header};
use tokio::net::UnixStream;
use tokio_util::sync::CancellationToken;

use crate::interface::body_file::BodyFile;
use crate::interface::{BlockSender, Errors, Response, ResponseBody};
use crate::panics::caught;
use crate::protocol::worker::answer_head::{self, AnswerHead, BadAnswer};
use crate::protocol::worker::frame::{Header, Kind};
use crate::workers::event::WorkerEvent;
use crate::workers::hub::{Hub, lock};
use crate::workers::id::LaneId;
use crate::workers::pending_request::PendingRequest;
use crate::workers::pool::Pool;
use crate::workers::pool::in_flight::Violation;
use crate::workers::wire::frames::{FramePart, Frames};
use crate::{log, log_of};

/// Reads what a lane sends to the end, and settles what is left then.
pub(crate) async fn attend(hub: Arc<Hub>, lane: LaneId, ended: CancellationToken) {
    let body = None;
    let hub = &hub;
    let read = caught("a lane", LaneReader { hub, lane, body }.read(&ended)).await;
    let mut pool = lock(&hub.pool);
    // Whichever side is at fault: nothing more of the worker is understood.
    if !matches!(read, Ok(Ok(()))) {
        pool.reject(lane.0);
    }
    pool.lane_closed(lane);
    drop(pool);
    hub.wake();
    hub.tell(WorkerEvent::LaneClosed(lane.0));
}

struct LaneReader<'a> {
    hub: &'a Arc<Hub>,
    lane: LaneId,
    /// The body of an answer that has begun: the number of its request, and where it goes. Dropped before its end, it cuts
    /// the answer off.
    body: Option<(u32, BlockSender)>,
}

impl LaneReader<'_> {
    /// Reads until the lane closes, or until the worker's process has `ended` and all that it sent is read: a process that
    /// the application has forked may hold the lane open.
    ///
    /// Nothing here waits for a client, unless so much of an answer is stored for it already that the worker has to wait.
    ///
    /// # Errors
    /// [`Violation`] if no worker of runner's would send what came.
    async fn read(mut self, ended: &CancellationToken) -> Result<(), Violation> {
        let socket = lock(&self.hub.pool).link(self.lane).map(|it| it.socket());
        let Some(socket) = socket else {
            return Ok(());
        };
        let mut frames = Frames::default();
        // The main thread of a worker is the last to begin.
        let mut begins = self.lane.1 == 0;
        loop {
            let last = tokio::select! {
                biased;
                ready = self.readable(&socket) => match ready {
                    Ok(()) => false,
                    Err(_) => break,
                },
                () = ended.cancelled() => true,
                number = self.unwanted() => {
                    cancel(&mut lock(&self.hub.pool), self.lane, number);
                    self.body = None;
                    continue;
                }
            };
            match socket.try_read_buf(frames.space()) {
                Err(error) if error.kind() == ErrorKind::WouldBlock && !last => continue,
                Ok(0) | Err(_) => break,
                Ok(_) => {}
            }
            if std::mem::take(&mut begins) {
                self.hub.tell(WorkerEvent::Begun(self.lane.0));
            }
            self.collect()?;
            while let Some(part) = frames.take()? {
                self.take(part)?;
            }
            if frames.is_within() && self.body.is_none() {
                // The rest of this answer is dropped as fast as it comes: other requests get their turn.
                tokio::task::yield_now().await;
            }
        }
        self.collect()
    }

    /// Waits until there is something to read, and room for it.
    async fn readable(&self, socket: &UnixStream) -> std::io::Result<()> {
        if let Some((_, body)) = &self.body {
            body.room().await;
        }
        socket.readable().await
    }

    /// Waits until the client has gone away that the body is for. Returns the number of the request, so that the
    /// application can be told.
    async fn unwanted(&self) -> u32 {
        match &self.body {
            Some((number, sender)) => {
                sender.gone().await;
                *number
            }
            None => std::future::pending().await,
        }
    }

    fn collect(&self) -> Result<(), Violation> {
        collect(self.hub, self.lane)
    }

    fn take(&mut self, part: FramePart) -> Result<(), Violation> {
        match part {
            FramePart::Whole(header, payload) => self.take_frame(header, payload),
            FramePart::Begin(header, head) => {
                if header.kind == Kind::File
                    && let Some(link) = lock(&self.hub.pool).link(self.lane)
                {
                    // Its head is too long. The files of later answers are behind this one.
                    drop(link.receive_file());
                }
                self.begin(header, answer_head::head(header, &head))
            }
            FramePart::Piece {
                header,
                bytes,
                last,
            } => {
                self.take_bytes(header, bytes);
                match header.kind {
                    Kind::Answer | Kind::File if last => self.end(header),
                    Kind::Answer | Kind::File | Kind::Wake | Kind::Head => Ok(()),
                    Kind::Block | Kind::End { .. } | Kind::Errors => Ok(()),
                }
            }
        }
    }

    fn take_frame(&mut self, header: Header, payload: Bytes) -> Result<(), Violation> {
        match header.kind {
            Kind::Wake => {
                let mut pool = lock(&self.hub.pool);
                pool.note_read(self.lane);
                pool.dispatch();
            }
            Kind::Answer => {
                let mut pool = lock(&self.hub.pool);
                answer(&mut pool, self.lane, header, &payload)?;
                pool.dispatch();
            }
            Kind::File => {
                let mut pool = lock(&self.hub.pool);
                answer_file(&mut pool, self.lane, header, &payload)?;
                pool.dispatch();
            }
            Kind::Head => self.begin(header, answer_head::head(header, &payload))?,
            Kind::Block | Kind::Errors => self.take_bytes(header, payload),
            Kind::End { truncated } => {
                if truncated {
                    self.body = None;
                }
                return self.end(header);
            }
        }
        if matches!(header.kind, Kind::Answer | Kind::File) {
            // Answers in the ring to later requests were waiting for their turn.
            self.collect()?;
        }
        self.hub.wake();
        Ok(())
    }

    /// Begins an answer whose body follows.
    fn begin(
        &mut self,
        header: Header,
        head: Result<AnswerHead, BadAnswer>,
    ) -> Result<(), Violation> {
        let mut pool = lock(&self.hub.pool);
        let pending = pool.current(self.lane, header.number)?;
        let (sender, mut blocks) = self.hub.depot.blocks();
        let response = match head {
            Ok(head) => {
                if header.kind == Kind::Answer {
                    let length = header.length - header.head;
                    blocks = blocks.with_length(length as u64);
                }
                response(head, ResponseBody::Stream(blocks))
            }
            Err(error) => bad_answer(pending, &error),
        };
        self.body = match pending.answer(response) {
            Ok(()) => Some((header.number, sender)),
            Err(_) => {
                cancel(&mut pool, self.lane, header.number);
                None
            }
        };
        Ok(())
    }

    /// Passes on a part of a body, or text for `wsgi.errors`.
    fn take_bytes(&mut self, header: Header, bytes: Bytes) {
        match header.kind {
            Kind::Errors => self.write_error(header.number, &bytes),
            Kind::Block | Kind::Answer => {
                if let Some((number, sender)) = &self.body
                    && *number == header.number
                    && !bytes.is_empty()
                    && sender.push(bytes).is_err()
                {
                    self.body = None;
                    cancel(&mut lock(&self.hub.pool), self.lane, header.number);
                }
            }
            Kind::Wake | Kind::Head | Kind::End { .. } | Kind::File => {}
        }
    }

    /// Ends an answer whose body came in parts.
    fn end(&mut self, header: Header) -> Result<(), Violation> {
        let mut pool = lock(&self.hub.pool);
        pool.answered(self.lane, header.number, header.service)?;
        if let Some((_, sender)) = self.body.take_if(|(its, _)| *its == header.number) {
            sender.end();
        }
        pool.dispatch();
        drop(pool);
        // Answers in the ring to later requests were waiting for their turn.
        self.collect()
    }

    /// Passes on text that the application wrote to `wsgi.errors`.
    fn write_error(&self, number: u32, text: &Bytes) {
        let mut pool = lock(&self.hub.pool);
        // A thread that the application has left behind may write for a request that is over.
        match pool
            .current(self.lane, number)
            .map(|pending| &pending.errors)
        {
            Ok(Errors::Gateway(sender)) if sender.try_send(text.clone()).is_ok() => {}
            Ok(_) | Err(Violation) => {
                crate::log_error!("{}", String::from_utf8_lossy(text).trim_end());
            }
        }
    }
}

/// Takes all answers from a lane's ring.
pub(crate) fn collect(hub: &Arc<Hub>, lane: LaneId) -> Result<(), Violation> {
    collect_locked(&mut lock(&hub.pool), lane)?;
    hub.wake();
    Ok(())
}

/// Takes all answers from the rings of all lanes that have requests.
pub(crate) fn collect_all(pool: &mut Pool) {
    for lane in pool.workers.busy() {
        if collect_locked(pool, lane).is_err() {
            pool.reject(lane.0);
        }
    }
}

fn collect_locked(pool: &mut Pool, lane: LaneId) -> Result<(), Violation> {
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
    if header.kind != Kind::Answer {
        return Err(Violation);
    }
    let mut pending = pool.answered(lane, header.number, header.service)?;
    let response = match answer_head::answer(header, payload) {
        Ok((head, body)) => response(head, ResponseBody::Bytes(body)),
        Err(error) => bad_answer(&pending, &error),
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
    let response = match (answer_head::file(header, payload), file) {
        (Ok((mut head, offset, length)), Ok(file)) => {
            let announced = head
                .headers
                .get(header::CONTENT_LENGTH)
                .and_then(|value| value.to_str().ok())
                // The parser knows a sign, HTTP does not.
                .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))
                .and_then(|text| text.parse::<u64>().ok());
            let length = announced.map_or(length, |announced| announced.min(length));
            if announced.is_none() {
                let value = HeaderValue::from(length);
                head.headers.insert(header::CONTENT_LENGTH, value);
            }
            let body = ResponseBody::File {
                file: BodyFile::of_application(file),
                offset,
                length,
            };
            response(head, body)
        }
        (Err(error), _) => bad_answer(&pending, &error),
        (_, Err(error)) => {
            let reason = format!("the file did not come: {error}");
            bad_answer(&pending, &BadAnswer::Malformed(reason))
        }
    };
    // If its client has gone away, the answer is dropped.
    let _ = pending.answer(response);
    Ok(())
}

fn response(head: AnswerHead, body: ResponseBody) -> Response {
    Response {
        status: head.status,
        reason: head.reason,
        headers: head.headers,
        body,
    }
}

fn bad_answer(pending: &PendingRequest, error: &BadAnswer) -> Response {
    let status = error.status();
    log_of!(
        log::LogKind::InvalidAnswer,
        "{} for {}: the application's answer cannot be sent: {error}",
        status.as_u16(),
        pending.about
    );
    Response::plain(status)
}

fn cancel(pool: &mut Pool, lane: LaneId, number: u32) {
    if let Some(link) = pool.link(lane) {
        link.ring.cancel(number);
    }
}
