//! When a connection that is kept alive closes because the gateway is to stop: never in the middle of a request, and as
//! seldom as possible just before the next one, which the client would lose. A client that owes the rest of a request and
//! sends nothing is not waited for as long as at other times, since it would hold up the stop.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use tokio::time::{Instant, sleep};

use crate::gateway::graceful_stop::{Manner, OWED};
use crate::gateway::http::connection_state::ConnectionState;
use crate::gateway::http::shadow_parser;

/// Ready when the gateway is to stop and the connection was idle for as long as the [`Manner`] grants. Busy connections end
/// with their next answer, or become idle after the request that had begun before.
pub(super) async fn may_close(state: &Arc<ConnectionState>) {
    let stop = &state.gateway.generation.stop;
    let mut manner = stop.begun().await;
    let mut idle = idle(state);
    let mut heard = (reads(state), Instant::now());
    loop {
        tokio::select! {
            () = sleep(manner.linger()) => {}
            () = stop.draining(), if manner != Manner::Drain => {
                manner = Manner::Drain;
                continue;
            }
        }
        let before = idle;
        idle = self::idle(state);
        if idle.is_some() && idle == before {
            return;
        }
        let reads = reads(state);
        if reads != heard.0 {
            heard = (reads, Instant::now());
        }
        if manner == Manner::Drain && state.permit.is_waiting() && heard.1.elapsed() >= OWED {
            state.permit.ask_to_close();
            return pending().await;
        }
    }
}

/// The number of reads that brought something.
fn reads(state: &Arc<ConnectionState>) -> u64 {
    shadow_parser::lock(&state.parser).reads()
}

/// The same, if no request is under way.
fn idle(state: &Arc<ConnectionState>) -> Option<u64> {
    // A request that is worked on holds the state too, until hyper has its response.
    match Arc::strong_count(state) {
        1 if !state.is_behind.load(Relaxed) => {
            shadow_parser::lock(&state.parser).between_requests()
        }
        _ => None,
    }
}
