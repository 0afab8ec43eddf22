//! A command that has to end well before an application starts, such as a migration of its database.

use std::io;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::process::Signal;
use tokio::signal::unix::{Signal as SignalStream, SignalKind, signal};
use tokio::time::sleep_until;

use super::group::{LAST_MOMENTS, ProcessGroup};
use super::side_program::{EnvironmentChanges, SideProgram};
use crate::children;

/// How long "for ever" is.
const FOR_EVER: Duration = Duration::from_secs(100 * 365 * 86_400);

/// A command that has to end well before an application starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StartCommand {
    /// The program with its arguments.
    pub program: SideProgram,
    /// The setting with its place, for messages.
    pub place: String,
}

impl StartCommand {
    /// Runs it in a process group of its own, of which nothing is left in the end. What it writes goes to the log. Dropped,
    /// the future kills it.
    ///
    /// # Errors
    /// It cannot be run, fails, or does not end within the time limit.
    pub async fn run(
        &self,
        environment: &EnvironmentChanges,
        limit: Option<Duration>,
    ) -> anyhow::Result<()> {
        let shown = format!("`{}` ({})", self.program, self.place);
        let mut ends = signal(SignalKind::child()).context("cannot receive SIGCHLD")?;
        let begun = Instant::now();
        let mut group = self
            .start(environment)
            .with_context(|| format!("cannot run {shown}"))?;
        if !end(&group, &mut ends, begun + limit.unwrap_or(FOR_EVER)).await {
            group.signal(Signal::TERM);
            end(&group, &mut ends, Instant::now() + LAST_MOMENTS).await;
            // Its end is waited for when the group is dropped.
            drop(group);
            let seconds = limit.unwrap_or_default().as_secs_f64();
            bail!("{shown} did not end within {seconds} s (runner.start_timeout)");
        }
        let status = group.reap().context("cannot wait for a program")?;
        match status.success() {
            true => {
                let seconds = begun.elapsed().as_secs_f64();
                crate::log!("`{}` has ended in {seconds:.2} s", self.program);
                Ok(())
            }
            false => bail!("{shown} {}", children::cause(status)),
        }
    }

    fn start(&self, environment: &EnvironmentChanges) -> io::Result<ProcessGroup> {
        let mut command = self.program.command(environment)?;
        let (child, awaited) = children::start(|| command.spawn(), |child| Some(child.id()))?;
        Ok(ProcessGroup::new(child, awaited))
    }
}

/// Waits until the leader of a group has ended, for this long at most. Returns whether it has.
async fn end(group: &ProcessGroup, ends: &mut SignalStream, until: Instant) -> bool {
    loop {
        if group.has_ended() {
            return true;
        }
        tokio::select! {
            _ = ends.recv() => {}
            () = sleep_until(until.into()) => return group.has_ended(),
        }
    }
}
