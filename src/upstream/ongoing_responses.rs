//! Responses and WebSockets that go on after their heads, and how they end with the version that has begun them.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::time::sleep_until;
use tokio_util::sync::CancellationToken;

/// What goes on behind the heads of responses.
#[derive(Debug)]
pub struct OngoingResponses {
    drain: watch::Sender<Option<ResponseDrain>>,
    end: CancellationToken,
    count: Arc<AtomicUsize>,
}

/// What does not end by itself is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResponseDrain {
    /// At this moment.
    pub at: Instant,
    /// Another version serves: clients may come back at once.
    pub returns: bool,
}

impl Default for OngoingResponses {
    fn default() -> Self {
        Self {
            drain: watch::Sender::new(None),
            end: CancellationToken::new(),
            count: Arc::default(),
        }
    }
}

impl OngoingResponses {
    /// Carries one on in a task of its own, until it is over or has to end.
    pub fn spawn(&self, response: impl Future<Output = ()> + Send + 'static) {
        let end = self.end.clone();
        let counted = Counted::new(&self.count);
        tokio::spawn(async move {
            let _counted = counted;
            tokio::select! {
                () = response => {}
                () = end.cancelled() => {}
            }
        });
    }

    /// How many go on.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count.load(Relaxed)
    }

    /// A future until what does not end by itself is to end, and whether clients may come back then.
    pub fn drained(&self) -> impl Future<Output = bool> + Send + 'static {
        let mut drain = self.drain.subscribe();
        async move {
            let set = drain.wait_for(Option::is_some).await;
            let set = set.map(|drain| *drain).unwrap_or_default();
            match set {
                Some(ResponseDrain { at, returns }) => {
                    sleep_until(at.into()).await;
                    returns
                }
                // The version is gone, and its responses with it.
                None => false,
            }
        }
    }

    /// Asks what does not end by itself to end after a time. The first call decides.
    pub fn drain(&self, after: Duration, returns: bool) {
        self.drain.send_if_modified(|drain| {
            let is_first = drain.is_none();
            drain.get_or_insert_with(|| ResponseDrain {
                at: Instant::now() + after,
                returns,
            });
            is_first
        });
    }

    /// Breaks off all that is left.
    pub fn end(&self) {
        self.end.cancel();
    }

    /// Waits until all is to be broken off.
    pub async fn ended(&self) {
        self.end.cancelled().await;
    }
}

/// One that goes on.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Relaxed);
        Self(Arc::clone(count))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}
