//! Servers that runner starts itself (`upstream http exec: COMMAND`): as many processes of a program as there is need for, each
//! with an address of its own, at which it gets requests like any other server.
//!
//! From the bottom to the top (no file names one that is above it):
//! - [`program_settings`]: what is run, and its limits;
//! - `program_address`: a port or a socket for each process; `program_process`: the process and its group;
//! - `program_place`: where processes are started; `program_guard`: what ends them if runner is killed;
//! - `program_probe`: whether a process is ready, and well; `program_member`: a process, from its start to its end;
//!   `program_members`: all of them, and what is due;
//! - `program_starts`: what follows from a start that fails; `program_roster`: what the status shows;
//! - `program_staff`: how many processes there are.
//!
//! Processes live as the workers of a Python application do, by the same settings and with the same words in the log
//! ([`crate::workers`]), but for what they are asked and told: they are ready when they accept connections or answer, and are
//! told to end by SIGTERM.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::interface::master_status::Status;
use crate::upstream::programs::program_member::{ProgramEvent, ProgramEvents};
use crate::upstream::programs::program_place::ProgramPlace;
use crate::upstream::programs::program_roster::ProgramRoster;
use crate::upstream::programs::program_settings::ProgramOptions;
use crate::upstream::programs::program_staff::ProgramStaff;
use crate::upstream::servers::Servers;
use crate::workers::options::GRACE;
use crate::{children, panics};

mod program_address;
mod program_guard;
mod program_member;
mod program_members;
mod program_place;
mod program_probe;
mod program_process;
mod program_roster;
pub mod program_settings;
mod program_staff;
mod program_starts;

/// The processes of an application that is a program.
#[derive(Debug)]
pub struct ProgramPool<C> {
    roster: Arc<Mutex<ProgramRoster<C>>>,
    events: ProgramEvents,
    /// Dropped, it has all processes end.
    _wanted: DropGuard,
}

/// A start that is under way.
#[derive(Debug)]
pub struct ProgramStart {
    started: oneshot::Receiver<anyhow::Result<()>>,
    events: ProgramEvents,
}

impl<C: Send + 'static> ProgramPool<C> {
    /// Begins to start the processes, whose Unix sockets are in a new folder in `sockets`. They are servers of an application
    /// from the time at which they are ready. To be called within a runtime.
    #[must_use]
    pub fn begin(
        options: ProgramOptions,
        sockets: PathBuf,
        servers: Arc<Servers<C>>,
    ) -> (Self, ProgramStart) {
        children::adopt_orphans();
        let roster = Arc::new(Mutex::new(ProgramRoster::new(Instant::now())));
        let (events, inbox) = mpsc::unbounded_channel();
        let (starting, started) = oneshot::channel();
        let abandoned = CancellationToken::new();
        let pool = Self {
            roster: Arc::clone(&roster),
            events: events.clone(),
            _wanted: abandoned.clone().drop_guard(),
        };
        let start = ProgramStart {
            started,
            events: events.clone(),
        };
        let keep = async move {
            let place = async {
                let children = signal(SignalKind::child()).context("cannot watch processes")?;
                let place = ProgramPlace::new(options, sockets, servers, roster).await?;
                Ok((place, children))
            };
            match place.await {
                Ok((place, children)) => {
                    let staff = ProgramStaff::new(place, starting, events, abandoned);
                    staff.run(inbox, children).await;
                }
                Err(error) => drop(starting.send(Err(error))),
            }
        };
        panics::spawn_vital("the task that keeps programs running", keep);
        (pool, start)
    }

    /// Adds the processes to a status.
    pub fn show(&self, status: &mut Status) {
        let roster = self.roster.lock();
        roster.unwrap_or_else(PoisonError::into_inner).show(status);
    }

    /// Ends all processes, whatever requests they have: SIGTERM to their groups now, SIGKILL to what is left after the time
    /// `within`. Returns when none is left.
    pub async fn stop(&self, within: Duration) {
        let (done, stopped) = oneshot::channel();
        let by = Instant::now() + within.max(GRACE);
        let _ = self.events.send(ProgramEvent::Stop(by, done));
        // An error means that they have stopped already.
        let _ = stopped.await;
    }
}

impl ProgramStart {
    /// Waits until the first process is ready, or until the least number is, but one at least. Where the least number is 0,
    /// the first need not be there.
    ///
    /// # Errors
    /// The program cannot be run, has ended, or was not ready in time. If that was the first start, no process is left.
    pub async fn ready(self, all: bool) -> anyhow::Result<()> {
        let stopped = || Err(anyhow!("the processes were stopped"));
        self.started.await.unwrap_or_else(|_| stopped())?;
        if !all {
            return Ok(());
        }
        let (tell, told) = oneshot::channel();
        let _ = self.events.send(ProgramEvent::AwaitAll(tell));
        told.await.unwrap_or_else(|_| stopped())
    }
}
