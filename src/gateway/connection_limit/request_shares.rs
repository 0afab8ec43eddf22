//! The requests that are under way, and which client may begin one more. A connection that waits for its client gives way to
//! a new one, but one with a request does not: if a client had requests on all of them, no other could connect. So the last
//! tenth of the connections is for clients that have fewer requests than they leave free, as with [`ClientShares`]. Requests
//! beyond that wait for their turn, and their connections count as idle.
//!
//! [`ClientShares`]: crate::clients::ClientShares

use std::collections::VecDeque;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

use crate::clients::ClientNetwork;

/// The part of all connections that one client cannot take alone.
const RESERVE: usize = 10;

/// What one client has.
#[derive(Debug)]
pub(super) struct LimitedClient {
    pub network: ClientNetwork,
    /// The number of its connections.
    pub connections: AtomicUsize,
    /// The number of its requests that are under way.
    requests: AtomicUsize,
}

impl LimitedClient {
    /// A client that has nothing.
    pub(super) fn new(network: ClientNetwork) -> Self {
        Self {
            network,
            connections: AtomicUsize::new(0),
            requests: AtomicUsize::new(0),
        }
    }

    /// The number of its requests that are under way.
    pub(super) fn requests(&self) -> usize {
        self.requests.load(Relaxed)
    }
}

/// The requests of all clients. Each is on a connection of its own, or counted as one. A client that is not known, as a trusted
/// proxy or a web server on a Unix socket, is many, and has no share of its own.
#[derive(Debug)]
pub(super) struct RequestShares {
    /// The largest number of connections.
    limit: AtomicUsize,
    /// The number of requests that are under way.
    under_way: AtomicUsize,
    /// The number of requests that wait for their turn.
    waiting: AtomicUsize,
    /// Those of them that were not called yet.
    queue: Mutex<VecDeque<AwaitedTurn>>,
}

/// A request that is to be called when its client may have one more.
#[derive(Debug)]
struct AwaitedTurn {
    client: Option<Arc<LimitedClient>>,
    call: oneshot::Sender<()>,
}

/// Counts a request as one that waits. When it does so no longer, it may have kept others from their turn.
struct WaitingPlace<'a>(&'a RequestShares);

impl Default for RequestShares {
    /// No request, and no limit.
    fn default() -> Self {
        Self {
            limit: AtomicUsize::new(usize::MAX),
            under_way: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            queue: Mutex::default(),
        }
    }
}

impl RequestShares {
    /// Sets the largest number of connections.
    pub(super) fn set_limit(&self, limit: usize) {
        self.limit.store(limit, Relaxed);
        self.call_next();
    }

    /// How many connections are left for requests.
    pub(super) fn free(&self) -> usize {
        let limit = self.limit.load(Relaxed);
        limit.saturating_sub(self.under_way.load(Relaxed))
    }

    /// Whether a client may have one more request, however many others wait.
    fn has_share(&self, client: Option<&LimitedClient>) -> bool {
        match client {
            Some(client) => client.requests() < self.free(),
            None => true,
        }
    }

    /// Whether any client may have one more request.
    fn is_open(&self) -> bool {
        self.free() > self.limit.load(Relaxed) / RESERVE
    }

    /// Whether a client may begin a request now, before those that wait.
    pub(super) fn may_begin(&self, client: Option<&LimitedClient>) -> bool {
        self.has_share(client) || self.is_open() && self.waiting.load(Relaxed) == 0
    }

    /// Counts a request that begins.
    pub(super) fn add(&self, client: Option<&LimitedClient>) {
        self.under_way.fetch_add(1, Relaxed);
        if let Some(client) = client {
            client.requests.fetch_add(1, Relaxed);
        }
    }

    /// Counts the end of a request that was added before.
    pub(super) fn subtract(&self, client: Option<&LimitedClient>) {
        self.under_way.fetch_sub(1, Relaxed);
        if let Some(client) = client {
            client.requests.fetch_sub(1, Relaxed);
        }
        if self.waiting.load(Relaxed) > 0 {
            self.call_next();
        }
    }

    /// Waits until a client may begin one more request, and adds it. Nothing is added if the future is dropped before.
    pub(super) async fn turn(&self, client: Option<&Arc<LimitedClient>>) {
        let known = client.map(Arc::as_ref);
        let place = WaitingPlace::new(self);
        while !(self.has_share(known) || self.is_open()) {
            let (call, called) = oneshot::channel();
            self.queue().push_back(AwaitedTurn {
                client: client.cloned(),
                call,
            });
            // This one may have been called instead of another one, and come too late.
            self.call_next();
            // It is called in any case: its place in the queue is there as long as it waits.
            let _ = called.await;
        }
        self.add(known);
        drop(place);
    }

    /// Calls the first request that may begin. It calls the next one when it has begun, or does not wait any longer.
    fn call_next(&self) {
        let mut queue = self.queue();
        let may_begin = |it: &AwaitedTurn| {
            it.call.is_closed() || self.has_share(it.client.as_deref()) || self.is_open()
        };
        while let Some(next) = queue.iter().position(may_begin) {
            let next = queue.remove(next);
            if next.is_some_and(|next| next.call.send(()).is_ok()) {
                return;
            }
        }
    }

    fn queue(&self) -> MutexGuard<'_, VecDeque<AwaitedTurn>> {
        // No operation under the lock leaves it half done.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<'a> WaitingPlace<'a> {
    fn new(shares: &'a RequestShares) -> Self {
        shares.waiting.fetch_add(1, Relaxed);
        Self(shares)
    }
}

impl Drop for WaitingPlace<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Relaxed);
        self.0.call_next();
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::sync::Arc;
    use std::sync::atomic::Ordering::Relaxed;
    use std::task::{Context, Poll, Waker};

    use proptest::prelude::*;

    use super::{LimitedClient, RequestShares};
    use crate::clients::ClientNetwork;

    fn client(number: u8) -> Arc<LimitedClient> {
        let network = ClientNetwork::of([192, 0, 2, number].into());
        Arc::new(LimitedClient::new(network))
    }

    fn shares(limit: usize) -> RequestShares {
        let shares = RequestShares::default();
        shares.set_limit(limit);
        shares
    }

    /// Begins as many requests as a client may have.
    fn fill(shares: &RequestShares, client: Option<&LimitedClient>) -> usize {
        let begun = std::iter::from_fn(|| shares.may_begin(client).then(|| shares.add(client)));
        begun.take(1000).count()
    }

    #[test]
    fn a_client_leaves_a_tenth_to_others() {
        let shares = shares(100);
        let (greedy, second, third) = (client(1), client(2), client(3));
        assert_eq!(fill(&shares, Some(&greedy)), 90);
        assert_eq!(fill(&shares, Some(&second)), 5);
        assert_eq!(fill(&shares, Some(&third)), 3);
        assert_eq!(fill(&shares, Some(&greedy)), 0);
        for _ in 0..50 {
            shares.subtract(Some(&greedy));
        }
        assert_eq!(fill(&shares, Some(&third)), 42);
        // Proxies have no limit: the connections have.
        assert_eq!(fill(&shares, None), 1000);
    }

    /// Where a tenth is less than one connection, there is nothing to leave.
    #[test]
    fn few_connections_are_for_any_client() {
        for limit in 1..10 {
            let (shares, only) = (shares(limit), client(1));
            assert_eq!(fill(&shares, Some(&only)), limit);
        }
        assert_eq!(fill(&shares(10), Some(&client(1))), 9);
    }

    type SimulatedTurn<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

    /// Requests as a gateway has them.
    struct SimulatedRequests<'a> {
        shares: &'a RequestShares,
        /// The last one is not known.
        clients: Vec<Option<Arc<LimitedClient>>>,
        under_way: Vec<usize>,
        waiting: Vec<(usize, SimulatedTurn<'a>)>,
    }

    impl<'a> SimulatedRequests<'a> {
        fn act(&mut self, step: RequestStep) {
            match step {
                RequestStep::Begin(number) => {
                    let number = number % self.clients.len();
                    let client = self.clients[number].clone();
                    let shares = self.shares;
                    if shares.may_begin(client.as_deref()) {
                        shares.add(client.as_deref());
                        self.under_way.push(number);
                    } else {
                        let turn = Box::pin(async move { shares.turn(client.as_ref()).await });
                        self.waiting.push((number, turn));
                    }
                }
                RequestStep::End(which) if !self.under_way.is_empty() => {
                    let number = self.under_way.swap_remove(which % self.under_way.len());
                    self.shares.subtract(self.clients[number].as_deref());
                }
                RequestStep::Leave(which) if !self.waiting.is_empty() => {
                    drop(self.waiting.swap_remove(which % self.waiting.len()));
                }
                RequestStep::Limit(limit) => self.shares.set_limit(limit),
                // The one that was called may have its turn late.
                RequestStep::Poll => self.poll(),
                RequestStep::End(_) | RequestStep::Leave(_) => {}
            }
        }

        /// Polls each one that waits, once.
        fn poll(&mut self) {
            let mut context = Context::from_waker(Waker::noop());
            let under_way = &mut self.under_way;
            self.waiting.retain_mut(|(number, turn)| {
                let polled = turn.as_mut().poll(&mut context);
                if polled.is_ready() {
                    under_way.push(*number);
                }
                polled == Poll::Pending
            });
        }

        /// Once all that were called have had their turn, none waits that might begin.
        fn check(&mut self) {
            loop {
                let before = self.waiting.len();
                self.poll();
                if self.waiting.len() == before {
                    break;
                }
            }
            for (number, _) in &self.waiting {
                let client = self.clients[*number].as_deref();
                assert!(!self.shares.has_share(client) && !self.shares.is_open());
            }
            assert_eq!(self.shares.under_way.load(Relaxed), self.under_way.len());
            for (number, client) in self.clients.iter().enumerate() {
                let own = self.under_way.iter().filter(|it| **it == number).count();
                assert!(client.as_ref().is_none_or(|it| it.requests() == own));
            }
        }
    }

    #[derive(Clone, Copy, Debug)]
    enum RequestStep {
        Begin(usize),
        End(usize),
        Leave(usize),
        Limit(usize),
        Poll,
    }

    fn step() -> impl Strategy<Value = RequestStep> {
        prop_oneof![
            8 => any::<usize>().prop_map(RequestStep::Begin),
            4 => any::<usize>().prop_map(RequestStep::End),
            1 => any::<usize>().prop_map(RequestStep::Leave),
            1 => (1..60_usize).prop_map(RequestStep::Limit),
            2 => Just(RequestStep::Poll),
        ]
    }

    proptest! {
        #[test]
        fn no_request_waits_that_may_begin(
            limit in 1..60_usize,
            steps in prop::collection::vec(step(), 1..200),
        ) {
            let shares = shares(limit);
            let mut requests = SimulatedRequests {
                shares: &shares,
                clients: vec![Some(client(1)), Some(client(2)), Some(client(3)), None],
                under_way: Vec::new(),
                waiting: Vec::new(),
            };
            for step in steps {
                requests.act(step);
            }
            requests.check();
            for number in std::mem::take(&mut requests.under_way) {
                shares.subtract(requests.clients[number].as_deref());
            }
            while !requests.waiting.is_empty() {
                requests.check();
                for number in std::mem::take(&mut requests.under_way) {
                    shares.subtract(requests.clients[number].as_deref());
                }
            }
            prop_assert_eq!(shares.under_way.load(Relaxed), 0);
            prop_assert!(shares.queue().is_empty());
        }

        /// Clients that come first cannot keep out one that comes later.
        #[test]
        fn one_more_client_may_begin(
            limit in 640..2000_usize,
            begins in prop::collection::vec(0..5_usize, 0..2000),
        ) {
            let shares = shares(limit);
            let clients: Vec<_> = (0..5).map(client).collect();
            for number in begins {
                if shares.may_begin(Some(&clients[number])) {
                    shares.add(Some(&clients[number]));
                }
            }
            prop_assert!(shares.under_way.load(Relaxed) <= limit);
            prop_assert!(shares.may_begin(Some(&client(9))));
        }
    }
}
