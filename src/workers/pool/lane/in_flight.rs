//! The requests in flight on one lane: which ones the worker has, and which of them it has begun. Pure, so that tests can
//! have workers that are slow, die or answer out of turn; sockets are in [`crate::workers::wire::link`].

use std::collections::VecDeque;

use crate::protocol::worker::frame::token;
use crate::protocol::worker::marshal::Malformed;

/// How many requests may have been sent that the worker is not known to have read, including requests that were taken
/// back. Tokens are one byte: within so many requests no two tokens are equal, so that a worker cannot take the token of
/// one request for that of another.
const IN_SIGHT: u32 = 250;

/// The worker broke the protocol. It is to be killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Violation;

impl From<Malformed> for Violation {
    fn from(_: Malformed) -> Self {
        Self
    }
}

/// The requests of one lane, oldest first.
#[derive(Debug)]
pub(crate) struct InFlight<T> {
    held: VecDeque<(u32, T)>,
    /// The number of the last request sent; the first one is 1.
    sent: u32,
    /// The number of the last request that the worker is known to have read: it has answered it, or has dropped it because
    /// it was taken back.
    passed: u32,
}

impl<T> Default for InFlight<T> {
    fn default() -> Self {
        Self {
            held: VecDeque::new(),
            sent: 0,
            passed: 0,
        }
    }
}

impl<T> InFlight<T> {
    /// How many requests it has to answer.
    #[must_use]
    pub(crate) fn load(&self) -> usize {
        self.held.len()
    }

    /// The requests behind the oldest one.
    pub(crate) fn ahead(&self) -> impl Iterator<Item = &T> {
        self.held.iter().skip(1).map(|(_, item)| item)
    }

    /// Whether it can be sent another one.
    #[must_use]
    pub(crate) fn has_room(&self) -> bool {
        // The held requests are counted, too: a hostile worker may say that it has read everything.
        self.in_sight() < IN_SIGHT && self.held.len() < IN_SIGHT as usize
    }

    /// Whether anything was sent that the worker is not known to have read.
    #[must_use]
    pub(crate) fn has_unread(&self) -> bool {
        self.in_sight() > 0
    }

    /// How many requests were sent that the worker is not known to have read.
    fn in_sight(&self) -> u32 {
        self.sent.wrapping_sub(self.passed)
    }

    /// Whether the worker has read all requests and holds none.
    #[must_use]
    pub(crate) fn is_drained(&self) -> bool {
        self.held.is_empty() && self.in_sight() == 0
    }

    /// Notes that the worker has read everything up to a request. A number that it has read before, or that was never sent,
    /// is ignored. Returns whether that is news.
    pub(crate) fn has_read(&mut self, number: u32) -> bool {
        let is_news = self.sent.wrapping_sub(number) < self.in_sight();
        if is_news {
            self.passed = number;
        }
        is_news
    }

    /// The number of the request to be sent next.
    #[must_use]
    pub(crate) fn next_number(&self) -> u32 {
        // 0 is "no request".
        self.sent.wrapping_add(1).max(1)
    }

    /// Notes that something is sent which the worker reads and drops, and returns its number: that number tells when the worker
    /// has read it.
    pub(crate) fn send_probe(&mut self) -> u32 {
        self.sent = self.next_number();
        self.sent
    }

    /// Notes that a request is sent, and returns its number. Only while there is room.
    pub(crate) fn send(&mut self, item: T) -> u32 {
        self.sent = self.next_number();
        self.held.push_back((self.sent, item));
        self.sent
    }

    /// The number of the oldest request.
    #[must_use]
    pub(crate) fn oldest_number(&self) -> Option<u32> {
        self.held.front().map(|(number, _)| *number)
    }

    /// The oldest request, which is the one that the worker is on if it is on any.
    #[must_use]
    pub(crate) fn oldest(&self) -> Option<&T> {
        self.held.front().map(|(_, item)| item)
    }

    /// The oldest request, to change it.
    pub(crate) fn oldest_mut(&mut self) -> Option<&mut T> {
        self.held.front_mut().map(|(_, item)| item)
    }

    /// The request of a number that the worker has sent. That must be the oldest one: workers answer in order.
    ///
    /// # Errors
    /// [`Violation`] if it is another.
    pub(crate) fn current(&mut self, number: u32) -> Result<&mut T, Violation> {
        match self.held.front_mut() {
            Some((oldest, item)) if *oldest == number => Ok(item),
            _ => Err(Violation),
        }
    }

    /// Removes a request that the worker has answered.
    ///
    /// # Errors
    /// [`Violation`] if it is not the oldest one.
    pub(crate) fn answered(&mut self, number: u32) -> Result<T, Violation> {
        self.current(number)?;
        self.has_read(number);
        self.held.pop_front().map(|(_, item)| item).ok_or(Violation)
    }

    /// Removes the youngest requests, one for each token that was read back from the pipe. Returns them in order.
    ///
    /// # Errors
    /// [`Violation`] if the tokens are not those of the requests.
    pub(crate) fn taken_back(&mut self, tokens: &[u8]) -> Result<Vec<T>, Violation> {
        let left = self.held.len().checked_sub(tokens.len()).ok_or(Violation)?;
        let ours = self
            .held
            .iter()
            .skip(left)
            .map(|(number, _)| token(*number));
        if !ours.eq(tokens.iter().copied()) {
            return Err(Violation);
        }
        Ok(self
            .held
            .split_off(left)
            .into_iter()
            .map(|(_, item)| item)
            .collect())
    }

    /// The numbers of the last request that was sent and of the last that was read.
    #[must_use]
    pub(crate) fn marks(&self) -> (u32, u32) {
        (self.sent, self.passed)
    }

    /// Removes the oldest request if the worker has read it, where workers begin what they read.
    pub(crate) fn take_read(&mut self) -> Option<(u32, T)> {
        let (number, _) = self.held.front()?;
        let is_read = self.sent.wrapping_sub(*number) >= self.in_sight();
        is_read.then(|| self.held.pop_front()).flatten()
    }

    /// Removes all requests, where those that were not begun have been taken back.
    pub(crate) fn take_claimed(&mut self) -> impl Iterator<Item = (u32, T)> + use<T> {
        std::mem::take(&mut self.held).into_iter()
    }

    /// Removes the request that a dead worker had begun, once its answers were read and the remaining tokens taken back.
    pub(crate) fn begun(&mut self) -> Option<T> {
        self.held.pop_front().map(|(_, item)| item)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};

    use super::{InFlight, Violation};
    use crate::protocol::worker::frame::token;

    /// A worker that behaves like worker.py, with the pipe and the socket as queues.
    #[derive(Default)]
    struct FakeWorker {
        frames: VecDeque<u32>,
        pipe: VecDeque<u8>,
        in_hand: Option<u8>,
        begun: Option<u32>,
        /// The last request that it has read, as the ring's counter has it.
        read: u32,
    }

    impl FakeWorker {
        /// Takes the next frame and begins it if its token is there.
        fn step(&mut self) {
            if self.begun.is_some() {
                return;
            }
            let Some(number) = self.frames.pop_front() else {
                return;
            };
            self.in_hand = self.in_hand.or_else(|| self.pipe.pop_front());
            self.read = number;
            if self.in_hand == Some(token(number)) {
                self.in_hand = None;
                self.begun = Some(number);
            }
        }
    }

    #[derive(Clone, Debug)]
    enum Event {
        Send,
        Step,
        Answer,
        TakeBack,
        Read,
    }

    fn event() -> impl Strategy<Value = Event> {
        prop_oneof![
            4 => Just(Event::Send),
            4 => Just(Event::Step),
            4 => Just(Event::Answer),
            1 => Just(Event::TakeBack),
            1 => Just(Event::Read),
        ]
    }

    proptest! {
        /// In any order of events, and wherever the worker dies: each request is answered once, or taken back, or is the one
        /// that was begun.
        #[test]
        fn every_request_is_in_one_place(
            events in proptest::collection::vec(event(), 0..2000),
            start in any::<u32>(),
        ) {
            let mut lane = InFlight { sent: start, passed: start, ..InFlight::default() };
            let mut worker = FakeWorker { read: start, ..FakeWorker::default() };
            let mut sent = 0_u32;
            let mut settled = Vec::new();
            for event in events {
                match event {
                    Event::Send => if lane.has_room() {
                        let number = lane.send(sent);
                        sent += 1;
                        worker.pipe.push_back(token(number));
                        worker.frames.push_back(number);
                    },
                    Event::Step => worker.step(),
                    Event::Answer => if let Some(number) = worker.begun.take() {
                        settled.push(lane.answered(number).expect("in turn"));
                    },
                    Event::TakeBack => {
                        let tokens: Vec<u8> = worker.pipe.drain(..).collect();
                        settled.extend(lane.taken_back(&tokens).expect("ours"));
                    }
                    Event::Read => {
                        lane.has_read(worker.read);
                        if worker.frames.is_empty() && lane.load() == 0 {
                            assert!(lane.is_drained() && lane.has_room());
                        }
                    }
                }
            }
            // It dies.
            let tokens: Vec<u8> = worker.pipe.drain(..).collect();
            settled.extend(lane.taken_back(&tokens).expect("ours"));
            let begun = lane.begun();
            settled.extend(begun);
            assert_eq!(lane.load(), 0, "more than one request was begun");
            settled.sort_unstable();
            assert!(settled.into_iter().eq(0..sent));
        }
    }

    proptest! {
        /// The same where a worker begins what it reads and answers in any order: each request is taken back, or known to have
        /// begun, or not known yet; and what is known to have begun has begun.
        #[test]
        fn what_has_begun_is_known_in_any_order(
            events in proptest::collection::vec((event(), any::<u8>()), 0..2000),
            start in any::<u32>(),
        ) {
            let mut lane = InFlight { sent: start, passed: start, ..InFlight::default() };
            let mut worker = FakeWorker { read: start, ..FakeWorker::default() };
            let mut sent = 0_u32;
            let mut settled = Vec::new();
            // What the worker runs, and what runner knows of that.
            let mut tasks = Vec::new();
            let mut known = std::collections::BTreeMap::new();
            for (event, draw) in events {
                match event {
                    Event::Send if draw % 8 == 0 => if lane.has_room() {
                        worker.frames.push_back(lane.send_probe());
                    },
                    Event::Send => if lane.has_room() {
                        let number = lane.send(sent);
                        sent += 1;
                        worker.pipe.push_back(token(number));
                        worker.frames.push_back(number);
                    },
                    Event::Step => {
                        worker.step();
                        tasks.extend(worker.begun.take());
                    }
                    Event::Answer => if !tasks.is_empty() {
                        let number = tasks.swap_remove(usize::from(draw) % tasks.len());
                        if !known.contains_key(&number) {
                            assert!(lane.has_read(number));
                            known.extend(std::iter::from_fn(|| lane.take_read()));
                        }
                        settled.push(known.remove(&number).expect("it has begun"));
                    },
                    Event::TakeBack => {
                        let tokens: Vec<u8> = worker.pipe.drain(..).collect();
                        settled.extend(lane.taken_back(&tokens).expect("ours"));
                        known.extend(lane.take_claimed());
                    }
                    Event::Read => {
                        lane.has_read(worker.read);
                        known.extend(std::iter::from_fn(|| lane.take_read()));
                        if worker.frames.is_empty() {
                            assert!(!lane.has_unread() && lane.load() == 0);
                        }
                    }
                }
                // The token in its hand is claimed.
                let begun = |number: &u32| tasks.contains(number) || worker.in_hand == Some(token(*number));
                assert!(known.keys().all(begun));
            }
            // It dies: what it had not claimed is taken back, the rest is lost.
            let tokens: Vec<u8> = worker.pipe.drain(..).collect();
            settled.extend(lane.taken_back(&tokens).expect("ours"));
            known.extend(lane.take_claimed());
            settled.extend(known.into_values());
            settled.sort_unstable();
            assert!(settled.into_iter().eq(0..sent));
        }
    }

    #[test]
    fn what_was_taken_back_takes_room_until_it_is_read() {
        let mut lane = InFlight::default();
        for round in 0..1000 {
            while lane.has_room() {
                lane.send(());
            }
            let (sent, _) = lane.marks();
            let first = sent + 1 - u32::try_from(lane.load()).expect("some hundred");
            let tokens: Vec<u8> = (first..=sent).map(token).collect();
            assert_eq!(lane.taken_back(&tokens).map(|items| items.len()), Ok(250));
            assert!(!lane.has_room() && !lane.is_drained(), "round {round}");
            // A number that was not sent, or was read long ago, changes nothing.
            for nonsense in [sent.wrapping_add(1), 0, sent.wrapping_sub(250), u32::MAX] {
                lane.has_read(nonsense);
                assert!(!lane.has_room(), "{nonsense}");
            }
            lane.has_read(sent - 1);
            assert!(lane.has_room() && !lane.is_drained());
            lane.has_read(sent);
            assert!(lane.is_drained());
        }
    }

    #[test]
    fn a_violation_worker_is_found_out() {
        let mut lane = InFlight::default();
        assert_eq!(lane.answered(1), Err(Violation));
        lane.send('a');
        lane.send('b');
        assert_eq!(lane.answered(2), Err(Violation));
        assert_eq!(lane.taken_back(&[1]), Err(Violation));
        assert_eq!(lane.taken_back(&[1, 2, 3]), Err(Violation));
        assert_eq!(lane.taken_back(&[2]), Ok(vec!['b']));
        assert_eq!(lane.answered(1), Ok('a'));
    }
}
