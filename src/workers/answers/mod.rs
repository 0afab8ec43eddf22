//! What comes back from the lanes of workers: [`in_order`] for WSGI, [`any_order`] for ASGI.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::panics::caught;
use crate::workers::event::WorkerEvent;
use crate::workers::hub::{Hub, lock};
use crate::workers::id::LaneId;
use crate::workers::pool::Pool;
use crate::workers::wire::link::Link;

mod any_order;
mod in_order;

/// Reads what a lane sends to the end, and settles what is left then.
pub(crate) async fn attend(hub: Arc<Hub>, lane: LaneId, ended: CancellationToken) {
    let (link, unannounced) = {
        let mut pool = lock(&hub.pool);
        let any_order = pool.loop_limits.is_some();
        let link = pool.link(lane);
        let unannounced = link
            .as_ref()
            .filter(|_| any_order)
            .map(|it| it.unannounced());
        (link.and_then(Link::reading_end), unannounced)
    };
    let read = match (link, unannounced) {
        (Some(link), Some(unannounced)) => {
            let read = any_order::read(&hub, lane, link, &unannounced, &ended);
            caught("a lane", read).await
        }
        (Some(link), None) => caught("a lane", in_order::read(&hub, lane, link, &ended)).await,
        (None, _) => Ok(Ok(())),
    };
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

/// Looks at what the workers of all lanes that have requests have read and answered without saying so.
pub(crate) fn collect_all(pool: &mut Pool) {
    for lane in pool.workers.busy() {
        collect(pool, lane);
    }
}

/// The same for one lane.
pub(crate) fn collect(pool: &mut Pool, lane: LaneId) {
    if pool.loop_limits.is_some() {
        pool.note_read(lane);
        if let Some(link) = pool.link(lane) {
            link.look_for_answers();
        }
    } else if in_order::collect_locked(pool, lane).is_err() {
        pool.reject(lane.0);
    }
}
