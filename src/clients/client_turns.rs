//! Clients that take turns, each with its own things in the order in which they came.

use std::collections::{HashMap, VecDeque};
use std::time::Instant;

use crate::clients::client_network::ClientNetwork;

/// What waits in a [`FairQueue`](crate::clients::FairQueue).
pub trait Queued {
    /// Whose it is. Those that are not known, as behind a web server on a Unix socket, are one client.
    fn client(&self) -> Option<ClientNetwork>;

    /// When it came.
    fn entered(&self) -> Instant;

    /// Whether its client has ended its side of the connection. Once it has, that stays so.
    fn has_ended(&self) -> bool;
}

/// Things of which each client has some, and the order of the clients. Those that are not known are one client.
#[derive(Debug)]
pub(super) struct ClientTurns<T> {
    by_client: HashMap<Option<ClientNetwork>, VecDeque<T>>,
    /// The clients that have something here, the next one first.
    turns: VecDeque<Option<ClientNetwork>>,
    length: usize,
    /// No client has more here.
    longest: usize,
}

impl<T> Default for ClientTurns<T> {
    fn default() -> Self {
        Self {
            by_client: HashMap::new(),
            turns: VecDeque::new(),
            length: 0,
            longest: 0,
        }
    }
}

impl<T: Queued> ClientTurns<T> {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.length
    }

    /// Adds one, behind those of its client that came before it. A client that has nothing else here has the last turn.
    pub(super) fn push(&mut self, item: T) {
        let client = item.client();
        let own = self.by_client.entry(client).or_default();
        if own.is_empty() {
            self.turns.push_back(client);
        }
        let came = item.entered();
        match own.back().is_none_or(|last| last.entered() <= came) {
            true => own.push_back(item),
            false => own.insert(own.partition_point(|it| it.entered() <= came), item),
        }
        let count = own.len();
        self.count_one(count);
    }

    /// Adds one that was taken before, at the place that it had. A client that has nothing else here has the next turn.
    pub(super) fn put_back(&mut self, item: T) {
        let client = item.client();
        let own = self.by_client.entry(client).or_default();
        if own.is_empty() {
            self.turns.push_front(client);
        }
        let came = item.entered();
        own.insert(own.partition_point(|it| it.entered() < came), item);
        let count = own.len();
        self.count_one(count);
    }

    /// Counts one that was added to those of its client, of which there are so many now.
    fn count_one(&mut self, own: usize) {
        self.length += 1;
        self.longest = self.longest.max(own);
    }

    /// Takes the next one. One that `admit` keeps for itself is not here any more, and its client still has its turn.
    pub(super) fn pop(&mut self, mut admit: impl FnMut(T) -> Option<T>) -> Option<T> {
        while let Some(client) = self.turns.pop_front() {
            let Some(own) = self.by_client.get_mut(&client) else {
                continue;
            };
            let mut next = None;
            while next.is_none()
                && let Some(item) = own.pop_front()
            {
                self.length -= 1;
                next = admit(item);
            }
            if own.is_empty() {
                self.by_client.remove(&client);
            } else {
                self.turns.push_back(client);
            }
            if next.is_some() {
                return next;
            }
        }
        None
    }

    /// Takes out what the client has added last that has the most.
    pub(super) fn displace(&mut self) -> Option<T> {
        let most = self.by_client.iter().max_by_key(|(_, own)| own.len());
        let client = *most?.0;
        let own = self.by_client.get_mut(&client)?;
        self.longest = own.len();
        let displaced = own.pop_back();
        if own.is_empty() {
            self.by_client.remove(&client);
            self.turns.retain(|other| *other != client);
        }
        self.length -= usize::from(displaced.is_some());
        displaced
    }

    /// The same, if that client has still more than this one will have with one more.
    pub(super) fn displace_for(&mut self, client: Option<ClientNetwork>) -> Option<T> {
        let own = self.by_client.get(&client).map_or(0, VecDeque::len);
        if own + 1 >= self.longest {
            return None;
        }
        let all = self.by_client.values();
        self.longest = all.map(VecDeque::len).max().unwrap_or_default();
        match own + 1 < self.longest {
            true => self.displace(),
            false => None,
        }
    }

    /// Those that have waited the longest of each client.
    pub(super) fn oldest(&self) -> impl Iterator<Item = &T> {
        self.by_client.values().filter_map(VecDeque::front)
    }

    /// All of them.
    pub(super) fn iter(&self) -> impl Iterator<Item = &T> + Clone {
        self.by_client.values().flatten()
    }

    /// Removes those that are not to be kept.
    pub(super) fn retain(&mut self, mut keeps: impl FnMut(&T) -> bool) {
        self.change(|own| own.retain(&mut keeps));
    }

    /// Removes the oldest ones of each client, up to the first that is to be kept.
    pub(super) fn remove_oldest(&mut self, mut keeps: impl FnMut(&mut T) -> bool) {
        self.change(|own| {
            while own.front_mut().is_some_and(|item| !keeps(item)) {
                own.pop_front();
            }
        });
    }

    /// Takes out those for which something holds, those of each client in their order.
    pub(super) fn take_out(&mut self, mut is_meant: impl FnMut(&T) -> bool) -> Vec<T> {
        let mut taken = Vec::new();
        self.change(|own| {
            if own.iter().any(&mut is_meant) {
                for item in std::mem::take(own) {
                    match is_meant(&item) {
                        true => taken.push(item),
                        false => own.push_back(item),
                    }
                }
            }
        });
        taken
    }

    /// All of them, in the order of each client.
    pub(super) fn into_all(self) -> impl Iterator<Item = T> {
        self.by_client.into_values().flatten()
    }

    fn change(&mut self, mut change: impl FnMut(&mut VecDeque<T>)) {
        self.by_client.retain(|_, own| {
            change(own);
            !own.is_empty()
        });
        self.length = self.by_client.values().map(VecDeque::len).sum();
        let Self {
            by_client, turns, ..
        } = self;
        turns.retain(|client| by_client.contains_key(client));
    }
}
