//! A connection whose other side may not hold it up for ever: writes fail when it takes too little for too long.

use std::io;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::gateway::pace::Pace;
use crate::gateway::stream::Stream;
use crate::unix;

/// A stream, and how quickly its other side takes what is written.
#[derive(Debug)]
pub struct Patient {
    /// The stream itself, on which nobody waits patiently.
    pub stream: Stream,
    pace: Pace,
    progress: Progress,
}

/// What the other side has taken of what was written, as far as the system knows: a socket may have room for so much
/// that it takes a slow client minutes until there is room for more.
#[derive(Debug, Default)]
struct Progress {
    /// In bytes.
    written: u64,
    /// The same, at the last look.
    taken: u64,
}

impl Progress {
    /// How many bytes were taken since the last look.
    fn news(&mut self, stream: &Stream) -> u64 {
        let taken = self.written.saturating_sub(unix::unsent(stream.as_fd()));
        let news = taken.saturating_sub(self.taken);
        self.taken += news;
        news
    }
}

impl Patient {
    /// Writes to the stream wait as the pace says, then fail as timed out.
    pub fn new(stream: Stream, pace: Pace) -> Self {
        Self {
            stream,
            pace,
            progress: Progress::default(),
        }
    }

    fn written(
        &mut self,
        context: &mut Context<'_>,
        result: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        let Self {
            stream,
            pace,
            progress,
        } = self;
        match result {
            Poll::Ready(result) => {
                progress.written += result.as_ref().map_or(0, |written| *written as u64);
                if pace.is_waiting() {
                    pace.moved(progress.news(stream));
                }
                Poll::Ready(result)
            }
            Poll::Pending => {
                ready!(pace.poll_end_unless_moved(context, || progress.news(stream)));
                stream.end_with_reset();
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
        }
    }
}

impl AsyncRead for Patient {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Patient {
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
        let result = Pin::new(&mut self.stream).poll_write_vectored(context, parts);
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
