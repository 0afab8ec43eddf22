//! Parts of files that the system sends itself (`sendfile(2)`): their bytes never come into this process.
//!
//! hyper sends bytes, so it gets bytes that stand for a part: a piece of [`STAND_IN`], which it queues without looking at
//! it. The transport knows such a piece by its address, and has the system send what is first in the queue of its
//! connection instead. Over TLS and by HTTP/2 there is no queue, and files are read.
//!
//! A file that the system has to read from a disk would hold up all connections. So only a part that is in its memory comes
//! into the queue, and what has left it since, while a slow client took what comes before, is brought back by a thread.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;

use crate::gateway::body::response_body::{FilePart, log_unreadable};
use crate::gateway::socket::stream::Stream;
use crate::interface::body_file::PIECE;

/// The longest part, in bytes. What hyper has got counts as sent in the access log.
pub(super) const LONGEST: u64 = 256 * 1024;

/// Never read, so that the system gives no memory for it.
static STAND_IN: LazyLock<Bytes> = LazyLock::new(|| vec![0; LONGEST as usize].into());

/// The parts of one connection that hyper has bytes for, the next one first. Most connections have none.
#[derive(Default)]
pub(super) struct FileParts(Mutex<Option<Box<PartQueue>>>);

#[derive(Default)]
struct PartQueue {
    parts: VecDeque<QueuedPart>,
}

struct QueuedPart {
    part: FilePart,
    /// So many bytes of it are in the system's memory.
    cached: u64,
    /// Brings some there.
    reading: Option<PartRead>,
}

type PartRead = Pin<Box<dyn Future<Output = io::Result<Bytes>> + Send>>;

/// Whether bytes stand for a part of a file.
pub(super) fn stand_for_part(bytes: &[u8]) -> bool {
    STAND_IN.as_ptr_range().contains(&bytes.as_ptr())
}

/// What comes next of what hyper wants to be written.
pub(super) enum NextWrite<'a, 'b> {
    /// Bytes.
    Slices(&'a [IoSlice<'b>]),
    /// A part of a file, of which so many bytes are left.
    Part(usize),
}

impl<'a, 'b> NextWrite<'a, 'b> {
    /// What comes next in these slices.
    pub(super) fn of(slices: &'a [IoSlice<'b>]) -> Self {
        match slices.iter().position(|slice| stand_for_part(slice)) {
            None => Self::Slices(slices),
            Some(part) if slices[..part].iter().all(|slice| slice.is_empty()) => {
                Self::Part(slices[part].len())
            }
            Some(part) => Self::Slices(&slices[..part]),
        }
    }
}

impl FileParts {
    /// Puts a part into the queue that is in the system's memory and no longer than [`LONGEST`]. Returns what stands for it.
    pub(super) fn put(&self, part: FilePart) -> Bytes {
        // At most 256 KiB, which every usize holds.
        let stand_in = STAND_IN.slice(..part.length as usize);
        self.lock()
            .get_or_insert_default()
            .parts
            .push_back(QueuedPart {
                cached: part.length,
                reading: None,
                part,
            });
        stand_in
    }

    /// Has the system send some of what is first in the queue, at most `length` bytes.
    pub(super) fn poll_send(
        &self,
        stream: &Stream,
        length: usize,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<Sent>> {
        let mut parts = self.lock();
        let parts = &mut parts.get_or_insert_default().parts;
        let Some(first) = parts.front_mut() else {
            // What stands for a part is never sent itself.
            return Poll::Ready(Err(io::Error::other("there is no part of a file to send")));
        };
        let sent = ready!(first.poll_send(stream, length, context))?;
        if first.part.length == 0 {
            parts.pop_front();
        }
        Poll::Ready(Ok(sent))
    }

    fn lock(&self) -> MutexGuard<'_, Option<Box<PartQueue>>> {
        // No operation under the lock leaves it half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What came of an attempt to send.
pub(super) enum Sent {
    /// The client has got so many bytes.
    Bytes(usize),
    /// The client takes no more for the moment.
    Nothing,
}

impl QueuedPart {
    fn poll_send(
        &mut self,
        stream: &Stream,
        length: usize,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<Sent>> {
        ready!(self.poll_cached(context))
            .inspect_err(|error| log_unreadable(&self.part.file, error))?;
        let most = self.cached.min(length as u64);
        // At most `length`.
        let file = self.part.file.descriptor()?;
        let Poll::Ready(sent) =
            stream.poll_send_file(file, self.part.offset, most as usize, context)
        else {
            // Nobody knows what the system's memory has when the client takes more.
            self.cached = 0;
            return Poll::Ready(Ok(Sent::Nothing));
        };
        let sent = sent?;
        if sent == 0 {
            let error = io::Error::other("it is shorter than it was");
            log_unreadable(&self.part.file, &error);
            return Poll::Ready(Err(error));
        }
        let version = self.part.file.check_version();
        version.inspect_err(|error| log_unreadable(&self.part.file, error))?;
        self.part.offset += sent as u64;
        self.part.length -= sent as u64;
        self.cached -= sent as u64;
        Poll::Ready(Ok(Sent::Bytes(sent)))
    }

    /// Ready when the beginning of what is left is in the system's memory.
    fn poll_cached(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.cached > 0 {
            return Poll::Ready(Ok(()));
        }
        let FilePart {
            file,
            offset,
            length,
        } = &self.part;
        let next = PIECE.min(*length);
        if self.reading.is_none() && file.is_cached(*offset, next) {
            self.cached = next;
            return Poll::Ready(Ok(()));
        }
        let reading = self
            .reading
            .get_or_insert_with(|| Box::pin(file.read(*offset, next)));
        let read = ready!(reading.as_mut().poll(context));
        self.reading = None;
        self.cached = read?.len() as u64;
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::future::poll_fn;
    use std::io::{IoSlice, Write};
    use std::task::{Poll, ready};

    use rustix::fs::Advice;
    use tokio::io::AsyncReadExt;
    use tokio::net::UnixStream;

    use super::{FileParts, LONGEST, NextWrite, Sent};
    use crate::gateway::body::response_body::FilePart;
    use crate::gateway::socket::stream::Stream;
    use crate::interface::body_file::BodyFile;

    fn content() -> Vec<u8> {
        (0_u32..200_000).flat_map(u32::to_le_bytes).collect()
    }

    fn file() -> File {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(&content()).expect("room");
        file
    }

    async fn send(parts: &FileParts, stream: &Stream, length: usize) -> std::io::Result<usize> {
        poll_fn(
            |context| match ready!(parts.poll_send(stream, length, context))? {
                Sent::Bytes(count) => Poll::Ready(Ok(count)),
                Sent::Nothing => Poll::Pending,
            },
        )
        .await
    }

    /// The socket takes less than a part at a time.
    #[tokio::test]
    async fn parts_are_sent_in_their_order_as_the_client_takes_them() {
        let (ours, mut theirs) = UnixStream::pair().expect("sockets");
        let stream = Stream::Unix(ours);
        let file = file();
        let parts = FileParts::default();
        let mut left = 0;
        for (offset, length) in [(4, LONGEST), (0, 10), (799_990, 10)] {
            let file = BodyFile::of_application(file.try_clone().expect("a descriptor"));
            let stand_in = parts.put(FilePart {
                file,
                offset,
                length,
            });
            assert_eq!(stand_in.len() as u64, length);
            let head = IoSlice::new(b"head");
            let part = IoSlice::new(&stand_in[1..]);
            assert!(
                matches!(NextWrite::of(&[head, part]), NextWrite::Slices([one]) if &**one == b"head")
            );
            let is_part =
                |next| matches!(next, NextWrite::Part(count) if count as u64 == length - 1);
            assert!(is_part(NextWrite::of(&[IoSlice::new(b""), part, head])));
            left += length as usize;
        }
        let receiving = async {
            let mut received = vec![0; left];
            theirs.read_exact(&mut received).await.map(|_| received)
        };
        let sending = async {
            let mut left = left;
            while left > 0 {
                left -= send(&parts, &stream, LONGEST as usize)
                    .await
                    .expect("a client");
            }
        };
        let (received, ()) = tokio::join!(receiving, sending);
        let all = content();
        let want = [&all[4..4 + LONGEST as usize], &all[..10], &all[799_990..]].concat();
        assert!(received.expect("all of it") == want);
        // What stands for a part is not sent when there is none.
        assert!(send(&parts, &stream, 1).await.is_err());
    }

    /// Nobody waits for the disk but a thread.
    #[tokio::test]
    async fn what_has_left_the_memory_is_brought_back_first() {
        let (ours, mut theirs) = UnixStream::pair().expect("sockets");
        let stream = Stream::Unix(ours);
        let file = file();
        file.sync_all().expect("a disk");
        rustix::fs::fadvise(&file, 0, None, Advice::DontNeed).expect("a file");
        let body = BodyFile::of_application(file);
        // A folder that is in memory itself keeps all of it.
        let is_kept = body.is_cached(0, 1000);
        let parts = FileParts::default();
        parts.put(FilePart {
            file: body,
            offset: 0,
            length: 1000,
        });
        let state = |parts: &FileParts| {
            let mut queue = parts.lock();
            let first = queue.as_mut().and_then(|queue| queue.parts.front_mut());
            first.map(|first| (std::mem::take(&mut first.cached), first.reading.is_some()))
        };
        assert_eq!(state(&parts), Some((1000, false)));
        let waits =
            poll_fn(|context| Poll::Ready(parts.poll_send(&stream, 10, context).is_pending()));
        assert_eq!(waits.await, !is_kept);
        assert_eq!(state(&parts).map(|(_, reads)| reads), Some(!is_kept));
        let mut left = 1000 - if is_kept { 10 } else { 0 };
        while left > 0 {
            left -= send(&parts, &stream, 1000).await.expect("a client");
        }
        let mut received = vec![0; 1000];
        theirs.read_exact(&mut received).await.expect("all of it");
        assert!(received == content()[..1000]);
    }

    #[tokio::test]
    async fn a_file_that_has_become_shorter_is_not_sent_as_if_it_were_whole() {
        let (ours, _theirs) = UnixStream::pair().expect("sockets");
        let stream = Stream::Unix(ours);
        let parts = FileParts::default();
        let file = file();
        parts.put(FilePart {
            file: BodyFile::of_application(file.try_clone().expect("a descriptor")),
            offset: 0,
            length: 1000,
        });
        file.set_len(600).expect("a shorter one");
        assert_eq!(send(&parts, &stream, 1000).await.ok(), Some(600));
        assert!(send(&parts, &stream, 400).await.is_err());
    }
}
