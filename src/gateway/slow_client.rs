//! How long a client is waited for: for one step, and on the whole.

use std::io;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

use crate::gateway::socket::stream::Stream;
use crate::unix;

/// In so many steps a client that has to be asked for what it has moved is waited for.
const STEPS: u32 = 16;

/// A time limit for waiting, which needs no timer as long as nothing has to be waited for.
#[derive(Debug)]
pub struct Patience {
    limit: Duration,
    /// Kept for the next time.
    timer: Option<Pin<Box<Sleep>>>,
    since: Option<Instant>,
}

impl Patience {
    /// Waits no longer than this for each step.
    pub fn new(limit: Duration) -> Self {
        Self {
            limit,
            timer: None,
            since: None,
        }
    }

    /// There was progress, and nobody waits; how long it was waited for.
    pub fn renew(&mut self) -> Duration {
        let since = self.since.take();
        since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// Begins to wait, or goes on. Ready when there was no progress for too long.
    pub fn poll_end(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.poll_for(self.limit, context)
    }

    /// The same for another time than the limit.
    fn poll_for(&mut self, limit: Duration, context: &mut Context<'_>) -> Poll<()> {
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(limit)));
        if self.since.is_none() {
            let now = Instant::now();
            self.since = Some(now);
            timer.as_mut().reset(now + limit);
        }
        timer.as_mut().poll(context)
    }
}

/// How quickly a client moves bytes. It may move none for as long as the limit; and that is also how far it may be
/// behind the least rate, so that a byte now and then does not keep it going for ever. Only the time counts in which it is
/// waited for, and what it has moved quickly before is no merit for later.
#[derive(Debug)]
pub struct Pace {
    limit: Duration,
    /// In bytes a second; 0 is any.
    rate: u64,
    /// How long it may still be waited for is the limit of this.
    patience: Patience,
}

impl Pace {
    /// Waits no longer than the limit, and asks for so many bytes a second.
    pub fn new(limit: Duration, rate: u64) -> Self {
        Self {
            limit,
            rate,
            patience: Patience::new(limit),
        }
    }

    /// So many bytes were moved.
    pub fn moved(&mut self, bytes: u64) {
        let waited = self.patience.renew();
        if waited.is_zero() && self.patience.limit == self.limit {
            return;
        }
        let nanoseconds = bytes.saturating_mul(1_000_000_000).checked_div(self.rate);
        let earned = match nanoseconds {
            Some(nanoseconds) => Duration::from_nanos(nanoseconds),
            None if bytes > 0 => self.limit,
            None => Duration::ZERO,
        };
        let left = self.patience.limit.saturating_sub(waited);
        self.patience.limit = left.saturating_add(earned).min(self.limit);
    }

    /// Whether the client is waited for.
    pub fn is_waiting(&self) -> bool {
        self.patience.since.is_some()
    }

    /// Begins to wait, or goes on. Ready when the client was too slow.
    pub fn poll_end(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.patience.poll_end(context)
    }

    /// The same where what the client has moved can be asked for: not every byte that it moves wakes us up. It is asked for
    /// at each step, so that what its system took at the beginning, to keep it for a client that takes nothing, is no
    /// merit at the end.
    pub fn poll_end_unless_moved(
        &mut self,
        context: &mut Context<'_>,
        mut moved: impl FnMut() -> u64,
    ) -> Poll<()> {
        loop {
            let step = self.patience.limit.min(self.limit / STEPS);
            ready!(self.patience.poll_for(step, context));
            self.moved(moved());
            if self.patience.limit.is_zero() {
                return Poll::Ready(());
            }
        }
    }
}

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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::Pace;

    /// How long a client may still be waited for after steps of so many seconds of waiting, each for so many bytes.
    fn left(rate: u64, steps: &[(u64, u64)]) -> u64 {
        let mut pace = Pace::new(Duration::from_secs(60), rate);
        for (seconds, bytes) in steps {
            pace.patience.since = Instant::now().checked_sub(Duration::from_secs(*seconds));
            pace.moved(*bytes);
        }
        // What has passed since is less than a second.
        pace.patience.limit.as_secs_f64().round() as u64
    }

    #[tokio::test]
    async fn what_was_taken_at_the_beginning_is_no_time_at_the_end() {
        for rate in [0, 500] {
            let limit = Duration::from_secs(1);
            let mut pace = Pace::new(limit, rate);
            let begun = Instant::now();
            // What the systems on the way have room for.
            let mut room = 6_000_000;
            let mut moved = || std::mem::take(&mut room);
            std::future::poll_fn(|context| pace.poll_end_unless_moved(context, &mut moved)).await;
            let waited = begun.elapsed();
            assert!((limit..2 * limit).contains(&waited), "{waited:?}, {rate}");
        }
    }

    #[test]
    fn what_a_client_moves_is_time_that_it_has_earned() {
        assert_eq!(left(500, &[]), 60);
        assert_eq!(left(500, &[(10, 0)]), 50);
        assert_eq!(left(500, &[(10, 1000)]), 52);
        assert_eq!(left(500, &[(10, 5000)]), 60);
        // It is not saved up.
        assert_eq!(left(500, &[(0, 1_000_000), (10, 0)]), 50);
        assert_eq!(left(500, &[(10, 1_000_000), (10, 0)]), 50);
        assert_eq!(left(500, &[(30, 1), (31, 1)]), 0);
        // Any rate will do, but not none.
        assert_eq!(left(0, &[(59, 1)]), 60);
        assert_eq!(left(0, &[(30, 0), (30, 0)]), 0);
        assert_eq!(left(u64::MAX, &[(59, u64::MAX)]), 1);
    }
}
