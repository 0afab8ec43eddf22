//! How the pool parts with workers: those that are to leave run dry first, so that no request is lost.
//!
//! A worker that is to leave gets no more requests; what it has been sent ahead is taken back for others (see
//! [`crate::workers::pool::clock`]); when nothing is left for it to do, its lanes are closed, and it leaves. When all are to leave
//! and their time is over, what they are still on is given up.

use std::time::Instant;

use http::StatusCode;

use crate::log;
use crate::workers::id::WorkerId;
use crate::workers::pool::clock::Findings;
use crate::workers::pool::{Pool, Standing, Worker};
use crate::workers::question::Reason;
use crate::workers::task::Task;
use crate::workers::wire::Wire;

impl<W: Wire> Pool<W> {
    /// Accepts no more requests. Those that are there are answered, those in the queue too, until `by`; each worker
    /// leaves when nothing is left that could be its to do.
    pub fn close(&mut self, by: Instant) {
        self.closed = Some(by);
        self.curious = true;
    }

    /// The time to finish is over: what has begun is answered 504, or ends early if its answer has begun, too, and
    /// what has not is answered 503. The workers that are at it are to be told to leave.
    pub(crate) fn give_up(&mut self, findings: &mut Findings, now: Instant) {
        for seat in self.busy() {
            self.take_back(seat);
        }
        for mut task in self.queue.drain(..) {
            if task.is_wanted() {
                log!(
                    "503 for {}: it had not begun when time was over (runner.stop_timeout)",
                    task.about
                );
            }
            self.refusals
                .refuse(&mut task, StatusCode::SERVICE_UNAVAILABLE);
        }
        for (&id, worker) in &mut self.workers {
            let idle = worker.posts.iter().all(|post| post.lane.load() == 0);
            if idle || matches!(worker.standing, Standing::Leaving | Standing::Confused) {
                continue;
            }
            worker.standing = Standing::Leaving;
            findings.hopeless.push(id);
            for (index, post) in worker.posts.iter_mut().enumerate() {
                post.link.close();
                let Some(task) = post.lane.oldest_mut().filter(|task| !task.is_refused()) else {
                    continue;
                };
                let reason = match task.is_answered() {
                    true => Reason::Cut,
                    false => Reason::Stopped,
                };
                self.refusals.refuse(task, StatusCode::GATEWAY_TIMEOUT);
                let question = post.question((id, index), reason, now);
                findings.questions.extend(question);
            }
        }
    }

    /// Lets a worker leave when it has answered what it is on.
    pub fn retire(&mut self, id: WorkerId) {
        if let Some(worker) = self.workers.get_mut(&id)
            && worker.standing == Standing::Serving
        {
            worker.standing = Standing::Retiring;
            self.curious = true;
        }
    }

    /// A worker does not take what it is sent: it has died, which its lanes say soon. It gets nothing more until then, and
    /// leaves if it should live.
    pub(crate) fn abandon(&mut self, id: WorkerId) {
        if let Some(worker) = self.workers.get_mut(&id)
            && worker.standing != Standing::Confused
        {
            worker.standing = Standing::Leaving;
            for post in &worker.posts {
                post.link.close();
            }
            self.curious = true;
        }
    }

    /// Whether a worker has begun to serve, with its main thread, which is the last to do so.
    pub(crate) fn has_begun(&self, id: WorkerId) -> bool {
        let main = self.workers.get(&id).and_then(|it| it.posts.first());
        main.is_some_and(|post| post.link.thread() != 0)
    }

    /// Since when a worker has had nothing to do.
    pub(crate) fn idle_since(&self, id: WorkerId) -> Option<Instant> {
        let posts = &self.workers.get(&id)?.posts;
        let idle = posts.iter().all(|post| post.lane.load() == 0);
        let since = posts.iter().map(|post| post.progress).max()?;
        idle.then_some(since)
    }

    /// Asks to be told when something is answered.
    pub(crate) fn watch(&mut self) {
        self.watched = Some(self.answered_in_all());
    }

    /// Closes the lanes of the workers that are to leave and have run dry, and says which those are.
    pub(crate) fn part(&mut self) -> Vec<WorkerId> {
        if self.closed.is_some() {
            self.queue.retain(Task::is_wanted);
        }
        // What was sent ahead may come back, and is to find somebody.
        let ahead = |worker: &Worker<W>| worker.posts.iter().any(|post| post.lane.load() > 1);
        let all_leave =
            self.closed.is_some() && self.queue.is_empty() && !self.workers.values().any(ahead);
        let mut parted = Vec::new();
        for (&id, worker) in &mut self.workers {
            let leaves = match worker.standing {
                Standing::Serving => all_leave,
                Standing::Retiring => true,
                Standing::Doomed | Standing::Leaving | Standing::Confused => false,
            };
            if leaves && worker.posts.iter().all(|post| post.lane.load() == 0) {
                worker.standing = Standing::Leaving;
                for post in &worker.posts {
                    post.link.close();
                }
                parted.push(id);
            }
        }
        parted
    }
}
