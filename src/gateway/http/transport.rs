//! A connection as hyper reads and writes it: what is read passes the shadow parser, clients that have gone away are found
//! out while their request is answered, and the connection ends so that the client gets its answer.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::timeout;

use crate::gateway::half_closed::{HalfClosed, PeerEnd, peer_end};
use crate::gateway::http::connection_state::ConnectionState;
use crate::gateway::http::file_parts::{NextWrite, Sent, stand_for_part};
use crate::gateway::http::request_timer::{Overdue, RequestTimer};
use crate::gateway::http::shadow_parser::{self, ShadowParser};
use crate::gateway::slow_client::{Pace, PacedStream, StallTimer};
use crate::gateway::socket::stream::Stream;

/// The longest time in which the gateway reads what a refused client is still sending.
pub(super) const LINGER: Duration = Duration::from_secs(2);
/// The most that it reads of it, in bytes.
const LINGER_BYTES: u64 = 16 * 1024 * 1024;

/// Head and body up to this size in bytes are joined for one write: copying them costs less than a vectored write.
const SMALL: usize = 2048;

/// How often it is looked whether the client has ended its side, where hyper does not read.
const LOOK: Duration = Duration::from_millis(100);

/// A paced stream between hyper and a client.
pub(super) struct Transport {
    paced: PacedStream,
    parser: Arc<Mutex<ShadowParser>>,
    /// Held elsewhere too while a request is worked on.
    state: Weak<ConnectionState>,
    /// The wait for the client from when it has ended its side.
    half_closed: HalfClosed,
    /// Whether hyper waits for what the client sends next, and so learns of the end by itself.
    is_read: bool,
    /// Runs until the next look for the end where hyper does not read.
    look: StallTimer,
    /// A look has found that the client has ended its side.
    has_ended: bool,
    /// As [`ConnectionState::is_behind`].
    is_behind: bool,
    /// Runs while the client is waited for, for a request or the rest of its head.
    timer: RequestTimer,
}

impl Transport {
    /// The transport of a connection.
    pub(super) fn new(stream: Stream, state: &Arc<ConnectionState>) -> Self {
        let options = &state.gateway.options;
        let pace = Pace::new(options.write_timeout, options.min_rate);
        Self {
            paced: PacedStream::new(stream, pace),
            parser: Arc::clone(&state.parser),
            state: Arc::downgrade(state),
            half_closed: HalfClosed::new(&state.connection.client_end),
            is_read: false,
            look: StallTimer::new(LOOK),
            has_ended: false,
            is_behind: false,
            timer: RequestTimer::new(options.head_timeout, options.keep_alive),
        }
    }

    /// Ends the connection so that the client gets its answer although it was still sending: closing at once would reset
    /// the connection, and the client would lose what it has not read yet (RFC 9112 §9.6).
    pub(super) async fn linger(mut self, limit: Duration) {
        let read_on = async {
            self.paced.stream.shutdown().await?;
            let mut rest = (&mut self.paced.stream).take(LINGER_BYTES);
            tokio::io::copy(&mut rest, &mut tokio::io::sink()).await
        };
        // Whatever comes of it, the connection closes.
        let _ = timeout(limit, read_on).await;
    }

    /// Whether the client has sent something that is unread: closing would reset the connection.
    pub(super) fn has_unread(&mut self) -> bool {
        self.paced.stream.has_unread()
    }

    /// Ready when the system has all that was written: TLS keeps some.
    pub(super) fn poll_passed_on(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let passed_on = Pin::new(&mut self.paced).poll_flush(context);
        if let Poll::Ready(Err(error)) = &passed_on
            && error.kind() == io::ErrorKind::TimedOut
        {
            self.log_slow_client();
        }
        passed_on
    }

    /// Ends the connection with a last answer.
    pub(super) async fn refuse(mut self, answer: &[u8]) {
        let write = async {
            self.paced.stream.write_all(answer).await?;
            self.paced.stream.flush().await
        };
        if timeout(LINGER, write).await.is_ok() {
            self.linger(LINGER).await;
        }
    }

    /// The same without waiting for the client: it gets what the system takes at this moment.
    pub(super) fn refuse_at_once(mut self, answer: &[u8]) {
        // A client that gets nothing of it sees the connection end all the same.
        let _ = self.paced.stream.write_last(answer);
    }

    /// What it is made of.
    pub(super) fn into_stream(self) -> Stream {
        self.paced.stream
    }

    /// Ends the connection with a reset, so that the client knows that something went wrong.
    pub(super) fn reset(self) {
        self.paced.stream.end_with_reset();
    }

    /// Whether a request that was received whole is being answered, up to the last byte that the system takes.
    fn is_answering(&self) -> bool {
        self.is_behind
            || self.state.strong_count() > 1 && shadow_parser::lock(&self.parser).is_in_step()
    }

    /// Notes whether hyper has more to write than the system has taken.
    fn set_behind(&mut self, is_behind: bool) {
        if std::mem::replace(&mut self.is_behind, is_behind) != is_behind
            && let Some(state) = self.state.upgrade()
        {
            state.is_behind.store(is_behind, Ordering::Relaxed);
        }
    }

    /// What the client is late with, if reading has failed for that.
    pub(super) fn overdue(&self) -> Option<Overdue> {
        self.timer.overdue()
    }

    /// Ready when the client is late with a request.
    fn poll_overdue(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let awaited = shadow_parser::lock(&self.parser).awaited();
        match awaited {
            Some(awaited) if self.state.strong_count() <= 1 && !self.is_behind => {
                self.timer.poll(awaited, context)
            }
            // A request is worked on, or it is no HTTP any more.
            _ => {
                self.timer.stop();
                Poll::Pending
            }
        }
    }

    /// Whether the client has ended its side, even if what it sent is not all read.
    pub(super) fn peer_end(&self) -> PeerEnd {
        peer_end(&self.paced.stream)
    }

    /// hyper does not read while it has bytes of a next request, and so would not learn that the client has gone away: the
    /// application would work on the request in vain. The client is given up after as long a time as where hyper reads.
    fn look_for_end(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        if self.is_read || !self.is_answering() {
            self.look.renew();
            return Ok(());
        }
        while !self.has_ended && self.look.poll_late(context).is_ready() {
            self.look.renew();
            self.has_ended = self.peer_end() != PeerEnd::Open;
        }
        match self.has_ended && self.poll_given_up(context).is_ready() {
            true => Err(io::ErrorKind::ConnectionAborted.into()),
            false => Ok(()),
        }
    }

    /// Ready when a client that has ended its side is not waited for any longer.
    fn poll_given_up(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let stream = &self.paced.stream;
        self.half_closed.poll_given_up(stream, context)
    }

    /// Passes on the result of a write of `length` bytes.
    fn poll_written(
        &mut self,
        length: usize,
        context: &mut Context<'_>,
        result: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        let result = self.paced.poll_written(context, result);
        if !matches!(result, Poll::Ready(Ok(written)) if written == length) {
            self.set_behind(true);
        }
        match &result {
            Poll::Ready(Ok(_)) => self.half_closed.note_written(),
            Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::TimedOut => {
                self.log_slow_client();
            }
            Poll::Ready(Err(_)) | Poll::Pending => {}
        }
        result
    }

    /// Has the system send a part of a file.
    fn poll_send_part(
        &mut self,
        length: usize,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let Some(state) = self.state.upgrade() else {
            return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
        };
        let Some(parts) = &state.file_parts else {
            return Poll::Ready(Err(io::ErrorKind::Unsupported.into()));
        };
        let sent = match parts.poll_send(&self.paced.stream, length, context) {
            Poll::Ready(Ok(Sent::Bytes(count))) => Poll::Ready(Ok(count)),
            Poll::Ready(Ok(Sent::Nothing)) => Poll::Pending,
            Poll::Ready(Err(error)) => {
                // The client is to know that it has not all of it.
                state.broken.store(true, Ordering::Relaxed);
                Poll::Ready(Err(error))
            }
            Poll::Pending => {
                // A disk is waited for, and not the client.
                self.set_behind(true);
                return Poll::Pending;
            }
        };
        self.poll_written(length, context, sent)
    }

    fn log_slow_client(&self) {
        if let Some(state) = self.state.upgrade() {
            state.log_slow_client("the connection");
        }
    }
}

impl AsyncRead for Transport {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        loop {
            if shadow_parser::lock(&self.parser).take_queued(buffer) {
                return Poll::Ready(Ok(()));
            }
            let result = Pin::new(&mut self.paced).poll_read(context, buffer);
            let part = buffer.filled_mut().get_mut(before..).unwrap_or_default();
            if !part.is_empty() {
                let left = shadow_parser::lock(&self.parser).received(part);
                buffer.set_filled(before + left);
                if left == 0 {
                    if shadow_parser::lock(&self.parser).is_at_http2() {
                        return Poll::Ready(Err(io::ErrorKind::Unsupported.into()));
                    }
                    // hyper would take a read of nothing for the end.
                    continue;
                }
            } else if matches!(result, Poll::Ready(Ok(()))) && self.is_answering() {
                self.is_read = true;
                ready!(self.poll_given_up(context));
            }
            self.is_read = result.is_pending();
            if result.is_pending() && self.poll_overdue(context).is_ready() {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            return result;
        }
    }
}

impl AsyncWrite for Transport {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if stand_for_part(bytes) {
            return self.poll_send_part(bytes.len(), context);
        }
        let result = Pin::new(&mut self.paced.stream).poll_write(context, bytes);
        self.poll_written(bytes.len(), context, result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let parts = match NextWrite::of(parts) {
            NextWrite::Part(length) => return self.poll_send_part(length, context),
            NextWrite::Slices(slices) => slices,
        };
        let length: usize = parts.iter().map(|part| part.len()).sum();
        let mut joined = [MaybeUninit::uninit(); SMALL];
        let mut joined = ReadBuf::uninit(&mut joined);
        let stream = Pin::new(&mut self.paced.stream);
        let result = if length <= SMALL {
            for part in parts {
                joined.put_slice(part);
            }
            stream.poll_write(context, joined.filled())
        } else {
            stream.poll_write_vectored(context, parts)
        };
        self.poll_written(length, context, result)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        // hyper has nothing left to write, but TLS may have what the system has not taken yet: whoever takes the connection for
        // one without an answer before that would close it, and lose the rest.
        let passed_on = self.poll_passed_on(context)?;
        let was_behind = self.is_behind;
        self.set_behind(passed_on.is_pending());
        ready!(passed_on);
        if was_behind && self.is_read {
            // The end of what the client sends may have come meanwhile.
            context.waker().wake_by_ref();
        }
        Poll::Ready(self.look_for_end(context))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.overdue().is_some() || shadow_parser::lock(&self.parser).is_at_http2() {
            // What the client is late with is answered first, and HTTP/2 goes on where HTTP/1 ends.
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.paced).poll_shutdown(context)
    }
}
