//! Programs that are kept running beside what is served. A reload tells those of `runner`'s own to reload, too, starts anew
//! what has changed of others, and leaves alone what has not.

use std::fmt::Write;
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::bail;
use tokio::sync::{oneshot, watch};
use tokio_util::task::AbortOnDropHandle;

use super::keeper::{Environment, Handle, Keeper, Reloaded, Standing, State, lock};
use super::supervision::SideProgram;
use crate::children;

/// Programs that are kept running; clones are the same ones. When the last is dropped, they are killed;
/// [`Programs::stop`] ends them in good order.
#[derive(Clone, Debug, Default)]
pub struct Programs(Arc<Mutex<Vec<Slot>>>);

/// One program.
#[derive(Debug)]
struct Slot {
    program: SideProgram,
    environment: Environment,
    handle: Handle,
    task: AbortOnDropHandle<()>,
}

impl Slot {
    /// Keeps a program running from now on.
    fn start(program: &SideProgram, environment: &Environment) -> Self {
        // What its processes leave behind is ours to wait for.
        children::adopt_orphans();
        let (keeper, handle) = Keeper::new(program.clone(), environment.clone());
        Self {
            program: program.clone(),
            environment: environment.clone(),
            handle,
            task: AbortOnDropHandle::new(tokio::spawn(keeper.keep())),
        }
    }

    /// Ends it: SIGTERM to its process group, SIGKILL to what is left of that at the deadline.
    fn end(&self, deadline: Instant) {
        self.handle.end.send_replace(Some(deadline));
    }

    fn is(&self, program: &SideProgram, environment: &Environment) -> bool {
        self.program == *program && self.environment == *environment
    }
}

impl Programs {
    /// Keeps programs running from now on. Must be called within a tokio runtime.
    #[must_use]
    pub fn start(programs: &[SideProgram], environment: &Environment) -> Self {
        let slots = programs.iter().map(|one| Slot::start(one, environment));
        Self(Arc::new(Mutex::new(slots.collect())))
    }

    /// Has these be kept running from now on. Those of `runner`'s own that run are told to reload; others go on as they
    /// are, unless their words or files have changed: then they are ended, for which they have the time `within`, and
    /// what takes their place is started. Returns when all have reloaded or come up. One that did not run before, and
    /// still does not, harms nobody.
    ///
    /// # Errors
    /// Which of them do not serve the new version, and why. What was told to reload goes on as it is, and what was ended
    /// is started again.
    pub async fn change(
        &self,
        programs: &[SideProgram],
        environment: &Environment,
        within: Duration,
    ) -> anyhow::Result<()> {
        let mut leaving = self.surplus(programs, environment);
        leaving.extend(self.reload(&leaving).await?);
        let old = self.end(within, |place, _| leaving.contains(&place)).await;
        let coming = self.fill(programs, environment);
        let mut failed = Vec::new();
        for (program, standing) in &coming {
            let mut standing = standing.clone();
            let up = standing.wait_for(|standing| *standing != Standing::Coming);
            if let Ok(Standing::Down(why)) = up.await.as_deref() {
                failed.push((program.clone(), why.clone()));
            }
        }
        if failed.is_empty() {
            return Ok(());
        }
        let is_new = |slot: &Slot| coming.iter().any(|(one, _)| slot.is(one, environment));
        self.end(within, |_, slot| is_new(slot)).await;
        for slot in old {
            let again = Slot::start(&slot.program, &slot.environment);
            lock(&self.0).push(again);
        }
        refused(&failed)
    }

    /// The places of those that are not to go on.
    fn surplus(&self, programs: &[SideProgram], environment: &Environment) -> Vec<usize> {
        let mut wanted: Vec<&SideProgram> = programs.iter().collect();
        let slots = lock(&self.0);
        let is_surplus = |slot: &Slot| {
            let place = wanted.iter().position(|one| slot.is(one, environment));
            place.map(|place| wanted.swap_remove(place)).is_none()
        };
        let surplus: Vec<bool> = slots.iter().map(is_surplus).collect();
        (0..slots.len()).filter(|place| surplus[*place]).collect()
    }

    /// Tells all but those at some places to reload, and gives the places of those that cannot, and are not what they would
    /// be if they were started now.
    async fn reload(&self, leaving: &[usize]) -> anyhow::Result<Vec<usize>> {
        let mut asked = Vec::new();
        for (place, slot) in lock(&self.0).iter().enumerate() {
            if !leaving.contains(&place) {
                let (asker, answer) = oneshot::channel();
                // It is there for as long as its slot is.
                let _ = slot.handle.reloads.send(asker);
                asked.push((place, slot.program.clone(), answer));
            }
        }
        let (mut stale, mut failed) = (Vec::new(), Vec::new());
        for (place, program, answer) in asked {
            match answer.await {
                Ok(Reloaded::Goes) | Err(_) => {}
                Ok(Reloaded::IsOld) => stale.push(place),
                Ok(Reloaded::Failed(why)) => failed.push((program, why)),
            }
        }
        refused(&failed).map(|()| stale)
    }

    /// Ends some, and takes them out when nothing of them runs. Till then they are known, and end with all others.
    async fn end(&self, within: Duration, which: impl Fn(usize, &Slot) -> bool) -> Vec<Slot> {
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
    fn take(&self, which: impl Fn(usize, &Slot) -> bool) -> Vec<Slot> {
        let mut slots = lock(&self.0);
        let (taken, left): (Vec<_>, Vec<_>) = std::mem::take(&mut *slots)
            .into_iter()
            .enumerate()
            .partition(|(place, slot)| which(*place, slot));
        *slots = left.into_iter().map(|(_, slot)| slot).collect();
        taken.into_iter().map(|(_, slot)| slot).collect()
    }

    /// Starts those that are missing, and has all stand in this order; gives those that were started.
    fn fill(
        &self,
        programs: &[SideProgram],
        environment: &Environment,
    ) -> Vec<(SideProgram, watch::Receiver<Standing>)> {
        let mut slots = lock(&self.0);
        let mut there = std::mem::take(&mut *slots);
        let mut coming = Vec::new();
        for program in programs {
            let place = there.iter().position(|slot| slot.is(program, environment));
            let slot = match place {
                Some(place) => there.remove(place),
                None => {
                    let slot = Slot::start(program, environment);
                    coming.push((program.clone(), slot.handle.standing.clone()));
                    slot
                }
            };
            slots.push(slot);
        }
        coming
    }

    /// How each of them is, with its command as it could be typed.
    #[must_use]
    pub fn status(&self) -> Vec<(String, State)> {
        let slots = lock(&self.0);
        let status = |slot: &Slot| (slot.program.to_string(), *lock(&slot.handle.state));
        slots.iter().map(status).collect()
    }

    /// Ends them: SIGTERM to their process groups, SIGKILL to what is left of these after the time `within`. The
    /// future returns when nothing of them runs; dropped, it kills them.
    pub fn stop(&self, within: Duration) -> impl Future<Output = ()> + Send + 'static {
        let mut slots = self.take(|_, _| true);
        async move { stop(&mut slots, within).await }
    }
}

/// Ends some, and returns when nothing of them runs.
async fn stop(slots: &mut [Slot], within: Duration) {
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

/// That programs do not serve the new version; nothing if there are none.
fn refused(failed: &[(SideProgram, String)]) -> anyhow::Result<()> {
    let Some(((first, why), others)) = failed.split_first() else {
        return Ok(());
    };
    if others.is_empty() {
        bail!("program `{first}` does not serve the new version: {why}");
    }
    let mut names = format!("`{first}`");
    for (program, _) in others {
        let _ = write!(names, ", `{program}`");
    }
    bail!("programs {names} do not serve the new version; the first: {why}")
}
