//! Programs that are kept running beside what is served: started, started again when they end, ended with their
//! whole process groups.

use std::future::Future;
use std::io;
use std::os::fd::AsFd;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::supervision::SideProgram;
use crate::children::{self, Awaited};
use crate::log;
use crate::unix;
use crate::workers::template::cause;

/// The wait before a program that has ended is started again for the first time.
const FIRST_DELAY: Duration = Duration::from_millis(100);

/// The longest wait; a program that runs for so long is well.
const LONGEST_DELAY: Duration = Duration::from_secs(30);

/// What programs find in their environment other than we do: a variable and its value, or `None` if it is taken out.
pub type Environment = Vec<(String, Option<String>)>;

/// Programs that are kept running. Dropped, they are killed; [`Programs::stop`] ends them in good order.
#[derive(Debug, Default)]
pub struct Programs {
    slots: Vec<Slot>,
    /// When they are to be gone; `None` while they are kept running.
    end: watch::Sender<Option<Instant>>,
    tasks: JoinSet<()>,
}

/// One program.
#[derive(Debug)]
struct Slot {
    shown: String,
    state: Arc<Mutex<State>>,
}

/// What a program does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
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

impl Programs {
    /// Keeps programs running from now on. Must be called within a tokio runtime.
    #[must_use]
    pub fn start(programs: &[SideProgram], environment: &Environment) -> Self {
        Self::after(std::future::ready(()), programs, environment)
    }

    /// Keeps other programs running instead, each when all that ran before are gone, for which they have the time
    /// `within`.
    pub fn replace(
        &mut self,
        programs: &[SideProgram],
        environment: &Environment,
        within: Duration,
    ) {
        let before = std::mem::take(self);
        *self = Self::after(before.stop(within), programs, environment);
    }

    fn after(
        before: impl Future<Output = ()> + Send + 'static,
        programs: &[SideProgram],
        environment: &Environment,
    ) -> Self {
        let mut all = Self::default();
        let (done, begin) = watch::channel(false);
        if !programs.is_empty() {
            // What its processes leave behind is ours to wait for.
            children::adopt_orphans();
        }
        for program in programs {
            let slot = Slot {
                shown: program.to_string(),
                state: Arc::new(Mutex::new(State::Starting)),
            };
            let keeper = Keeper {
                program: program.clone(),
                environment: environment.clone(),
                state: Arc::clone(&slot.state),
                end: all.end.subscribe(),
            };
            let mut begin = begin.clone();
            all.tasks.spawn(async move {
                // Its sender stays until it is true.
                let _ = begin.wait_for(|begin| *begin).await;
                keeper.keep().await;
            });
            all.slots.push(slot);
        }
        all.tasks.spawn(async move {
            before.await;
            done.send_replace(true);
        });
        all
    }

    /// How each of them is, as it could be typed.
    pub fn status(&self) -> impl Iterator<Item = (&str, State)> {
        let states = self.slots.iter();
        states.map(|slot| (slot.shown.as_str(), *lock(&slot.state)))
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Ends them: SIGTERM to their process groups, SIGKILL to what is left of these after the time `within`. The
    /// future returns when nothing of them runs; dropped, it kills them.
    pub fn stop(mut self, within: Duration) -> impl Future<Output = ()> + Send + 'static {
        self.end.send_replace(Some(Instant::now() + within));
        async move { while self.tasks.join_next().await.is_some() {} }
    }
}

/// What keeps one program running.
struct Keeper {
    program: SideProgram,
    environment: Environment,
    state: Arc<Mutex<State>>,
    end: watch::Receiver<Option<Instant>>,
}

impl Keeper {
    async fn keep(mut self) {
        let mut children = match signal(SignalKind::child()) {
            Ok(children) => children,
            Err(error) => return log!("cannot watch processes: {error}"),
        };
        let mut early_ends = 0;
        while self.end.borrow().is_none() {
            let started = Instant::now();
            let end = match self.spawn() {
                Ok(group) => match self.attend(group, &mut children, started).await {
                    Some(end) => end,
                    None => return,
                },
                Err(error) => format!("cannot be run: {error}"),
            };
            early_ends = after(early_ends, started.elapsed());
            let delay = delay(early_ends);
            log!(
                "program `{}` {end}; it is started again in {:.1} s",
                self.program,
                delay.as_secs_f64()
            );
            let until = Instant::now() + delay;
            *lock(&self.state) = State::Waiting { until, early_ends };
            tokio::select! {
                () = tokio::time::sleep_until(until.into()) => {}
                _ = self.end.wait_for(Option::is_some) => {}
            }
        }
    }

    /// Starts it, as the leader of a process group.
    fn spawn(&self) -> io::Result<Group> {
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
        unix::lead_group(&mut command);
        let (child, awaited) = children::start(|| command.spawn(), |child| Some(child.id()))?;
        Ok(Group {
            child,
            buried: false,
            _awaited: awaited,
        })
    }

    /// Waits for its end, and says how that was; `None` if it was ended because all are.
    async fn attend(
        &mut self,
        mut group: Group,
        children: &mut Signal,
        since: Instant,
    ) -> Option<String> {
        let pid = group.child.id();
        *lock(&self.state) = State::Running { pid, since };
        let mut deadline = None;
        loop {
            let over = group.is_over();
            let Some(deadline) = deadline else {
                if over {
                    // The next one would find its remains in its way.
                    let status = group.bury().ok()?;
                    return Some(cause(status));
                }
                tokio::select! {
                    _ = children.recv() => {}
                    end = self.end.wait_for(Option::is_some) => {
                        deadline = Some(end.ok().and_then(|end| *end).unwrap_or(since));
                        group.terminate();
                    }
                }
                continue;
            };
            if over && !group.has_others() {
                break;
            }
            tokio::select! {
                _ = children.recv() => {}
                () = tokio::time::sleep_until(deadline.into()) => {
                    log!("program `{}` did not end in time; it is killed", self.program);
                    break;
                }
            }
        }
        // Whether all of it had ended before or is killed now, nothing is left.
        let _ = group.bury();
        None
    }
}

/// A program's process and all that it has started. Dropped, all of it is killed.
struct Group {
    child: Child,
    /// Until it is, its number is nobody else's, nor that of its group.
    buried: bool,
    _awaited: Option<Awaited>,
}

impl Group {
    /// Whether its leader has ended. It keeps its number until [`Group::bury`].
    fn is_over(&self) -> bool {
        children::has_ended(self.child.id())
    }

    /// Whether anything else of it runs.
    fn has_others(&self) -> bool {
        children::bury_orphans();
        children::has_children_in_group(self.child.id())
    }

    fn terminate(&self) {
        children::signal_group(self.child.id(), rustix::process::Signal::TERM);
    }

    /// Kills what is left of it, and forgets it.
    fn bury(&mut self) -> io::Result<ExitStatus> {
        children::signal_group(self.child.id(), rustix::process::Signal::KILL);
        self.buried = true;
        self.child.wait()
    }
}

impl Drop for Group {
    /// However we end, nothing stays behind.
    fn drop(&mut self) {
        if !self.buried {
            // There is nobody left to tell.
            let _ = self.bury();
        }
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
fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
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
