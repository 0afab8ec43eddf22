//! How long the client of a WebSocket is waited for at its end.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::sleep;

use crate::gateway::graceful_stop::Stop;

/// How long a client may neither take what there is for it nor close the WebSocket.
const USUAL: Duration = Duration::from_secs(5);

/// The same when no other process serves from now on: the client may not hold up the stop.
const IN_STOP: Duration = Duration::from_secs(1);

/// The time that a client has left.
pub(super) struct Patience(Pin<Box<dyn Future<Output = ()> + Send>>);

impl Patience {
    /// All of the time.
    pub(super) fn new(stop: &Stop) -> Self {
        let stop = stop.clone();
        Self(Box::pin(async move {
            let in_stop = async {
                stop.draining().await;
                sleep(IN_STOP).await;
            };
            tokio::select! {
                () = sleep(USUAL) => {}
                () = in_stop => {}
            }
        }))
    }

    /// Ready when the time is over.
    pub(super) fn poll_over(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.0.as_mut().poll(context)
    }
}
