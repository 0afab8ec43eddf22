//! The outcome of starts of processes. If one fails, the start or reload of the application fails, or the next attempt is
//! delayed; if it succeeds, the callers that wait for it are told.

use std::time::{Duration, Instant};

use anyhow::anyhow;
use tokio::sync::oneshot;

use crate::children::restart_delay;

/// Accidents do not make a start fail before they have happened so often in a row.
const ATTEMPTS: u32 = 3;

/// Why a process could not begin to serve.
#[derive(Clone, Copy, Debug)]
pub(super) struct ProgramFailure<'a> {
    /// As a message.
    pub(super) what: &'a str,
    /// When it was started.
    pub(super) started: Instant,
    /// It was killed, or found its port taken: the next one may fare better, though nothing is mended.
    pub(super) is_accident: bool,
}

/// Where the outcome of a start is sent.
pub(super) type StartOutcome = oneshot::Sender<anyhow::Result<()>>;

/// The attempts to start processes.
#[derive(Debug)]
pub(super) struct ProgramStarts {
    /// How many in a row failed.
    pub(super) failures: u32,
    /// No process is started before.
    pub(super) not_before: Instant,
    /// When the last attempt failed.
    pub(super) failed_at: Instant,
    /// What the log says of the last attempt that failed.
    last_failure: String,
    /// Waits for the start; `None` once it has succeeded or failed.
    starting: Option<StartOutcome>,
    /// Wait until all processes are ready.
    awaiting: Vec<StartOutcome>,
}

/// What follows from a start that failed.
#[derive(Debug)]
pub(super) enum FailedStart {
    /// The whole start has failed: who waits for it is to be told when no process is left.
    IsTheEnd(StartOutcome),
    /// The next attempt is in this time. `is_known` if the log has the failure already, of a process that was started
    /// together with this one.
    IsRepeated { delay: Duration, is_known: bool },
}

impl ProgramStarts {
    pub(super) fn new(starting: StartOutcome, now: Instant) -> Self {
        Self {
            failures: 0,
            not_before: now,
            failed_at: now,
            last_failure: String::new(),
            starting: Some(starting),
            awaiting: Vec::new(),
        }
    }

    /// Whether processes may be started.
    pub(super) fn is_allowed(&self, now: Instant) -> bool {
        now >= self.not_before
    }

    /// A caller waits until all processes are ready.
    pub(super) fn awaits(&mut self, outcome: StartOutcome) {
        self.awaiting.push(outcome);
    }

    /// Whether a caller does.
    pub(super) fn is_awaited(&self) -> bool {
        !self.awaiting.is_empty()
    }

    /// The first process is ready; perhaps all are.
    pub(super) fn ready(&mut self, all: bool) {
        if let Some(starting) = self.starting.take() {
            // If nothing waits for it, the start was given up, and a stop follows.
            let _ = starting.send(Ok(()));
        }
        if all {
            for awaiting in self.awaiting.drain(..) {
                let _ = awaiting.send(Ok(()));
            }
        }
    }

    /// All processes are to end: nothing is awaited any more.
    pub(super) fn give_up(&mut self) {
        self.awaiting.clear();
    }

    /// A process could not begin to serve. `recovered` if one that was started after the last failure has answered.
    pub(super) fn failed(
        &mut self,
        ProgramFailure {
            what: failure,
            started,
            is_accident,
        }: ProgramFailure<'_>,
        recovered: bool,
        now: Instant,
    ) -> FailedStart {
        let is_final = !is_accident || self.failures + 1 >= ATTEMPTS;
        if let Some(starting) = self.starting.take_if(|_| is_final) {
            return FailedStart::IsTheEnd(starting);
        }
        // Processes that were started together fail together, for one reason.
        let is_known = started < self.not_before && self.last_failure == failure;
        if started >= self.not_before {
            self.failures = if recovered { 1 } else { self.failures + 1 };
            self.failed_at = now;
            self.not_before = now + restart_delay(self.failures);
        }
        if is_final {
            self.disappoint(failure);
        }
        failure.clone_into(&mut self.last_failure);
        FailedStart::IsRepeated {
            delay: self.not_before.saturating_duration_since(now),
            is_known,
        }
    }

    /// A process that has answered requests has ended: the next one is started at once.
    pub(super) fn ended_serving(&mut self) {
        self.failures = 0;
    }

    /// Tells the callers that wait until all processes are ready why they are not.
    fn disappoint(&mut self, failure: &str) {
        for awaiting in self.awaiting.drain(..) {
            let _ = awaiting.send(Err(anyhow!(failure.to_owned())));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use tokio::sync::oneshot;

    use super::{FailedStart, ProgramFailure, ProgramStarts};

    /// A start at some time that fails then.
    fn failure(what: &str, started: Instant) -> ProgramFailure<'_> {
        ProgramFailure {
            what,
            started,
            is_accident: false,
        }
    }

    /// The delay after a failure, and whether that is news.
    fn delay(failed: &FailedStart) -> (u128, bool) {
        match failed {
            FailedStart::IsTheEnd(_) => panic!("the start was over"),
            FailedStart::IsRepeated { delay, is_known } => (delay.as_millis(), !*is_known),
        }
    }

    #[test]
    fn the_first_failure_is_the_end_of_the_start_and_later_ones_delay_the_next() {
        let start = Instant::now();
        let (starting, _started) = oneshot::channel();
        let mut starts = ProgramStarts::new(starting, start);
        let end = starts.failed(failure("no", start), false, start);
        assert!(matches!(end, FailedStart::IsTheEnd(_)));

        let at = |milliseconds| start + Duration::from_millis(milliseconds);
        let mut failed =
            |what, at, recovered| delay(&starts.failed(failure(what, at), recovered, at));
        assert_eq!(failed("no", start, false), (100, true));
        // It was started together with the other.
        assert_eq!(failed("no", start, false), (100, false));
        assert_eq!(failed("why", at(40), false), (60, true));
        assert_eq!(failed("no", at(100), false), (200, true));
        assert_eq!(failed("no", at(300), true), (100, true));
    }

    #[test]
    fn accidents_are_the_end_of_a_start_only_if_there_are_many() {
        let start = Instant::now();
        let (starting, _started) = oneshot::channel();
        let mut starts = ProgramStarts::new(starting, start);
        let mut failed = |milliseconds| {
            let at = start + Duration::from_millis(milliseconds);
            let killed = ProgramFailure {
                is_accident: true,
                ..failure("it was killed", at)
            };
            starts.failed(killed, false, at)
        };
        assert_eq!(delay(&failed(0)), (100, true));
        assert_eq!(delay(&failed(100)), (200, true));
        assert!(matches!(failed(300), FailedStart::IsTheEnd(_)));
    }

    #[test]
    fn callers_learn_of_success_and_of_failure() {
        let start = Instant::now();
        let (starting, mut started) = oneshot::channel();
        let mut starts = ProgramStarts::new(starting, start);
        let (all, mut told) = oneshot::channel();
        starts.awaits(all);
        starts.ready(false);
        assert!(matches!(started.try_recv(), Ok(Ok(()))));
        assert!(starts.is_awaited());
        starts.failed(failure("it died", start), false, start);
        let outcome = told.try_recv().expect("an outcome");
        let failure = outcome.expect_err("a failure");
        assert_eq!(failure.to_string(), "it died");
        assert!(!starts.is_allowed(start));
    }
}
