//! What the end of a worker means: whether it was to be expected, what the log says, and what follows.

use crate::workers::pool::worker::Remains;
use crate::workers::staff::stage::Stage;

/// What is known of a worker that has ended.
#[derive(Debug)]
pub(crate) struct Death<'a> {
    pub(crate) pid: i32,
    /// How its process ended, in words.
    pub(crate) cause: &'a str,
    pub(crate) stage: Stage,
    /// Whether it had begun to serve.
    pub(crate) began: bool,
    /// Whether all workers are to leave.
    pub(crate) stopping: bool,
    pub(crate) remains: &'a Remains,
}

/// What a worker's end means.
#[derive(Debug, PartialEq, Eq)]
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
        let losses = remains.losses.iter().map(|loss| format!("; {loss}"));
        let losses: String = losses.collect();
        let overdue = self.stage == Stage::Overdue;
        if self.stopping || self.stage == Stage::Released {
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
    use super::{Death, Meaning, Remains, Stage};

    #[test]
    fn a_death_means_what_the_worker_was_at() {
        let expected = |text: &str| Meaning::Expected(Some(text.to_owned()));
        let silent = || Meaning::Expected(None);
        let (serving, lost) = (Stage::Serving, "GET / is answered 502");
        for (stage, began, stopping, answered, loss, meaning) in [
            (Stage::Released, true, false, 5, None, silent()),
            (serving, true, true, 5, None, silent()),
            (
                serving,
                true,
                true,
                5,
                Some(lost),
                expected("worker 7 left; GET / is answered 502"),
            ),
            (Stage::Overdue, true, true, 5, Some(lost), silent()),
            (
                Stage::Overdue,
                true,
                false,
                5,
                None,
                expected("worker 7, which had a request that was overdue, left"),
            ),
            (
                Stage::Lost,
                false,
                false,
                0,
                None,
                Meaning::Early("worker 7 left before it was ready".into()),
            ),
            (
                serving,
                true,
                false,
                0,
                None,
                Meaning::Unasked("worker 7 left before its first answer".into()),
            ),
            (
                serving,
                true,
                false,
                0,
                Some(lost),
                Meaning::Failed(
                    "worker 7 left before its first answer; GET / is answered 502".into(),
                ),
            ),
            (
                serving,
                true,
                false,
                1,
                None,
                Meaning::Failed("worker 7 left; it had answered 1 request".into()),
            ),
            (
                serving,
                true,
                false,
                2,
                None,
                Meaning::Failed("worker 7 left; it had answered 2 requests".into()),
            ),
        ] {
            let remains = Remains {
                answered,
                losses: loss.into_iter().map(str::to_owned).collect(),
                lost_lines: 0,
            };
            let (pid, cause) = (7, "left");
            let death = Death {
                pid,
                cause,
                stage,
                began,
                stopping,
                remains: &remains,
            };
            assert_eq!(death.meaning(), meaning, "{death:?}");
        }
    }
}
