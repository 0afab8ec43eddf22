//! The stream of a lane with a worker that writes it as body_stream.py does.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};

use crate::protocol::worker::frame::{HEADER, STREAM_AWAKE, STREAM_FULL, STREAM_HEAD, STREAM_TAIL};
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

/// A worker that behaves like body_stream.py.
struct StreamWriter {
    memory: Arc<SharedMemory>,
    file: File,
    room: OwnedFd,
    written: u64,
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

    /// How many bytes have come that tell of room.
    fn told(&self) -> usize {
        rustix::io::read(&self.room, &mut [0; 64][..]).unwrap_or(0)
    }
}

#[derive(Clone, Debug)]
enum StreamEvent {
    Put(usize),
    End,
    Take(usize),
    Sleep,
}

fn event() -> impl Strategy<Value = StreamEvent> {
    prop_oneof![
        4 => (1..200_000_usize).prop_map(StreamEvent::Put),
        4 => (1..100_usize).prop_map(StreamEvent::Put),
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
    bodies: Vec<Vec<u8>>,
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
                    assert!(!bytes.is_empty());
                    room -= bytes.len();
                    self.bodies.last_mut().unwrap().extend_from_slice(&bytes);
                }
                Some(StreamPart::End(_)) => self.begun = false,
            }
        }
    }
}

proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(64))]

    /// Whatever the sizes of blocks and of the room for them, and whoever waits when: each body comes as it was made, and
    /// neither side waits for ever.
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
        assert!(reader.bodies == made);
        assert!(!stream.has_more());
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
