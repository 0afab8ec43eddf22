//! What the pool does when time has passed: takes requests back from lanes that are stuck, answers those that have waited or
//! run for too long, and lets workers leave.

use std::time::{Duration, Instant};

use crate::workers::pool::Pool;
use crate::workers::pool::checkup::{Checkup, Finding};
use crate::workers::pool::worker::{Duty, Worker};
use crate::workers::wire::Wire;

/// A worker that is late by so little is not busy, but was not woken up in time: more workers would not help.
const HICCUP: Duration = Duration::from_millis(10);

/// Finds the lanes that are stuck, and gives the requests that they have not begun to others. To be called after the
/// rings were emptied: an answer there is progress.
pub(crate) fn unstick<W: Wire>(pool: &mut Pool<W>) {
    let now = (pool.now)();
    for id in pool.workers.held_up(pool.stall(), now) {
        pool.take_back(id);
    }
    pool.dispatch();
}

/// Looks at the time: [`unstick`], and answers requests that have waited or run for too long.
pub(crate) fn clock<W: Wire>(pool: &mut Pool<W>) -> Checkup {
    unstick(pool);
    let now = (pool.now)();
    let mut checkup = Checkup::new(pool.limits, pool.stall(), now);
    match pool.closed {
        Some(by) if now >= by => give_up(pool, &mut checkup),
        by => checkup.next = by,
    }
    pool.workers.check(&mut pool.errors, &mut checkup);
    // What was given up takes no place any more.
    pool.dispatch();
    for id in std::mem::take(&mut checkup.touched) {
        pool.touch(id);
    }
    let limit = pool.limits.queue_timeout;
    checkup.again_by(pool.queue.expire(limit, now, &mut pool.errors));
    if let Some(first) = pool.queue.oldest() {
        let late = first.entered + HICCUP;
        if now >= late || !pool.workers.all.values().any(Worker::serves) {
            checkup.found(Finding::Crowded);
        } else {
            checkup.again_by(Some(late));
        }
    }
    find_neglected(pool, &mut checkup);
    let rejected = pool.rejected.drain(..).map(Finding::Rejected);
    checkup.findings.extend(rejected);
    release(pool, &mut checkup);
    if pool.watched.take_if(|seen| pool.answered > *seen).is_some() {
        checkup.found(Finding::Active);
    }
    pool.curious = false;
    checkup
}

/// Whether all workers are about to leave, and no request needs another.
pub(crate) fn is_ending<W: Wire>(pool: &Pool<W>) -> bool {
    pool.drain.is_some() && !pool.is_crowded()
}

/// The time to stop is over: requests that have not begun are answered 503, those that have 504; where the response
/// has begun, it is cut off.
fn give_up<W: Wire>(pool: &mut Pool<W>, checkup: &mut Checkup) {
    for id in pool.workers.busy() {
        pool.take_back(id);
    }
    pool.queue.refuse_all(&mut pool.errors);
    pool.workers.give_up(&mut pool.errors, checkup);
}

/// Finds the workers that are idle though requests have waited for too long.
fn find_neglected<W: Wire>(pool: &mut Pool<W>, checkup: &mut Checkup) {
    let first = pool.queue.oldest().filter(|pending| pending.is_wanted());
    let queued = first.map(|pending| pending.entered);
    // What waits may be meant for a loop that will read on soon.
    let is_kept = pool.loop_limits.is_some() && pool.choose().is_none();
    let queued = queued.filter(|_| !is_kept || pool.workers.least().is_none());
    let found = pool.workers.neglected(queued, checkup);
    if found.is_empty() {
        return;
    }
    let state = described(pool, checkup.now);
    for id in found {
        if let Some(worker) = pool.workers.all.get_mut(&id) {
            worker.duty = Duty::Doomed;
        }
        checkup.found(Finding::Neglected(id, state.clone()));
    }
}

/// Closes the lanes of the workers that are to leave and have no requests left.
fn release<W: Wire>(pool: &mut Pool<W>, checkup: &mut Checkup) {
    let closed = pool.closed.is_some();
    if closed {
        pool.queue.prune();
    }
    // Requests that were sent ahead may come back, and need a worker then.
    let all_leave =
        closed && pool.queue.is_empty() && !pool.workers.all.values().any(Worker::has_ahead);
    pool.workers.release(all_leave, checkup);
}

/// How the queue and all lanes are, for the report of neglect.
pub(super) fn described<W: Wire>(pool: &Pool<W>, now: Instant) -> String {
    format!(
        "{} in the queue, {:.0} µs a request, {} lanes to be written{}",
        pool.queue.len(),
        pool.service.typical() * 1e6,
        pool.dirty.len(),
        pool.workers.described(now)
    )
}
