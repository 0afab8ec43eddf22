//! What comes back from a lane of an ASGI worker, which answers in any order: everything comes through the stream, in whole
//! records, and the socket only wakes this side up. A loop that is blocked announces nothing, though answers may be there
//! which were complete before: this side is told to look. Nothing here waits for a client.

use std::io::ErrorKind;
use std::sync::Arc;

use tokio::net::UnixStream;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::protocol::worker::frame::Kind;
use crate::workers::event::WorkerEvent;
use crate::workers::hub::{Hub, lock};
use crate::workers::id::LaneId;
use crate::workers::pool::conversations::{self, ResponseMeans};
use crate::workers::pool::lane::in_flight::Violation;
use crate::workers::wire::Wire;
use crate::workers::wire::body_stream::BodyStream;
use crate::workers::wire::frames::Frames;
use crate::workers::wire::link;

/// How many records are taken before other tasks have their turn.
const BATCH: usize = 512;

/// Reads until the lane closes, or until the worker's process has ended and all that it sent is read: a process that the
/// application has forked may hold the lane open.
///
/// # Errors
/// [`Violation`] if no worker of runner's would send what came.
pub(super) async fn read(
    hub: &Arc<Hub>,
    lane: LaneId,
    (socket, mut stream): (Arc<UnixStream>, BodyStream),
    unannounced: &Notify,
    ended: &CancellationToken,
) -> Result<(), Violation> {
    let mut frames = Frames::default();
    let mut begins = true;
    loop {
        if take_records(hub, lane, &mut stream)? {
            // While responses go out, the worker makes more, and need not wake anybody up.
            tokio::task::yield_now().await;
            continue;
        }
        stream.expect_wake_up();
        if take_records(hub, lane, &mut stream)? {
            stream.expect_none();
            continue;
        }
        let last = tokio::select! {
            biased;
            ready = socket.readable() => match ready {
                Ok(()) => false,
                Err(_) => break,
            },
            () = ended.cancelled() => true,
            () = unannounced.notified() => {
                stream.expect_none();
                continue;
            }
        };
        stream.expect_none();
        match link::read(&socket, frames.space()) {
            Err(error) if error.kind() == ErrorKind::WouldBlock && !last => continue,
            Ok(0) | Err(_) => break,
            Ok(_) => {}
        }
        while let Some((header, _)) = frames.take()? {
            if header.kind != Kind::Wake {
                return Err(Violation);
            }
        }
        // What it has read may leave room for more, whether or not it has something to say.
        while take_records(hub, lane, &mut stream)? {}
        if begins && has_begun(hub, lane) {
            begins = false;
            hub.tell(WorkerEvent::Begun(lane.0));
        }
    }
    while take_records(hub, lane, &mut stream)? {}
    Ok(())
}

/// Whether the worker has begun to serve. It gets requests from then on.
fn has_begun(hub: &Hub, lane: LaneId) -> bool {
    let mut pool = lock(&hub.pool);
    let thread = pool.link(lane).map_or(0, |link| link.thread());
    if thread == 0 {
        return false;
    }
    pool.begin(lane.0);
    drop(pool);
    hub.wake();
    true
}

/// Takes some records, and looks at what the worker has read. Returns whether there was a record.
fn take_records(hub: &Hub, lane: LaneId, stream: &mut BodyStream) -> Result<bool, Violation> {
    let means = ResponseMeans {
        depot: &hub.depot,
        notes: &hub.clients,
    };
    let mut pool = lock(&hub.pool);
    let mut any = false;
    for _ in 0..BATCH {
        let Some((header, payload)) = stream.record()? else {
            break;
        };
        any = true;
        if header.kind == Kind::Unable {
            let reason = String::from_utf8_lossy(&payload).into_owned();
            hub.tell(WorkerEvent::Unable(lane.0, reason));
            continue;
        }
        let file = match header.kind {
            Kind::File => Some(pool.link(lane).ok_or(Violation)?.receive_file()),
            _ => None,
        };
        conversations::hear(&mut pool, lane, header, &payload, file, &means)?;
    }
    pool.note_read(lane);
    pool.dispatch();
    hub.wake_for(&pool);
    Ok(any)
}
