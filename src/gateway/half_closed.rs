//! A client that has ended its side of the connection: how it is found out, and how long it is waited for.
//!
//! Over TCP, a client that only sends no more (`shutdown(SHUT_WR)`) looks like one that has gone away, for which no request
//! should be worked on for long. Once something is written, they can be told apart: a client that has gone away resets the
//! connection.

use std::os::fd::AsFd;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::clients::ClientEnd;
use crate::gateway::slow_client::StallTimer;
use crate::gateway::socket::stream::Stream;
use crate::unix;

/// How long a client that has ended its side is waited for, until it takes the next part of its answer.
const PATIENCE: Duration = Duration::from_secs(1);

/// What the system knows of the client's end of the connection.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum PeerEnd {
    /// It may send more.
    Open,
    /// It sends nothing more, and may still receive.
    HalfClosed,
    /// It cannot receive any more.
    Closed,
}

/// Whether the other side of a stream has ended, even if what it sent is not all read.
pub(super) fn peer_end(stream: &Stream) -> PeerEnd {
    // Systems without `POLLRDHUP` tell only of a connection that is closed on both sides.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let half = PollFlags::RDHUP;
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let half = PollFlags::empty();
    let mut sockets = [PollFd::new(stream, half)];
    let polled = poll(&mut sockets, Some(&Timespec::default()));
    let found = sockets[0].revents();
    if polled.is_err() || found.contains(PollFlags::HUP) {
        PeerEnd::Closed
    } else if found.intersects(half) {
        PeerEnd::HalfClosed
    } else {
        PeerEnd::Open
    }
}

/// The wait for a client that has ended its side, while requests of it are under way.
pub(super) struct HalfClosed {
    /// Where it is noted.
    end: ClientEnd,
    timer: StallTimer,
    /// Something was written since the timer was started.
    has_moved: bool,
}

impl HalfClosed {
    /// For a client whose end is noted there, once it has come.
    pub(super) fn new(end: &ClientEnd) -> Self {
        Self {
            end: end.clone(),
            timer: StallTimer::new(PATIENCE),
            has_moved: false,
        }
    }

    /// Something was written to the client.
    pub(super) fn note_written(&mut self) {
        self.has_moved = true;
    }

    /// To be called once the client has ended its side. Ready when it is not waited for any longer: it has gone away, or
    /// nothing was or is to be sent to it for a while. Whether it takes that quickly enough is decided elsewhere
    /// ([`Pace`](crate::gateway::slow_client::Pace)).
    pub(super) fn poll_given_up(&mut self, stream: &Stream, context: &mut Context<'_>) -> Poll<()> {
        self.end.note();
        match peer_end(stream) {
            PeerEnd::Closed => Poll::Ready(()),
            PeerEnd::Open | PeerEnd::HalfClosed => {
                self.poll_idle(|| unix::unsent(stream.as_fd()) > 0, context)
            }
        }
    }

    fn poll_idle(&mut self, has_unsent: impl Fn() -> bool, context: &mut Context<'_>) -> Poll<()> {
        loop {
            if !self.timer.is_running() {
                // What was written before says nothing.
                self.has_moved = false;
            }
            ready!(self.timer.poll_late(context));
            if !self.has_moved && !has_unsent() {
                return Poll::Ready(());
            }
            self.timer.renew();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use tokio::time::Instant;

    use super::{HalfClosed, PATIENCE};
    use crate::clients::ClientEnd;

    #[tokio::test]
    async fn a_client_has_its_time_after_the_end_and_after_each_part_of_its_answer() {
        let mut waiting = HalfClosed::new(&ClientEnd::default());
        // The answer to an earlier request.
        waiting.note_written();
        let begun = Instant::now();
        poll_fn(|context| waiting.poll_idle(|| false, context)).await;
        let waited = begun.elapsed();
        assert!((PATIENCE..2 * PATIENCE).contains(&waited), "{waited:?}");

        let mut waiting = HalfClosed::new(&ClientEnd::default());
        let begun = Instant::now();
        poll_fn(|context| {
            let given_up = waiting.poll_idle(|| false, context);
            if begun.elapsed() < PATIENCE {
                waiting.note_written();
            }
            given_up
        })
        .await;
        assert!(begun.elapsed() >= 2 * PATIENCE, "{:?}", begun.elapsed());
    }
}
