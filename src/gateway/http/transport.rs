//! A connection that a client may not hold up forever, and its end.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::sync::{Arc, Mutex, Weak};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::timeout;

use crate::gateway::http::Client;
use crate::gateway::http::shadow_parser;
use crate::gateway::http::shadow_parser::RawHeads;
use crate::gateway::slow_client::Patient;
use crate::gateway::slow_client::{Pace, Patience};
use crate::gateway::socket::stream::Stream;
use crate::log::LogKind;
use crate::unix;

/// How long we read what a refused client is still sending, and how much.
pub const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: u64 = 16 * 1024 * 1024;

/// Up to so many bytes are joined before they are written.
const SMALL: usize = 2048;
/// How long a client that has ended its side of the connection waits for its answer, and for each next part of it. One
/// that will only not send any more (`shutdown(SHUT_WR)`) looks the same over TCP as one that has gone away, for which
/// nobody should work for long. What is written to one that has gone away comes back as a reset: while something is
/// written, they can be told apart.
const HALF_CLOSED: Duration = Duration::from_secs(1);

/// A stream whose writes fail when the other side takes nothing for too long, and whose reads are
/// overheard.
pub struct Transport {
    stream: Patient,
    heads: Arc<Mutex<RawHeads>>,
    /// Held by somebody else too while a request is worked on.
    client: Weak<Client>,
    /// For the end of what the client sends.
    farewell: Patience,
    /// Whether hyper waits for what the client sends next, and so learns of the end by itself.
    is_read: bool,
    /// When the end is looked for where hyper does not read.
    look: Patience,
    /// The last look has found that the client has ended its side.
    has_ended: bool,
    /// Something was written since the last look.
    has_moved: bool,
}

/// What the system knows of the end of a client.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// It may send more.
    None,
    /// It sends nothing more, and may still receive.
    Half,
    /// It cannot receive anything any more.
    Whole,
}

impl Transport {
    /// Waits for the other side to take something for as long as its options say.
    pub fn new(stream: Stream, client: &Arc<Client>) -> Self {
        let options = &client.server.options;
        let pace = Pace::new(options.write_timeout, options.min_rate);
        Self {
            stream: Patient::new(stream, pace),
            heads: Arc::clone(&client.heads),
            client: Arc::downgrade(client),
            farewell: Patience::new(HALF_CLOSED),
            is_read: false,
            look: Patience::new(HALF_CLOSED),
            has_ended: false,
            has_moved: false,
        }
    }

    /// Ends the connection so that the client gets our answer, although it was still sending: closing
    /// at once would reset the connection, and the client would lose what it has not read yet (RFC
    /// 9112 §9.6).
    pub async fn linger(mut self, limit: Duration) {
        let farewell = async {
            self.stream.stream.shutdown().await?;
            let mut rest = (&mut self.stream.stream).take(LINGER_BYTES);
            tokio::io::copy(&mut rest, &mut tokio::io::sink()).await
        };
        // Whatever happens, this is the end.
        let _ = timeout(limit, farewell).await;
    }

    /// Whether the client has sent something that nobody has read: closing would reset the connection.
    pub fn has_unread(&self) -> bool {
        let mut byte = [0];
        let read = match &self.stream.stream {
            Stream::Tcp(stream) => stream.try_read(&mut byte),
            Stream::Unix(stream) => stream.try_read(&mut byte),
        };
        matches!(read, Ok(1..))
    }

    /// Ends the connection with a last answer.
    pub async fn refuse(mut self, answer: &[u8]) {
        if timeout(LINGER, self.stream.stream.write_all(answer))
            .await
            .is_ok()
        {
            self.linger(LINGER).await;
        }
    }

    /// The same for a client that is not waited for: it gets what the system takes at this moment.
    pub fn refuse_at_once(self, answer: &[u8]) {
        // Whoever reads nothing of this learns of the end all the same.
        let _ = match &self.stream.stream {
            Stream::Tcp(stream) => stream.try_write(answer),
            Stream::Unix(stream) => stream.try_write(answer),
        };
    }

    /// Ends the connection so that the client knows that something went wrong: with a reset.
    pub fn reset(self) {
        self.stream.stream.end_with_reset();
    }

    /// Whether a request that was received whole is being answered.
    fn is_answering(&self) -> bool {
        self.client.strong_count() > 1 && shadow_parser::lock(&self.heads).is_in_step()
    }

    /// Whether the client has ended its side, whatever of what it sent is not read yet.
    fn end(&self) -> End {
        // Systems that know no `POLLRDHUP` tell of the whole end only.
        #[cfg(any(target_os = "linux", target_os = "android"))]
        let half = PollFlags::RDHUP;
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        let half = PollFlags::empty();
        let mut sockets = [PollFd::new(&self.stream.stream, half)];
        let now = rustix::event::Timespec::default();
        let polled = poll(&mut sockets, Some(&now));
        let found = sockets[0].revents();
        if polled.is_err() || found.contains(PollFlags::HUP) {
            End::Whole
        } else if found.intersects(half) {
            End::Half
        } else {
            End::None
        }
    }

    /// hyper does not read while it has bytes of a next request, and so would not learn that the client has gone: the
    /// request would be worked on, and its body kept, for nobody. Each answer has the same time for that as where
    /// hyper reads, and until the next look.
    fn look_for_end(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        if self.is_read || !self.is_answering() {
            self.look.renew();
            self.has_ended = false;
            return Ok(());
        }
        while self.look.poll_end(context).is_ready() {
            self.look.renew();
            match self.end() {
                End::None => {}
                End::Half if self.is_taking() => self.has_ended = false,
                End::Half if !self.has_ended => self.has_ended = true,
                End::Half | End::Whole => return Err(io::ErrorKind::ConnectionAborted.into()),
            }
        }
        Ok(())
    }

    /// Whether there was something for the client, or is. How quickly it takes that is the affair of the [`Pace`].
    fn is_taking(&mut self) -> bool {
        std::mem::take(&mut self.has_moved) || unix::unsent(self.stream.stream.as_fd()) > 0
    }

    /// Waits for as long as a client that has ended its side gets.
    fn poll_farewell(&mut self, context: &mut Context<'_>) -> Poll<()> {
        while self.end() != End::Whole {
            ready!(self.farewell.poll_end(context));
            if !self.is_taking() {
                break;
            }
            self.farewell.renew();
        }
        Poll::Ready(())
    }

    fn written(&mut self, result: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match &result {
            Poll::Ready(Ok(_)) => self.has_moved = true,
            Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::TimedOut => {
                self.say_that_it_is_slow();
            }
            Poll::Ready(Err(_)) | Poll::Pending => {}
        }
        result
    }

    fn say_that_it_is_slow(&self) {
        let Some(client) = self.client.upgrade() else {
            return;
        };
        let name = super::name(&client.connection);
        match client.server.options.min_rate {
            0 => crate::log_of!(
                LogKind::Closed,
                "closed the connection from {name}: it takes nothing of a response"
            ),
            rate => crate::log_of!(
                LogKind::Closed,
                "closed the connection from {name}: it takes less than {rate} bytes a second of a response (runner.http.min_rate)"
            ),
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
            let result = Pin::new(&mut self.stream).poll_read(context, buffer);
            let part = buffer.filled_mut().get_mut(before..).unwrap_or_default();
            if !part.is_empty() {
                let left = shadow_parser::lock(&self.heads).received(part);
                buffer.set_filled(before + left);
                if left == 0 {
                    // Nothing would look like the end.
                    continue;
                }
            } else if matches!(result, Poll::Ready(Ok(()))) && self.is_answering() {
                self.is_read = true;
                ready!(self.poll_farewell(context));
            }
            self.is_read = result.is_pending();
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
        let result = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.written(result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        // Head and body of a small response: copying them costs less than handing over two parts.
        let length: usize = parts.iter().map(|part| part.len()).sum();
        let mut joined = [MaybeUninit::uninit(); SMALL];
        let mut joined = ReadBuf::uninit(&mut joined);
        let stream = Pin::new(&mut self.stream);
        let result = if length <= SMALL {
            for part in parts {
                joined.put_slice(part);
            }
            stream.poll_write(context, joined.filled())
        } else {
            stream.poll_write_vectored(context, parts)
        };
        self.written(result)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_flush(context))?;
        Poll::Ready(self.look_for_end(context))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
