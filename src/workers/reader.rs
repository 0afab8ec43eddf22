//! What comes back from a lane: answers out of the ring and off the socket become responses.

use std::sync::{Arc, PoisonError};

use bytes::Bytes;
use http::{HeaderValue, header};
use tokio::net::UnixStream;
use tokio_util::sync::CancellationToken;

use super::task::Task;
use crate::faults::caught;
use crate::interface::body_file::BodyFile;
use crate::interface::{BlockSender, Errors, Response, ResponseBody};
use crate::protocol::worker::answer_head::{self, BadAnswer, Head};
use crate::protocol::worker::frame::{Header, Kind};
use crate::workers::event::WorkerEvent;
use crate::workers::hub::{Hub, lock};
use crate::workers::id::LaneId;
use crate::workers::pool::Pool;
use crate::workers::pool::in_flight::Violation;
use crate::workers::wire::frames::{Frames, Part};
use crate::{log, log_of};

/// The body of an answer that has begun: the number of its request, and where it goes.
type OpenBody = Option<(u32, BlockSender)>;

/// Reads what a lane sends to the end, and settles what is left then.
pub(crate) async fn attend(hub: Arc<Hub>, lane: LaneId, ended: CancellationToken) {
    let read = caught("a lane", read_lane(&hub, lane, &ended)).await;
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

/// Reads what a lane sends until it closes, or until its worker has `ended` and all that it sent is read: a process that
/// the application has forked may hold the lane open for as long as it likes. `Err` if the worker sends what
/// none of ours would.
///
/// Nothing here waits for a client, but where so much of an answer is kept for it already that the worker has to.
async fn read_lane(
    hub: &Arc<Hub>,
    lane: LaneId,
    ended: &CancellationToken,
) -> Result<(), Violation> {
    let Some(socket) = lock(&hub.pool).link(lane).map(|link| link.socket()) else {
        return Ok(());
    };
    let mut frames = Frames::default();
    // Dropped in the middle, it breaks the answer off.
    let mut body: OpenBody = None;
    // The main thread is the last of a worker's to begin.
    let mut begins = lane.1 == 0;
    loop {
        let last = tokio::select! {
            biased;
            ready = readable(&socket, body.as_ref()) => match ready {
                Ok(()) => false,
                Err(_) => break,
            },
            () = ended.cancelled() => true,
            number = forsaken(body.as_ref()) => {
                cancel(&mut lock(&hub.pool), lane, number);
                body = None;
                continue;
            }
        };
        match socket.try_read_buf(frames.space()) {
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock && !last => continue,
            Ok(0) | Err(_) => break,
            Ok(_) => {}
        }
        if std::mem::take(&mut begins) {
            hub.tell(WorkerEvent::Begun(lane.0));
        }
        collect(hub, lane)?;
        while let Some(part) = frames.take()? {
            take_part(hub, lane, part, &mut body)?;
        }
        if frames.is_within() && body.is_none() {
            // Nobody wants it, and so nobody holds it back: others have their turn.
            tokio::task::yield_now().await;
        }
    }
    collect(hub, lane)
}

/// Waits until there is something to read, and room for it.
async fn readable(socket: &UnixStream, body: Option<&(u32, BlockSender)>) -> std::io::Result<()> {
    if let Some((_, body)) = body {
        body.room().await;
    }
    socket.readable().await
}

/// Waits until nobody wants the rest of a body any more; the number of its request. So the application may end it at
/// its next block.
async fn forsaken(body: Option<&(u32, BlockSender)>) -> u32 {
    match body {
        Some((number, sender)) => {
            sender.gone().await;
            *number
        }
        None => std::future::pending().await,
    }
}

fn take_part(
    hub: &Arc<Hub>,
    lane: LaneId,
    part: Part,
    body: &mut OpenBody,
) -> Result<(), Violation> {
    match part {
        Part::Whole(header, payload) => take_frame(hub, lane, header, &payload, body),
        Part::Begin(header, head) => {
            let mut pool = lock(&hub.pool);
            if header.kind == Kind::File
                && let Some(link) = pool.link(lane)
            {
                // Its head is too long. Answers that follow have their files behind this one.
                drop(link.receive_file());
            }
            let head = answer_head::head(header, &head);
            *body = begin(hub, &mut pool, lane, header, head)?;
            Ok(())
        }
        Part::Piece {
            header,
            bytes,
            last,
        } => {
            match header.kind {
                Kind::Errors => write_error(hub, lane, header.number, &bytes),
                Kind::Block | Kind::Answer => {
                    if !bytes.is_empty() {
                        pass_on(hub, lane, header.number, bytes, body);
                    }
                }
                Kind::Wake | Kind::Head | Kind::End { .. } | Kind::File => {}
            }
            match header.kind {
                Kind::Answer | Kind::File if last => end(hub, lane, header, body),
                Kind::Answer
                | Kind::File
                | Kind::Wake
                | Kind::Head
                | Kind::Block
                | Kind::End { .. }
                | Kind::Errors => Ok(()),
            }
        }
    }
}

fn take_frame(
    hub: &Arc<Hub>,
    lane: LaneId,
    header: Header,
    payload: &Bytes,
    body: &mut OpenBody,
) -> Result<(), Violation> {
    let number = header.number;
    match header.kind {
        Kind::Wake => {
            let mut pool = lock(&hub.pool);
            pool.note_read(lane);
            pool.dispatch();
        }
        Kind::Answer => {
            let mut pool = lock(&hub.pool);
            answer(&mut pool, lane, header, payload)?;
            pool.dispatch();
        }
        Kind::Head => {
            let mut pool = lock(&hub.pool);
            *body = begin(
                hub,
                &mut pool,
                lane,
                header,
                answer_head::head(header, payload),
            )?;
        }
        Kind::Block => pass_on(hub, lane, number, payload.clone(), body),
        Kind::End { truncated } => {
            if truncated {
                *body = None;
            }
            return end(hub, lane, header, body);
        }
        Kind::File => {
            let mut pool = lock(&hub.pool);
            answer_file(&mut pool, lane, header, payload)?;
            pool.dispatch();
        }
        Kind::Errors => write_error(hub, lane, number, payload),
    }
    if matches!(header.kind, Kind::Answer | Kind::File) {
        // Answers in the ring to what came after this one were waiting for their turn.
        collect(hub, lane)?;
    }
    hub.wake();
    Ok(())
}

/// Begins an answer whose body follows; where that is to go.
fn begin(
    hub: &Hub,
    pool: &mut Pool,
    lane: LaneId,
    header: Header,
    head: Result<Head, BadAnswer>,
) -> Result<OpenBody, Violation> {
    let task = pool.current(lane, header.number)?;
    let (sender, blocks) = hub.depot.blocks();
    let response = match head {
        Ok(head) if header.kind == Kind::Answer => {
            let length = header.length - header.head;
            let blocks = blocks.with_length(length as u64);
            response(head, ResponseBody::Stream(blocks))
        }
        Ok(head) => response(head, ResponseBody::Stream(blocks)),
        Err(error) => bad_answer(task, &error),
    };
    if task.answer(response).is_ok() {
        return Ok(Some((header.number, sender)));
    }
    cancel(pool, lane, header.number);
    Ok(None)
}

/// Passes on a part of a body that has begun.
fn pass_on(hub: &Hub, lane: LaneId, number: u32, bytes: Bytes, body: &mut OpenBody) {
    if let Some((its, sender)) = body
        && *its == number
        && sender.push(bytes).is_err()
    {
        *body = None;
        cancel(&mut lock(&hub.pool), lane, number);
    }
}

/// Ends an answer that has begun.
fn end(hub: &Arc<Hub>, lane: LaneId, header: Header, body: &mut OpenBody) -> Result<(), Violation> {
    let mut pool = lock(&hub.pool);
    pool.answered(lane, header.number, header.service)?;
    if let Some((_, sender)) = body.take_if(|(its, _)| *its == header.number) {
        sender.end();
    }
    pool.dispatch();
    drop(pool);
    // Answers in the ring to what came after this one were waiting for their turn.
    collect(hub, lane)?;
    hub.wake();
    Ok(())
}

/// Passes on what the application reports.
fn write_error(hub: &Hub, lane: LaneId, number: u32, text: &Bytes) {
    let mut pool = lock(&hub.pool);
    // A thread that the application has left behind may speak of a request that is over.
    match pool.current(lane, number).map(|task| &task.errors) {
        Ok(Errors::Gateway(sender)) if sender.try_send(text.clone()).is_ok() => {}
        Ok(_) | Err(Violation) => log!("{}", String::from_utf8_lossy(text).trim_end()),
    }
}

/// Takes all answers out of a lane's ring.
pub(crate) fn collect(hub: &Arc<Hub>, lane: LaneId) -> Result<(), Violation> {
    let mut pool = hub.pool.lock().unwrap_or_else(PoisonError::into_inner);
    collect_locked(&mut pool, lane)?;
    drop(pool);
    hub.wake();
    Ok(())
}

/// The same for every lane that is at work.
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
    let mut task = pool.answered(lane, header.number, header.service)?;
    let response = match answer_head::answer(header, payload) {
        Ok((head, body)) => response(head, ResponseBody::Bytes(body)),
        Err(error) => bad_answer(&task, &error),
    };
    // If nobody wants it any more, nobody needs to have it.
    let _ = task.answer(response);
    Ok(())
}

fn answer_file(
    pool: &mut Pool,
    lane: LaneId,
    header: Header,
    payload: &Bytes,
) -> Result<(), Violation> {
    let file = pool.link(lane).ok_or(Violation)?.receive_file();
    let mut task = pool.answered(lane, header.number, header.service)?;
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
        (Err(error), _) => bad_answer(&task, &error),
        (_, Err(error)) => {
            let reason = format!("the file did not come: {error}");
            bad_answer(&task, &BadAnswer::Malformed(reason))
        }
    };
    // If nobody wants it any more, nobody needs to have it.
    let _ = task.answer(response);
    Ok(())
}

fn response(head: Head, body: ResponseBody) -> Response {
    Response {
        status: head.status,
        reason: head.reason,
        headers: head.headers,
        body,
    }
}

fn bad_answer(task: &Task, error: &BadAnswer) -> Response {
    let status = error.status();
    log_of!(
        log::LogKind::InvalidAnswer,
        "{} for {}: the application's answer cannot be sent: {error}",
        status.as_u16(),
        task.about
    );
    Response::plain(status)
}

fn cancel(pool: &mut Pool, lane: LaneId, number: u32) {
    if let Some(link) = pool.link(lane) {
        link.ring.cancel(number);
    }
}
