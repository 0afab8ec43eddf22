//! When a connection may be closed after the gateway was told to end: never in the middle of a request, and as
//! seldom as can be just before the next one, which the client would lose. A client that owes us the rest of a request and
//! sends nothing is not waited for as long as at other times: it would hold up the end.

use std::future::pending;
use std::sync::Arc;

use tokio::time::{Instant, sleep};

use crate::gateway::graceful_stop::{Manner, OWED};
use crate::gateway::http::{Client, shadow_parser};

/// Ready when the gateway is to end and the connection was idle for as long as the [`Manner`] grants. Connections
/// that are not idle end by themselves with their next answer, or become idle after the one that had begun before.
pub async fn due(client: &Arc<Client>) {
    let stop = &client.server.stop;
    let mut manner = stop.begun().await;
    let mut idle = idle(client);
    let mut heard = (count(client), Instant::now());
    loop {
        tokio::select! {
            () = sleep(manner.linger()) => {}
            () = stop.draining(), if manner != Manner::Drain => {
                manner = Manner::Drain;
                continue;
            }
        }
        let before = idle;
        idle = self::idle(client);
        if idle.is_some() && idle == before {
            return;
        }
        let count = count(client);
        if count != heard.0 {
            heard = (count, Instant::now());
        }
        if manner == Manner::Drain && client.seat.is_waiting() && heard.1.elapsed() >= OWED {
            client.seat.ask();
            return pending().await;
        }
    }
}

/// How often something was received.
fn count(client: &Arc<Client>) -> u64 {
    shadow_parser::lock(&client.heads).count()
}

/// How often something was received, if no request is under way.
fn idle(client: &Arc<Client>) -> Option<u64> {
    // Whoever works on a request, or on its answer, holds the client too.
    match Arc::strong_count(client) {
        1 => shadow_parser::lock(&client.heads).between_requests(),
        _ => None,
    }
}
