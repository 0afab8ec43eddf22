//! What a master knows of its own life, for its status: since when it is there, and how its reloads went.

use std::time::{Instant, SystemTime};

use crate::interface::master_status::{ReloadCounts, Status, moment, seconds};
use crate::supervisor::lifecycle::Phase;

/// The life of a master as yet.
#[derive(Debug)]
pub struct Chronicle {
    /// When it was started, by the clock of the day and by one that is never set.
    started: (SystemTime, Instant),
    /// How its reloads went.
    pub reloads: ReloadCounts,
}

impl Chronicle {
    /// Begins with this moment.
    #[must_use]
    pub fn begin() -> Self {
        Self {
            started: (SystemTime::now(), Instant::now()),
            reloads: ReloadCounts::default(),
        }
    }

    /// The state of the master, and of what it serves as it is in `served`.
    #[must_use]
    pub fn status(&self, phase: Phase, served: Status) -> Status {
        let state = match phase {
            Phase::Starting { .. } => "starting",
            Phase::Serving => "serving",
            Phase::Reloading { .. } => "reloading",
            Phase::Ending(_) | Phase::Over => "stopping",
        };
        let (started, since) = self.started;
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            state: state.to_owned(),
            uptime: seconds(since.elapsed()),
            started: moment(started),
            reloads: self.reloads.clone(),
            ..served
        }
    }
}
