//! A page that is kept up to date, by server-sent events: each has what is between the `main` tags.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, watch};

use super::snapshot::Asker;
use super::status_page;
use crate::interface::BlockSender;

/// The time between two events.
const INTERVAL: Duration = Duration::from_secs(1);

/// How soon a browser comes back whose connection has ended, in milliseconds: another master may serve the page then.
const RETRY: &str = "retry: 2000\n\n";

/// Marks a response whose body is the events, and holds one of the places for them.
#[derive(Clone, Debug)]
pub(super) struct Live {
    _place: Arc<OwnedSemaphorePermit>,
}

impl Live {
    /// Takes a place.
    pub(super) fn new(place: OwnedSemaphorePermit) -> Self {
        Self {
            _place: Arc::new(place),
        }
    }

    /// Sends the events until the client has gone away, or the pages end.
    pub(super) async fn run(
        self,
        asker: Asker,
        sender: BlockSender,
        mut ended: watch::Receiver<bool>,
    ) {
        if sender
            .send(Bytes::from_static(RETRY.as_bytes()))
            .await
            .is_err()
        {
            return;
        }
        // Without an answer the master ends.
        while let Some(snapshot) = asker.ask().await {
            let event = event(&status_page::page(&snapshot.status));
            // A client that does not read is waited for here: it misses events, and none pile up.
            if sender.send(event.into()).await.is_err() {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(INTERVAL) => {}
                () = sender.gone() => return,
                _ = ended.wait_for(|ended| *ended) => break,
            }
        }
        sender.end();
    }
}

/// The event with what is between the `main` tags of a page: each line of the data has a prefix of its own.
fn event(page: &str) -> String {
    let inside = page.split_once("<main>").map_or(page, |(_, rest)| rest);
    let inside = inside.split_once("</main>").map_or(inside, |(it, _)| it);
    let lines = inside
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty());
    let lines = lines.flat_map(|line| ["data: ", line, "\n"]);
    lines.chain(["\n"]).collect()
}

#[cfg(test)]
mod tests {
    use super::event;

    #[test]
    fn each_line_of_an_event_is_data() {
        let page = "<html><main>\n  <p>one</p>\n\n  <p>two</p>\n</main></html>";
        assert_eq!(event(page), "data: <p>one</p>\ndata: <p>two</p>\n\n");
    }
}
