//! A connection that a client may not hold up forever, and its end.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use rustix::net::sockopt::set_socket_linger;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::timeout;

use crate::gateway::http::raw_heads::{self, RawHeads};
use crate::gateway::http::upload::Patience;
use crate::gateway::listener::Stream;

/// How long we read what a refused client is still sending, and how much.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: u64 = 16 * 1024 * 1024;

/// Up to so many bytes are joined before they are written.
const SMALL: usize = 2048;

/// A stream whose writes fail when the other side takes nothing for too long, and whose reads are
/// overheard.
#[derive(Debug)]
pub struct Transport {
    stream: Stream,
    heads: Arc<Mutex<RawHeads>>,
    patience: Patience,
}

impl Transport {
    /// Waits no longer than this for the other side to take something.
    pub fn new(stream: Stream, heads: Arc<Mutex<RawHeads>>, limit: Duration) -> Self {
        Self {
            stream,
            heads,
            patience: Patience::new(limit),
        }
    }

    /// Ends the connection so that the client gets our answer, although it was still sending: closing
    /// at once would reset the connection, and the client would lose what it has not read yet (RFC
    /// 9112 §9.6).
    pub async fn linger(mut self) {
        let farewell = async {
            self.stream.shutdown().await?;
            let mut rest = (&mut self.stream).take(LINGER_BYTES);
            tokio::io::copy(&mut rest, &mut tokio::io::sink()).await
        };
        // Whatever happens, this is the end.
        let _ = timeout(LINGER, farewell).await;
    }

    /// Ends the connection with a last answer.
    pub async fn refuse(mut self, answer: &[u8]) {
        if timeout(LINGER, self.stream.write_all(answer)).await.is_ok() {
            self.linger().await;
        }
    }

    /// Ends the connection so that the client knows that something went wrong: with a reset.
    pub fn reset(self) {
        let now = Some(Duration::ZERO);
        let _ = match &self.stream {
            Stream::Tcp(stream) => set_socket_linger(stream, now),
            Stream::Unix(stream) => set_socket_linger(stream, now),
        };
    }

    fn written(
        &mut self,
        context: &mut Context<'_>,
        result: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        match result {
            Poll::Ready(result) => {
                self.patience.renew();
                Poll::Ready(result)
            }
            Poll::Pending => self
                .patience
                .poll_end(context)
                .map(|()| Err(io::ErrorKind::TimedOut.into())),
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
        let result = Pin::new(&mut self.stream).poll_read(context, buffer);
        if let Some(part) = buffer.filled().get(before..)
            && !part.is_empty()
        {
            raw_heads::lock(&self.heads).received(part);
        }
        result
    }
}

impl AsyncWrite for Transport {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.written(context, result)
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
        self.written(context, result)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
