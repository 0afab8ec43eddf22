//! The connection with one lane of a worker: a socket, a pipe of tokens, a socket for descriptors, a ring, a stream and its
//! pipe of room. The protocol is in [`crate::protocol::worker::frame`].

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::sync::Arc;

use bytes::BytesMut;
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use tokio::io::Interest;
use tokio::net::UnixStream;
use tokio::sync::Notify;

use crate::protocol::worker::frame::{LaneOrder, token, write_order};
use crate::protocol::worker::known_heads::KnownHeads;
use crate::unix;
use crate::workers::pending_request::PendingRequest;
use crate::workers::wire::body_stream::{self, BodyStream};
use crate::workers::wire::ring::Ring;
use crate::workers::wire::{Unsent, Wire};

/// How much memory a lane keeps for the next frames, in bytes.
const USUAL_FRAMES: usize = 256 * 1024;

/// Runner's end of a lane.
#[derive(Debug)]
pub(crate) struct Link {
    socket: Arc<UnixStream>,
    token_writer: OwnedFd,
    token_reader: OwnedFd,
    files: StdUnixStream,
    /// Answers.
    pub(crate) ring: Ring,
    /// Answers in parts, until their reader begins.
    stream: Option<BodyStream>,
    /// Their reader is to look at them, though the worker has not said that there are any.
    unannounced: Arc<Notify>,
    /// Tokens and frames that are not written yet.
    tokens: Vec<u8>,
    frames: Vec<u8>,
    /// How many bytes of the frames are written.
    written: usize,
    heads: KnownHeads,
}

/// The worker's end of a lane: the descriptors to give to it, in this order.
#[derive(Debug)]
pub(crate) struct FarEnd([OwnedFd; FarEnd::DESCRIPTORS]);

impl FarEnd {
    /// How many there are.
    pub(crate) const DESCRIPTORS: usize = 5;

    /// The descriptors.
    #[must_use]
    pub(crate) fn descriptors(&self) -> [BorrowedFd<'_>; Self::DESCRIPTORS] {
        self.0.each_ref().map(AsFd::as_fd)
    }
}

/// What is left after writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flushed {
    /// Nothing.
    All,
    /// The worker has to read first: wait until the socket is writable.
    Blocked,
}

impl Link {
    /// Both ends of a new lane.
    ///
    /// # Errors
    /// If the system has no memory or descriptors left.
    pub(crate) fn pair() -> io::Result<(Self, FarEnd)> {
        let (ours, theirs) = StdUnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let (files, their_files) = StdUnixStream::pair()?;
        files.set_nonblocking(true)?;
        let (token_reader, token_writer) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        let (room_reader, room_writer) = body_stream::room_pipe()?;
        let ring = Ring::new()?;
        let stream = BodyStream::new(ring.memory(), room_writer);
        let far_end = FarEnd([
            theirs.into(),
            token_reader.try_clone()?,
            ring.descriptor().try_clone_to_owned()?,
            their_files.into(),
            room_reader,
        ]);
        let link = Self {
            socket: Arc::new(UnixStream::from_std(ours)?),
            token_writer,
            token_reader,
            files,
            ring,
            stream: Some(stream),
            unannounced: Arc::default(),
            tokens: Vec::new(),
            frames: Vec::new(),
            written: 0,
            heads: KnownHeads::default(),
        };
        Ok((link, far_end))
    }

    /// The socket, to wait for, and the stream. `None` if the lane has a reader already.
    #[must_use]
    pub(crate) fn reading_end(&mut self) -> Option<(Arc<UnixStream>, BodyStream)> {
        Some((self.socket(), self.stream.take()?))
    }

    /// Tells of answers in the stream that the worker has not announced, to wait for.
    #[must_use]
    pub(crate) fn unannounced(&self) -> Arc<Notify> {
        Arc::clone(&self.unannounced)
    }

    /// Has the reader look at the stream if there is anything in it: the loop of an ASGI worker that is blocked announces
    /// nothing.
    pub(crate) fn look_for_answers(&self) {
        if self.ring.has_records() {
            self.unannounced.notify_one();
        }
    }

    /// The socket, to wait for.
    #[must_use]
    pub(crate) fn socket(&self) -> Arc<UnixStream> {
        Arc::clone(&self.socket)
    }

    /// Writes the requests that were pushed, in two calls: tokens before frames, so that a worker that finds no token for
    /// a frame knows that the request was taken back.
    ///
    /// # Errors
    /// If the worker is gone.
    pub(crate) fn flush(&mut self) -> io::Result<Flushed> {
        if !self.tokens.is_empty() {
            // A pipe has room for some thousand tokens, a lane never has more than 250.
            let written = rustix::io::write(&self.token_writer, &self.tokens)?;
            if written < self.tokens.len() {
                return Err(io::ErrorKind::WriteZero.into());
            }
            self.tokens.clear();
        }
        while self.written < self.frames.len() {
            match self.socket.try_write(&self.frames[self.written..]) {
                Ok(written) => self.has_written(written),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Ok(Flushed::Blocked);
                }
                Err(error) => return Err(error),
            }
        }
        self.frames.clear();
        self.written = 0;
        // Large messages of WebSockets are rare.
        self.frames.shrink_to(USUAL_FRAMES);
        Ok(Flushed::All)
    }

    fn has_written(&mut self, bytes: usize) {
        self.written += bytes;
        // What is written is dropped when it is most of what there is: each byte is moved once at most.
        if self.written > USUAL_FRAMES && self.written > self.frames.len() / 2 {
            self.frames.drain(..self.written);
            self.written = 0;
        }
    }

    /// The file that the worker has sent.
    ///
    /// # Errors
    /// If there is none.
    pub(crate) fn receive_file(&self) -> io::Result<File> {
        unix::receive_descriptor(self.files.as_fd()).map(File::from)
    }
}

/// Reads what has come, without waiting.
///
/// # Errors
/// [`io::ErrorKind::WouldBlock`] if nothing has come; or the worker is gone.
pub(crate) fn read(socket: &UnixStream, buffer: &mut BytesMut) -> io::Result<usize> {
    let room = buffer.capacity() - buffer.len();
    let count = socket.try_read_buf(buffer)?;
    if count < room {
        // That was all, or there would have been more. tokio would find that out with another system call only.
        let nothing = || Err::<(), _>(io::ErrorKind::WouldBlock.into());
        let _ = socket.try_io(Interest::READABLE, nothing);
    }
    Ok(count)
}

impl Wire for Link {
    fn push(
        &mut self,
        number: u32,
        pending: &PendingRequest,
        announce: bool,
    ) -> Result<(), Unsent> {
        if let Some(file) = &pending.file {
            unix::send_descriptors(self.files.as_fd(), b"F", &[file.descriptor()?])?;
        }
        self.tokens.push(token(number));
        pending
            .frame
            .write(number, announce, &mut self.heads, &mut self.frames);
        Ok(())
    }

    fn order(&mut self, order: LaneOrder, number: u32, payload: &[u8]) {
        write_order(order, number, payload, &mut self.frames);
    }

    fn probe(&mut self, number: u32) {
        write_order(LaneOrder::Request, number, &[], &mut self.frames);
    }

    fn take_tokens(&mut self) -> Vec<u8> {
        let mut tokens = vec![0; 256];
        let count = loop {
            match rustix::io::read(&self.token_reader, &mut tokens[..]) {
                Err(Errno::INTR) => {}
                // No token is left, or the pipe cannot be read.
                Err(_) => break 0,
                Ok(count) => break count,
            }
        };
        tokens.truncate(count);
        tokens.append(&mut self.tokens);
        tokens
    }

    fn last_read(&self) -> u32 {
        self.ring.last_read()
    }

    fn is_waiting(&self) -> bool {
        self.ring.is_waiting()
    }

    fn has_unwritten(&self) -> bool {
        !self.frames.is_empty()
    }

    fn lost_lines(&self) -> u64 {
        self.ring.lost_lines()
    }

    fn thread(&self) -> u64 {
        self.ring.thread()
    }

    fn cancel(&self, number: u32) {
        self.ring.cancel(number);
    }

    fn close(&self) {
        // Fails only if the worker is gone already.
        let _ = rustix::net::shutdown(&*self.socket, rustix::net::Shutdown::Write);
    }
}
