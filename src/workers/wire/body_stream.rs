//! Runner's end of the stream of shared memory through which answers come that are made in parts. What is read from it is a
//! copy, in pieces as large as the reader has room for, whatever the size of the blocks: the worker cannot change them any
//! more, and each takes one write to the client. Large blocks are in [`slots`](super::slots) instead.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};

use bytes::{Bytes, BytesMut};

use crate::protocol::worker::frame::{
    HEADER, Header, Kind, SLOT_PAYLOAD, STREAM_AWAKE, STREAM_CAPACITY, STREAM_HEAD, STREAM_START,
    STREAM_TAIL,
};
use crate::protocol::worker::marshal::Malformed;
use crate::unix::SharedMemory;
use crate::workers::wire::slots::{Slots, TakenBlock};

/// Pieces from this size on are copied into the same few buffers again and again, in bytes: memory of that size that is new
/// costs more than the copy, since the system has to clear it.
const LARGE: usize = 128 * 1024;

/// The parts of answers that come from a lane.
#[derive(Debug)]
pub struct BodyStream {
    memory: Arc<SharedMemory>,
    slots: Arc<Slots>,
    tail: u64,
    /// The bytes that are missing of the block that was begun.
    left: usize,
    /// The buffers of large pieces: one is filled while the client gets the other.
    buffers: [BytesMut; 2],
}

/// A part of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StreamPart {
    /// The head of an answer, and what is behind it.
    Head(Header, Bytes),
    /// The next bytes of the body.
    Bytes(Bytes),
    /// The same in memory that the worker waits for.
    Lent(Bytes),
    /// The end of the body.
    End(Header),
}

/// What the reader does with an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// It waits for the answer to this request to begin.
    Begins(u32),
    /// It has room for so many bytes of the body of the answer to a request. A block in a slot is taken as a whole if there
    /// is any.
    Takes(u32, usize),
    /// It drops the rest of the answer to a request.
    Drops(u32),
}

impl BodyStream {
    /// The stream in the memory of a ring, and where to tell of room.
    #[must_use]
    pub fn new(memory: Arc<SharedMemory>, room: OwnedFd) -> Self {
        Self {
            slots: Arc::new(Slots::new(Arc::clone(&memory), room)),
            memory,
            tail: 0,
            left: 0,
            buffers: Default::default(),
        }
    }

    /// The next part. `None` if there is none, or no room for it, or if it is of another answer than the one that is to begin.
    ///
    /// # Errors
    /// [`Malformed`] if no worker of runner's would write this.
    pub fn take(&mut self, reading: Reading) -> Result<Option<StreamPart>, Malformed> {
        let before = self.tail;
        let part = self.find(reading);
        if self.tail != before {
            self.memory.store(STREAM_TAIL, self.tail);
            self.slots.tell_of_room();
        }
        part
    }

    fn find(&mut self, reading: Reading) -> Result<Option<StreamPart>, Malformed> {
        let (number, room) = match reading {
            Reading::Begins(number) => (number, 0),
            Reading::Takes(number, room) => (number, room),
            Reading::Drops(number) => (number, usize::MAX),
        };
        // It is read once: however quickly the worker goes on, no more than one turn of the stream is taken at a time.
        let head = self.memory.load(STREAM_HEAD);
        let mut taken = BytesMut::new();
        loop {
            if self.left > 0 {
                let count = self.left.min(room - taken.len());
                if count == 0 {
                    break;
                }
                if !matches!(reading, Reading::Drops(_)) {
                    if taken.is_empty() {
                        taken = self.buffer(self.waiting(head)?.min(room));
                    }
                    self.copy_to(&mut taken, count)?;
                }
                self.tail += count as u64;
                self.left -= count;
                continue;
            }
            let Some(header) = self.header(head)? else {
                break;
            };
            match (header.kind, reading) {
                (Kind::Head, Reading::Begins(_)) if header.number == number => {
                    self.tail += HEADER as u64;
                    let mut payload = BytesMut::with_capacity(header.length);
                    self.copy_to(&mut payload, header.length)?;
                    self.tail += header.length as u64;
                    return Ok(Some(StreamPart::Head(header, payload.freeze())));
                }
                // An earlier answer has to be read first.
                (Kind::Head, Reading::Begins(_)) => return Ok(None),
                (Kind::Block, Reading::Takes(..) | Reading::Drops(_))
                    if header.number == number =>
                {
                    self.tail += HEADER as u64;
                    self.left = header.length;
                }
                (Kind::Slot, Reading::Takes(..) | Reading::Drops(_)) if header.number == number => {
                    // What was copied comes first.
                    if room == 0 || !taken.is_empty() {
                        break;
                    }
                    let block = self.take_from_slot(&header)?;
                    match (block, reading) {
                        (_, Reading::Drops(_)) => {}
                        (TakenBlock::Lent(bytes), _) => return Ok(Some(StreamPart::Lent(bytes))),
                        (TakenBlock::Copied(bytes), _) => {
                            return Ok(Some(StreamPart::Bytes(bytes)));
                        }
                    }
                }
                (Kind::End { .. }, Reading::Takes(..) | Reading::Drops(_))
                    if header.number == number =>
                {
                    if !taken.is_empty() {
                        break;
                    }
                    self.tail += HEADER as u64;
                    self.buffers = Default::default();
                    return Ok(Some(StreamPart::End(header)));
                }
                _ => return Err(Malformed),
            }
        }
        if taken.is_empty() {
            return Ok(None);
        }
        if taken.len() < LARGE {
            return Ok(Some(StreamPart::Bytes(taken.freeze())));
        }
        let piece = taken.split().freeze();
        self.buffers.swap(0, 1);
        self.buffers[0] = taken;
        Ok(Some(StreamPart::Bytes(piece)))
    }

    /// The next record as a whole, of whatever request; `None` if there is none. The payload of a [`Kind::Slot`] is the block,
    /// in memory that the worker waits for; a block that was copied is a [`Kind::Block`] wherever it was.
    ///
    /// # Errors
    /// [`Malformed`] if no worker of runner's would write this.
    pub fn record(&mut self) -> Result<Option<(Header, Bytes)>, Malformed> {
        let head = self.memory.load(STREAM_HEAD);
        let Some(mut header) = self.header(head)? else {
            return Ok(None);
        };
        let payload = if header.kind == Kind::Slot {
            let (kind, payload) = match self.take_from_slot(&header)? {
                TakenBlock::Lent(bytes) => (Kind::Slot, bytes),
                TakenBlock::Copied(bytes) => (Kind::Block, bytes),
            };
            header.kind = kind;
            header.length = payload.len();
            payload
        } else {
            self.tail += HEADER as u64;
            let mut payload = BytesMut::with_capacity(header.length);
            self.copy_to(&mut payload, header.length)?;
            self.tail += header.length as u64;
            payload.freeze()
        };
        self.memory.store(STREAM_TAIL, self.tail);
        self.slots.tell_of_room();
        Ok(Some((header, payload)))
    }

    /// Takes the block that the next record names, which has this header.
    fn take_from_slot(&mut self, header: &Header) -> Result<TakenBlock, Malformed> {
        if header.length != SLOT_PAYLOAD {
            return Err(Malformed);
        }
        self.tail += HEADER as u64;
        let mut payload = BytesMut::with_capacity(SLOT_PAYLOAD);
        self.copy_to(&mut payload, SLOT_PAYLOAD)?;
        self.tail += SLOT_PAYLOAD as u64;
        self.slots.take(&payload)
    }

    /// A buffer with room for a piece.
    fn buffer(&mut self, size: usize) -> BytesMut {
        if size < LARGE {
            return BytesMut::with_capacity(size);
        }
        // If the client has all that was in it, its memory is used again.
        let mut buffer = std::mem::take(&mut self.buffers[1]);
        buffer.reserve(size);
        buffer
    }

    /// How many bytes wait in the stream.
    fn waiting(&self, head: u64) -> Result<usize, Malformed> {
        match usize::try_from(head.wrapping_sub(self.tail)) {
            Ok(count) if count <= STREAM_CAPACITY => Ok(count),
            _ => Err(Malformed),
        }
    }

    /// The next header, whose payload is in the stream as a whole.
    fn header(&mut self, head: u64) -> Result<Option<Header>, Malformed> {
        let mut waiting = self.waiting(head)?;
        let room = STREAM_CAPACITY - self.position();
        if room < HEADER && waiting > 0 {
            waiting = waiting.checked_sub(room).ok_or(Malformed)?;
            self.tail += room as u64;
        }
        if waiting == 0 {
            return Ok(None);
        }
        let bytes = self
            .memory
            .copy_few::<HEADER>(STREAM_START + self.position());
        let header = Header::read(&bytes.ok_or(Malformed)?)?.ok_or(Malformed)?;
        match waiting.checked_sub(HEADER) {
            Some(payload) if header.length <= payload => Ok(Some(header)),
            _ => Err(Malformed),
        }
    }

    fn position(&self) -> usize {
        // Less than the capacity, which is a usize.
        (self.tail % STREAM_CAPACITY as u64) as usize
    }

    /// Appends a copy of the next bytes, which may go on at the beginning.
    fn copy_to(&self, bytes: &mut BytesMut, count: usize) -> Result<(), Malformed> {
        let start = self.position();
        let first = count.min(STREAM_CAPACITY - start);
        let ranges = [(start, first), (0, count - first)];
        for (start, length) in ranges {
            let copied = self.memory.append_to(bytes, STREAM_START + start, length);
            copied.ok_or(Malformed)?;
        }
        Ok(())
    }

    /// Whether something is in it.
    #[must_use]
    pub fn has_more(&self) -> bool {
        self.left > 0 || self.memory.load(STREAM_HEAD) != self.tail
    }

    /// From now on the worker sends a wake-up when it has written something. To be called before the last look.
    pub fn expect_wake_up(&self) {
        self.memory.store(STREAM_AWAKE, 0);
        // Between the change and the look, as on the worker's side.
        fence(Ordering::SeqCst);
    }

    /// From now on it need not send one, since there will be another look.
    pub fn expect_none(&self) {
        self.memory.store(STREAM_AWAKE, 1);
    }
}

/// The pipe of room: the reading end for the worker, where it waits, and the writing end.
///
/// # Errors
/// If the system has no descriptors left.
pub(crate) fn room_pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    use rustix::pipe::{PipeFlags, pipe_with};
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC)?;
    rustix::io::ioctl_fionbio(&writer, true)?;
    Ok((reader, writer))
}

#[cfg(test)]
mod tests;
