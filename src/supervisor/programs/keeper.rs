//! Keeps one program running: starts it, restarts it when it ends, and ends it with its whole process group.

use std::io;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tokio::signal::unix::{Signal as SignalStream, SignalKind, signal};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{sleep_until, timeout};

use super::child_link::{ChildLink, ChildMessage};
use super::group::{LAST_MOMENTS, ProcessGroup};
use super::parent_link;
use super::program_version::ProgramVersion;
use super::side_program::{EnvironmentChanges, SideProgram};
use crate::children::{self, LONGEST_DELAY, restart_delay};
use crate::supervisor::control::order::Order;

/// The time after which a program counts as up, unless it is a `runner`, which reports that itself.
const SETTLED: Duration = Duration::from_secs(1);

/// The same for a program that was a `runner` when it ran last, and so will report it: on a busy machine that takes a while.
const SETTLED_RUNNER: Duration = Duration::from_secs(30);

/// How long a `runner` that works on an order may be silent.
const SILENCE: Duration = Duration::from_secs(5);

/// How long to wait for the last messages of a program that has ended.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// What a program does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ProgramState {
    /// It is about to be started.
    Starting,
    /// It runs.
    Running {
        /// Its first process, which leads the group of the same number.
        pid: u32,
        /// Since when.
        since: Instant,
    },
    /// It has ended, and is restarted later.
    Waiting {
        /// The time of the restart.
        until: Instant,
        /// How many times in a row it ended soon.
        early_ends: u32,
    },
}

/// Whether a program works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Health {
    /// Not known yet.
    Unknown,
    /// It serves, or has run for a while.
    Up,
    /// It has ended or cannot be run, for this reason. After a restart this holds until it is up.
    Down(String),
}

/// What is known of a program.
#[derive(Debug)]
pub(super) struct Condition {
    pub(super) state: ProgramState,
    pub(super) health: Health,
}

/// How a reload went for a program.
#[derive(Debug)]
pub(super) enum Reloaded {
    /// It was left alone: a restart would change nothing.
    Unchanged,
    /// It has reloaded, or was restarted for the reload.
    Renewed,
    /// It must be restarted: its files or its folder have changed, and it is not a `runner`, which can reload.
    Outdated,
    /// It does not serve the new version, for this reason; if it runs, it serves the old one.
    Failed(String),
}

/// Takes the result of a reload.
type ReloadReply = oneshot::Sender<Reloaded>;

/// Controls the task that keeps a program running.
#[derive(Debug)]
pub(super) struct KeeperHandle {
    pub(super) condition: watch::Receiver<Condition>,
    /// The deadline for ending the program; `None` while it is kept running.
    pub(super) end: watch::Sender<Option<Instant>>,
    pub(super) reloads: mpsc::UnboundedSender<ReloadReply>,
}

/// Keeps one program running.
pub(super) struct Keeper {
    program: SideProgram,
    environment: EnvironmentChanges,
    condition: watch::Sender<Condition>,
    end: watch::Receiver<Option<Instant>>,
    reloads: mpsc::UnboundedReceiver<ReloadReply>,
    /// Reloads that wait for the program to be up, since it did not run when they began.
    watchers: Vec<ReloadReply>,
    /// How long its first start may wait for the address of a process that is about to end.
    patience: Option<Duration>,
    /// The version of a run that has reported that it is a `runner`.
    runner: Option<ProgramVersion>,
}

impl Keeper {
    /// With `patience`, the program replaces one that another master keeps running, which has this long to end.
    pub(super) fn new(
        program: SideProgram,
        environment: EnvironmentChanges,
        patience: Option<Duration>,
    ) -> (Self, KeeperHandle) {
        let (condition, watched) = watch::channel(Condition {
            state: ProgramState::Starting,
            health: Health::Unknown,
        });
        let (end, ends) = watch::channel(None);
        let (reloads, reloading) = mpsc::unbounded_channel();
        let handle = KeeperHandle {
            condition: watched,
            end,
            reloads,
        };
        let keeper = Self {
            program,
            environment,
            condition,
            end: ends,
            reloads: reloading,
            watchers: Vec::new(),
            patience,
            runner: None,
        };
        (keeper, handle)
    }

    /// Keeps it running until it is to end.
    pub(super) async fn keep(mut self) {
        let mut children = match signal(SignalKind::child()) {
            Ok(children) => children,
            Err(error) => return crate::log_error!("cannot watch processes: {error}"),
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
            let delay = restart_delay(early_ends);
            crate::log_warning!(
                "program `{}` {end}; it is started again in {:.1} s",
                self.program,
                delay.as_secs_f64()
            );
            let why = why.unwrap_or_else(|| format!("it {end}"));
            answer(&mut self.watchers, || Reloaded::Failed(why.clone()));
            let until = Instant::now() + delay;
            self.condition.send_replace(Condition {
                state: ProgramState::Waiting { until, early_ends },
                health: Health::Down(why),
            });
            tokio::select! {
                () = sleep_until(until.into()) => {}
                () = is_to_end(&mut self.end) => {}
                // The reload may have mended what kept it from running, so it is tried at once.
                Some(reply) = self.reloads.recv() => self.watchers.push(reply),
            }
        }
    }

    /// Starts it as the leader of a process group.
    fn spawn(&mut self) -> io::Result<Run> {
        let mut command = self.program.command(&self.environment)?;
        let link = ChildLink::to(&mut command)?;
        if let Some(patience) = self.patience.take() {
            parent_link::grant_patience(&mut command, patience + LAST_MOMENTS);
        }
        // Before the program can read them, so that no change goes unnoticed.
        let version = ProgramVersion::of(&self.program);
        Ok(Run {
            group: ProcessGroup::start(command)?,
            since: Instant::now(),
            settled: match self.runner.as_ref() == Some(&version) {
                true => SETTLED_RUNNER,
                false => SETTLED,
            },
            version,
            link: Some(link),
            is_runner: false,
            heard: Instant::now(),
            why: None,
            unanswered: 0,
            replies: Vec::new(),
        })
    }

    /// Waits for its end, and returns how it ended, and the reason that it has reported; `None` if it was ended because it
    /// is not to be kept running any longer.
    async fn attend(
        &mut self,
        mut run: Run,
        children: &mut SignalStream,
    ) -> Option<(String, Option<String>)> {
        self.condition.send_modify(|it| {
            it.state = ProgramState::Running {
                pid: run.group.id(),
                since: run.since,
            };
        });
        loop {
            if run.group.has_ended() {
                // What is left of it would be in the way of the next one.
                let status = run.group.reap().ok()?;
                run.group.end_sessions().await;
                // Processes that it has started may keep the link open, hence the limit.
                while let Ok(Some(message)) = timeout(LAST_WORDS, next(&mut run.link)).await {
                    self.take_in(&mut run, Some(message));
                }
                let end = children::cause(status);
                let why = run.why.clone().unwrap_or_else(|| format!("it {end}"));
                run.answer(|| Reloaded::Failed(why.clone()));
                return Some((end, run.why));
            }
            tokio::select! {
                _ = children.recv() => {}
                () = is_to_end(&mut self.end) => {
                    let end = *self.end.borrow();
                    run.answer(|| Reloaded::Failed("it is being ended".to_owned()));
                    self.finish(run.group, children, end.unwrap_or(run.since)).await;
                    return None;
                }
                message = next(&mut run.link) => self.take_in(&mut run, message),
                Some(reply) = self.reloads.recv() => self.reload(&mut run, reply),
                () = sleep_until((run.since + run.settled).into()), if self.is_settling(&run) => {
                    self.is_up();
                    self.answer_for_other(&mut run);
                }
                () = sleep_until((run.heard + SILENCE).into()), if run.is_runner && !run.replies.is_empty() => {
                    run.answer(|| Reloaded::Failed("it does not answer".to_owned()));
                }
            }
        }
    }

    /// Ends it with SIGTERM, and kills what is left at the deadline.
    async fn finish(
        &self,
        mut group: ProcessGroup,
        children: &mut SignalStream,
        deadline: Instant,
    ) {
        group.signal(Signal::TERM);
        if !is_gone(&group, children, deadline).await {
            crate::log_warning!(
                "program `{}` did not end in time; it is killed",
                self.program
            );
        }
        // A process that the system does not let go, since it waits for a disk, say, is no reason to wait for ever.
        group.signal(Signal::KILL);
        match is_gone(&group, children, Instant::now() + LAST_MOMENTS).await {
            true => {
                let _ = group.reap();
                group.end_sessions().await;
            }
            false => crate::log_error!(
                "program `{}` does not end though it was killed",
                self.program
            ),
        }
    }

    /// Takes in a message; `None` is the end of the link.
    fn take_in(&mut self, run: &mut Run, message: Option<ChildMessage>) {
        run.heard = Instant::now();
        match message {
            Some(ChildMessage::Alive) => {}
            Some(ChildMessage::Here) => {
                // A successor that it has started for a reload reports the same, while the order is worked on.
                if !std::mem::replace(&mut run.is_runner, true) {
                    self.runner = Some(run.version.clone());
                    run.order_reload();
                }
            }
            Some(ChildMessage::Serving) => self.is_up(),
            Some(ChildMessage::Failed(why)) => run.why = Some(why),
            Some(ChildMessage::Answer(result)) => {
                run.unanswered = run.unanswered.saturating_sub(1);
                // Answers to orders that were given up come first.
                if run.unanswered == 0 {
                    run.answer(|| match &result {
                        Ok(()) => Reloaded::Renewed,
                        Err(why) => Reloaded::Failed(why.clone()),
                    });
                }
            }
            None => {
                run.link = None;
                if std::mem::take(&mut run.is_runner) {
                    run.answer(|| Reloaded::Failed("it does not answer".to_owned()));
                }
            }
        }
    }

    /// Notes that it is up.
    fn is_up(&mut self) {
        self.condition.send_modify(|it| it.health = Health::Up);
        answer(&mut self.watchers, || Reloaded::Renewed);
    }

    /// Whether it will count as up once it has run for a while.
    fn is_settling(&self, run: &Run) -> bool {
        !run.is_runner && self.condition.borrow().health != Health::Up
    }

    /// Begins a reload.
    fn reload(&self, run: &mut Run, reply: ReloadReply) {
        run.heard = Instant::now();
        run.replies.push(reply);
        match run.is_runner {
            true => run.order_reload(),
            // While it settles, it may still report that it is a `runner`.
            false if !self.is_settling(run) => self.answer_for_other(run),
            false => {}
        }
    }

    /// Answers reloads for a program that is not a `runner`.
    fn answer_for_other(&self, run: &mut Run) {
        let is_outdated =
            self.program.is_served || run.version != ProgramVersion::of(&self.program);
        run.answer(|| match is_outdated {
            true => Reloaded::Outdated,
            false => Reloaded::Unchanged,
        });
    }
}

/// Waits until a program is to end.
async fn is_to_end(end: &mut watch::Receiver<Option<Instant>>) {
    // When the sender is dropped, this task is aborted, too.
    let _ = end.wait_for(Option::is_some).await;
}

/// Waits until no process of a group runs, until the deadline at most. Returns whether none does.
async fn is_gone(group: &ProcessGroup, children: &mut SignalStream, deadline: Instant) -> bool {
    while !group.has_ended() || group.has_others() {
        tokio::select! {
            _ = children.recv() => {}
            () = sleep_until(deadline.into()) => return false,
        }
    }
    true
}

/// The next message over a link, if there is one.
async fn next(link: &mut Option<ChildLink>) -> Option<ChildMessage> {
    match link {
        Some(link) => link.next().await,
        None => std::future::pending().await,
    }
}

/// A program while it runs.
struct Run {
    group: ProcessGroup,
    since: Instant,
    /// Once it has run for so long it is up, unless it reports that itself.
    settled: Duration,
    /// What it was started from.
    version: ProgramVersion,
    link: Option<ChildLink>,
    /// Whether it has reported that it is a `runner`.
    is_runner: bool,
    /// The time of the last message or order.
    heard: Instant,
    /// The reason why it cannot start, as it has reported it.
    why: Option<String>,
    /// How many orders it has not answered.
    unanswered: usize,
    replies: Vec<ReloadReply>,
}

impl Run {
    /// Orders it to reload if a reload waits for it.
    fn order_reload(&mut self) {
        if self.replies.is_empty() {
            return;
        }
        match self.link.as_ref().map(|link| link.send(Order::Reload)) {
            Some(Ok(())) => self.unanswered += 1,
            Some(Err(_)) | None => {
                self.answer(|| Reloaded::Failed("it does not listen".to_owned()));
            }
        }
    }

    fn answer(&mut self, result: impl Fn() -> Reloaded) {
        answer(&mut self.replies, result);
    }
}

/// Answers reloads.
fn answer(replies: &mut Vec<ReloadReply>, result: impl Fn() -> Reloaded) {
    for reply in replies.drain(..) {
        // A reload that was given up needs no answer.
        let _ = reply.send(result());
    }
}

/// How many times in a row a program has ended soon, when it ends after this time.
fn after(early_ends: u32, ran: Duration) -> u32 {
    match ran < LONGEST_DELAY {
        true => early_ends.saturating_add(1),
        false => 1,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{after, restart_delay};

    #[test]
    fn a_program_that_ends_soon_is_restarted_ever_more_slowly() {
        let mut ends = 0;
        let mut delays = Vec::new();
        for ran in [0, 0, 29, 0, 0, 0, 0, 0, 0, 0, 0, 30, 0] {
            ends = after(ends, Duration::from_secs(ran));
            delays.push(restart_delay(ends).as_millis());
        }
        let expected = [
            100, 200, 400, 800, 1600, 3200, 6400, 12_800, 25_600, 30_000, 30_000, 100, 200,
        ];
        assert_eq!(delays, expected);
        assert_eq!(restart_delay(u32::MAX), Duration::from_secs(30));
    }
}
