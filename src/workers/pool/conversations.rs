//! What ASGI workers say of the requests that they have begun, and what is told to them of these requests' clients.

use std::fs::File;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, header};

use crate::interface::{Blocks, CloseReason, Depot, ResponseBody, WebSocketMessage, web_socket};
use crate::log;
use crate::protocol::worker::answer_head;
use crate::protocol::worker::frame::{Header, Kind, LaneOrder, MESSAGE_WINDOW};
use crate::workers::client_notes::{ClientDeed, ClientNote, ClientNotes};
use crate::workers::id::LaneId;
use crate::workers::pool::Pool;
use crate::workers::pool::lane::begun_requests::{
    ClientWindow, Dialogue, LONGEST_MESSAGE, ResponseStage,
};
use crate::workers::pool::lane::event_loop::{self, left_payload};
use crate::workers::pool::lane::in_flight::Violation;
use crate::workers::wire::{Wire, responses};

/// What responses are made with.
pub(crate) struct ResponseMeans<'a> {
    /// Keeps bodies until their clients have received them.
    pub(crate) depot: &'a Arc<Depot>,
    /// Where clients are noted.
    pub(crate) notes: &'a Arc<ClientNotes>,
}

/// The longest reason of a close frame, in bytes (RFC 6455 §5.5).
const LONGEST_REASON: usize = 123;

/// The code and the reason of [`Kind::Close`]. What no close frame may carry (RFC 6455 §7.4) becomes what may.
fn close_reason(payload: &[u8]) -> Result<CloseReason, Violation> {
    let (code, text) = payload.split_first_chunk().ok_or(Violation)?;
    let code = match u16::from_le_bytes(*code) {
        code @ (1000..=1003 | 1007..=1014 | 3000..=4999) => code,
        _ => CloseReason::FAILED,
    };
    let mut text = String::from_utf8_lossy(text).into_owned();
    while text.len() > LONGEST_REASON {
        text.pop();
    }
    Ok(CloseReason { code, text })
}

/// Whether a response is of a kind that goes on until its client leaves: events (HTML, server-sent events), or parts of
/// which each replaces the one before. Their clients connect again.
fn is_endless(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE);
    let kind = kind.and_then(|value| value.as_bytes().split(|&it| it == b';').next());
    kind.is_some_and(|kind| {
        let kinds = [&b"text/event-stream"[..], b"multipart/x-mixed-replace"];
        let kind = kind.trim_ascii();
        kinds.iter().any(|it| kind.eq_ignore_ascii_case(it))
    })
}

fn number(payload: &[u8]) -> Result<usize, Violation> {
    let bytes = payload.try_into().map_err(|_| Violation)?;
    usize::try_from(u32::from_le_bytes(bytes)).map_err(|_| Violation)
}

/// Takes what a worker says of a request. `file` came with [`Kind::File`].
///
/// # Errors
/// [`Violation`] if no worker of runner's would say it.
pub(crate) fn hear<W: Wire>(
    pool: &mut Pool<W>,
    id: LaneId,
    header: Header,
    payload: &Bytes,
    file: Option<io::Result<File>>,
    means: &ResponseMeans<'_>,
) -> Result<(), Violation> {
    let now = (pool.now)();
    let lane = pool.workers.lane(id).ok_or(Violation)?;
    if header.kind == Kind::Lag {
        let lag = u64::try_from(number(payload)?).map_err(|_| Violation)?;
        lane.is_late_by(std::time::Duration::from_micros(lag), now);
        return Ok(());
    }
    if header.kind == Kind::Done {
        return hear_of_end(pool, id, header.number);
    }
    let begun = lane.begun(header.number, now)?;
    match header.kind {
        Kind::Answer { .. } => {
            begun.answers(ResponseStage::Complete, now)?;
            let response = match answer_head::answer(header, payload) {
                Ok((head, body)) => responses::of(head, ResponseBody::Bytes(body)),
                Err(error) => responses::bad(&begun.pending, &error),
            };
            // If its client has gone away, the answer is dropped, here and below.
            let _ = begun.pending.answer(response);
        }
        Kind::Head => {
            let client = means.notes.of(id, header.number);
            let (sender, mut blocks) =
                Blocks::with_credit(client, means.depot, Some(&begun.pending.about));
            let response = match answer_head::begun(header, payload) {
                Ok((head, length)) => {
                    begun.is_endless = is_endless(&head.headers);
                    if let Some(length) = length {
                        blocks = blocks.with_length(length);
                    }
                    responses::of(head, ResponseBody::Stream(blocks))
                }
                Err(error) => responses::bad(&begun.pending, &error),
            };
            let sender = begun.pending.answer(response).is_ok().then_some(sender);
            let stage = ResponseStage::Body(sender, ClientWindow::default());
            begun.answers(stage, now)?;
        }
        Kind::Block => begun.take_block(payload.len(), |it| it.push(payload.clone()))?,
        Kind::Slot => begun.take_block(payload.len(), |it| it.lend(payload.clone()))?,
        Kind::End { truncated } => begun.end_body(truncated)?,
        Kind::File => {
            begun.answers(ResponseStage::Complete, now)?;
            let file = file.ok_or(Violation)?;
            let response = responses::of_file(&begun.pending, header, payload, file);
            let _ = begun.pending.answer(response);
        }
        Kind::Accept => {
            if !begun.pending.offers_web_socket {
                return Err(Violation);
            }
            let client = means.notes.of(id, header.number);
            let (sender, socket) = web_socket(client, MESSAGE_WINDOW);
            let response = match answer_head::accepted(header, payload) {
                Ok(head) => responses::of(head, ResponseBody::WebSocket(socket)),
                Err(error) => responses::bad(&begun.pending, &error),
            };
            let _ = begun.pending.answer(response);
            let running = lane.running.as_mut().ok_or(Violation)?;
            running.converse(header.number, Dialogue::new(sender), now)?;
        }
        Kind::Message { text, more } => {
            let conversation = begun.conversation()?;
            if conversation.take_message(text, more, payload.clone())? {
                log!(
                    about = begun.pending.about.subject(),
                    "the WebSocket of {} is closed with code 1011: the application sent a message of more than {} MiB",
                    begun.pending.about,
                    LONGEST_MESSAGE >> 20
                );
            }
        }
        Kind::Close => {
            let reason = close_reason(payload)?;
            if let Some(sender) = &begun.conversation()?.sender {
                sender.close(reason);
            }
        }
        Kind::Credit => begun.conversation()?.read(number(payload)?)?,
        Kind::Wake | Kind::Errors | Kind::Done | Kind::Unable | Kind::Lag => {
            return Err(Violation);
        }
    }
    let begins = matches!(
        header.kind,
        Kind::Answer { .. } | Kind::Head | Kind::File | Kind::Accept
    );
    if begins && let Some(worker) = pool.workers.all.get_mut(&id.0) {
        worker.answered += 1;
        pool.answered += 1;
    }
    if let Kind::Answer { last: true } = header.kind {
        hear_of_end(pool, id, header.number)?;
    }
    Ok(())
}

/// The application's code for a request has ended.
fn hear_of_end<W: Wire>(pool: &mut Pool<W>, id: LaneId, number: u32) -> Result<(), Violation> {
    let now = (pool.now)();
    let worker = pool.workers.all.get_mut(&id.0).ok_or(Violation)?;
    let lane = worker.lanes.get_mut(id.1).ok_or(Violation)?;
    let mut ended = lane.ended(number, now)?;
    // A worker of runner's answers each request.
    if ended.is_awaited() {
        pool.errors.bad_gateway(&mut ended.pending);
        return Err(Violation);
    }
    let service = now.saturating_duration_since(ended.since);
    ended.pending.note_service(service, now);
    pool.service.note(service);
    lane.idle_since = pool.answered;
    // A worker that is to leave may do so now.
    pool.curious |= !worker.serves() || pool.closed.is_some();
    Ok(())
}

/// Tells workers what clients did. Notes of requests that have ended are dropped.
pub(crate) fn pass_on<W: Wire>(pool: &mut Pool<W>, notes: Vec<ClientNote>) {
    let now = (pool.now)();
    for ClientNote {
        lane: id,
        number,
        what,
    } in notes
    {
        let Some(lane) = pool.workers.lane(id) else {
            continue;
        };
        let Some(running) = &mut lane.running else {
            continue;
        };
        let Some(begun) = running.get(number) else {
            continue;
        };
        match what {
            ClientDeed::Takes(bytes) => {
                let window = match &mut begun.stage {
                    ResponseStage::Body(_, window) => window,
                    ResponseStage::WebSocket(conversation) => &mut conversation.window,
                    ResponseStage::Unanswered | ResponseStage::Complete => continue,
                };
                let Some(credit) = window.taken(bytes) else {
                    continue;
                };
                let credit = u32::try_from(credit).unwrap_or(u32::MAX);
                let payload = credit.to_le_bytes();
                lane.link.order(LaneOrder::Credit, number, &payload);
            }
            ClientDeed::Sends(message) => {
                let (None, Ok(conversation)) = (begun.dismissed, begun.conversation()) else {
                    continue;
                };
                conversation.delivered(&message);
                let order = match message {
                    WebSocketMessage::Text(_) => LaneOrder::Text,
                    WebSocketMessage::Binary(_) => LaneOrder::Binary,
                };
                lane.link.order(order, number, message.payload());
            }
            ClientDeed::Leaves(reason) => {
                begun.lose_client();
                // Code that follows a complete response is not for the client.
                if !begun.goes_on() || !running.dismiss(number, now) {
                    continue;
                }
                let payload = left_payload(reason.as_ref());
                lane.link.order(LaneOrder::Left, number, &payload);
            }
        }
        pool.touch(id);
    }
    if std::mem::take(&mut pool.any_unwanted) {
        let lanes: Vec<LaneId> = pool.workers.lanes().map(|(id, _)| id).collect();
        for id in lanes {
            let lane = pool.workers.lane(id);
            if lane.is_some_and(|lane| event_loop::dismiss_unwanted(lane, now)) {
                pool.touch(id);
            }
        }
    }
}

/// Tells a worker something about a request that it has begun.
pub(crate) fn order<W: Wire>(
    pool: &mut Pool<W>,
    id: LaneId,
    number: u32,
    order: LaneOrder,
    text: &str,
) {
    if let Some(lane) = pool.workers.lane(id)
        && lane
            .running
            .as_mut()
            .is_some_and(|it| it.get(number).is_some())
    {
        lane.link.order(order, number, text.as_bytes());
        pool.touch(id);
    }
}
