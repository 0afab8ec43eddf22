//! A connection as `h2` reads and writes it: what is read passes the meter, clients that take nothing are found out, and the
//! connection ends so that the client gets its last frames.

use std::io;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use h2::Reason;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

use crate::gateway::half_closed::HalfClosed;
use crate::gateway::http::connection_state::ConnectionState;
use crate::gateway::http::http2::frame_meter::{self, FrameMeter};
use crate::gateway::http::http2::sent_frames::{self, SentFrames};
use crate::gateway::http::transport::LINGER;
use crate::gateway::slow_client::{Pace, PacedStream, StallTimer};
use crate::gateway::socket::stream::Stream;
use crate::unix;

/// How much is read until streams and other connections have their turn, in bytes: what is read is then received before more
/// is.
const TURN: usize = 64 * 1024;

/// How much is read at once of a client that sends much that is of no use, in bytes, and the time between two such reads.
const SLOW_PART: usize = 1024;
const SLOW_PAUSE: Duration = Duration::from_millis(10);

/// The most that is read of what a client still sends when its connection ends, in bytes.
const LINGER_BYTES: usize = 1024 * 1024;

/// How much of that is read at once, in bytes.
const LINGER_PART: usize = 4096;

/// A paced stream between `h2` and a client.
pub(super) struct MeteredTransport {
    paced: PacedStream,
    /// What was read before.
    early: Bytes,
    meter: Arc<Mutex<FrameMeter>>,
    sent: SentFrames,
    state: Arc<ConnectionState>,
    /// The bytes that were read in this turn.
    read: usize,
    /// Nothing is read until then.
    pause: Option<Pin<Box<Sleep>>>,
    /// The wait for the client from when it has ended its side.
    half_closed: HalfClosed,
    /// The end of what the server sends was sent.
    is_shut_down: bool,
    linger: StallTimer,
    /// The bytes that were read since then.
    lingered: usize,
}

impl MeteredTransport {
    /// The transport of a connection, of which this was read.
    pub(super) fn new(
        stream: Stream,
        early: Bytes,
        state: &Arc<ConnectionState>,
        meter: &Arc<Mutex<FrameMeter>>,
    ) -> Self {
        let options = &state.gateway.options;
        let pace = Pace::new(options.write_timeout, options.min_rate);
        frame_meter::lock(meter).received(&early);
        Self {
            paced: PacedStream::new(stream, pace),
            early,
            meter: Arc::clone(meter),
            sent: SentFrames::default(),
            state: Arc::clone(state),
            read: 0,
            pause: None,
            half_closed: HalfClosed::new(&state.connection.client_end),
            is_shut_down: false,
            linger: StallTimer::new(LINGER),
            lingered: 0,
        }
    }

    /// Looks at what was written of some buffers.
    fn note_sent(&mut self, written: &Poll<io::Result<usize>>, parts: &[io::IoSlice<'_>]) {
        let &Poll::Ready(Ok(mut left)) = written else {
            return;
        };
        if left > 0 {
            self.half_closed.note_written();
        }
        for part in parts {
            let count = part.len().min(left);
            for reset in self.sent.sent(&part[..count]) {
                let is_ours = reset == Reason::REFUSED_STREAM
                    && frame_meter::lock(&self.meter).takes_refusal();
                if let Some(fault) = sent_frames::fault(reset).filter(|_| !is_ours) {
                    self.state.log_refusal(fault);
                }
            }
            left -= count;
        }
    }

    /// Ready when a client that has ended its side is not waited for any longer: by HTTP/2 as by HTTP/1, it gets its responses as
    /// long as it takes something of them.
    fn poll_given_up(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let stream = &self.paced.stream;
        let is_at_work = frame_meter::lock(&self.meter).is_at_work();
        if !is_at_work && unix::unsent(stream.as_fd()) == 0 {
            return Poll::Ready(());
        }
        self.half_closed.poll_given_up(stream, context)
    }

    fn logged<T>(&self, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if let Poll::Ready(Err(error)) = &written
            && error.kind() == io::ErrorKind::TimedOut
        {
            self.state.log_slow_client("the connection");
        }
        written
    }

    fn poll_read_part(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let room = buffer.remaining().min(SLOW_PART);
        let mut part = ReadBuf::new(buffer.initialize_unfilled_to(room));
        let read = Pin::new(&mut self.paced).poll_read(context, &mut part);
        let count = part.filled().len();
        buffer.advance(count);
        read
    }

    /// Reads on, so that the client gets the last frames although it is still sending: with something unread, the system
    /// resets the connection.
    fn poll_lingered(&mut self, context: &mut Context<'_>) -> Poll<()> {
        while self.lingered < LINGER_BYTES {
            let mut part = [0; LINGER_PART];
            let mut part = ReadBuf::new(&mut part);
            match Pin::new(&mut self.paced).poll_read(context, &mut part) {
                Poll::Ready(Ok(())) if !part.filled().is_empty() => {
                    self.lingered += part.filled().len();
                }
                Poll::Ready(_) => break,
                Poll::Pending => return self.linger.poll_late(context),
            }
        }
        Poll::Ready(())
    }
}

impl AsyncRead for MeteredTransport {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.early.is_empty() {
            let count = self.early.len().min(buffer.remaining());
            buffer.put_slice(&self.early[..count]);
            self.early.advance(count);
            return Poll::Ready(Ok(()));
        }
        let meter = frame_meter::lock(&self.meter);
        let (is_exhausted, is_strained) = (meter.is_exhausted(), meter.is_strained());
        drop(meter);
        if is_exhausted {
            // The task of the connection, which looks for this whenever it was here, ends it.
            return Poll::Pending;
        }
        if let Some(pause) = &mut self.pause {
            ready!(pause.as_mut().poll(context));
            self.pause = None;
        }
        if self.read >= TURN {
            self.read = 0;
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        let read = if is_strained {
            self.pause = Some(Box::pin(sleep(SLOW_PAUSE)));
            self.poll_read_part(context, buffer)
        } else {
            Pin::new(&mut self.paced).poll_read(context, buffer)
        };
        let part = &buffer.filled()[before..];
        if !part.is_empty() {
            frame_meter::lock(&self.meter).received(part);
        } else if matches!(read, Poll::Ready(Ok(()))) {
            ready!(self.poll_given_up(context));
        }
        self.read = match read.is_pending() {
            true => 0,
            false => self.read + part.len(),
        };
        read
    }
}

impl AsyncWrite for MeteredTransport {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.paced).poll_write(context, bytes);
        self.note_sent(&written, &[io::IoSlice::new(bytes)]);
        self.logged(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let written = Pin::new(&mut this.paced.stream).poll_write_vectored(context, parts);
        let written = this.paced.poll_written(context, written);
        self.note_sent(&written, parts);
        self.logged(written)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.paced).poll_flush(context);
        self.logged(flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.is_shut_down {
            ready!(Pin::new(&mut self.paced).poll_shutdown(context))?;
            self.is_shut_down = true;
        }
        self.poll_lingered(context).map(Ok)
    }
}
