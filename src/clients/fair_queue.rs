//! Things that wait for clients: the clients take turns, and each gets its own in the order in which they came. So a client
//! waits for no more than one thing of each other client, however many those have in the queue. Where a queue is full, what a
//! client with more has added last makes room for what a client with less adds: as long as one alone fills it, it has all of it.
//!
//! A client that has ended its side of its connection has probably gone away ([`ClientEnd`](crate::clients::ClientEnd)). What
//! waits for it has its turn when nothing waits for a client that is there, and is the first to make room where the queue is
//! full. The queue is not told of that end: it looks when the next one is taken, and when room is wanted.

use crate::clients::client_network::ClientNetwork;
use crate::clients::client_turns::{ClientTurns, Queued};

/// A queue in which clients take turns.
#[derive(Debug)]
pub struct FairQueue<T> {
    present: ClientTurns<T>,
    /// What waits for clients of which the queue has seen that they have ended their side.
    ended: ClientTurns<T>,
}

impl<T> Default for FairQueue<T> {
    fn default() -> Self {
        Self {
            present: ClientTurns::default(),
            ended: ClientTurns::default(),
        }
    }
}

impl<T: Queued> FairQueue<T> {
    /// How many wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.present.len() + self.ended.len()
    }

    /// Whether none does.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds what has just come.
    pub fn push(&mut self, item: T) {
        self.present.push(item);
    }

    /// Adds what was taken before, at the place that it had among those of its client. A client that has nothing else here has
    /// the next turn.
    pub fn put_back(&mut self, item: T) {
        self.present.put_back(item);
    }

    /// Takes the next one.
    pub fn pop(&mut self) -> Option<T> {
        let Self { present, ended } = self;
        let next = present.pop(|item| match item.has_ended() {
            true => {
                ended.push(item);
                None
            }
            false => Some(item),
        });
        next.or_else(|| ended.pop(Some))
    }

    /// Takes out one that makes room for another one of this client: one whose client has ended its side; or what the client
    /// has added last that has the most, if that is still more than this one will have with one more.
    pub fn displace_for(&mut self, client: Option<ClientNetwork>) -> Option<T> {
        for item in self.present.take_out(T::has_ended) {
            self.ended.push(item);
        }
        let displaced = self.ended.displace();
        displaced.or_else(|| self.present.displace_for(client))
    }

    /// Some of those that wait, the one that has waited the longest among them.
    pub fn oldest(&self) -> impl Iterator<Item = &T> {
        self.present.oldest().chain(self.ended.oldest())
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &T> + Clone {
        self.present.iter().chain(self.ended.iter())
    }

    /// Removes those that are not to be kept.
    pub fn retain(&mut self, mut keeps: impl FnMut(&T) -> bool) {
        self.present.retain(&mut keeps);
        self.ended.retain(keeps);
    }

    /// Removes the oldest ones of each client, up to the first that is to be kept.
    pub fn remove_oldest(&mut self, mut keeps: impl FnMut(&mut T) -> bool) {
        self.present.remove_oldest(&mut keeps);
        self.ended.remove_oldest(keeps);
    }

    /// Removes all.
    pub fn take_all(&mut self) -> impl Iterator<Item = T> {
        let Self { present, ended } = std::mem::take(self);
        present.into_all().chain(ended.into_all())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::LazyLock;
    use std::time::{Duration, Instant};

    use proptest::prelude::*;

    use super::{FairQueue, Queued};
    use crate::clients::client_end::ClientEnd;
    use crate::clients::client_network::ClientNetwork;

    static BEGINNING: LazyLock<Instant> = LazyLock::new(Instant::now);

    /// A thing of a client, with the time at which it came.
    #[derive(Clone, Debug, Default)]
    struct Thing {
        of: u8,
        number: u32,
        end: ClientEnd,
    }

    impl Queued for Thing {
        fn client(&self) -> Option<ClientNetwork> {
            client(self.of)
        }

        fn entered(&self) -> Instant {
            *BEGINNING + Duration::from_millis(self.number.into())
        }

        fn has_ended(&self) -> bool {
            self.end.has_come()
        }
    }

    fn client(number: u8) -> Option<ClientNetwork> {
        (number > 0).then(|| ClientNetwork::of([192, 0, 2, number].into()))
    }

    fn thing(of: u8, number: u32) -> Thing {
        let end = ClientEnd::default();
        Thing { of, number, end }
    }

    fn queue(things: &[(u8, u32)]) -> FairQueue<Thing> {
        let mut queue = FairQueue::default();
        for (of, number) in things {
            queue.push(thing(*of, *number));
        }
        queue
    }

    fn known(thing: &Thing) -> (u8, u32) {
        (thing.of, thing.number)
    }

    fn popped(queue: &mut FairQueue<Thing>) -> Option<(u8, u32)> {
        queue.pop().as_ref().map(known)
    }

    fn displaced(queue: &mut FairQueue<Thing>, of: u8) -> Option<(u8, u32)> {
        queue.displace_for(client(of)).as_ref().map(known)
    }

    fn all(mut queue: FairQueue<Thing>) -> Vec<(u8, u32)> {
        std::iter::from_fn(|| popped(&mut queue)).collect()
    }

    fn end(queue: &FairQueue<Thing>, which: impl Fn(&Thing) -> bool) {
        let meant = queue.iter().filter(|thing| which(thing));
        meant.for_each(|thing| thing.end.note());
    }

    #[test]
    fn clients_take_turns() {
        let mut many = queue(&[(1, 1), (1, 2), (1, 3), (2, 1), (0, 1), (0, 2), (2, 2)]);
        assert_eq!(popped(&mut many), Some((1, 1)));
        many.put_back(thing(1, 1));
        many.put_back(thing(3, 1));
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
        assert_eq!(displaced(&mut many, 1), None);
        assert_eq!(displaced(&mut many, 2), None);
        assert_eq!(displaced(&mut many, 3), Some((1, 3)));
        assert_eq!(displaced(&mut many, 2), None);
        many.push(thing(2, 3));
        assert_eq!(displaced(&mut many, 3), Some((2, 3)));
        assert_eq!(many.len(), 4);
    }

    #[test]
    fn what_waits_for_a_client_that_has_ended_its_side_is_the_last_and_the_first_to_make_room() {
        let mut many = queue(&[(1, 1), (1, 2), (1, 3), (2, 1), (2, 2), (1, 4)]);
        end(&many, |thing| [2, 3].contains(&thing.number));
        assert_eq!(popped(&mut many), Some((1, 1)));
        // It is put back where it was, although its client has left meanwhile, and is not the first any more.
        let back = thing(1, 1);
        back.end.note();
        many.put_back(back);
        assert_eq!(popped(&mut many), Some((2, 1)));
        // The turn of a client is not spent on those.
        assert_eq!(popped(&mut many), Some((1, 4)));
        assert_eq!(displaced(&mut many, 1), Some((1, 3)));
        assert_eq!(all(many), [(1, 1), (2, 2), (1, 2)]);
    }

    #[derive(Clone, Debug)]
    enum QueueStep {
        Push(u8),
        PutBack(u8),
        End(u8, usize),
        Pop,
        Displace(u8),
        RemoveOldest(u32),
        Retain(u32),
    }

    fn step() -> impl Strategy<Value = QueueStep> {
        prop_oneof![
            4 => (0..5_u8).prop_map(QueueStep::Push),
            1 => (0..5_u8).prop_map(QueueStep::PutBack),
            1 => (0..5_u8, 0..20_usize).prop_map(|(of, which)| QueueStep::End(of, which)),
            3 => Just(QueueStep::Pop),
            1 => (0..5_u8).prop_map(QueueStep::Displace),
            1 => (0..200_u32).prop_map(QueueStep::RemoveOldest),
            1 => (2..5_u32).prop_map(QueueStep::Retain),
        ]
    }

    /// How many wait for clients that are there, and how many for others.
    fn counts(own: &[Thing]) -> (usize, usize) {
        let ended = own.iter().filter(|thing| thing.has_ended()).count();
        (own.len() - ended, ended)
    }

    proptest! {
        /// Nothing is lost, the order of a client is its own, between two turns of a client each other one has one at most,
        /// and a client that has ended its side has none while another one waits.
        #[test]
        fn each_client_has_its_turn(steps in prop::collection::vec(step(), 0..200)) {
            let is_put_back = steps.iter().any(|step| matches!(step, QueueStep::PutBack(_)));
            let mut queue = FairQueue::default();
            let mut model: BTreeMap<u8, Vec<Thing>> = BTreeMap::new();
            // How often others had a turn since a client was first in its own queue.
            let mut passed: BTreeMap<(u8, u8), u32> = BTreeMap::new();
            for (number, step) in (100..).zip(steps) {
                let most = |which: fn((usize, usize)) -> usize| {
                    model.values().map(|own| which(counts(own))).max().unwrap_or_default()
                };
                let (most_present, most_ended) = (most(|it| it.0), most(|it| it.1));
                match step {
                    QueueStep::Push(of) => {
                        let new = thing(of, 2 * number);
                        queue.push(new.clone());
                        model.entry(of).or_default().push(new);
                    }
                    QueueStep::PutBack(of) => {
                        let early = thing(of, 2 * (number - 100) + 1);
                        queue.put_back(early.clone());
                        let own = model.entry(of).or_default();
                        own.push(early);
                        own.sort_by_key(|thing| thing.number);
                    }
                    QueueStep::End(of, which) => {
                        if let Some(thing) = model.get(&of).and_then(|own| own.get(which)) {
                            thing.end.note();
                        }
                    }
                    QueueStep::Pop => match queue.pop() {
                        Some(next) => {
                            let own = model.entry(next.of).or_default();
                            let alike = |other: &Thing| other.has_ended() == next.has_ended();
                            let first = own.iter().position(alike).map(|at| own.remove(at).number);
                            prop_assert_eq!(first, Some(next.number));
                            prop_assert!(!next.has_ended() || most_present == 0);
                            passed.retain(|(waits, _), _| *waits != next.of);
                            for (waits, own) in &model {
                                if *waits != next.of && counts(own).0 > 0 {
                                    *passed.entry((*waits, next.of)).or_default() += 1;
                                }
                            }
                        }
                        None => prop_assert!(model.values().all(Vec::is_empty)),
                    },
                    QueueStep::Displace(of) => {
                        let present = model.get(&of).map_or(0, |own| counts(own).0);
                        let is_allowed = most_ended > 0 || present + 1 < most_present;
                        let out = queue.displace_for(client(of));
                        prop_assert_eq!(out.is_some(), is_allowed);
                        if let Some(out) = out {
                            let own = model.entry(out.of).or_default();
                            match most_ended {
                                0 => prop_assert_eq!(counts(own).0, most_present),
                                _ => prop_assert!(out.has_ended() && counts(own).1 == most_ended),
                            }
                            let alike = |other: &Thing| other.has_ended() == out.has_ended();
                            let last = own.iter().rposition(alike).map(|at| own.remove(at).number);
                            prop_assert_eq!(last, Some(out.number));
                        }
                    }
                    QueueStep::RemoveOldest(below) => {
                        queue.remove_oldest(|thing| thing.number >= below);
                        for own in model.values_mut() {
                            own.retain(|thing| thing.number >= below);
                        }
                    }
                    QueueStep::Retain(divisor) => {
                        queue.retain(|thing| thing.number % divisor != 0);
                        for own in model.values_mut() {
                            own.retain(|thing| thing.number % divisor != 0);
                        }
                    }
                }
                passed.retain(|(waits, _), _| model.get(waits).is_some_and(|own| counts(own).0 > 0));
                prop_assert_eq!(queue.len(), model.values().map(Vec::len).sum::<usize>());
                prop_assert_eq!(queue.iter().count(), queue.len());
                // What was put back has had its turn.
                prop_assert!(is_put_back || passed.values().all(|turns| *turns <= 1), "{:?}", passed);
            }
        }
    }
}
