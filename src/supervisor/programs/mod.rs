//! Programs that are kept running beside what is served. A reload tells those of `runner`'s own to reload, too, starts anew
//! what has changed of others, and leaves alone what has not.

use std::fmt::Write;
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::anyhow;
use tokio::sync::{oneshot, watch};
use tokio_util::task::AbortOnDropHandle;

use crate::children;
use crate::interface::status::{ProgramStatus, seconds};
use crate::supervisor::programs::keeper::{
    EnvironmentChanges, Handle, Keeper, ProgramState, Readiness, Reloaded, lock,
};
use crate::supervisor::supervision::SideProgram;

mod child_link;
mod group;
pub mod keeper;
pub mod parent_link;

/// Programs that are kept running; clones are the same ones. When the last is dropped, they are killed;
/// [`Programs::stop`] ends them in good order.
#[derive(Clone, Debug, Default)]
pub struct Programs(Arc<Mutex<Vec<KeptProgram>>>);

/// One program.
#[derive(Debug)]
struct KeptProgram {
    program: SideProgram,
    environment: EnvironmentChanges,
    handle: Handle,
    task: AbortOnDropHandle<()>,
}

/// A program that was started for the sake of a reload.
struct Coming {
    program: SideProgram,
    environment: EnvironmentChanges,
    standing: watch::Receiver<Readiness>,
}

/// What programs have answered that were told to reload.
#[derive(Default)]
struct ReloadAnswers {
    /// Those that are new now.
    renewed: Vec<SideProgram>,
    /// The places of those that cannot reload, and are not what they would be if they were started now.
    stale: Vec<usize>,
    failed: Vec<(SideProgram, String)>,
}

impl KeptProgram {
    /// Keeps a program running from now on.
    fn start(program: &SideProgram, environment: &EnvironmentChanges) -> Self {
        Self::start_in_place(program, environment, None)
    }

    /// The same, in place of one that another master keeps running, which has so long to end.
    fn start_in_place(
        program: &SideProgram,
        environment: &EnvironmentChanges,
        patience: Option<Duration>,
    ) -> Self {
        // What its processes leave behind is ours to wait for.
        children::adopt_orphans();
        let (keeper, handle) = Keeper::new(program.clone(), environment.clone());
        Self {
            program: program.clone(),
            environment: environment.clone(),
            handle,
            task: AbortOnDropHandle::new(tokio::spawn(keeper.in_place(patience).keep())),
        }
    }

    /// Ends it: SIGTERM to its process group, SIGKILL to what is left of that at the deadline.
    fn end(&self, deadline: Instant) {
        self.handle.end.send_replace(Some(deadline));
    }

    fn status(&self) -> ProgramStatus {
        let program = ProgramStatus {
            command: self.program.to_string(),
            ..ProgramStatus::default()
        };
        match *lock(&self.handle.state) {
            ProgramState::Starting => ProgramStatus {
                state: "starting".to_owned(),
                ..program
            },
            ProgramState::Running { pid, since } => ProgramStatus {
                state: "running".to_owned(),
                pid: Some(pid),
                age: Some(seconds(since.elapsed())),
                ..program
            },
            ProgramState::Waiting { until, early_ends } => ProgramStatus {
                state: "waiting".to_owned(),
                wait: Some(seconds(until.saturating_duration_since(Instant::now()))),
                early_ends,
                ..program
            },
        }
    }

    fn coming(&self) -> Coming {
        Coming {
            program: self.program.clone(),
            environment: self.environment.clone(),
            standing: self.handle.standing.clone(),
        }
    }

    fn is(&self, program: &SideProgram, environment: &EnvironmentChanges) -> bool {
        self.program == *program && self.environment == *environment
    }
}

impl Programs {
    /// Keeps programs running from now on: if another master does so till now, in place of those, which have so long to
    /// end. Must be called within a tokio runtime.
    #[must_use]
    pub fn start(
        programs: &[SideProgram],
        environment: &EnvironmentChanges,
        patience: Option<Duration>,
    ) -> Self {
        let start = |one| KeptProgram::start_in_place(one, environment, patience);
        let slots = programs.iter().map(start);
        Self(Arc::new(Mutex::new(slots.collect())))
    }

    /// Has these be kept running from now on. Those of `runner`'s own that run are told to reload; others go on as they
    /// are, unless their words or files have changed: then they are ended, for which they have the time `within`, and
    /// what takes their place is started. One that does not run is started at once. Returns when all have reloaded or come
    /// up.
    ///
    /// # Errors
    /// Which of them do not serve the new version, and why. What other words have ended is started again; what has
    /// reloaded, or was started anew since its files have changed, stays as it is now, which the error says, too.
    pub async fn change(
        &self,
        programs: &[SideProgram],
        environment: &EnvironmentChanges,
        within: Duration,
    ) -> anyhow::Result<()> {
        let mut leaving = self.surplus(programs, environment);
        let asked = self.reload(&leaving).await;
        if !asked.failed.is_empty() {
            return Err(self.refused(&asked.failed, &asked.renewed));
        }
        leaving.extend(asked.stale);
        let old = self.end(within, |place, _| leaving.contains(&place)).await;
        let coming = self.fill(programs, environment);
        let failed = failures(&coming).await;
        if failed.is_empty() {
            return Ok(());
        }
        let mut renewed = asked.renewed;
        renewed.extend(self.restore(old, coming, within).await);
        Err(self.refused(&failed, &renewed))
    }

    /// Has what was ended run again in place of what has come since, and gives what has stayed of that: where the words
    /// are the same, it would be started from the same files once more.
    async fn restore(
        &self,
        mut old: Vec<KeptProgram>,
        coming: Vec<Coming>,
        within: Duration,
    ) -> Vec<SideProgram> {
        let (mut unwanted, mut kept) = (Vec::new(), Vec::new());
        for one in coming {
            let is_it = |slot: &KeptProgram| slot.is(&one.program, &one.environment);
            match old.iter().position(is_it) {
                Some(place) => {
                    old.swap_remove(place);
                    if *one.standing.borrow() == Readiness::Up {
                        kept.push(one.program);
                    }
                }
                None => unwanted.push(one.standing),
            }
        }
        let is_unwanted = |slot: &KeptProgram| {
            let mut unwanted = unwanted.iter();
            unwanted.any(|one| one.same_channel(&slot.handle.standing))
        };
        self.end(within, |_, slot| is_unwanted(slot)).await;
        let again: Vec<KeptProgram> = old
            .iter()
            .map(|slot| KeptProgram::start(&slot.program, &slot.environment))
            .collect();
        let coming: Vec<Coming> = again.iter().map(KeptProgram::coming).collect();
        lock(&self.0).extend(again);
        // What does not come up is said of all alike.
        failures(&coming).await;
        kept
    }

    /// That programs do not serve the new version, where these do already; and which do not run.
    fn refused(&self, failed: &[(SideProgram, String)], renewed: &[SideProgram]) -> anyhow::Error {
        let slots = lock(&self.0);
        let is_down =
            |slot: &&KeptProgram| matches!(*slot.handle.standing.borrow(), Readiness::Down(_));
        let down = slots.iter().filter(is_down).map(|slot| &slot.program);
        let down: Vec<&SideProgram> = down.collect();
        let mut text = match failed {
            [(program, why)] => {
                format!("program `{program}` does not serve the new version: {why}")
            }
            several => {
                let programs = names(several.iter().map(|(program, _)| program));
                let why = several.first().map_or("", |(_, why)| why);
                format!("programs {programs} do not serve the new version; the first: {why}")
            }
        };
        for (what, programs) in [
            ("serving the new version already", renewed.iter().collect()),
            ("not running, and tried again", down),
        ] {
            if !programs.is_empty() {
                let _ = write!(text, "\n = note: {what}: {}", names(programs.into_iter()));
            }
        }
        anyhow!(text)
    }

    /// The places of those that are not to go on.
    fn surplus(&self, programs: &[SideProgram], environment: &EnvironmentChanges) -> Vec<usize> {
        let mut wanted: Vec<&SideProgram> = programs.iter().collect();
        let slots = lock(&self.0);
        let is_surplus = |slot: &KeptProgram| {
            let place = wanted.iter().position(|one| slot.is(one, environment));
            place.map(|place| wanted.swap_remove(place)).is_none()
        };
        let surplus: Vec<bool> = slots.iter().map(is_surplus).collect();
        (0..slots.len()).filter(|place| surplus[*place]).collect()
    }

    /// Tells all but those at some places to reload.
    async fn reload(&self, leaving: &[usize]) -> ReloadAnswers {
        let mut told = Vec::new();
        for (place, slot) in lock(&self.0).iter().enumerate() {
            if !leaving.contains(&place) {
                let (asker, answer) = oneshot::channel();
                // It is there for as long as its slot is.
                let _ = slot.handle.reloads.send(asker);
                told.push((place, slot.program.clone(), answer));
            }
        }
        let mut asked = ReloadAnswers::default();
        for (place, program, answer) in told {
            match answer.await {
                Ok(Reloaded::Goes) | Err(_) => {}
                Ok(Reloaded::IsNew) => asked.renewed.push(program),
                Ok(Reloaded::IsOld) => asked.stale.push(place),
                Ok(Reloaded::Failed(why)) => asked.failed.push((program, why)),
            }
        }
        asked
    }

    /// Ends some, and takes them out when nothing of them runs. Till then they are known, and end with all others.
    async fn end(
        &self,
        within: Duration,
        which: impl Fn(usize, &KeptProgram) -> bool,
    ) -> Vec<KeptProgram> {
        let deadline = Instant::now() + within;
        let (mut places, mut standings) = (Vec::new(), Vec::new());
        for (place, slot) in lock(&self.0).iter().enumerate() {
            if which(place, slot) {
                slot.end(deadline);
                places.push(place);
                standings.push(slot.handle.standing.clone());
            }
        }
        for mut standing in standings {
            // What keeps it running says no more when it is gone.
            while standing.changed().await.is_ok() {}
        }
        self.take(|place, _| places.contains(&place))
    }

    /// Takes some out.
    fn take(&self, which: impl Fn(usize, &KeptProgram) -> bool) -> Vec<KeptProgram> {
        let mut slots = lock(&self.0);
        let (taken, left): (Vec<_>, Vec<_>) = std::mem::take(&mut *slots)
            .into_iter()
            .enumerate()
            .partition(|(place, slot)| which(*place, slot));
        *slots = left.into_iter().map(|(_, slot)| slot).collect();
        taken.into_iter().map(|(_, slot)| slot).collect()
    }

    /// Starts those that are missing, and has all stand in this order; gives those that were started.
    fn fill(&self, programs: &[SideProgram], environment: &EnvironmentChanges) -> Vec<Coming> {
        let mut slots = lock(&self.0);
        let mut there = std::mem::take(&mut *slots);
        let mut coming = Vec::new();
        for program in programs {
            let place = there.iter().position(|slot| slot.is(program, environment));
            let slot = match place {
                Some(place) => there.remove(place),
                None => {
                    let slot = KeptProgram::start(program, environment);
                    coming.push(slot.coming());
                    slot
                }
            };
            slots.push(slot);
        }
        coming
    }

    /// The state of each program.
    #[must_use]
    pub fn status(&self) -> Vec<ProgramStatus> {
        let slots = lock(&self.0);
        slots.iter().map(KeptProgram::status).collect()
    }

    /// Ends them: SIGTERM to their process groups, SIGKILL to what is left of these after the time `within`. The
    /// future returns when nothing of them runs; dropped, it kills them.
    pub fn stop(&self, within: Duration) -> impl Future<Output = ()> + Send + 'static {
        let mut slots = self.take(|_, _| true);
        async move { stop(&mut slots, within).await }
    }
}

/// Ends some, and returns when nothing of them runs.
async fn stop(slots: &mut [KeptProgram], within: Duration) {
    let deadline = Instant::now() + within;
    for slot in slots.iter() {
        slot.end(deadline);
    }
    for slot in slots {
        if let Err(error) = (&mut slot.task).await {
            crate::log!("what kept `{}` running failed: {error}", slot.program);
        }
    }
}

/// Waits until each has come up or has not, and gives those that have not, and why.
async fn failures(coming: &[Coming]) -> Vec<(SideProgram, String)> {
    let mut failed = Vec::new();
    for one in coming {
        let mut standing = one.standing.clone();
        let up = standing.wait_for(|standing| *standing != Readiness::Coming);
        if let Ok(Readiness::Down(why)) = up.await.as_deref() {
            failed.push((one.program.clone(), why.clone()));
        }
    }
    failed
}

fn names<'a>(programs: impl Iterator<Item = &'a SideProgram>) -> String {
    let names: Vec<String> = programs.map(|program| format!("`{program}`")).collect();
    names.join(", ")
}
