//! The watchdog: a request that waits for a second while a worker is idle is a fault of ours, not of the application's.
//! The log says how every lane is, and the worker is replaced, so that nobody has to restart the server.
//!
//! A worker says itself whether it waits for requests, and how far it has read
//! ([`crate::protocol::worker::frame::RING_WAITING`], [`crate::protocol::worker::frame::RING_READ`]). It is suspected only if it waits
//! and has read all that we have sent. One that is at work, after its answer too, is not; neither is one that cannot come
//! for what was sent, because it is stopped or another of its threads holds the interpreter's lock: that is a matter of
//! `runner.request.timeout`. It is looked at several times: where the system stops us as well, as it does with a container
//! that is frozen, no time has passed that counts.

use std::fmt::Write;
use std::time::{Duration, Instant};

use crate::workers::id::WorkerId;
use crate::workers::pool::{Pool, Standing};
use crate::workers::task::Task;
use crate::workers::wire::Wire;

/// How long a request may wait while a worker is idle.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often such a worker is looked at.
const STEP: Duration = Duration::from_millis(100);
/// How many looks in a row have to find it idle.
const LOOKS: u32 = 10;

/// For how long a lane has been idle while requests wait.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Vigil {
    /// How many looks in a row found it so, and when the last one was.
    found: Option<(u32, Instant)>,
}

impl Vigil {
    /// Notes a look at `now`; whether there were enough. Those that come sooner than is needed do not count.
    fn look(&mut self, is_idle: bool, now: Instant) -> bool {
        self.found = match self.found {
            _ if !is_idle => None,
            None => Some((1, now)),
            Some((looks, last)) if now.saturating_duration_since(last) >= STEP => {
                Some((looks + 1, now))
            }
            soon => soon,
        };
        self.found.is_some_and(|(looks, _)| looks >= LOOKS)
    }
}

impl<W: Wire> Pool<W> {
    /// The workers that are idle though requests have waited for too long, with how all lanes are; and when to look
    /// again.
    pub(crate) fn neglected(&mut self, now: Instant) -> (Vec<(WorkerId, String)>, Option<Instant>) {
        let age = |since: Instant| now.saturating_duration_since(since);
        let front = self.queue.front().filter(|task| task.is_wanted());
        let waits = front.is_some_and(|task| age(task.entered) >= PATIENCE);
        let mut found: Vec<WorkerId> = Vec::new();
        let mut next = None;
        for (&id, worker) in &mut self.workers {
            if worker.standing != Standing::Serving {
                continue;
            }
            let mut is_neglected = false;
            for post in &mut worker.posts {
                let has_some = post.lane.oldest().is_some_and(Task::is_wanted);
                let is_idle = post.is_idle() && (front.is_some() || has_some);
                let is_late = age(post.progress) >= PATIENCE && (waits || has_some);
                is_neglected |= post.vigil.look(is_idle, now) && is_late;
                if front.is_some() || has_some {
                    next = Some(now + STEP);
                }
            }
            if is_neglected {
                found.push(id);
            }
        }
        if found.is_empty() {
            return (Vec::new(), next);
        }
        let state = self.described(now);
        for id in &found {
            if let Some(worker) = self.workers.get_mut(id) {
                worker.standing = Standing::Doomed;
            }
        }
        let found = found.into_iter().map(|id| (id, state.clone()));
        (found.collect(), next)
    }

    /// How the queue and all lanes are, for the log.
    pub(crate) fn described(&self, now: Instant) -> String {
        let mut text = format!(
            "{} in the queue, {:.0} µs a request, {} lanes to be written",
            self.queue.len(),
            self.typical * 1e6,
            self.dirty.len()
        );
        for (id, worker) in &self.workers {
            for (index, post) in worker.posts.iter().enumerate() {
                let lane = index + 1;
                // Writing to a string does not fail.
                let _ = write!(
                    text,
                    "\nworker {id}, lane {lane}: {:?}, {}",
                    worker.standing,
                    post.described(now)
                );
            }
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::Vigil;

    #[test]
    fn a_second_of_idleness_in_ten_looks() {
        let start = Instant::now();
        let mut now = start;
        let mut vigil = Vigil::default();
        // Many looks in little time prove nothing, and neither do two that are far apart.
        for _ in 0..1000 {
            assert!(!vigil.look(true, now));
        }
        now += Duration::from_secs(100);
        assert!(!vigil.look(true, now));
        for look in 3..=10 {
            now += Duration::from_millis(100);
            assert_eq!(vigil.look(true, now), look == 10);
        }
        assert!(!vigil.look(false, now));
        assert!(!vigil.look(true, now));
    }
}
