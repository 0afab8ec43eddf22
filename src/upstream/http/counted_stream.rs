//! A connection that counts what comes in and goes out, so that it is known whether a server has begun to answer, and whether
//! it has got anything of a request.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::upstream::upstream_stream::UpstreamStream;

/// How many bytes have come in on a connection, and have gone out.
#[derive(Clone, Debug, Default)]
pub(super) struct StreamCounts(Arc<Counters>);

#[derive(Debug, Default)]
struct Counters {
    received: AtomicU64,
    sent: AtomicU64,
}

impl StreamCounts {
    /// How many have come in.
    pub(super) fn received(&self) -> u64 {
        self.0.received.load(Relaxed)
    }

    /// How many the system has taken to be sent.
    pub(super) fn sent(&self) -> u64 {
        self.0.sent.load(Relaxed)
    }

    fn add_sent(&self, written: &Poll<io::Result<usize>>) {
        if let Poll::Ready(Ok(count)) = written {
            self.0.sent.fetch_add(*count as u64, Relaxed);
        }
    }
}

/// A connection and its counts.
#[derive(Debug)]
pub(super) struct CountedStream {
    stream: UpstreamStream,
    counts: StreamCounts,
}

impl CountedStream {
    /// A connection that was not used yet.
    pub(super) fn new(stream: UpstreamStream) -> (Self, StreamCounts) {
        let counts = StreamCounts::default();
        let counted = Self {
            stream,
            counts: counts.clone(),
        };
        (counted, counts)
    }
}

impl AsyncRead for CountedStream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(context, buffer);
        let count = buffer.filled().len() - before;
        if count > 0 {
            this.counts.0.received.fetch_add(count as u64, Relaxed);
        }
        read
    }
}

impl AsyncWrite for CountedStream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write(context, bytes);
        this.counts.add_sent(&written);
        written
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = Pin::new(&mut this.stream).poll_write_vectored(context, parts);
        this.counts.add_sent(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}
