//! Programs that are kept running beside the application. A reload has those that are `runner` reload, too, restarts others
//! if they have changed, and leaves the rest alone.

use std::fmt::Write;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::anyhow;
use tokio::sync::{oneshot, watch};
use tokio_util::task::AbortOnDropHandle;

use self::keeper::{Condition, Health, Keeper, KeeperHandle, ProgramState, Reloaded};
use self::side_program::{EnvironmentChanges, SideProgram};
use crate::interface::master_status::{ProgramStatus, seconds};

mod child_link;
pub mod group;
pub mod keeper;
pub mod parent_link;
mod program_version;
pub mod side_program;
pub mod start_command;

/// Programs that are kept running; clones stand for the same ones. When the last clone is dropped, they are killed;
/// [`Programs::stop`] ends them gracefully.
#[derive(Clone, Debug, Default)]
pub struct Programs(Arc<Mutex<Vec<KeptProgram>>>);

/// One program.
#[derive(Debug)]
struct KeptProgram {
    program: SideProgram,
    environment: EnvironmentChanges,
    handle: KeeperHandle,
    task: AbortOnDropHandle<()>,
}

/// A program that was started for a reload.
struct NewProgram {
    program: SideProgram,
    environment: EnvironmentChanges,
    condition: watch::Receiver<Condition>,
}

/// The results of a reload.
#[derive(Default)]
struct ReloadResults {
    renewed: Vec<SideProgram>,
    /// The places of those that must be restarted.
    outdated: Vec<usize>,
    failed: Vec<(SideProgram, String)>,
}

impl KeptProgram {
    /// Keeps a program running from now on. With `patience`, it replaces one that another master keeps running, which has
    /// this long to end.
    fn start(
        program: &SideProgram,
        environment: &EnvironmentChanges,
        patience: Option<Duration>,
    ) -> Self {
        let (keeper, handle) = Keeper::new(program.clone(), environment.clone(), patience);
        Self {
            program: program.clone(),
            environment: environment.clone(),
            handle,
            task: AbortOnDropHandle::new(tokio::spawn(keeper.keep())),
        }
    }

    /// Ends it: SIGTERM to its process group, SIGKILL to what is left at the deadline.
    fn end(&self, deadline: Instant) {
        self.handle.end.send_replace(Some(deadline));
    }

    fn as_new(&self) -> NewProgram {
        NewProgram {
            program: self.program.clone(),
            environment: self.environment.clone(),
            condition: self.handle.condition.clone(),
        }
    }

    fn is(&self, program: &SideProgram, environment: &EnvironmentChanges) -> bool {
        self.program == *program && self.environment == *environment
    }

    fn status(&self) -> ProgramStatus {
        let condition = self.handle.condition.borrow();
        let (state, pid, age, wait, early_ends) = match condition.state {
            ProgramState::Starting => ("starting", None, None, None, 0),
            ProgramState::Running { pid, since } => {
                ("running", Some(pid), Some(since.elapsed()), None, 0)
            }
            ProgramState::Waiting { until, early_ends } => {
                let wait = until.saturating_duration_since(Instant::now());
                ("waiting", None, None, Some(wait), early_ends)
            }
        };
        ProgramStatus {
            command: self.program.to_string(),
            pid,
            state: state.to_owned(),
            age: age.map(seconds),
            wait: wait.map(seconds),
            early_ends,
            down: match &condition.health {
                Health::Down(why) => Some(why.clone()),
                Health::Unknown | Health::Up => None,
            },
        }
    }
}

impl Programs {
    /// Keeps programs running from now on. With `patience`, they replace those that another master keeps running, which
    /// have this long to end. Must be called within a tokio runtime.
    #[must_use]
    pub fn start(
        programs: &[SideProgram],
        environment: &EnvironmentChanges,
        patience: Option<Duration>,
    ) -> Self {
        let start = |one| KeptProgram::start(one, environment, patience);
        let programs = programs.iter().map(start);
        Self(Arc::new(Mutex::new(programs.collect())))
    }

    fn lock(&self) -> MutexGuard<'_, Vec<KeptProgram>> {
        // After a panic elsewhere, the list is still the best that there is.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes which programs are kept running. A program that is a `runner` reloads. Another one is left alone, unless its
    /// words, environment, files or folder have changed: it is ended, within the time `within`, and its replacement is
    /// started. A program that does not run is started at once. Returns when all have reloaded or are up.
    ///
    /// # Errors
    /// Which programs do not serve the new version, and why. A program that was ended because its words or environment have
    /// changed is started again. One that has reloaded, or was restarted because its files or folder have changed, stays as
    /// it is now; the error mentions it.
    pub async fn change(
        &self,
        programs: &[SideProgram],
        environment: &EnvironmentChanges,
        within: Duration,
    ) -> anyhow::Result<()> {
        let mut leaving = self.surplus(programs, environment);
        let results = self.reload(&leaving).await;
        if !results.failed.is_empty() {
            return Err(self.failure(&results.failed, &results.renewed));
        }
        leaving.extend(results.outdated);
        let old = self.end(within, |place, _| leaving.contains(&place)).await;
        let new = self.fill(programs, environment);
        let failed = failures(&new).await;
        if failed.is_empty() {
            return Ok(());
        }
        let mut renewed = results.renewed;
        renewed.extend(self.restore(old, new, within).await);
        Err(self.failure(&failed, &renewed))
    }

    /// Restarts the old programs in place of the new ones. A new program with the words of an old one stays, since a restart
    /// would read the same files; returns those of them that are up.
    async fn restore(
        &self,
        mut old: Vec<KeptProgram>,
        new: Vec<NewProgram>,
        within: Duration,
    ) -> Vec<SideProgram> {
        let (mut unwanted, mut kept) = (Vec::new(), Vec::new());
        for one in new {
            let is_it = |old: &KeptProgram| old.is(&one.program, &one.environment);
            match old.iter().position(is_it) {
                Some(place) => {
                    old.swap_remove(place);
                    if one.condition.borrow().health == Health::Up {
                        kept.push(one.program);
                    }
                }
                None => unwanted.push(one.condition),
            }
        }
        let is_unwanted = |kept: &KeptProgram| {
            let mut unwanted = unwanted.iter();
            unwanted.any(|one| one.same_channel(&kept.handle.condition))
        };
        self.end(within, |_, kept| is_unwanted(kept)).await;
        let again = old
            .iter()
            .map(|old| KeptProgram::start(&old.program, &old.environment, None));
        let again: Vec<KeptProgram> = again.collect();
        let new: Vec<NewProgram> = again.iter().map(KeptProgram::as_new).collect();
        self.lock().extend(again);
        // Those that do not come up are mentioned with all others that are down.
        failures(&new).await;
        kept
    }

    /// The error of a reload that has failed for some programs.
    fn failure(&self, failed: &[(SideProgram, String)], renewed: &[SideProgram]) -> anyhow::Error {
        let programs = self.lock();
        let is_down =
            |kept: &&KeptProgram| matches!(kept.handle.condition.borrow().health, Health::Down(_));
        let down = programs.iter().filter(is_down).map(|kept| &kept.program);
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

    /// The places of programs that are no longer wanted.
    fn surplus(&self, programs: &[SideProgram], environment: &EnvironmentChanges) -> Vec<usize> {
        let mut wanted: Vec<&SideProgram> = programs.iter().collect();
        let mut surplus = Vec::new();
        for (place, kept) in self.lock().iter().enumerate() {
            match wanted.iter().position(|one| kept.is(one, environment)) {
                Some(found) => drop(wanted.swap_remove(found)),
                None => surplus.push(place),
            }
        }
        surplus
    }

    /// Reloads all programs but those at some places.
    async fn reload(&self, leaving: &[usize]) -> ReloadResults {
        let mut begun = Vec::new();
        for (place, kept) in self.lock().iter().enumerate() {
            if !leaving.contains(&place) {
                let (reply, result) = oneshot::channel();
                // The receiver lives as long as the kept program.
                let _ = kept.handle.reloads.send(reply);
                begun.push((place, kept.program.clone(), result));
            }
        }
        let mut results = ReloadResults::default();
        for (place, program, result) in begun {
            match result.await {
                Ok(Reloaded::Unchanged) | Err(_) => {}
                Ok(Reloaded::Renewed) => results.renewed.push(program),
                Ok(Reloaded::Outdated) => results.outdated.push(place),
                Ok(Reloaded::Failed(why)) => results.failed.push((program, why)),
            }
        }
        results
    }

    /// Ends some programs, and takes them out when none of their processes runs. Until then a stop ends them, too.
    async fn end(
        &self,
        within: Duration,
        which: impl Fn(usize, &KeptProgram) -> bool,
    ) -> Vec<KeptProgram> {
        let deadline = Instant::now() + within;
        let (mut places, mut conditions) = (Vec::new(), Vec::new());
        for (place, kept) in self.lock().iter().enumerate() {
            if which(place, kept) {
                kept.end(deadline);
                places.push(place);
                conditions.push(kept.handle.condition.clone());
            }
        }
        for mut condition in conditions {
            // The keeper drops its end when the program has ended.
            while condition.changed().await.is_ok() {}
        }
        let mut place = 0..;
        let is_taken = |_: &mut KeptProgram| place.next().is_some_and(|it| places.contains(&it));
        self.lock().extract_if(.., is_taken).collect()
    }

    /// Starts the programs that are missing, and returns them; all are in the given order then.
    fn fill(&self, programs: &[SideProgram], environment: &EnvironmentChanges) -> Vec<NewProgram> {
        let mut kept = self.lock();
        let mut old = std::mem::take(&mut *kept);
        let mut new = Vec::new();
        for program in programs {
            let place = old.iter().position(|it| it.is(program, environment));
            kept.push(match place {
                Some(place) => old.remove(place),
                None => {
                    let started = KeptProgram::start(program, environment, None);
                    new.push(started.as_new());
                    started
                }
            });
        }
        new
    }

    /// The status of each program.
    #[must_use]
    pub fn status(&self) -> Vec<ProgramStatus> {
        self.lock().iter().map(KeptProgram::status).collect()
    }

    /// Ends them: SIGTERM to their process groups, SIGKILL to what is left after the time `within`. The future returns when
    /// none of their processes runs; dropped, it kills them.
    pub fn stop(&self, within: Duration) -> impl Future<Output = ()> + Send + 'static {
        let mut programs = std::mem::take(&mut *self.lock());
        async move {
            let deadline = Instant::now() + within;
            for kept in &programs {
                kept.end(deadline);
            }
            for kept in &mut programs {
                if let Err(error) = (&mut kept.task).await {
                    crate::log_error!("what kept `{}` running failed: {error}", kept.program);
                }
            }
        }
    }
}

/// Waits until each program is up or down, and returns those that are down, and why.
async fn failures(new: &[NewProgram]) -> Vec<(SideProgram, String)> {
    let mut failed = Vec::new();
    for one in new {
        let mut condition = one.condition.clone();
        let known = condition.wait_for(|it| it.health != Health::Unknown).await;
        if let Ok(condition) = known.as_deref()
            && let Health::Down(why) = &condition.health
        {
            failed.push((one.program.clone(), why.clone()));
        }
    }
    failed
}

fn names<'a>(programs: impl Iterator<Item = &'a SideProgram>) -> String {
    let names: Vec<String> = programs.map(|program| format!("`{program}`")).collect();
    names.join(", ")
}
