//! The stream of a lane with a worker that writes it as body_stream.py does.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};

use crate::protocol::worker::frame::{
    HEADER, SLOT_PAYLOAD, SLOT_SIZE, SLOTS, SLOTS_CLAIMED, SLOTS_RETURNED, SLOTS_START,
    STREAM_AWAKE, STREAM_FULL, STREAM_HEAD, STREAM_TAIL, WAITS_FOR_SLOT,
};
use crate::protocol::worker::marshal::Malformed;
use crate::unix::SharedMemory;
use crate::workers::wire::body_stream::{
    BodyStream, Reading, STREAM_CAPACITY, STREAM_START, StreamPart, room_pipe,
};
use crate::workers::wire::ring::Ring;

const ANSWER: u8 = 1;
const HEAD: u8 = 2;
const BLOCK: u8 = 3;
const END: u8 = 4;
const SLOT: u8 = 15;

/// How many slots may be lent.
const MOST_LENT: usize = 8;

/// A worker that behaves like body_stream.py.
struct StreamWriter {
    memory: Arc<SharedMemory>,
    file: File,
    room: OwnedFd,
    written: u64,
    claimed: u64,
    woken: usize,
}

fn lane() -> (BodyStream, StreamWriter) {
    let ring = Ring::new().unwrap();
    let (reader, writer) = room_pipe().unwrap();
    rustix::io::ioctl_fionbio(&reader, true).unwrap();
    let worker = StreamWriter {
        memory: ring.memory(),
        file: File::from(ring.descriptor().try_clone_to_owned().unwrap()),
        room: reader,
        written: 0,
        claimed: 0,
        woken: 0,
    };
    (BodyStream::new(ring.memory(), writer), worker)
}

impl StreamWriter {
    fn has_room(&self, size: usize) -> bool {
        let end = self.written + (2 * HEADER + size) as u64;
        end <= self.memory.load(STREAM_TAIL) + STREAM_CAPACITY as u64
    }

    /// Writes a record, whether there is room or not.
    fn place(&mut self, kind: u8, number: u32, payload: &[u8]) {
        let position = self.written as usize % STREAM_CAPACITY;
        if position + HEADER > STREAM_CAPACITY {
            self.written += (STREAM_CAPACITY - position) as u64;
        }
        let head = if kind == HEAD { payload.len() } else { 0 };
        let field = |value: usize| u32::try_from(value).unwrap().to_le_bytes();
        let mut record = field(payload.len()).to_vec();
        record.extend(number.to_le_bytes());
        record.extend([0, 0, 0, 0, kind, 0, 0, 0]);
        record.extend(field(head));
        record.extend_from_slice(payload);
        let position = self.written as usize % STREAM_CAPACITY;
        let (first, second) = record.split_at(record.len().min(STREAM_CAPACITY - position));
        for (part, start) in [(first, position), (second, 0)] {
            let place = (STREAM_START + start) as u64;
            self.file.write_all_at(part, place).unwrap();
        }
        self.written += record.len() as u64;
    }

    fn publish(&mut self) {
        self.memory.store(STREAM_HEAD, self.written);
        if self.memory.load(STREAM_AWAKE) == 0 {
            self.memory.store(STREAM_AWAKE, 1);
            self.woken += 1;
        }
    }

    fn put(&mut self, kind: u8, number: u32, payload: &[u8]) {
        self.place(kind, number, payload);
        self.publish();
    }

    fn free_slots(&self) -> u32 {
        (self.claimed ^ self.memory.load(SLOTS_RETURNED)).count_zeros() - (64 - SLOTS)
    }

    fn claim(&mut self) -> u32 {
        let slot = (self.claimed ^ self.memory.load(SLOTS_RETURNED)).trailing_ones();
        assert!(slot < SLOTS, "no slot is free");
        self.claimed ^= 1 << slot;
        self.memory.store(SLOTS_CLAIMED, self.claimed);
        slot
    }

    /// Puts a block into a free slot. Returns which.
    fn put_in_slot(&mut self, number: u32, block: &[u8]) -> u32 {
        let slot = self.claim();
        let start = SLOTS_START + slot as usize * SLOT_SIZE;
        self.file.write_all_at(block, start as u64).unwrap();
        self.put(SLOT, number, &name(slot, block.len()));
        slot
    }

    /// How many bytes have come that tell of room.
    fn told(&self) -> usize {
        rustix::io::read(&self.room, &mut [0; 64][..]).unwrap_or(0)
    }
}

/// The payload that names a block in a slot.
fn name(slot: u32, length: usize) -> [u8; SLOT_PAYLOAD] {
    let [slot, length] = [slot, u32::try_from(length).unwrap()].map(u32::to_le_bytes);
    [slot, length].concat().try_into().unwrap()
}

#[derive(Clone, Debug)]
enum StreamEvent {
    Put(usize),
    PutInSlot(usize),
    /// So many of the oldest blocks that are lent are sent.
    Send(usize),
    End,
    Take(usize),
    Sleep,
}

fn event() -> impl Strategy<Value = StreamEvent> {
    prop_oneof![
        4 => (1..200_000_usize).prop_map(StreamEvent::Put),
        4 => (1..100_usize).prop_map(StreamEvent::Put),
        4 => (1..=SLOT_SIZE).prop_map(StreamEvent::PutInSlot),
        3 => (1..9_usize).prop_map(StreamEvent::Send),
        1 => Just(StreamEvent::End),
        6 => (0..400_000_usize).prop_map(StreamEvent::Take),
        2 => Just(StreamEvent::Sleep),
    ]
}

/// Runner's side: the answers that it has got.
#[derive(Default)]
struct AnswerReader {
    number: u32,
    begun: bool,
    bodies: Vec<Vec<AnswerPiece>>,
}

struct AnswerPiece {
    bytes: Bytes,
    is_lent: bool,
}

impl AnswerReader {
    /// Takes what there is room for.
    fn take(&mut self, stream: &mut BodyStream, mut room: usize) {
        loop {
            let reading = match self.begun {
                false => Reading::Begins(self.number + 1),
                true => Reading::Takes(self.number, room),
            };
            match stream.take(reading).unwrap() {
                None => break,
                Some(StreamPart::Head(header, payload)) => {
                    assert_eq!(
                        (header.number, &payload[..]),
                        (self.number + 1, &b"200"[..])
                    );
                    self.number += 1;
                    self.begun = true;
                    self.bodies.push(Vec::new());
                }
                Some(StreamPart::Bytes(bytes)) => {
                    // A block in a slot is taken as a whole.
                    assert!(!bytes.is_empty() && room > 0);
                    room = room.saturating_sub(bytes.len());
                    self.push(bytes, false);
                }
                Some(StreamPart::Lent(bytes)) => {
                    assert!(!bytes.is_empty() && room > 0);
                    room = room.saturating_sub(bytes.len());
                    self.push(bytes, true);
                    assert!(self.lent().count() <= MOST_LENT);
                }
                Some(StreamPart::End(_)) => self.begun = false,
            }
        }
    }

    fn push(&mut self, bytes: Bytes, is_lent: bool) {
        let piece = AnswerPiece { bytes, is_lent };
        self.bodies.last_mut().unwrap().push(piece);
    }

    fn lent(&mut self) -> impl Iterator<Item = &mut AnswerPiece> {
        let pieces = self.bodies.iter_mut().flatten();
        pieces.filter(|piece| piece.is_lent)
    }

    /// Sends so many of the blocks that are lent: what is in them is read at this moment.
    fn send(&mut self, count: usize) {
        for piece in self.lent().take(count) {
            piece.bytes = Bytes::copy_from_slice(&piece.bytes);
            piece.is_lent = false;
        }
    }

    fn whole(&self) -> Vec<Vec<u8>> {
        let whole =
            |body: &Vec<AnswerPiece>| body.iter().flat_map(|it| it.bytes.to_vec()).collect();
        self.bodies.iter().map(whole).collect()
    }
}

proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(64))]

    /// Whatever the sizes of blocks and of the room for them, wherever they are, and whoever waits when: each body comes as it
    /// was made, and neither side waits for ever.
    #[test]
    fn each_body_comes_as_it_was_made(events in proptest::collection::vec(event(), 0..200), seed in any::<u8>()) {
        let (mut stream, mut worker) = lane();
        let mut reader = AnswerReader::default();
        let mut made: Vec<Vec<u8>> = Vec::new();
        let mut open = false;
        let mut sleeps = true;
        for event in events {
            match event {
                StreamEvent::Put(size) if worker.has_room(size) => {
                    if !open {
                        made.push(Vec::new());
                        worker.place(HEAD, made.len() as u32, b"200");
                        open = true;
                        if !worker.has_room(size) {
                            worker.publish();
                            continue;
                        }
                    }
                    let block: Vec<u8> = (0..size).map(|place| (place % 251) as u8 ^ seed).collect();
                    worker.put(BLOCK, made.len() as u32, &block);
                    made.last_mut().unwrap().extend(block);
                }
                // It waits: it is told when there is room.
                StreamEvent::Put(_) => {
                    worker.memory.store(STREAM_FULL, 1);
                    if !worker.has_room(STREAM_CAPACITY / 2) {
                        assert_eq!(worker.told(), 0);
                        reader.take(&mut stream, usize::MAX);
                        assert_eq!(worker.told(), 1);
                    }
                    worker.memory.store(STREAM_FULL, 0);
                    assert!(worker.has_room(STREAM_CAPACITY / 2));
                }
                StreamEvent::PutInSlot(size) if worker.has_room(HEADER + SLOT_PAYLOAD) && worker.free_slots() > 0 => {
                    if !open {
                        made.push(Vec::new());
                        worker.place(HEAD, made.len() as u32, b"200");
                        open = true;
                    }
                    let sign = made.last().unwrap().len() as u8;
                    let block: Vec<u8> = (0..size).map(|place| (place % 241) as u8 ^ sign).collect();
                    worker.put_in_slot(made.len() as u32, &block);
                    made.last_mut().unwrap().extend(block);
                }
                StreamEvent::PutInSlot(_) if worker.free_slots() == 0 => {
                    worker.memory.store(STREAM_FULL, WAITS_FOR_SLOT);
                    assert_eq!(worker.told(), 0);
                    reader.take(&mut stream, usize::MAX);
                    reader.send(MOST_LENT);
                    assert_eq!(worker.told(), 1);
                    assert_eq!(worker.free_slots(), SLOTS);
                }
                StreamEvent::PutInSlot(_) => {}
                StreamEvent::Send(count) => reader.send(count),
                StreamEvent::End => if open && worker.has_room(0) {
                    worker.put(END, made.len() as u32, b"");
                    open = false;
                },
                StreamEvent::Take(room) => {
                    stream.expect_none();
                    sleeps = false;
                    reader.take(&mut stream, room);
                }
                StreamEvent::Sleep => {
                    stream.expect_wake_up();
                    worker.woken = 0;
                    sleeps = true;
                    let before = worker.written;
                    if !stream.has_more() && worker.has_room(1) && open {
                        worker.put(BLOCK, made.len() as u32, b"x");
                        made.last_mut().unwrap().push(b'x');
                    }
                    assert_eq!(worker.woken, usize::from(worker.written > before));
                }
            }
            assert!(sleeps || worker.woken <= 1);
        }
        reader.take(&mut stream, usize::MAX);
        reader.send(MOST_LENT);
        assert!(reader.whole() == made);
        assert!(!stream.has_more());
        assert_eq!(worker.free_slots(), SLOTS);
    }
}

#[test]
fn blocks_come_together_and_cost_no_wake_up() {
    let (mut stream, mut worker) = lane();
    stream.expect_none();
    worker.place(HEAD, 1, b"200");
    for _ in 0..50 {
        worker.put(BLOCK, 1, &[7; 4096]);
    }
    worker.put(END, 1, b"");
    assert_eq!(worker.woken, 0);
    let head = stream.take(Reading::Begins(1)).unwrap();
    assert!(matches!(head, Some(StreamPart::Head(..))));
    let body = stream.take(Reading::Takes(1, usize::MAX)).unwrap();
    assert_eq!(body, Some(StreamPart::Bytes(vec![7; 50 * 4096].into())));
    let end = stream.take(Reading::Takes(1, 0)).unwrap();
    assert!(matches!(end, Some(StreamPart::End(_))));
}

#[test]
fn an_answer_that_is_not_wanted_is_dropped() {
    let (mut stream, mut worker) = lane();
    worker.put(HEAD, 1, b"200");
    worker.put(BLOCK, 1, &[7; 1000]);
    assert_eq!(stream.take(Reading::Begins(2)), Ok(None));
    assert!(stream.take(Reading::Begins(1)).unwrap().is_some());
    assert!(stream.take(Reading::Takes(1, 10)).unwrap().is_some());
    assert_eq!(stream.take(Reading::Drops(1)), Ok(None));
    assert!(!stream.has_more());
    worker.put(BLOCK, 1, &[7; 1000]);
    worker.put(END, 1, b"");
    let end = stream.take(Reading::Drops(1)).unwrap();
    assert!(matches!(end, Some(StreamPart::End(_))));
}

/// The blocks of clients that take nothing stay where they are. Others go on through the slots that are left.
#[test]
fn clients_that_take_nothing_leave_slots_for_others() {
    let (mut stream, mut worker) = lane();
    worker.put(HEAD, 1, b"200");
    assert!(stream.take(Reading::Begins(1)).unwrap().is_some());
    let mut kept = Vec::new();
    for turn in 0..20 {
        let before = worker.free_slots();
        while worker.free_slots() > 0 {
            worker.put_in_slot(1, &[turn; SLOT_SIZE]);
        }
        worker.memory.store(STREAM_FULL, WAITS_FOR_SLOT);
        for place in 0..before {
            match stream.take(Reading::Takes(1, 1)).unwrap() {
                Some(StreamPart::Lent(bytes)) if turn == 0 => kept.push(bytes),
                Some(StreamPart::Bytes(bytes)) => assert!(bytes == [turn; SLOT_SIZE][..]),
                other => panic!("{turn} {place}: {other:?}"),
            }
        }
        assert_eq!(worker.told(), 1);
    }
    assert_eq!(kept.len(), MOST_LENT);
    assert_eq!(worker.free_slots(), SLOTS - 8);
    assert!(kept.iter().all(|bytes| **bytes == [0; SLOT_SIZE]));
    // A part that is left keeps the slot, and the memory outlives both ends of the lane.
    let end = kept.pop().unwrap().split_off(SLOT_SIZE - 1);
    drop(kept);
    assert_eq!(worker.free_slots(), SLOTS - 1);
    drop((stream, worker));
    assert_eq!(end, [0][..]);
}

#[test]
fn a_worker_that_waits_for_slots_is_told_of_many_at_once() {
    let (mut stream, mut worker) = lane();
    worker.put(HEAD, 1, b"200");
    assert!(stream.take(Reading::Begins(1)).unwrap().is_some());
    let mut lent: Vec<StreamPart> = Vec::new();
    for _ in 0..SLOTS {
        worker.put_in_slot(1, b"block");
    }
    worker.memory.store(STREAM_FULL, WAITS_FOR_SLOT);
    for _ in 0..MOST_LENT {
        lent.extend(stream.take(Reading::Takes(1, 1)).unwrap());
    }
    for told in [0, 0, 0, 0, 0, 0, 0, 1] {
        drop(lent.pop());
        assert_eq!(worker.told(), told);
    }
    // Of the last ones it is told, however few they are: the others are lost, as after an exception.
    lent.extend(std::iter::from_fn(|| {
        stream.take(Reading::Takes(1, 1)).unwrap()
    }));
    lent.clear();
    assert_eq!(worker.free_slots(), SLOTS);
    for _ in 0..SLOTS - 2 {
        worker.claim();
    }
    for _ in 0..2 {
        worker.put_in_slot(1, b"block");
    }
    worker.memory.store(STREAM_FULL, WAITS_FOR_SLOT);
    drop(stream.take(Reading::Takes(1, 1)));
    assert_eq!((worker.told(), worker.free_slots()), (0, 1));
    drop(stream.take(Reading::Takes(1, 1)));
    assert_eq!((worker.told(), worker.free_slots()), (1, 2));
}

#[test]
fn a_block_in_a_slot_that_is_not_wanted_is_dropped() {
    let (mut stream, mut worker) = lane();
    worker.put(HEAD, 1, b"200");
    assert!(stream.take(Reading::Begins(1)).unwrap().is_some());
    worker.put_in_slot(1, b"block");
    assert_eq!(stream.take(Reading::Takes(1, 0)), Ok(None));
    assert_eq!(worker.free_slots(), SLOTS - 1);
    assert_eq!(stream.take(Reading::Drops(1)), Ok(None));
    assert_eq!(worker.free_slots(), SLOTS);
}

#[test]
fn a_slot_is_named_by_no_worker_of_ours_if_there_is_none_or_it_is_lent() {
    let payloads = [
        name(SLOTS, 1).to_vec(),
        name(64, 1).to_vec(),
        name(u32::MAX, 1).to_vec(),
        name(0, 0).to_vec(),
        name(0, SLOT_SIZE + 1).to_vec(),
        name(0, u32::MAX as usize).to_vec(),
        vec![0; SLOT_PAYLOAD - 1],
        vec![0; SLOT_PAYLOAD + 1],
        name(1, 5).to_vec(),
    ];
    for payload in payloads {
        let (mut stream, mut worker) = lane();
        worker.put(HEAD, 1, b"200");
        assert!(stream.take(Reading::Begins(1)).unwrap().is_some());
        worker.put_in_slot(1, b"first");
        assert_eq!(worker.put_in_slot(1, b"block"), 1);
        let mut taken = || stream.take(Reading::Takes(1, 10)).unwrap();
        let lent = [taken(), taken()];
        assert!(
            lent.iter()
                .all(|it| matches!(it, Some(StreamPart::Lent(_))))
        );
        worker.put(SLOT, 1, &payload);
        let taken = stream.take(Reading::Takes(1, 100));
        assert_eq!(taken, Err(Malformed), "{payload:?}");
    }
}

#[test]
fn what_no_worker_of_ours_would_write_is_malformed() {
    for (kind, number) in [(ANSWER, 1), (HEAD, 1), (BLOCK, 2), (END, 2), (99, 1)] {
        let (mut stream, mut worker) = lane();
        worker.put(HEAD, 1, b"200");
        assert!(stream.take(Reading::Begins(1)).unwrap().is_some());
        worker.put(kind, number, b"");
        let taken = stream.take(Reading::Takes(1, 100));
        assert_eq!(taken, Err(Malformed), "{kind} {number}");
    }
    for written in [1, HEADER as u64 + 2, STREAM_CAPACITY as u64 + 1, u64::MAX] {
        let (mut stream, mut worker) = lane();
        worker.place(HEAD, 1, b"200");
        worker.memory.store(STREAM_HEAD, written);
        let taken = stream.take(Reading::Begins(1));
        assert_eq!(taken, Err(Malformed), "{written}");
    }
}
