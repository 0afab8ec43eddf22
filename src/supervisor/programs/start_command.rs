//! A command that has to end well before an application starts, such as a migration of its database.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::Signal;
use scopeguard::ScopeGuard;
use tokio::signal::unix::{Signal as SignalStream, SignalKind, signal};
use tokio::time::{sleep_until, timeout};

use super::group::{LAST_MOMENTS, ProcessGroup, guard_all};
use super::side_program::{EnvironmentChanges, SideProgram};
use crate::children;
use crate::log::{self, ProgramOutput};

/// How long to wait for the last output of a command that has ended.
const LAST_WORDS: Duration = Duration::from_millis(100);

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
    /// Runs it in a process group of its own. Each line that it writes becomes one of the log. What is left of it when it has
    /// ended well, such as a daemon, goes on until the server ends; otherwise nothing is left. Where the future is dropped, the
    /// server is being stopped: the command is told to end, and gets the time of all that is left.
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
        guard_all();
        let (group, mut output) = self
            .start(environment)
            .with_context(|| format!("cannot run {shown}"))?;
        let group = scopeguard::guard(group, |group| {
            crate::log!("{shown} is told to end: the server is being stopped");
            group.abandon();
        });
        let has_ended = end(&group, &mut ends, begun + limit.unwrap_or(FOR_EVER)).await;
        let mut group = ScopeGuard::into_inner(group);
        if !has_ended {
            group.signal(Signal::TERM);
            if !end(&group, &mut ends, Instant::now() + LAST_MOMENTS).await {
                group.signal(Signal::KILL);
                end(&group, &mut ends, Instant::now() + LAST_MOMENTS).await;
            }
            // A process that the system does not let go is no reason to wait for ever.
            if group.has_ended() {
                let _ = group.reap();
                group.end_sessions().await;
            }
            let seconds = limit.unwrap_or_default().as_secs_f64();
            let last = last_output(&mut output).await;
            bail!("{shown} did not end within {seconds} s (runner.start_timeout){last}");
        }
        let status = children::status_of_ended(group.id());
        let waited = match status.is_some_and(|status| status.success()) {
            true => group.leave(),
            false => group.reap(),
        };
        let status = waited.context("cannot wait for a program")?;
        let last = last_output(&mut output).await;
        if status.success() {
            let seconds = begun.elapsed().as_secs_f64();
            crate::log!("`{}` has ended in {seconds:.2} s", self.program);
            return Ok(());
        }
        group.end_sessions().await;
        bail!("{shown} {}{last}", children::cause(status))
    }

    /// Starts it, and has lines of the log made of what it writes.
    fn start(
        &self,
        environment: &EnvironmentChanges,
    ) -> anyhow::Result<(ProcessGroup, ProgramOutput)> {
        let mut command = self.program.command(environment)?;
        let (pipe, output) = pipe_with(PipeFlags::CLOEXEC).context("cannot make a pipe")?;
        command
            .stdout(output.try_clone().context("cannot duplicate a pipe")?)
            .stderr(output);
        let group = ProcessGroup::start(command)?;
        let name = Path::new(&self.program.program).file_name();
        let name = name.unwrap_or_default().to_string_lossy();
        let output = log::follow_program(pipe, (&name, group.id().cast_signed()), None);
        Ok((group, output.context("cannot start a thread")?))
    }
}

/// What it wrote last, as the end of a message.
async fn last_output(output: &mut ProgramOutput) -> String {
    // What it has left in the background may keep the pipe open.
    let _ = timeout(LAST_WORDS, output.ended()).await;
    match &*output.last_lines() {
        [] => String::new(),
        lines => format!("; its last output:\n  {}", lines.join("\n  ")),
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
