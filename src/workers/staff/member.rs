//! One worker, from the decision to have it until it is gone.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Instant;

use tokio::net::UnixStream;
use tokio_util::sync::CancellationToken;

use crate::children::Process;
use crate::workers::answers;
use crate::workers::hub::{Hub, lock};
use crate::workers::id::{TemplateId, WorkerId};
use crate::workers::memory::resident_memory;
use crate::workers::staff::death::Exit;
use crate::workers::staff::life_stage::{Change, LifeStage};
use crate::workers::staff::retirement::Due;
use crate::workers::wire::link::Link;
use crate::workers::worker_control::WorkerControl;

/// A worker that exists or is to exist.
#[derive(Debug)]
pub(crate) struct Member {
    /// The template that makes it.
    pub(crate) template: TemplateId,
    /// When it was decided to have it.
    pub(crate) since: Instant,
    /// The worker whose place it is to take.
    pub(crate) replaces: Option<WorkerId>,
    pub(crate) life: Life,
}

/// How far a worker is.
#[derive(Debug)]
pub(crate) enum Life {
    /// Its template imports the application.
    Planned,
    /// Its template was told to make it.
    Ordered(WorkerOrder),
    /// Its process exists.
    Live(LiveWorker),
}

/// Runner's ends of a worker that is being made.
#[derive(Debug)]
pub(crate) struct WorkerOrder {
    /// When the template was told.
    pub(crate) sent: Instant,
    pub(crate) links: Vec<Link>,
    /// The worker watches the other end: it is closed when runner ends, for whatever reason.
    pub(crate) control: UnixStream,
}

/// A worker that exists.
#[derive(Debug)]
pub(crate) struct LiveWorker {
    pub(crate) stage: LifeStage,
    pub(crate) process: Arc<Process>,
    /// How its process ended, once it has.
    pub(crate) exit: Option<Exit>,
    pub(crate) control: WorkerControl,
    /// How many of its lanes are still read.
    pub(crate) open_lanes: usize,
    /// Tells the readers of its lanes that its process has ended.
    pub(crate) ended: CancellationToken,
    /// It is to have left by then.
    pub(crate) leave_by: Option<Instant>,
    /// Runner has killed it.
    pub(crate) killed: bool,
    /// The log says why it ends, or need not: it has said that it cannot serve, is to leave before it has begun, or what it
    /// had was given up.
    pub(crate) is_explained: bool,
    /// Why it is to be replaced, though nothing is wrong with it.
    pub(crate) due: Option<Due>,
    /// It was too large before its first request: its size is no reason to replace it.
    pub(crate) began_large: bool,
}

impl Member {
    pub(crate) fn live(&self) -> Option<&LiveWorker> {
        match &self.life {
            Life::Live(live) => Some(live),
            Life::Planned | Life::Ordered(_) => None,
        }
    }

    /// Notes that its process exists, if that was ordered: it gets requests, and begins. Returns whether it was.
    pub(crate) fn start(&mut self, hub: &Arc<Hub>, id: WorkerId, pid: i32, quota: u64) -> bool {
        let Some(process) = Process::new(pid).map(Arc::new) else {
            return false;
        };
        let order = match std::mem::replace(&mut self.life, Life::Planned) {
            Life::Ordered(order) => order,
            other @ (Life::Planned | Life::Live(_)) => {
                self.life = other;
                return false;
            }
        };
        let ended = CancellationToken::new();
        let open_lanes = order.links.len();
        self.life = Life::Live(LiveWorker {
            stage: LifeStage::Beginning(Instant::now()),
            control: WorkerControl::new(hub, id, order.control, Arc::clone(&process)),
            process,
            exit: None,
            open_lanes,
            ended: ended.clone(),
            leave_by: None,
            killed: false,
            is_explained: false,
            due: None,
            began_large: false,
        });
        lock(&hub.pool).add(id, order.links, quota);
        for lane in 0..open_lanes {
            tokio::spawn(answers::attend(Arc::clone(hub), (id, lane), ended.clone()));
        }
        hub.wake();
        true
    }

    /// Whether it serves, or is about to.
    pub(crate) fn is_at_work(&self) -> bool {
        self.live().is_none_or(|live| live.stage.is_at_work())
    }

    pub(crate) fn serves(&self) -> bool {
        self.live()
            .is_some_and(|live| live.stage == LifeStage::Serving)
    }

    /// Whether it is about to serve.
    pub(crate) fn begins(&self) -> bool {
        self.is_at_work() && !self.serves()
    }
}

impl LiveWorker {
    pub(crate) fn pid(&self) -> i32 {
        self.process.id()
    }

    pub(crate) fn change(&mut self, change: Change) {
        self.stage = self.stage.after(change);
    }

    /// It says that it has begun to serve. Returns whether that is news.
    pub(crate) fn begin(&mut self, memory_limit: u64, hub: &Hub) -> bool {
        if !matches!(self.stage, LifeStage::Beginning(_)) {
            return false;
        }
        self.change(Change::Begins);
        if memory_limit > 0
            && let Some(bytes) = resident_memory(self.pid())
            && bytes > memory_limit
        {
            // To replace it would not help: the next one would be as large.
            self.began_large = true;
            crate::log_warning!(
                about = hub.subject_of(self.pid()),
                "worker {} takes {} MiB of memory before its first request, more than it may \
                 (runner.workers.max_memory): it is not replaced for that",
                self.pid(),
                bytes >> 20
            );
        }
        true
    }

    /// Kills its process.
    pub(crate) fn kill(&mut self) {
        self.change(Change::IsLost);
        self.killed = true;
        self.process.kill();
    }

    /// Kills it because it had time to leave.
    pub(crate) fn kill_late(&mut self, hub: &Hub) {
        let is_told = matches!(self.stage, LifeStage::Released | LifeStage::Lost);
        if is_told && self.exit.is_none() && !self.killed && !self.is_explained {
            crate::log_warning!(
                about = hub.subject_of(self.pid()),
                "worker {} was told to leave and has not (runner.stop_timeout); it is ended",
                self.pid()
            );
        }
        self.kill();
    }

    /// How its process ended where the process that waited for it did not say.
    pub(crate) fn presumed_exit(&self) -> Exit {
        match self.killed {
            true => Exit::Known(ExitStatus::from_raw(9)),
            false => Exit::Unknown,
        }
    }
}

impl Drop for LiveWorker {
    /// However runner ends, no worker stays behind.
    fn drop(&mut self) {
        if self.exit.is_none() {
            self.process.kill();
        }
    }
}
