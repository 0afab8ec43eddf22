//! How the pool parts with workers: those that are to leave run dry first, so that no request is lost.
//!
//! A worker that is to leave gets no more requests; what it has been sent ahead is taken back for others (see
//! [`super::clock`]); when nothing is left for it to do, its lanes are closed, and it leaves.

use std::time::Instant;

use http::StatusCode;

use super::pool::{Pool, Standing, Worker, WorkerId};
use super::task::Task;

impl Pool {
    /// Accepts no more requests. Those that are there are answered, those in the queue too; each worker
    /// leaves when nothing is left that could be its to do.
    pub fn close(&mut self) {
        self.closed = true;
        self.curious = true;
    }

    /// Refuses what waits in the queue: the time for it is over.
    pub fn refuse_queue(&mut self) {
        for mut task in self.queue.drain(..) {
            self.refusals
                .refuse(&mut task, StatusCode::SERVICE_UNAVAILABLE);
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

    /// Since when a worker has had nothing to do.
    pub(super) fn idle_since(&self, id: WorkerId) -> Option<Instant> {
        let posts = &self.workers.get(&id)?.posts;
        let idle = posts.iter().all(|post| post.lane.load() == 0);
        let since = posts.iter().map(|post| post.progress).max()?;
        idle.then_some(since)
    }

    /// Asks to be told when something is answered.
    pub(super) fn watch(&mut self) {
        self.watched = Some(self.answered_in_all());
    }

    /// Closes the lanes of the workers that are to leave and have run dry, and says which those are.
    pub(super) fn part(&mut self) -> Vec<WorkerId> {
        if self.closed {
            self.queue.retain(Task::is_wanted);
        }
        // What was sent ahead may come back, and is to find somebody.
        let ahead = |worker: &Worker| worker.posts.iter().any(|post| post.lane.load() > 1);
        let all_leave = self.closed && self.queue.is_empty() && !self.workers.values().any(ahead);
        let mut parted = Vec::new();
        for (&id, worker) in &mut self.workers {
            let leaves = match worker.standing {
                Standing::Serving => all_leave,
                Standing::Retiring => true,
                Standing::Doomed | Standing::Leaving => false,
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
