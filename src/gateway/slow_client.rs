//! When a slow client is given up: after one step that takes too long, or when it is too slow on the whole.

use std::io;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

use crate::gateway::socket::stream::Stream;
use crate::unix;

/// The steps in which [`Pace::poll_late_unless_moved`] waits for its whole time.
const STEPS: u32 = 16;

/// A time limit for each wait. There is no timer as long as nothing is waited for.
#[derive(Debug)]
pub(super) struct StallTimer {
    limit: Duration,
    /// Kept for the next wait.
    timer: Option<Pin<Box<Sleep>>>,
    since: Option<Instant>,
}

impl StallTimer {
    /// A limit for each wait.
    pub(super) fn new(limit: Duration) -> Self {
        Self {
            limit,
            timer: None,
            since: None,
        }
    }

    /// Whether something is waited for.
    pub(super) fn is_running(&self) -> bool {
        self.since.is_some()
    }

    /// Ends a wait: the time that it took.
    pub(super) fn renew(&mut self) -> Duration {
        let since = self.since.take();
        since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// Begins to wait, or goes on. Ready at the limit.
    pub(super) fn poll_late(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.poll_after(self.limit, context)
    }

    fn poll_after(&mut self, limit: Duration, context: &mut Context<'_>) -> Poll<()> {
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(limit)));
        if self.since.is_none() {
            let now = Instant::now();
            self.since = Some(now);
            timer.as_mut().reset(now + limit);
        }
        timer.as_mut().poll(context)
    }
}

/// How quickly a client moves bytes. It may move none for as long as the limit, which is also how far it may be behind the
/// least rate, so that a byte now and then does not keep it going for ever. Only time in which the client is waited for
/// counts, and speed is not saved up for later.
#[derive(Debug)]
pub(super) struct Pace {
    limit: Duration,
    /// In bytes a second; 0 for any.
    rate: u64,
    /// Its limit is the time that the client may still be waited for.
    timer: StallTimer,
}

impl Pace {
    /// The longest time without a byte, and the least rate in bytes a second.
    pub(super) fn new(limit: Duration, rate: u64) -> Self {
        Self {
            limit,
            rate,
            timer: StallTimer::new(limit),
        }
    }

    /// Counts bytes that the client has moved.
    pub(super) fn moved(&mut self, bytes: u64) {
        let waited = self.timer.renew();
        if waited.is_zero() && self.timer.limit == self.limit {
            return;
        }
        let nanoseconds = bytes.saturating_mul(1_000_000_000).checked_div(self.rate);
        let earned = match nanoseconds {
            Some(nanoseconds) => Duration::from_nanos(nanoseconds),
            None if bytes > 0 => self.limit,
            None => Duration::ZERO,
        };
        let left = self.timer.limit.saturating_sub(waited);
        self.timer.limit = left.saturating_add(earned).min(self.limit);
    }

    /// Whether the client is waited for.
    pub(super) fn is_waiting(&self) -> bool {
        self.timer.is_running()
    }

    /// Begins to wait, or goes on. Ready when the client was too slow.
    pub(super) fn poll_late(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.timer.poll_late(context)
    }

    /// The same where moved bytes wake no task, but can be asked for. They are asked for at each of [`STEPS`], so that what
    /// the system took at the beginning, for a client that takes nothing, does not count at the end.
    fn poll_late_unless_moved(
        &mut self,
        context: &mut Context<'_>,
        mut moved: impl FnMut() -> u64,
    ) -> Poll<()> {
        loop {
            let step = self.timer.limit.min(self.limit / STEPS);
            ready!(self.timer.poll_after(step, context));
            self.moved(moved());
            if self.timer.limit.is_zero() {
                return Poll::Ready(());
            }
        }
    }
}

/// A stream whose writes fail as timed out when the peer takes what is written too slowly.
#[derive(Debug)]
pub(super) struct PacedStream {
    /// The stream itself, whose own writes have no time limit.
    pub stream: Stream,
    pace: Pace,
    progress: WriteProgress,
}

/// What the peer has taken of what was written, as far as the system knows. A socket buffer may have so much room that a
/// slow client makes none for minutes.
#[derive(Debug, Default)]
struct WriteProgress {
    /// In bytes.
    written: u64,
    /// In bytes, when last asked.
    taken: u64,
}

impl WriteProgress {
    /// The number of bytes that were taken since it was last asked.
    fn news(&mut self, stream: &Stream) -> u64 {
        let taken = self.written.saturating_sub(unix::unsent(stream.as_fd()));
        let news = taken.saturating_sub(self.taken);
        self.taken += news;
        news
    }
}

impl PacedStream {
    /// A stream whose peer keeps a pace.
    pub(super) fn new(stream: Stream, pace: Pace) -> Self {
        Self {
            stream,
            pace,
            progress: WriteProgress::default(),
        }
    }

    /// Passes on the result of a write to [`PacedStream::stream`], unless the peer is too slow: then the connection ends
    /// with a reset, and the write fails as timed out.
    pub(super) fn poll_written(
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
                ready!(pace.poll_late_unless_moved(context, || progress.news(stream)));
                stream.end_with_reset();
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
        }
    }
}

impl PacedStream {
    /// The same for what passes on bytes that were written before: TLS keeps some.
    fn poll_passed_on(
        &mut self,
        context: &mut Context<'_>,
        result: Poll<io::Result<()>>,
    ) -> Poll<io::Result<()>> {
        let result = self.poll_written(context, result.map_ok(|()| 0));
        result.map_ok(|_| ())
    }
}

impl AsyncRead for PacedStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for PacedStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.poll_written(context, result)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        self.poll_passed_on(context, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut_down = Pin::new(&mut self.stream).poll_shutdown(context);
        self.poll_passed_on(context, shut_down)
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
            pace.timer.since = Instant::now().checked_sub(Duration::from_secs(*seconds));
            pace.moved(*bytes);
        }
        // What has passed since is less than a second.
        pace.timer.limit.as_secs_f64().round() as u64
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
            std::future::poll_fn(|context| pace.poll_late_unless_moved(context, &mut moved)).await;
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
