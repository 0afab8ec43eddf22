//! What comes back from a lane: answers out of the ring and off the socket become responses.

use std::sync::{Arc, PoisonError};

use bytes::{Bytes, BytesMut};
use http::{HeaderValue, header};
use tokio_util::sync::CancellationToken;

use super::lane::Confused;
use super::pool::{Pool, Seat};
use super::task::Task;
use super::{Shared, lock};
use crate::application::{BlockSender, Blocks, Errors, Response, ResponseBody, Truncated};
use crate::body_file::BodyFile;
use crate::protocol::answer::{self, BadAnswer, Head};
use crate::protocol::marshal::Malformed;
use crate::protocol::worker::{HEADER, Header, Kind};
use crate::{log, log_of};

/// How much is read at once.
const BUFFER: usize = 64 * 1024;

impl From<Malformed> for Confused {
    fn from(_: Malformed) -> Self {
        Self
    }
}

/// Reads what a lane sends until it closes, or until its worker has `ended` and all that it sent is read: a process that
/// the application has forked may hold the lane open for as long as it likes. `Err` if the worker sends what
/// none of ours would.
pub async fn read_lane(
    shared: &Arc<Shared>,
    seat: Seat,
    ended: &CancellationToken,
) -> Result<(), Confused> {
    let Some(socket) = lock(&shared.pool).link(seat).map(|link| link.socket()) else {
        return Ok(());
    };
    let mut buffer = BytesMut::with_capacity(BUFFER);
    let mut body: Option<(u32, BlockSender)> = None;
    loop {
        let last = tokio::select! {
            biased;
            ready = socket.readable() => match ready {
                Ok(()) => false,
                Err(_) => break,
            },
            () = ended.cancelled() => true,
            number = forsaken(body.as_ref()) => {
                cancel(&mut lock(&shared.pool), seat, number);
                body = None;
                continue;
            }
        };
        buffer.reserve(BUFFER);
        match socket.try_read_buf(&mut buffer) {
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock && !last => continue,
            Ok(0) | Err(_) => break,
            Ok(_) => {}
        }
        collect(shared, seat)?;
        while let Some((header, payload)) = next_frame(&mut buffer)? {
            take_frame(shared, seat, header, payload, &mut body).await?;
        }
    }
    if let Some((_, body)) = body {
        // Its worker died in the middle of it.
        let _ = body.send(Err(Truncated)).await;
    }
    collect(shared, seat)
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

fn next_frame(buffer: &mut BytesMut) -> Result<Option<(Header, Bytes)>, Malformed> {
    let Some(header) = Header::read(buffer)? else {
        return Ok(None);
    };
    let whole = HEADER + header.length;
    if buffer.len() < whole {
        buffer.reserve(whole - buffer.len());
        return Ok(None);
    }
    let mut frame = buffer.split_to(whole).freeze();
    Ok(Some((header, frame.split_off(HEADER))))
}

async fn take_frame(
    shared: &Arc<Shared>,
    seat: Seat,
    header: Header,
    payload: Bytes,
    body: &mut Option<(u32, BlockSender)>,
) -> Result<(), Confused> {
    let number = header.number;
    match header.kind {
        Kind::Wake => lock(&shared.pool).awake(seat),
        Kind::Answer => {
            let mut pool = lock(&shared.pool);
            answer(&mut pool, seat, header, &payload)?;
            pool.dispatch();
        }
        Kind::Head => {
            let (sender, blocks) = Blocks::channel();
            let mut pool = lock(&shared.pool);
            let task = pool.current(seat, number)?;
            let response = match answer::head(header, &payload) {
                Ok(head) => response(head, ResponseBody::Stream(blocks)),
                Err(error) => bad_answer(task, &error),
            };
            if task.answer(response).is_ok() {
                *body = Some((number, sender));
            } else {
                cancel(&mut pool, seat, number);
            }
        }
        Kind::Block => {
            if let Some((its, sender)) = &body
                && *its == number
                && sender.send(Ok(payload)).await.is_err()
            {
                *body = None;
                cancel(&mut lock(&shared.pool), seat, number);
            }
        }
        Kind::End { truncated } => {
            if let Some((_, sender)) = body.take()
                && truncated
            {
                // If nobody wants it any more, nobody needs to know.
                let _ = sender.send(Err(Truncated)).await;
            }
            let mut pool = lock(&shared.pool);
            pool.answered(seat, number, header.service)?;
            pool.dispatch();
        }
        Kind::File => {
            let mut pool = lock(&shared.pool);
            answer_file(&mut pool, seat, header, &payload)?;
            pool.dispatch();
        }
        Kind::Errors => {
            let mut pool = lock(&shared.pool);
            // A thread that the application has left behind may speak of a request that is over.
            match pool.current(seat, number).map(|task| &task.errors) {
                Ok(Errors::Gateway(sender)) if sender.send(payload.clone()).is_ok() => {}
                Ok(_) | Err(Confused) => log!("{}", String::from_utf8_lossy(&payload).trim_end()),
            }
        }
    }
    if matches!(header.kind, Kind::End { .. } | Kind::Answer | Kind::File) {
        // Answers in the ring to what came after this one were waiting for their turn.
        collect(shared, seat)?;
    }
    shared.wake();
    Ok(())
}

/// Takes all answers out of a lane's ring.
pub fn collect(shared: &Arc<Shared>, seat: Seat) -> Result<(), Confused> {
    let mut pool = shared.pool.lock().unwrap_or_else(PoisonError::into_inner);
    collect_locked(&mut pool, seat)?;
    drop(pool);
    shared.wake();
    Ok(())
}

/// The same for every lane that is at work; the seat of one that is confused.
pub fn collect_all(pool: &mut Pool) -> Result<(), Seat> {
    for seat in pool.busy() {
        collect_locked(pool, seat).map_err(|Confused| seat)?;
    }
    Ok(())
}

fn collect_locked(pool: &mut Pool, seat: Seat) -> Result<(), Confused> {
    let mut any = false;
    while let Some((header, payload)) = pool.ring(seat)? {
        answer(pool, seat, header, &payload)?;
        any = true;
    }
    if any {
        pool.dispatch();
    }
    Ok(())
}

fn answer(pool: &mut Pool, seat: Seat, header: Header, payload: &Bytes) -> Result<(), Confused> {
    if header.kind != Kind::Answer {
        return Err(Confused);
    }
    let mut task = pool.answered(seat, header.number, header.service)?;
    let response = match answer::answer(header, payload) {
        Ok((head, body)) => response(head, ResponseBody::Bytes(body)),
        Err(error) => bad_answer(&task, &error),
    };
    // If nobody wants it any more, nobody needs to have it.
    let _ = task.answer(response);
    Ok(())
}

fn answer_file(
    pool: &mut Pool,
    seat: Seat,
    header: Header,
    payload: &Bytes,
) -> Result<(), Confused> {
    let file = pool.link(seat).ok_or(Confused)?.receive_file();
    let mut task = pool.answered(seat, header.number, header.service)?;
    let response = match (answer::file(header, payload), file) {
        (Ok((mut head, offset, length)), Ok(file)) => {
            let announced = head
                .headers
                .get(header::CONTENT_LENGTH)
                .and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
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
        log::Kind::Misfit,
        "{} for {}: the application's answer cannot be sent: {error}",
        status.as_u16(),
        task.about
    );
    Response::plain(status)
}

fn cancel(pool: &mut Pool, seat: Seat, number: u32) {
    if let Some(link) = pool.link(seat) {
        link.ring.cancel(number);
    }
}
