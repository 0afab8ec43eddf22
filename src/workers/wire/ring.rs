//! Runner's end of the ring of shared memory into which a worker puts its answers. They survive the worker, and are found
//! without its help.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use crate::protocol::worker::frame::{
    HEADER, Header, Kind, RING_CANCELLED, RING_CAPACITY, RING_HEAD, RING_LOST, RING_READ,
    RING_START, RING_TAIL, RING_THREAD, RING_WAITING, SLOT_SIZE, SLOTS, SLOTS_START, STREAM_HEAD,
    STREAM_TAIL,
};
use crate::protocol::worker::marshal::Malformed;
use crate::unix::SharedMemory;

/// The answers of a lane.
#[derive(Debug)]
pub struct Ring {
    memory: Arc<SharedMemory>,
    tail: u64,
}

impl Ring {
    /// An empty ring, in memory that has room for the stream, too, and for slots if the system allows so large a file.
    ///
    /// # Errors
    /// If the system has no memory or descriptors left.
    pub fn new() -> io::Result<Self> {
        let slots = SLOTS as usize * SLOT_SIZE;
        let memory = match SharedMemory::new(SLOTS_START + slots) {
            Err(error) if error.kind() == io::ErrorKind::FileTooLarge => {
                SharedMemory::new(SLOTS_START)?
            }
            memory => memory?,
        };
        Ok(Self {
            memory: Arc::new(memory),
            tail: 0,
        })
    }

    /// The descriptor of the memory, for the worker.
    #[must_use]
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.memory.descriptor()
    }

    /// The memory that it shares with the stream.
    #[must_use]
    pub fn memory(&self) -> Arc<SharedMemory> {
        Arc::clone(&self.memory)
    }

    /// The next record if it is about request `number`. `None` if there is none, or if data about an earlier request has to
    /// be read from the socket first.
    ///
    /// # Errors
    /// [`Malformed`] if no worker of runner's would write this.
    pub fn take(&mut self, number: u32) -> Result<Option<(Header, Bytes)>, Malformed> {
        let head = self.memory.load(RING_HEAD);
        // However far the worker moves it, no more than one turn of the ring is read.
        if head.wrapping_sub(self.tail) > RING_CAPACITY as u64 {
            return Err(Malformed);
        }
        while self.tail != head {
            let position =
                usize::try_from(self.tail % RING_CAPACITY as u64).map_err(|_| Malformed)?;
            let room = RING_CAPACITY - position;
            let header = if room < HEADER {
                None
            } else {
                let bytes = self.memory.copy_few::<HEADER>(RING_START + position);
                Header::read(&bytes.ok_or(Malformed)?)?.filter(|header| header.kind != Kind::Wake)
            };
            let Some(header) = header else {
                self.advance(room, head)?;
                continue;
            };
            if header.number != number {
                return Ok(None);
            }
            let start = position + HEADER;
            if header.length > RING_CAPACITY - start {
                return Err(Malformed);
            }
            let mut payload = BytesMut::with_capacity(header.length);
            let copied = self
                .memory
                .append_to(&mut payload, RING_START + start, header.length);
            copied.ok_or(Malformed)?;
            self.advance(HEADER + header.length, head)?;
            return Ok(Some((header, payload.freeze())));
        }
        Ok(None)
    }

    fn advance(&mut self, bytes: usize, head: u64) -> Result<(), Malformed> {
        let tail = self.tail + bytes as u64;
        if tail > head {
            return Err(Malformed);
        }
        self.tail = tail;
        self.memory.store(RING_TAIL, tail);
        Ok(())
    }

    /// Tells the worker that the client of a request has gone away.
    pub fn cancel(&self, number: u32) {
        self.memory.store(RING_CANCELLED, u64::from(number));
    }

    /// Whether the worker has put into its stream what was not taken.
    #[must_use]
    pub fn has_records(&self) -> bool {
        self.memory.load(STREAM_HEAD) != self.memory.load(STREAM_TAIL)
    }

    /// The number of the last request that the worker has read; 0 if none. A hostile worker may write anything.
    #[must_use]
    pub fn last_read(&self) -> u32 {
        // A value that is no number of a request counts as none.
        u32::try_from(self.memory.load(RING_READ)).unwrap_or(0)
    }

    /// Whether the worker waits for requests on this lane.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.memory.load(RING_WAITING) != 0
    }

    /// How many lines the worker could not write to the log and has not reported. A hostile worker may write any number.
    #[must_use]
    pub fn lost_lines(&self) -> u64 {
        self.memory.load(RING_LOST).min(u64::from(u32::MAX))
    }

    /// The lane's thread, as the worker's Python numbers it; 0 if it has not begun.
    #[must_use]
    pub fn thread(&self) -> u64 {
        self.memory.load(RING_THREAD)
    }
}
