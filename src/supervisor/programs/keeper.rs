//! What keeps one program running: it is started, started again when it ends, and ended with its whole process group.

use std::io;
use std::os::fd::AsFd;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{sleep_until, timeout};

use crate::children;
use crate::descriptor_limit;
use crate::log;
use crate::supervisor::control::order::Order;
use crate::supervisor::file_version::FileVersion;
use crate::supervisor::programs::child_link::{ChildLink, ChildMessage};
use crate::supervisor::programs::group::{Group, LAST_MOMENTS};
use crate::supervisor::programs::parent_link;
use crate::supervisor::supervision::SideProgram;
use crate::unix;

/// The wait before a program that has ended is started again for the first time.
const FIRST_DELAY: Duration = Duration::from_millis(100);

/// The longest wait; a program that runs for so long is well.
const LONGEST_DELAY: Duration = Duration::from_secs(30);

/// A program that is not `runner`'s own and runs for so long has come up.
const SETTLED: Duration = Duration::from_secs(1);

/// How long a program of `runner`'s own that works on an order may be silent.
const SILENCE: Duration = Duration::from_secs(5);

/// How long to wait for what a program that has ended said last.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// What programs find in their environment other than we do: a variable and its value, or `None` if it is taken out.
pub type EnvironmentChanges = Vec<(String, Option<String>)>;

/// What a program does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProgramState {
    /// It is about to be started.
    Starting,
    /// It runs.
    Running {
        /// Its process, which leads the group of the same number.
        pid: u32,
        /// Since when.
        since: Instant,
    },
    /// It has ended, and is not started again before then.
    Waiting {
        /// The next attempt.
        until: Instant,
        /// How many times in a row it ended soon.
        early_ends: u32,
    },
}

/// Whether a program has come up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Readiness {
    /// That is not known yet.
    Coming,
    /// It serves, or has run for a while.
    Up,
    /// It has ended, or cannot be run, for this reason.
    Down(String),
}

/// What follows from a reload for a program.
#[derive(Debug)]
pub(super) enum Reloaded {
    /// It goes on as it is, which is as it would be if it were started now.
    Goes,
    /// It has reloaded, or was started for the sake of the reload.
    IsNew,
    /// It does not know how to reload, and what it is made of has changed.
    IsOld,
    /// It does not serve the new version, for this reason; the old one goes on where it runs.
    Failed(String),
}

/// Somebody who waits for what follows from a reload.
type ReloadReply = oneshot::Sender<Reloaded>;

/// The way to what keeps a program running.
#[derive(Debug)]
pub(super) struct Handle {
    pub(super) state: Arc<Mutex<ProgramState>>,
    pub(super) standing: watch::Receiver<Readiness>,
    /// When it is to be gone; `None` while it is kept running.
    pub(super) end: watch::Sender<Option<Instant>>,
    pub(super) reloads: mpsc::UnboundedSender<ReloadReply>,
}

/// What keeps one program running.
pub(super) struct Keeper {
    program: SideProgram,
    environment: EnvironmentChanges,
    state: Arc<Mutex<ProgramState>>,
    standing: watch::Sender<Readiness>,
    end: watch::Receiver<Option<Instant>>,
    reloads: mpsc::UnboundedReceiver<ReloadReply>,
    /// Who waits for it to come up, since it did not run when they asked.
    watchers: Vec<ReloadReply>,
    /// How long it may wait for the address of one that is about to end: at its first start.
    patience: Option<Duration>,
}

impl Keeper {
    pub(super) fn new(program: SideProgram, environment: EnvironmentChanges) -> (Self, Handle) {
        let state = Arc::new(Mutex::new(ProgramState::Starting));
        let (standing, stands) = watch::channel(Readiness::Coming);
        let (end, ends) = watch::channel(None);
        let (reloads, reloading) = mpsc::unbounded_channel();
        let handle = Handle {
            state: Arc::clone(&state),
            standing: stands,
            end,
            reloads,
        };
        let keeper = Self {
            program,
            environment,
            state,
            standing,
            end: ends,
            reloads: reloading,
            watchers: Vec::new(),
            patience: None,
        };
        (keeper, handle)
    }

    /// The same, in place of one that another master keeps running, which has so long to end.
    pub(super) fn in_place(self, patience: Option<Duration>) -> Self {
        Self { patience, ..self }
    }

    /// Keeps it running until it is to end.
    pub(super) async fn keep(mut self) {
        let mut children = match signal(SignalKind::child()) {
            Ok(children) => children,
            Err(error) => return log!("cannot watch processes: {error}"),
        };
        let mut early_ends = 0;
        while self.end.borrow().is_none() {
            let started = Instant::now();
            let (end, why) = match self.spawn() {
                Ok(run) => match self.attend(run, &mut children).await {
                    Some(end) => end,
                    None => return,
                },
                Err(error) => (format!("cannot be run: {error}"), None),
            };
            early_ends = after(early_ends, started.elapsed());
            let delay = delay(early_ends);
            log!(
                "program `{}` {end}; it is started again in {:.1} s",
                self.program,
                delay.as_secs_f64()
            );
            let why = why.unwrap_or_else(|| format!("it {end}"));
            answer(&mut self.watchers, || Reloaded::Failed(why.clone()));
            self.standing.send_replace(Readiness::Down(why));
            let until = Instant::now() + delay;
            *lock(&self.state) = ProgramState::Waiting { until, early_ends };
            tokio::select! {
                () = sleep_until(until.into()) => {}
                () = told(&mut self.end) => {}
                // What kept it from running may be mended.
                Some(asker) = self.reloads.recv() => self.watchers.push(asker),
            }
        }
    }

    /// Starts it, as the leader of a process group.
    fn spawn(&mut self) -> io::Result<Run> {
        let mut command = Command::new(&self.program.program);
        command.args(&self.program.arguments);
        for (name, value) in &self.environment {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        let log = io::stderr().as_fd().try_clone_to_owned()?;
        command
            .stdin(Stdio::null())
            .stdout(Stdio::from(log))
            .stderr(Stdio::inherit());
        unix::lead_group(&mut command, descriptor_limit::at_start());
        let line = ChildLink::to(&mut command)?;
        if let Some(patience) = self.patience.take() {
            parent_link::grant_patience(&mut command, patience + LAST_MOMENTS);
        }
        // Before it can read them.
        let files = versions(&self.program);
        let (child, awaited) = children::start(|| command.spawn(), |child| Some(child.id()))?;
        Ok(Run {
            group: Group::new(child, awaited),
            since: Instant::now(),
            files,
            line: Some(line),
            is_own: false,
            heard: Instant::now(),
            why: None,
            owed: 0,
            askers: Vec::new(),
        })
    }

    /// Waits for its end, and says how that was, and what it has said of it itself; `None` if it was ended because it is
    /// not to be kept any longer.
    async fn attend(
        &mut self,
        mut run: Run,
        children: &mut Signal,
    ) -> Option<(String, Option<String>)> {
        *lock(&self.state) = ProgramState::Running {
            pid: run.group.leader(),
            since: run.since,
        };
        loop {
            if run.group.is_over() {
                // The next one would find its remains in its way.
                let status = run.group.bury().ok()?;
                // Others that it has started may keep the line open.
                while let Ok(Some(said)) = timeout(LAST_WORDS, next(&mut run.line)).await {
                    self.hear(&mut run, Some(said));
                }
                let end = children::cause(status);
                let why = run.why.clone().unwrap_or_else(|| format!("it {end}"));
                run.answer(|| Reloaded::Failed(why.clone()));
                return Some((end, run.why));
            }
            tokio::select! {
                _ = children.recv() => {}
                () = told(&mut self.end) => {
                    let end = *self.end.borrow();
                    run.answer(|| Reloaded::Failed("it is being ended".to_owned()));
                    self.finish(run.group, children, end.unwrap_or(run.since)).await;
                    return None;
                }
                said = next(&mut run.line) => self.hear(&mut run, said),
                Some(asker) = self.reloads.recv() => self.reload(&mut run, asker),
                () = sleep_until((run.since + SETTLED).into()), if run.is_settling(&self.standing) => {
                    self.come_up();
                    self.settle(&mut run);
                }
                () = sleep_until((run.heard + SILENCE).into()), if run.is_own && !run.askers.is_empty() => {
                    run.answer(|| Reloaded::Failed("it does not answer".to_owned()));
                }
            }
        }
    }

    /// Ends it: what is left of it after a moment is killed.
    async fn finish(&self, mut group: Group, children: &mut Signal, deadline: Instant) {
        group.terminate();
        while !group.is_over() || group.has_others() {
            tokio::select! {
                _ = children.recv() => {}
                () = sleep_until(deadline.into()) => {
                    log!("program `{}` did not end in time; it is killed", self.program);
                    break;
                }
            }
        }
        // Whether all of it had ended before or is killed now, nothing is left. What the system does not let go, since it
        // waits for a disk, say, is no reason to stay.
        group.kill();
        let until = Instant::now() + LAST_MOMENTS;
        while !group.is_over() || group.has_others() {
            tokio::select! {
                _ = children.recv() => {}
                () = sleep_until(until.into()) => {
                    return log!("program `{}` does not end though it was killed", self.program);
                }
            }
        }
        let _ = group.bury();
    }

    /// Takes in what it says; `None` for that it will say no more.
    fn hear(&mut self, run: &mut Run, said: Option<ChildMessage>) {
        run.heard = Instant::now();
        match said {
            Some(ChildMessage::Alive) => {}
            Some(ChildMessage::Here) => {
                // A newer one that is to take its place says so, too, while that is worked on.
                if !std::mem::replace(&mut run.is_own, true) {
                    run.tell();
                }
            }
            Some(ChildMessage::Serving) => {
                self.come_up();
            }
            Some(ChildMessage::Failed(why)) => run.why = Some(why),
            Some(ChildMessage::Answer(how)) => {
                run.owed = run.owed.saturating_sub(1);
                // What nobody waits for any more is answered before what somebody does.
                if run.owed == 0 {
                    run.answer(|| {
                        how.clone()
                            .map_or_else(Reloaded::Failed, |()| Reloaded::IsNew)
                    });
                }
            }
            None => {
                run.line = None;
                if std::mem::take(&mut run.is_own) {
                    run.answer(|| Reloaded::Failed("it does not answer".to_owned()));
                }
            }
        }
    }

    /// It has come up.
    fn come_up(&mut self) {
        self.standing.send_replace(Readiness::Up);
        answer(&mut self.watchers, || Reloaded::IsNew);
    }

    /// Somebody wants it to reload.
    fn reload(&self, run: &mut Run, asker: ReloadReply) {
        run.heard = Instant::now();
        run.askers.push(asker);
        match run.is_own {
            true => run.tell(),
            // Else, whether it is one of our own, it has not said yet.
            false if !run.is_settling(&self.standing) => self.settle(run),
            false => {}
        }
    }

    /// It is not one of our own.
    fn settle(&self, run: &mut Run) {
        let is_old = self.program.is_served || run.files != versions(&self.program);
        run.answer(|| match is_old {
            true => Reloaded::IsOld,
            false => Reloaded::Goes,
        });
    }
}

/// Waits until it is to end.
async fn told(end: &mut watch::Receiver<Option<Instant>>) {
    // Who is not there to say so any more has dropped us, too.
    let _ = end.wait_for(Option::is_some).await;
}

/// The files that a program is made of, as they are.
fn versions(program: &SideProgram) -> Vec<Option<FileVersion>> {
    let files = program.files();
    files
        .iter()
        .map(|file| FileVersion::at(file).ok())
        .collect()
}

/// The next that comes over a line, if there is one.
async fn next(line: &mut Option<ChildLink>) -> Option<ChildMessage> {
    match line {
        Some(line) => line.next().await,
        None => std::future::pending().await,
    }
}

/// A program while it runs.
struct Run {
    group: Group,
    since: Instant,
    /// What it was made of when it was started.
    files: Vec<Option<FileVersion>>,
    line: Option<ChildLink>,
    /// It is one of `runner`'s own.
    is_own: bool,
    /// When it said something last, or was told something.
    heard: Instant,
    /// Why it cannot be started, in its own words.
    why: Option<String>,
    /// How many orders it has not answered.
    owed: usize,
    askers: Vec<ReloadReply>,
}

impl Run {
    /// Whether it comes up if it only runs for long enough.
    fn is_settling(&self, standing: &watch::Sender<Readiness>) -> bool {
        !self.is_own && *standing.borrow() != Readiness::Up
    }

    /// Tells it to reload, if somebody wants that.
    fn tell(&mut self) {
        if self.askers.is_empty() {
            return;
        }
        let told = self.line.as_ref().map(|line| line.send(Order::Reload));
        match told {
            Some(Ok(())) => self.owed += 1,
            Some(Err(_)) | None => {
                self.answer(|| Reloaded::Failed("it does not listen".to_owned()));
            }
        }
    }

    /// Tells whoever waits.
    fn answer(&mut self, how: impl Fn() -> Reloaded) {
        answer(&mut self.askers, how);
    }
}

/// Tells whoever waits.
fn answer(askers: &mut Vec<ReloadReply>, how: impl Fn() -> Reloaded) {
    for asker in askers.drain(..) {
        // Whoever has gone away need not be told.
        let _ = asker.send(how());
    }
}

/// How many times in a row a program has ended soon, once it has ended again after such a time.
fn after(early_ends: u32, ran: Duration) -> u32 {
    match ran < LONGEST_DELAY {
        true => early_ends.saturating_add(1),
        false => 1,
    }
}

/// How long to wait before a program that ended soon so many times is started again: a tenth of a second, doubled
/// each time, at most half a minute.
fn delay(early_ends: u32) -> Duration {
    let doublings = early_ends.saturating_sub(1).min(16);
    FIRST_DELAY
        .saturating_mul(1 << doublings)
        .min(LONGEST_DELAY)
}

/// Locks; a panic elsewhere leaves a state that is still the best that there is.
pub(super) fn lock<T>(state: &Mutex<T>) -> MutexGuard<'_, T> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{after, delay};

    #[test]
    fn what_ends_soon_is_started_ever_more_slowly_until_it_is_well() {
        let mut ends = 0;
        let mut delays = Vec::new();
        for ran in [0, 0, 29, 0, 0, 0, 0, 0, 0, 0, 0, 30, 0] {
            ends = after(ends, Duration::from_secs(ran));
            delays.push(delay(ends).as_millis());
        }
        let expected = [
            100, 200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 30_000, 30_000, 100, 200,
        ];
        assert_eq!(delays, expected);
        assert_eq!(delay(u32::MAX), Duration::from_secs(30));
    }
}
