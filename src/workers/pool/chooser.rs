//! Which lane gets the next request: a pure function of the states of the lanes.
//!
//! Waking another process takes longer than a small request, so requests are sent ahead to a busy lane, in batches; and
//! because they can be taken back, a slow request delays those behind it by no more than a tick of the clock. A lane is
//! chosen in this order:
//!
//! 1. a busy lane, if its requests are done sooner than another process would be awake: of each worker the lane with the
//!    most requests, so that a second one runs dry (two lanes of one interpreter only take turns), and of these the lane
//!    with the fewest;
//! 2. an idle lane of a worker that has no busy lane: the most recently used one, whose memory is still in the
//!    processor's caches;
//! 3. the busy lane again, within a window of work;
//! 4. any idle lane;
//! 5. the busy lane again if no request waits there, so that the worker need not wait for runner when it is done.
//!
//! Otherwise the request waits. If a lane is idle and free, some lane always gets the request.
//!
//! An ASGI worker works on many requests at a time: there the lane with the fewest is chosen.

use std::cmp::Reverse;
use std::time::Duration;

use crate::interface::measurements::Distribution;
use crate::workers::id::{LaneId, WorkerId};

/// The time to wake another process, in seconds: requests that take less time together are better sent to a lane that is
/// awake.
const WAKE_UP: f64 = 150e-6;
/// How many seconds of work may wait on a lane.
const WINDOW: f64 = 1.6e-3;
/// How many requests a lane may have in any case: the one that it is on, and one ahead.
const AHEAD: usize = 2;

/// By which factor one answer changes the estimate of the service time.
const STEP: f64 = 1.125;

/// How long a request usually takes: an estimate of the median, which a slow request now and then does not change; and how
/// long all have taken.
#[derive(Clone, Debug)]
pub(crate) struct ServiceTime {
    typical: f64,
    all: Distribution,
}

impl Default for ServiceTime {
    fn default() -> Self {
        Self {
            typical: 1e-3,
            all: Distribution::default(),
        }
    }
}

impl ServiceTime {
    /// The estimate in seconds.
    pub(crate) fn typical(&self) -> f64 {
        self.typical
    }

    /// How long all requests have taken.
    pub(crate) fn all(&self) -> &Distribution {
        &self.all
    }

    /// Notes the time that a request took which shared its worker with others: the estimate is not for those.
    pub(crate) fn note(&mut self, service: Duration) {
        self.all.record(service);
    }

    /// Moves the estimate towards the time that a request took.
    pub(crate) fn learn(&mut self, service: Duration) {
        self.note(service);
        self.typical = match service.as_secs_f64() > self.typical {
            true => (self.typical * STEP).min(60.0),
            false => (self.typical / STEP).max(1e-6),
        };
    }
}

/// A lane that may get requests.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LaneView {
    pub(crate) id: LaneId,
    /// How many requests it has to answer; ASGI: how many count against `runner.asgi.concurrency`.
    pub(crate) load: usize,
    /// ASGI: how many WebSockets it has.
    pub(crate) web_sockets: usize,
    /// Whether it can be sent another request, and is not stuck.
    pub(crate) free: bool,
    /// Whether it makes no progress.
    pub(crate) stuck: bool,
    /// Of idle lanes, the one with the highest count was used last.
    pub(crate) idle_since: u64,
}

/// The lane for the next request, if there is one. The lanes of a worker have to be next to each other; `typical` is the
/// usual time of a request in seconds.
#[must_use]
pub(crate) fn choose(lanes: impl IntoIterator<Item = LaneView>, typical: f64) -> Option<LaneId> {
    let mut found = Candidates::default();
    let mut worker = WorkerView::default();
    for lane in lanes {
        if worker.id != Some(lane.id.0) {
            found.add(&worker);
            worker = WorkerView {
                id: Some(lane.id.0),
                ..WorkerView::default()
            };
        }
        worker.add(lane);
    }
    found.add(&worker);
    found.choice(typical)
}

/// The lane for the next request where workers answer in any order: the one with the fewest requests, then with the fewest
/// WebSockets, then the one that was used last.
#[must_use]
pub(crate) fn choose_least(lanes: impl IntoIterator<Item = LaneView>) -> Option<LaneId> {
    let free = lanes.into_iter().filter(|lane| lane.free);
    let rank = |lane: &LaneView| (lane.load, lane.web_sockets, Reverse(lane.idle_since));
    free.min_by_key(rank).map(|lane| lane.id)
}

/// The lanes of one worker that come into question.
#[derive(Default)]
struct WorkerView {
    id: Option<WorkerId>,
    /// Of the busy lanes the one with the most requests.
    at_work: Option<LaneView>,
    /// Of the lanes that are idle and free the one that was used last.
    idle: Option<LaneView>,
}

impl WorkerView {
    fn add(&mut self, lane: LaneView) {
        if lane.load > 0 {
            if !lane.stuck && self.at_work.is_none_or(|most| lane.load >= most.load) {
                self.at_work = Some(lane);
            }
        } else if lane.free && self.idle.is_none_or(|it| lane.idle_since >= it.idle_since) {
            self.idle = Some(lane);
        }
    }
}

/// The lanes of all workers that come into question.
#[derive(Default)]
struct Candidates {
    /// Of the busy lanes that are free the one with the fewest requests.
    least: Option<LaneView>,
    /// The idle lane that was used last, of workers that have no busy lane, and of the others.
    quiet: Option<LaneView>,
    other: Option<LaneView>,
}

impl Candidates {
    fn add(&mut self, worker: &WorkerView) {
        if let Some(lane) = worker.at_work.filter(|lane| lane.free)
            && self.least.is_none_or(|least| lane.load < least.load)
        {
            self.least = Some(lane);
        }
        let idle = match worker.at_work {
            Some(_) => &mut self.other,
            None => &mut self.quiet,
        };
        if let Some(lane) = worker.idle
            && idle.is_none_or(|it| lane.idle_since >= it.idle_since)
        {
            *idle = Some(lane);
        }
    }

    fn choice(&self, typical: f64) -> Option<LaneId> {
        #[allow(clippy::cast_precision_loss)] // some hundred at most
        let within = |work: f64| self.least.filter(|it| (it.load as f64) * typical < work);
        within(WAKE_UP - typical)
            .or(self.quiet)
            .or_else(|| within(WINDOW - typical))
            .or(self.other)
            .or(self.least.filter(|lane| lane.load < AHEAD))
            .map(|lane| lane.id)
    }
}

#[cfg(test)]
mod tests {
    use super::{LaneView, choose};

    /// A lane: `load`, and `s`tuck, `f`ull, or used so long ago.
    fn lane(worker: u32, index: usize, text: &str) -> LaneView {
        let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
        let load = digits.parse().expect("a number");
        let flags = &text[digits.len()..];
        LaneView {
            id: (worker, index),
            load,
            web_sockets: 0,
            free: !flags.contains('f') && !flags.contains('s'),
            stuck: flags.contains('s'),
            idle_since: flags.matches('+').count() as u64,
        }
    }

    /// Workers by `|`, their lanes by blanks.
    fn chosen(text: &str, typical: f64) -> Option<(u32, usize)> {
        let workers = (1..).zip(text.split('|'));
        let lanes = workers.flat_map(|(worker, lanes)| {
            let lanes = lanes.split_whitespace().enumerate();
            lanes.map(move |(index, text)| lane(worker, index, text))
        });
        choose(lanes, typical)
    }

    #[test]
    fn the_lane_for_the_next_request() {
        const QUICK: f64 = 10e-6;
        const MIDDLING: f64 = 100e-6;
        const SLOW: f64 = 1e-3;
        for (lanes, typical, expected) in [
            ("", QUICK, None),
            // The most recently used lane.
            ("0 | 0+ | 0", QUICK, Some((2, 0))),
            ("0 0+ 0", SLOW, Some((1, 1))),
            // A lane that is awake is quicker than one that must be woken up, as long as it has few requests.
            ("0 | 3", QUICK, Some((2, 0))),
            ("0 | 30", QUICK, Some((1, 0))),
            ("0 | 1", MIDDLING, Some((1, 0))),
            ("5 | 3", QUICK, Some((2, 0))),
            // A second lane of one interpreter gains nothing while the first is quick.
            ("20 0", QUICK, Some((1, 0))),
            ("1 0", SLOW, Some((1, 1))),
            // The lane with more requests, so that the other runs dry.
            ("2 9", QUICK, Some((1, 1))),
            // Within the window.
            ("150", QUICK, Some((1, 0))),
            ("160", QUICK, None),
            ("15 | 12", MIDDLING, Some((2, 0))),
            ("16", MIDDLING, None),
            // One ahead, however slow.
            ("1", 1.0, Some((1, 0))),
            ("2", 1.0, None),
            ("2 | 1", 1.0, Some((2, 0))),
            // A lane that is stuck or full gets nothing; an idle one beside it does.
            ("1s", QUICK, None),
            ("0s", QUICK, None),
            ("0f", QUICK, None),
            ("9f", QUICK, None),
            ("1s 0", QUICK, Some((1, 1))),
            ("9f 0", QUICK, Some((1, 1))),
            ("1s | 0f | 2", QUICK, Some((3, 0))),
            ("1s 0 | 200", QUICK, Some((1, 1))),
            ("9f 0f | 1s 1s", QUICK, None),
        ] {
            assert_eq!(chosen(lanes, typical), expected, "{lanes} at {typical} s");
        }
    }

    #[test]
    fn a_lane_that_is_idle_and_free_is_never_left_out() {
        let lanes = ["0", "0s", "0f", "1", "1s", "1f", "2", "40", "200", "200f"];
        for typical in [1e-6, 10e-6, 150e-6, 1e-3, 1.0] {
            for one in lanes {
                for two in lanes {
                    for three in lanes {
                        for between in [" ", " | "] {
                            let text = [one, two, three].join(between);
                            if text.split([' ', '|']).any(|lane| lane == "0") {
                                assert!(chosen(&text, typical).is_some(), "{text} at {typical} s");
                            }
                        }
                    }
                }
            }
        }
    }
}
