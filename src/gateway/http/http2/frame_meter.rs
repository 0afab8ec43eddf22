//! What passes of a client's frames (RFC 9113 §4.1): whether a head is being sent, and how many frames are of no use.
//!
//! Each kind of flood is the same here, whether by `PING`, `SETTINGS`, `PRIORITY`, `WINDOW_UPDATE`, `CONTINUATION`, empty
//! `DATA`, unknown frames or requests that are taken back at once (`RST_STREAM`): frames that cost the server some work and
//! that no response comes of. Each takes from a budget; responses and time refill it. A client at work never notices, and
//! one whose budget is used up has to leave (§10.5).

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// What a budget has for the frames with which any client begins, many times.
const BEGINNING: u64 = 400;

/// What a request costs that is taken back: its worker may have begun with it.
const RESET_COST: u64 = 5;

/// What a budget has for each stream that may be open at a time: it is opened and taken back.
const EACH_STREAM: u64 = 1 + RESET_COST;

/// What part of a budget, one in so many, may be spent before the client is read slowly.
const STRAIN: u64 = 4;

/// What time adds a second: pings that ask whether the server is there, and the like.
const EACH_SECOND: u64 = 20;

/// What a response adds.
const RESPONSE: u64 = 10;

/// How many bytes of a response add one. Clients say of each part that they have read it (`WINDOW_UPDATE`), of which the
/// smallest are a few kilobytes, for the stream and for the connection.
const BYTES: u64 = 512;

/// The bytes with which a client begins (§3.4).
const PREFACE: usize = 24;

/// The bytes of the head of a frame (§4.1).
pub(super) const FRAME_HEAD: usize = 9;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
/// The type of a frame that ends a stream (§6.4).
pub(super) const RST_STREAM: u8 = 3;
const CONTINUATION: u8 = 9;

const END_STREAM: u8 = 0x1;
const END_HEADERS: u8 = 0x4;

/// Reads the heads of frames as they pass.
#[derive(Debug)]
pub(super) struct FrameMeter {
    /// Bytes of the preface, or of a payload, that are to come.
    left: usize,
    /// What has come of the head of a frame.
    head: [u8; FRAME_HEAD],
    have: usize,
    /// A head of a request, or trailers, has begun and not ended.
    is_in_block: bool,
    /// The payload that is coming belongs to it.
    is_of_block: bool,
    /// The number of heads that have begun.
    heads: u64,
    /// The number of reads that brought something.
    reads: u64,
    budget: u64,
    /// The most that is in the budget, and what is in it at the beginning.
    most: u64,
    /// Up to when time was added.
    counted: Instant,
    /// Requests are under way.
    is_at_work: bool,
    /// The number of requests that the gateway has refused, and the client not learnt of.
    refused: usize,
}

impl FrameMeter {
    /// The meter of a connection that may have so many streams open at a time.
    pub(super) fn new(max_streams: u32) -> Self {
        let budget = BEGINNING + EACH_STREAM * u64::from(max_streams);
        Self {
            left: PREFACE,
            head: [0; FRAME_HEAD],
            have: 0,
            is_in_block: false,
            is_of_block: false,
            heads: 0,
            reads: 0,
            budget,
            most: budget,
            counted: Instant::now(),
            is_at_work: false,
            refused: 0,
        }
    }

    /// Follows what was read.
    pub(super) fn received(&mut self, mut part: &[u8]) {
        self.reads += 1;
        self.refill();
        while !part.is_empty() {
            if self.left > 0 {
                let passed = self.left.min(part.len());
                self.left -= passed;
                part = &part[passed..];
                continue;
            }
            self.is_of_block = false;
            let count = (FRAME_HEAD - self.have).min(part.len());
            self.head[self.have..self.have + count].copy_from_slice(&part[..count]);
            self.have += count;
            part = &part[count..];
            if self.have == FRAME_HEAD {
                self.have = 0;
                self.frame();
            }
        }
    }

    /// The head of a frame is there.
    fn frame(&mut self) {
        let [high, middle, low, kind, flags, ..] = self.head;
        let length = u32::from_be_bytes([0, high, middle, low]);
        self.left = length as usize;
        let has = |flag: u8| flags & flag != 0;
        let cost = match kind {
            // What is sent of a body is of use, and so is its end.
            DATA if length > 0 || has(END_STREAM) => 0,
            RST_STREAM => RESET_COST,
            _ => 1,
        };
        if matches!(kind, HEADERS | CONTINUATION) {
            self.heads += u64::from(kind == HEADERS);
            self.is_in_block = !has(END_HEADERS);
            self.is_of_block = true;
        }
        self.budget = self.budget.saturating_sub(cost);
    }

    fn refill(&mut self) {
        let seconds = self.counted.elapsed().as_secs();
        if seconds > 0 {
            self.counted = Instant::now();
            self.add(seconds * EACH_SECOND);
        }
    }

    fn add(&mut self, count: u64) {
        // It does not come back: what follows the last frame is not looked at.
        if self.budget > 0 {
            self.budget = (self.budget + count).min(self.most);
        }
    }

    /// A response begins.
    pub(super) fn responded(&mut self) {
        self.add(RESPONSE);
    }

    /// A part of a response is sent, of so many bytes.
    pub(super) fn sent(&mut self, bytes: usize) {
        self.add(1 + bytes as u64 / BYTES);
    }

    /// Requests are under way, or none are.
    pub(super) fn set_at_work(&mut self, is_at_work: bool) {
        self.is_at_work = is_at_work;
    }

    /// Whether requests are under way.
    pub(super) fn is_at_work(&self) -> bool {
        self.is_at_work
    }

    /// The gateway refuses a request, by a reset that `h2` is to send.
    pub(super) fn note_refusal(&mut self) {
        self.refused += 1;
    }

    /// A refusal is sent: whether it is the gateway's, and not one of `h2`.
    pub(super) fn takes_refusal(&mut self) -> bool {
        let is_ours = self.refused > 0;
        self.refused -= usize::from(is_ours);
        is_ours
    }

    /// Whether the client has to leave.
    pub(super) fn is_exhausted(&self) -> bool {
        self.budget == 0
    }

    /// Whether so much of the budget is spent that the client is to be read slowly: then a flood takes little of the time of
    /// others until it ends.
    pub(super) fn is_strained(&self) -> bool {
        self.budget < self.most - self.most / STRAIN
    }

    /// Whether the client owes the rest of a head.
    pub(super) fn is_in_head(&self) -> bool {
        self.is_in_block || self.have > 0 || self.is_of_block && self.left > 0
    }

    /// The number of heads that have begun.
    pub(super) fn heads(&self) -> u64 {
        self.heads
    }

    /// The number of reads that brought something.
    pub(super) fn reads(&self) -> u64 {
        self.reads
    }
}

/// Only tasks of one thread lock it, so that it never waits.
pub(super) fn lock(meter: &Mutex<FrameMeter>) -> MutexGuard<'_, FrameMeter> {
    meter.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::{FrameMeter, PREFACE, RESET_COST};

    const STREAMS: u32 = 100;

    const PING: u8 = 6;
    const WINDOW_UPDATE: u8 = 8;

    fn frame(kind: u8, flags: u8, length: usize) -> Vec<u8> {
        let [_, high, middle, low] = u32::try_from(length).expect("a length").to_be_bytes();
        let mut frame = vec![high, middle, low, kind, flags, 0, 0, 0, 1];
        // Payloads that look like heads of frames.
        frame.resize(9 + length, PING);
        frame
    }

    fn after(text: &[u8], size: usize) -> FrameMeter {
        let mut meter = FrameMeter::new(STREAMS);
        for part in [&[b'x'; PREFACE][..], text].concat().chunks(size) {
            meter.received(part);
        }
        meter
    }

    /// However the bytes come, the same frames are seen in them.
    #[test]
    fn each_kind_of_frame_costs_what_it_is_worth() {
        for size in [1, 2, 8, 9, 10, 1000] {
            for (kind, flags, length, cost) in [
                (0, 0, 1, 0),
                (0, 0, 0, 1),
                (0, 1, 0, 0),
                (0, 8, 300, 0),
                (1, 4, 30, 1),
                (2, 0, 5, 1),
                (3, 0, 4, RESET_COST),
                (4, 0, 6, 1),
                (PING, 0, 8, 1),
                (WINDOW_UPDATE, 0, 4, 1),
                (9, 4, 20, 1),
                (0xfa, 0, 0, 1),
            ] {
                let text = frame(kind, flags, length).repeat(7);
                let meter = after(&text, size);
                assert_eq!(
                    meter.most - meter.budget,
                    7 * cost,
                    "{kind} {flags} {length}, by {size}"
                );
            }
        }
    }

    #[test]
    fn responses_refill_the_budget_and_nothing_fills_it_again_once_it_is_empty() {
        let mut meter = after(b"", 100);
        // A client that reads what it gets, in small parts.
        for _ in 0..10_000 {
            meter.received(&frame(1, 5, 20));
            meter.responded();
            meter.sent(16_384);
            for _ in 0..16 {
                meter.received(&frame(WINDOW_UPDATE, 0, 4));
            }
            assert!(!meter.is_exhausted());
        }
        for _ in 0..meter.most {
            meter.received(&frame(PING, 0, 8));
        }
        assert!(meter.is_strained());
        assert!(meter.is_exhausted());
        meter.responded();
        meter.sent(1_000_000);
        assert!(meter.is_exhausted());
    }

    #[test]
    fn all_streams_may_be_opened_and_taken_back_at_once() {
        for streams in [1, STREAMS, 10_000] {
            let mut meter = FrameMeter::new(streams);
            meter.received(&[b'x'; PREFACE]);
            for (kind, flags) in [(1, 5), (3, 0)] {
                let part = frame(kind, flags, 4).repeat(streams as usize);
                meter.received(&part);
                assert!(!meter.is_exhausted(), "{streams} {kind}");
            }
        }
    }

    #[test]
    fn a_head_lasts_from_its_first_byte_to_its_last() {
        let begun = [frame(1, 0, 20), frame(9, 0, 20)].concat();
        let whole = [begun.clone(), frame(9, 4, 3)].concat();
        for end in 1..whole.len() {
            assert!(after(&whole[..end], 1000).is_in_head(), "{end}");
        }
        let meter = after(&whole, 1000);
        assert!(!meter.is_in_head());
        assert_eq!(meter.heads(), 1);
        // Nothing else is waited for in this way.
        let data = frame(0, 0, 20);
        assert!(!after(&data[..15], 1000).is_in_head());
    }
}
