//! Things that wait for clients: the clients take turns, and each gets its own in the order in which they came. So a client
//! waits for no more than one thing of each other client, however many those have in the queue. Where a queue is full, what a
//! client with more has added last makes room for what a client with less adds: as long as one alone fills it, it has all of it.

use std::collections::{HashMap, VecDeque};

use crate::clients::client_network::ClientNetwork;

/// A queue in which clients take turns. Those that are not known, as behind a web server on a Unix socket, are one.
#[derive(Debug)]
pub struct FairQueue<T> {
    by_client: HashMap<Option<ClientNetwork>, VecDeque<T>>,
    /// The clients that have something in it, the next one first.
    turns: VecDeque<Option<ClientNetwork>>,
    length: usize,
    /// No client has more in it.
    longest: usize,
}

impl<T> Default for FairQueue<T> {
    fn default() -> Self {
        Self {
            by_client: HashMap::new(),
            turns: VecDeque::new(),
            length: 0,
            longest: 0,
        }
    }
}

impl<T> FairQueue<T> {
    /// How many wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether none does.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// Adds what has just come.
    pub fn push(&mut self, client: Option<ClientNetwork>, item: T) {
        let own = self.by_client.entry(client).or_default();
        if own.is_empty() {
            self.turns.push_back(client);
        }
        own.push_back(item);
        self.length += 1;
        self.longest = self.longest.max(own.len());
    }

    /// Adds what was taken before, behind those of its client that come `before` it. A client that has nothing else here has
    /// the next turn.
    pub fn put_back(
        &mut self,
        client: Option<ClientNetwork>,
        item: T,
        before: impl Fn(&T) -> bool,
    ) {
        let own = self.by_client.entry(client).or_default();
        if own.is_empty() {
            self.turns.push_front(client);
        }
        own.insert(own.partition_point(before), item);
        self.length += 1;
        self.longest = self.longest.max(own.len());
    }

    /// Takes the next one.
    pub fn pop(&mut self) -> Option<T> {
        let client = self.turns.pop_front()?;
        let own = self.by_client.get_mut(&client)?;
        let item = own.pop_front()?;
        self.length -= 1;
        if own.is_empty() {
            self.by_client.remove(&client);
        } else {
            self.turns.push_back(client);
        }
        Some(item)
    }

    /// Takes out what the client has added last that has the most, if that is still more than this one will have with one
    /// more.
    pub fn displace_for(&mut self, client: Option<ClientNetwork>) -> Option<T> {
        let own = self.by_client.get(&client).map_or(0, VecDeque::len);
        if own + 1 >= self.longest {
            return None;
        }
        let longest = self.by_client.values_mut().max_by_key(|it| it.len())?;
        self.longest = longest.len();
        if own + 1 >= self.longest {
            return None;
        }
        self.length -= 1;
        // At least one is left.
        longest.pop_back()
    }

    /// Those that have waited the longest of each client.
    pub fn oldest(&self) -> impl Iterator<Item = &T> {
        self.by_client.values().filter_map(VecDeque::front)
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &T> + Clone {
        self.by_client.values().flatten()
    }

    /// Removes those that are not to be kept.
    pub fn retain(&mut self, mut keeps: impl FnMut(&T) -> bool) {
        self.change(|own| own.retain(&mut keeps));
    }

    /// Removes the oldest ones of each client, up to the first that is to be kept.
    pub fn remove_oldest(&mut self, mut keeps: impl FnMut(&mut T) -> bool) {
        self.change(|own| {
            while own.front_mut().is_some_and(|item| !keeps(item)) {
                own.pop_front();
            }
        });
    }

    /// Removes all.
    pub fn take_all(&mut self) -> impl Iterator<Item = T> {
        let all = std::mem::take(self);
        all.by_client.into_values().flatten()
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::FairQueue;
    use crate::clients::client_network::ClientNetwork;

    fn client(number: u8) -> Option<ClientNetwork> {
        (number > 0).then(|| ClientNetwork::of([192, 0, 2, number].into()))
    }

    fn queue(items: &[(u8, u32)]) -> FairQueue<(u8, u32)> {
        let mut queue = FairQueue::default();
        for item in items {
            queue.push(client(item.0), *item);
        }
        queue
    }

    fn all(mut queue: FairQueue<(u8, u32)>) -> Vec<(u8, u32)> {
        std::iter::from_fn(|| queue.pop()).collect()
    }

    #[test]
    fn clients_take_turns() {
        let mut many = queue(&[(1, 1), (1, 2), (1, 3), (2, 1), (0, 1), (0, 2), (2, 2)]);
        assert_eq!(many.pop(), Some((1, 1)));
        many.put_back(client(1), (1, 1), |other| other.1 < 1);
        many.put_back(client(3), (3, 1), |other| other.1 < 1);
        let order = [
            (3, 1),
            (2, 1),
            (0, 1),
            (1, 1),
            (2, 2),
            (0, 2),
            (1, 2),
            (1, 3),
        ];
        assert_eq!(all(many), order);
    }

    #[test]
    fn who_has_the_most_makes_room() {
        let mut many = queue(&[(1, 1), (1, 2), (1, 3), (2, 1), (2, 2)]);
        assert_eq!(many.displace_for(client(1)), None);
        assert_eq!(many.displace_for(client(2)), None);
        assert_eq!(many.displace_for(client(3)), Some((1, 3)));
        assert_eq!(many.displace_for(client(2)), None);
        many.push(client(2), (2, 3));
        assert_eq!(many.displace_for(client(3)), Some((2, 3)));
        assert_eq!(many.len(), 4);
    }

    #[derive(Clone, Debug)]
    enum QueueStep {
        Push(u8),
        PutBack(u8),
        Pop,
        Displace(u8),
        RemoveOldest(u32),
        Retain(u32),
    }

    fn step() -> impl Strategy<Value = QueueStep> {
        prop_oneof![
            4 => (0..5_u8).prop_map(QueueStep::Push),
            1 => (0..5_u8).prop_map(QueueStep::PutBack),
            3 => Just(QueueStep::Pop),
            1 => (0..5_u8).prop_map(QueueStep::Displace),
            1 => (0..100_u32).prop_map(QueueStep::RemoveOldest),
            1 => (2..5_u32).prop_map(QueueStep::Retain),
        ]
    }

    proptest! {
        /// Nothing is lost, the order of a client is its own, and between two turns of a client each other one has one at
        /// most.
        #[test]
        fn each_client_has_its_turn(steps in prop::collection::vec(step(), 0..200)) {
            let is_put_back = steps.iter().any(|step| matches!(step, QueueStep::PutBack(_)));
            let mut queue = FairQueue::default();
            let mut model: BTreeMap<u8, Vec<u32>> = BTreeMap::new();
            // How often others had a turn since a client was first in its own queue.
            let mut passed: BTreeMap<(u8, u8), u32> = BTreeMap::new();
            for (number, step) in (100..).zip(steps) {
                match step {
                    QueueStep::Push(of) => {
                        queue.push(client(of), (of, number));
                        model.entry(of).or_default().push(number);
                    }
                    QueueStep::PutBack(of) => {
                        let early = number - 100;
                        queue.put_back(client(of), (of, early), |it| it.1 < early);
                        let own = model.entry(of).or_default();
                        own.push(early);
                        own.sort_unstable();
                    }
                    QueueStep::Pop => match queue.pop() {
                        Some((of, item)) => {
                            let own = model.entry(of).or_default();
                            prop_assert_eq!(own.remove(0), item);
                            passed.retain(|(waits, _), _| *waits != of);
                            for (waits, own) in &model {
                                if *waits != of && !own.is_empty() {
                                    *passed.entry((*waits, of)).or_default() += 1;
                                }
                            }
                        }
                        None => prop_assert!(model.values().all(Vec::is_empty)),
                    },
                    QueueStep::Displace(of) => {
                        let own = model.get(&of).map_or(0, Vec::len);
                        let most = model.values().map(Vec::len).max().unwrap_or_default();
                        match queue.displace_for(client(of)) {
                            Some((from, item)) => {
                                prop_assert!(own + 1 < most && model[&from].len() == most);
                                prop_assert_eq!(model.entry(from).or_default().pop(), Some(item));
                            }
                            None => prop_assert!(own + 1 >= most),
                        }
                    }
                    QueueStep::RemoveOldest(below) => {
                        queue.remove_oldest(|it| it.1 >= below);
                        for own in model.values_mut() {
                            let kept = own.iter().position(|it| *it >= below);
                            own.drain(..kept.unwrap_or(own.len()));
                        }
                    }
                    QueueStep::Retain(divisor) => {
                        queue.retain(|it| it.1 % divisor != 0);
                        for own in model.values_mut() {
                            own.retain(|it| it % divisor != 0);
                        }
                    }
                }
                passed.retain(|(waits, _), _| model.get(waits).is_some_and(|it| !it.is_empty()));
                prop_assert_eq!(queue.len(), model.values().map(Vec::len).sum::<usize>());
                prop_assert_eq!(queue.iter().count(), queue.len());
                // What was put back has had its turn.
                prop_assert!(is_put_back || passed.values().all(|turns| *turns <= 1), "{:?}", passed);
            }
        }
    }
}
