//! A lane of an ASGI worker whose event loop behaves as the real one, without sockets and with simulated time.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::interface::WebSocketMessage;
use crate::protocol::worker::frame::{Header, Kind, LaneOrder, RESPONSE_WINDOW, token};
use crate::workers::pending_request::PendingRequest;
use crate::workers::pool::simulation::simulated_time::{MILLISECOND, now};
use crate::workers::wire::{Unsent, Wire};

/// A request, by its place in the order of arrival.
pub(super) type LoopRequest = usize;

/// What the application does.
#[derive(Clone, Copy, Debug)]
pub(super) enum Habit {
    /// It answers at once.
    Quick,
    /// It answers after so many milliseconds.
    Slow(u64),
    /// It blocks the loop for so many milliseconds, then answers.
    Blocks(u64),
    /// It waits for 10 ms, blocks the loop for so many milliseconds, then answers.
    BlocksLate(u64),
    /// It sends so many blocks of 64 KiB.
    Streams(usize),
    /// It accepts a WebSocket and sends each message back, until the client has left.
    Echoes,
    /// It accepts a WebSocket and waits until the client has left.
    Listens,
    /// It refuses a WebSocket with a response in parts.
    Refuses,
    /// It answers, and goes on for so many milliseconds.
    Lingers(u64),
    /// It waits until it is told to end.
    Dawdles,
    /// It waits for ever.
    Hangs,
    /// It waits until it is told to end, as a WebSocket or not, and goes on for so many milliseconds.
    Stays { time: u64, web_socket: bool },
}

#[derive(Debug)]
pub(super) enum LoopFrame {
    /// A request; a probe has no id.
    Request(u32, Option<LoopRequest>),
    Order(LaneOrder, u32, Vec<u8>),
}

#[derive(Debug)]
pub(super) struct LoopTask {
    pub(super) habit: Habit,
    pub(super) until: Instant,
    pub(super) has_begun: bool,
    /// Blocks that are to be sent, or the sizes of messages.
    pub(super) to_send: VecDeque<usize>,
    /// What was sent and not acknowledged.
    pub(super) ahead: usize,
    pub(super) has_left: bool,
}

/// A lane of a worker whose loop behaves as the real one.
#[derive(Debug, Default)]
pub(super) struct LoopLane {
    pub(super) unwritten_tokens: Vec<u8>,
    pub(super) unwritten: Vec<LoopFrame>,
    pub(super) pipe: VecDeque<u8>,
    pub(super) frames: VecDeque<LoopFrame>,
    pub(super) in_hand: Option<u8>,
    pub(super) read: u32,
    pub(super) blocked_until: Option<Instant>,
    pub(super) tasks: BTreeMap<u32, LoopTask>,
    pub(super) out: VecDeque<(Header, Bytes)>,
    pub(super) habits: Rc<RefCell<Vec<Habit>>>,
    pub(super) begun: Vec<LoopRequest>,
    pub(super) orders: Vec<(LaneOrder, u32)>,
    pub(super) is_closed: bool,
}

impl LoopLane {
    pub(super) fn flush(&mut self) {
        self.pipe.extend(self.unwritten_tokens.drain(..));
        self.frames.extend(self.unwritten.drain(..));
    }

    pub(super) fn is_blocked(&self) -> bool {
        self.blocked_until.is_some_and(|until| now() < until)
    }

    fn put(&mut self, kind: Kind, number: u32, payload: Vec<u8>) {
        let is_head = matches!(kind, Kind::Answer { .. } | Kind::Head | Kind::Accept);
        let header = Header {
            length: payload.len(),
            number,
            service: Duration::ZERO,
            kind,
            fields: 0,
            head: if is_head { payload.len() } else { 0 },
        };
        self.out.push_back((header, payload.into()));
    }

    /// One turn of the loop.
    pub(super) fn turn(&mut self) {
        if self.is_blocked() {
            return;
        }
        self.blocked_until = None;
        while let Some(frame) = self.frames.pop_front() {
            match frame {
                LoopFrame::Request(number, id) => {
                    self.in_hand = self.in_hand.or_else(|| self.pipe.pop_front());
                    self.read = number;
                    if let Some(id) = id
                        && self.in_hand == Some(token(number))
                    {
                        self.in_hand = None;
                        self.begin(number, id);
                        if self.is_blocked() {
                            return;
                        }
                    }
                }
                LoopFrame::Order(order, number, payload) => self.obey(order, number, &payload),
            }
        }
        let numbers: Vec<u32> = self.tasks.keys().copied().collect();
        for number in numbers {
            self.work(number);
            if self.is_blocked() {
                return;
            }
        }
    }

    fn begin(&mut self, number: u32, id: LoopRequest) {
        let habit = self.habits.borrow()[id];
        self.begun.push(id);
        let wait = match habit {
            Habit::Slow(time) | Habit::Lingers(time) => time,
            Habit::Blocks(time) => {
                self.blocked_until =
                    Some(now() + MILLISECOND * u32::try_from(time).expect("short"));
                time
            }
            Habit::BlocksLate(_) => 10,
            _ => 0,
        };
        let to_send = match habit {
            Habit::Streams(blocks) => vec![64 << 10; blocks].into(),
            _ => VecDeque::new(),
        };
        let task = LoopTask {
            habit,
            until: now() + Duration::from_millis(wait),
            has_begun: false,
            to_send,
            ahead: 0,
            has_left: false,
        };
        self.tasks.insert(number, task);
    }

    fn obey(&mut self, order: LaneOrder, number: u32, payload: &[u8]) {
        self.orders.push((order, number));
        let Some(task) = self.tasks.get_mut(&number) else {
            return;
        };
        match order {
            LaneOrder::Credit => {
                let bytes = u32::from_le_bytes(payload.try_into().expect("four bytes"));
                // More than was sent would be credit for nothing.
                task.ahead = task.ahead.checked_sub(bytes as usize).expect("sent before");
            }
            LaneOrder::Text | LaneOrder::Binary => {
                task.to_send.push_back(payload.len());
                let cost = payload.len() + WebSocketMessage::OVERHEAD;
                let cost = u32::try_from(cost).expect("small").to_le_bytes();
                self.put(Kind::Credit, number, cost.to_vec());
            }
            LaneOrder::Left | LaneOrder::Cancel => {
                if let Habit::Stays { time, .. } = task.habit
                    && !task.has_left
                {
                    task.until = now() + Duration::from_millis(time);
                }
                task.has_left = true;
            }
            LaneOrder::Show | LaneOrder::Request => {}
        }
    }

    /// Lets a task go on as far as it can.
    fn work(&mut self, number: u32) {
        let task = self.tasks.get_mut(&number).expect("it runs");
        let (habit, first) = (task.habit, !task.has_begun);
        if task.has_left {
            return match habit {
                Habit::Hangs => {}
                Habit::Stays { .. } if now() < task.until => {}
                _ => self.end(number),
            };
        }
        match habit {
            Habit::Lingers(_) if first => {
                task.has_begun = true;
                self.put(Kind::Answer { last: false }, number, b"200 OK".to_vec());
            }
            _ if now() < task.until => {}
            Habit::BlocksLate(time) if first => {
                task.has_begun = true;
                self.blocked_until = Some(now() + Duration::from_millis(time));
            }
            // What has ended says so with its answer if it can.
            Habit::Quick | Habit::Slow(_) | Habit::Blocks(_) | Habit::BlocksLate(_) => {
                let last = number.is_multiple_of(2);
                self.put(Kind::Answer { last }, number, b"200 OK".to_vec());
                match last {
                    true => drop(self.tasks.remove(&number)),
                    false => self.end(number),
                }
            }
            Habit::Lingers(_) => self.end(number),
            Habit::Refuses => {
                self.put(Kind::Head, number, b"401 Unauthorized".to_vec());
                self.put(Kind::Block, number, b"no".to_vec());
                self.put(Kind::End { truncated: false }, number, Vec::new());
                self.end(number);
            }
            Habit::Stays { web_socket, .. } => {
                task.has_begun = true;
                if first && web_socket {
                    self.put(Kind::Accept, number, b"101 Switching Protocols".to_vec());
                }
            }
            Habit::Dawdles | Habit::Hangs => {}
            Habit::Streams(_) | Habit::Echoes | Habit::Listens => {
                task.has_begun = true;
                let streams = matches!(habit, Habit::Streams(_));
                if first && streams {
                    self.put(Kind::Head, number, b"200 OK".to_vec());
                } else if first {
                    self.put(Kind::Accept, number, b"101 Switching Protocols".to_vec());
                }
                loop {
                    let task = self.tasks.get_mut(&number).expect("it runs");
                    // `send()` waits while the window is used up.
                    if task.ahead >= RESPONSE_WINDOW {
                        return;
                    }
                    let Some(size) = task.to_send.pop_front() else {
                        break;
                    };
                    let (kind, cost) = match streams {
                        true => (Kind::Block, size),
                        false => {
                            let (text, more) = (false, false);
                            let kind = Kind::Message { text, more };
                            (kind, size + WebSocketMessage::OVERHEAD)
                        }
                    };
                    task.ahead += cost;
                    self.put(kind, number, vec![b'x'; size]);
                }
                if streams {
                    self.put(Kind::End { truncated: false }, number, Vec::new());
                    self.end(number);
                }
            }
        }
    }

    fn end(&mut self, number: u32) {
        self.tasks.remove(&number);
        self.put(Kind::Done, number, Vec::new());
    }
}

#[derive(Clone, Debug, Default)]
pub(super) struct LoopWire(pub(super) Rc<RefCell<LoopLane>>);

impl Wire for LoopWire {
    fn push(&mut self, number: u32, pending: &PendingRequest, _: bool) -> Result<(), Unsent> {
        let id: LoopRequest = pending.about.target().parse().expect("a number");
        let mut lane = self.0.borrow_mut();
        lane.unwritten_tokens.push(token(number));
        lane.unwritten.push(LoopFrame::Request(number, Some(id)));
        Ok(())
    }

    fn order(&mut self, order: LaneOrder, number: u32, payload: &[u8]) {
        let frame = LoopFrame::Order(order, number, payload.to_vec());
        self.0.borrow_mut().unwritten.push(frame);
    }

    fn probe(&mut self, number: u32) {
        let frame = LoopFrame::Request(number, None);
        self.0.borrow_mut().unwritten.push(frame);
    }

    fn take_tokens(&mut self) -> Vec<u8> {
        let mut lane = self.0.borrow_mut();
        let mut tokens: Vec<u8> = lane.pipe.drain(..).collect();
        tokens.append(&mut lane.unwritten_tokens);
        tokens
    }

    fn last_read(&self) -> u32 {
        self.0.borrow().read
    }

    fn is_waiting(&self) -> bool {
        let lane = self.0.borrow();
        lane.frames.is_empty() && !lane.is_blocked()
    }

    fn has_unwritten(&self) -> bool {
        !self.0.borrow().unwritten.is_empty()
    }

    fn lost_lines(&self) -> u64 {
        0
    }

    fn thread(&self) -> u64 {
        1
    }

    fn cancel(&self, _: u32) {}

    fn close(&self) {
        self.0.borrow_mut().is_closed = true;
    }
}
