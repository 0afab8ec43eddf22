//! One process of an application, from its start until nothing is left of it.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::anyhow;
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::{MissedTickBehavior, interval_at};
use tokio_util::task::AbortOnDropHandle;

use crate::log::LogSubject;
use crate::upstream::programs::program_address::OwnAddress;
use crate::upstream::programs::program_probe::{PATIENCE, Probe};
use crate::upstream::programs::program_process::ProgramProcess;
use crate::upstream::programs::program_settings::{HealthCheck, ProgramListens, ProgramOptions};
use crate::upstream::server_address::ServerAddress;
use crate::upstream::servers::{Servers, UpstreamServer};
use crate::workers::id::WorkerId;
use crate::workers::memory::resident_memory;
use crate::workers::staff::life_stage::{Change, LifeStage};
use crate::workers::staff::retirement::Due;

/// How long a process that is not ready is left alone before the first and before each later question.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(250);

/// How many questions in a row a process that serves may leave without a good answer.
const MOST_FAILURES: u32 = 3;

/// The time that a question to a process that serves has at least. A machine may be too busy for an answer within less.
const LEAST_PATIENCE: Duration = Duration::from_secs(1);

/// How long to wait for the last output of a process that has ended: one that it has started may keep the pipe open.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// The signal by which others end a process: the system, where memory is short, or people.
const KILLED: i32 = rustix::process::Signal::KILL.as_raw();

/// What happens to the processes of an application.
#[derive(Debug)]
pub(super) enum ProgramEvent {
    /// It is ready.
    Ready(WorkerId),
    /// It does not answer any more, for this reason.
    Ill(WorkerId, String),
    /// It gets no more requests, and has answered those that it had.
    Finished(WorkerId),
    /// It has ended, and its output is read.
    Exited(WorkerId),
    /// A caller waits until all are ready.
    AwaitAll(tokio::sync::oneshot::Sender<anyhow::Result<()>>),
    /// All are to end, by this time.
    Stop(Instant, tokio::sync::oneshot::Sender<()>),
}

/// Where events go.
pub(super) type ProgramEvents = UnboundedSender<ProgramEvent>;

/// A process.
#[derive(Debug)]
pub(super) struct ProgramMember<C> {
    pub(super) process: ProgramProcess,
    /// The name of the application, where a server has several.
    application: Option<String>,
    own: OwnAddress,
    pub(super) since: Instant,
    pub(super) stage: LifeStage,
    /// What requests know it by, from the time at which it is ready.
    pub(super) server: Option<Arc<UpstreamServer<C>>>,
    /// The process whose place it is to take.
    pub(super) replaces: Option<WorkerId>,
    /// After so many requests it is to be replaced.
    pub(super) quota: u64,
    /// Why it is to be replaced, though nothing is wrong with it.
    pub(super) due: Option<Due>,
    /// It was too large before its first request: its size is no reason to replace it.
    pub(super) began_large: bool,
    /// When what it is told to do is to be done: to finish its requests, or to end.
    pub(super) leave_by: Option<Instant>,
    /// Runner has killed it.
    pub(super) killed: bool,
    /// How it has ended, once it has.
    pub(super) exit: Option<ExitStatus>,
    /// Why it is not ready.
    unready: Arc<Mutex<String>>,
    /// The task that asks it.
    asked: Option<AbortOnDropHandle<()>>,
}

impl<C: Send + 'static> ProgramMember<C> {
    /// One that has just been started. It is asked whether it is ready.
    pub(super) fn new(
        id: WorkerId,
        (process, own): (ProgramProcess, OwnAddress),
        replaces: Option<WorkerId>,
        quota: u64,
        (options, events): (&ProgramOptions, &ProgramEvents),
    ) -> Self {
        let unready = Arc::default();
        let now = Instant::now();
        let asked = tokio::spawn(await_ready(
            id,
            probe(options),
            own.address.clone(),
            Arc::clone(&unready),
            events.clone(),
        ));
        Self {
            process,
            application: options.processes.application.clone(),
            own,
            since: now,
            stage: LifeStage::Beginning(now),
            server: None,
            replaces,
            quota,
            due: None,
            began_large: false,
            leave_by: None,
            killed: false,
            exit: None,
            unready,
            asked: Some(AbortOnDropHandle::new(asked)),
        }
    }

    /// Where it listens.
    pub(super) fn address(&self) -> &ServerAddress {
        &self.own.address
    }

    /// What its lines in the log are about.
    pub(super) fn subject(&self) -> LogSubject<'_> {
        LogSubject {
            worker: Some(self.process.pid()),
            ..LogSubject::application(self.application.as_deref())
        }
    }

    /// Whether it serves, or is about to.
    pub(super) fn is_at_work(&self) -> bool {
        self.stage.is_at_work()
    }

    pub(super) fn serves(&self) -> bool {
        self.stage == LifeStage::Serving && self.exit.is_none()
    }

    /// Whether it is about to serve.
    pub(super) fn begins(&self) -> bool {
        matches!(self.stage, LifeStage::Beginning(_))
    }

    /// By when it is to be ready, if it is about to serve; zero is no limit.
    pub(super) fn ready_by(&self, limit: Duration) -> Option<Instant> {
        match self.stage {
            LifeStage::Beginning(since) if !limit.is_zero() => Some(since + limit),
            LifeStage::Beginning(_) | LifeStage::Serving | LifeStage::Retiring => None,
            LifeStage::Released | LifeStage::Overdue | LifeStage::Lost => None,
        }
    }

    /// How many requests it has answered, or has at least ended.
    pub(super) fn answered(&self) -> u64 {
        let counts = self.server.as_ref().map(|server| server.counts());
        counts.map_or(0, |it| it.requests.saturating_sub(it.outstanding as u64))
    }

    /// It is ready: requests know it by this server. While it serves, it is asked whether it is well.
    pub(super) fn begin(
        &mut self,
        id: WorkerId,
        server: Arc<UpstreamServer<C>>,
        options: &ProgramOptions,
        events: &ProgramEvents,
    ) {
        self.stage = self.stage.after(Change::Begins);
        self.server = Some(server);
        self.asked = options.program.health.clone().map(|check| {
            let task = tokio::spawn(watch_health(
                id,
                check,
                self.own.address.clone(),
                events.clone(),
            ));
            AbortOnDropHandle::new(task)
        });
        let limit = options.processes.retire_after.memory;
        if limit > 0
            && let Some(bytes) = resident_memory(self.process.pid())
            && bytes > limit
        {
            // To replace it would not help: the next one would be as large.
            self.began_large = true;
            crate::log_warning!(
                about = self.subject(),
                "worker {} takes {} MiB of memory before its first request, more than it may \
                 (runner.workers.max_memory): it is not replaced for that",
                self.process.pid(),
                bytes >> 20
            );
        }
    }

    /// It gets no more requests.
    pub(super) fn gets_no_more(&self, servers: &Servers<C>) {
        if let Some(server) = &self.server {
            servers.drain(server);
        }
    }

    /// It has until `by` to finish the requests that it has.
    pub(super) fn retire(&mut self, id: WorkerId, by: Instant, events: &ProgramEvents) {
        self.stage = self.stage.after(Change::Retires);
        self.leave_by = Some(by);
        let (server, events) = (self.server.clone(), events.clone());
        let finishes = async move {
            if let Some(server) = server {
                server.finished().await;
            }
            let _ = events.send(ProgramEvent::Finished(id));
        };
        self.asked = Some(AbortOnDropHandle::new(tokio::spawn(finishes)));
    }

    /// It is told to end, and has until `by`.
    pub(super) fn release(&mut self, by: Instant) {
        self.stage = self.stage.after(Change::IsReleased);
        self.leave_by = Some(by);
        self.asked = None;
        self.process.terminate();
    }

    /// It has ended, and gets no more requests. When its output is read as well, an event says so.
    pub(super) fn has_ended(&mut self, id: WorkerId, status: ExitStatus, events: &ProgramEvents) {
        self.exit = Some(status);
        self.own.close();
        let (mut output, events) = (self.process.output.clone(), events.clone());
        let read = async move {
            let _ = tokio::time::timeout(LAST_WORDS, output.ended()).await;
            let _ = events.send(ProgramEvent::Exited(id));
        };
        self.asked = Some(AbortOnDropHandle::new(tokio::spawn(read)));
    }

    /// Kills it because it had time to end. If that does not help, the next look is at `again`.
    pub(super) fn kill_late(&mut self, again: Instant) {
        if !std::mem::replace(&mut self.killed, true) {
            crate::log_warning!(
                about = self.subject(),
                "worker {} was told to leave and has not (runner.stop_timeout); it is ended",
                self.process.pid()
            );
        }
        self.leave_by = Some(again);
        self.process.kill();
    }

    /// Whether it has ended for a reason that is not its own: another process has killed it, or has taken its port.
    pub(super) fn had_an_accident(&self) -> bool {
        let is_killed = self.exit.is_some_and(|exit| exit.signal() == Some(KILLED));
        is_killed || self.own.is_taken()
    }

    /// Whether it has ended by itself, and says that nothing was wrong.
    pub(super) fn ended_well(&self) -> bool {
        self.exit.is_some_and(|exit| exit.success())
    }

    /// The error of a process that was not ready in time.
    pub(super) fn not_ready(&self, options: &ProgramOptions) -> anyhow::Error {
        let unready = self.unready.lock();
        let why = unready.unwrap_or_else(PoisonError::into_inner).clone();
        anyhow!(
            "cannot start `{}`: it was not ready at {} within {} s (runner.start_timeout): {why}{}",
            options.program.command,
            self.address(),
            options.processes.start_timeout.as_secs_f64(),
            self.last_output()
        )
    }

    /// The error of a process that has ended before it was ready.
    pub(super) fn not_started(&self, options: &ProgramOptions, failure: &str) -> anyhow::Error {
        let hint = match self.ended_well() {
            true => " (a server must stay in the foreground)",
            false => "",
        };
        let (command, output) = (&options.program.command, self.last_output());
        anyhow!("cannot start `{command}`: {failure}{hint}{output}")
    }

    /// What it wrote last, as the end of a message.
    fn last_output(&self) -> String {
        match &*self.process.output.last_lines() {
            [] => "; it has written nothing".to_owned(),
            lines => format!("; its last output:\n  {}", lines.join("\n  ")),
        }
    }
}

/// How a process is asked whether it is ready.
fn probe(options: &ProgramOptions) -> Probe {
    match &options.program.ready {
        Some(path) => Probe::Http(path.clone()),
        None => match options.listens() {
            ProgramListens::StandardInput => Probe::FastCgi,
            ProgramListens::Port | ProgramListens::Socket => Probe::Connect,
        },
    }
}

/// Asks a process until it is ready.
async fn await_ready(
    id: WorkerId,
    probe: Probe,
    address: ServerAddress,
    unready: Arc<Mutex<String>>,
    events: ProgramEvents,
) {
    let mut pause = FIRST_PAUSE;
    while let Err(why) = probe.ask(&address, PATIENCE).await {
        *unready.lock().unwrap_or_else(PoisonError::into_inner) = why;
        tokio::time::sleep(pause).await;
        pause = (pause * 3 / 2).min(LONGEST_PAUSE);
    }
    let _ = events.send(ProgramEvent::Ready(id));
}

/// Asks a process whether it is well, until it is not. A question has the time until the next one, or [`LEAST_PATIENCE`].
async fn watch_health(
    id: WorkerId,
    check: HealthCheck,
    address: ServerAddress,
    events: ProgramEvents,
) {
    let probe = Probe::Http(check.path);
    let within = check.interval.clamp(LEAST_PATIENCE, PATIENCE);
    let mut questions = interval_at(tokio::time::Instant::now() + check.interval, check.interval);
    questions.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut failures = 0;
    loop {
        questions.tick().await;
        match probe.ask(&address, within).await {
            Ok(()) => failures = 0,
            Err(why) => {
                failures += 1;
                if failures == MOST_FAILURES {
                    let _ = events.send(ProgramEvent::Ill(id, why));
                    return;
                }
            }
        }
    }
}
