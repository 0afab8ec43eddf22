//! What the end of a worker means: whether it was to be expected, what the log says, and what follows.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use crate::children;
use crate::workers::memory::OutOfMemory;
use crate::workers::pool::worker::Remains;
use crate::workers::staff::life_stage::LifeStage;

/// How a process has ended.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Exit {
    Known(ExitStatus),
    /// The process that waited for it has ended without saying so.
    Unknown,
}

impl Exit {
    /// How the process ended, in words, with the reason where the kernel says so. Runner may have `killed` it.
    pub(crate) fn cause(self, killed: bool, out_of_memory: &mut OutOfMemory) -> String {
        let Self::Known(status) = self else {
            return "ended in a way that is not known".to_owned();
        };
        let cause = children::cause(status);
        // The kernel uses SIGKILL when it has no memory left.
        let starved = out_of_memory.has_killed() && status.signal() == Some(9) && !killed;
        match starved {
            true => format!("{cause} (the kernel killed for lack of memory)"),
            false => cause,
        }
    }
}

/// What is known of a worker that has ended.
#[derive(Debug)]
pub(crate) struct Death<'a> {
    pub(crate) pid: i32,
    /// How its process ended, in words.
    pub(crate) cause: &'a str,
    pub(crate) stage: LifeStage,
    /// Whether it had begun to serve.
    pub(crate) began: bool,
    /// Whether all workers are to leave.
    pub(crate) stopping: bool,
    pub(crate) remains: &'a Remains,
}

/// What a worker's end means.
#[derive(Debug)]
pub(crate) enum Meaning {
    /// It was to end. The text, if any, is for the log.
    Expected(Option<String>),
    /// It could not be started.
    Early(String),
    /// It ended by itself before its first answer.
    Unasked(String),
    /// It failed while it served.
    Failed(String),
}

impl Death<'_> {
    pub(crate) fn meaning(&self) -> Meaning {
        let Self { pid, cause, .. } = self;
        let remains = self.remains;
        let losses = remains.losses.texts.iter().map(|loss| format!("; {loss}"));
        let losses: String = losses.collect();
        let overdue = self.stage == LifeStage::Overdue;
        if self.stopping || self.stage == LifeStage::Released {
            let unusual = !losses.is_empty() && !overdue;
            return Meaning::Expected(unusual.then(|| format!("worker {pid} {cause}{losses}")));
        }
        if overdue {
            let text =
                format!("worker {pid}, which had a request that was overdue, {cause}{losses}");
            return Meaning::Expected(Some(text));
        }
        if !self.began {
            return Meaning::Early(format!("worker {pid} {cause} before it was ready"));
        }
        match remains.answered {
            0 => {
                let text = format!("worker {pid} {cause} before its first answer{losses}");
                match losses.is_empty() {
                    true => Meaning::Unasked(text),
                    false => Meaning::Failed(text),
                }
            }
            1 => Meaning::Failed(format!(
                "worker {pid} {cause}{losses}; it had answered 1 request"
            )),
            answered => Meaning::Failed(format!(
                "worker {pid} {cause}{losses}; it had answered {answered} requests"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::LifeStage::{Lost, Overdue, Released, Serving};
    use super::{Death, Remains};
    use crate::workers::pending_request::Losses;

    #[test]
    fn a_death_means_what_the_worker_was_at() {
        const LOSS: &str = "GET / is answered 502";
        for (stage, stopping, answered, loss, meaning) in [
            (Released, false, 5, "", "Expected(None)"),
            (Serving, true, 5, "", "Expected(None)"),
            (
                Serving,
                true,
                5,
                LOSS,
                "Expected(Some(\"worker 7 left; GET / is answered 502\"))",
            ),
            (Overdue, true, 5, LOSS, "Expected(None)"),
            (
                Overdue,
                false,
                5,
                "",
                "Expected(Some(\"worker 7, which had a request that was overdue, left\"))",
            ),
            (
                Serving,
                false,
                0,
                "",
                "Unasked(\"worker 7 left before its first answer\")",
            ),
            (
                Serving,
                false,
                0,
                LOSS,
                "Failed(\"worker 7 left before its first answer; GET / is answered 502\")",
            ),
            (
                Lost,
                false,
                1,
                "",
                "Failed(\"worker 7 left; it had answered 1 request\")",
            ),
            (
                Lost,
                false,
                2,
                "",
                "Failed(\"worker 7 left; it had answered 2 requests\")",
            ),
        ] {
            let losses = Some(loss.to_owned()).filter(|loss| !loss.is_empty());
            let losses = Losses {
                texts: losses.into_iter().collect(),
                first: None,
            };
            let remains = &Remains {
                answered,
                losses,
                lost_lines: 0,
            };
            let (pid, cause, began) = (7, "left", true);
            let mut death = Death {
                pid,
                cause,
                stage,
                began,
                stopping,
                remains,
            };
            assert_eq!(format!("{:?}", death.meaning()), meaning, "{death:?}");
            if meaning.starts_with("Unasked") {
                death.began = false;
                let early = "Early(\"worker 7 left before it was ready\")";
                assert_eq!(format!("{:?}", death.meaning()), early);
            }
        }
    }
}
