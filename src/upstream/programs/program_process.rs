//! One process of a program, and all that it starts: they are a process group.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Arc, Weak};

use anyhow::{Context, anyhow};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Resource, Signal};

use crate::children::mark::Mark;
use crate::children::{self, Process};
use crate::log::{self, ProgramOutput};
use crate::upstream::programs::program_address::{variables, with_address};
use crate::upstream::programs::program_settings::{ProgramListens, ProgramOptions};
use crate::upstream::server_address::ServerAddress;
use crate::workers::options::Resources;
use crate::{descriptor_limit, permission, unix};

/// The time between SIGXCPU and SIGKILL where the processor time is used up, in seconds, as for workers in Python.
const CPU_GRACE: u64 = 5;

/// After how many requests `php-cgi` ends, 500 without it. Requests wait then until the next one has started: instead,
/// `runner.workers.max_requests` says when processes are replaced, whose successors start before they end.
const PHP_MAX_REQUESTS: &str = "PHP_FCGI_MAX_REQUESTS";

/// A process that was started, and leads a group. Dropped, the group is killed.
#[derive(Debug)]
pub(super) struct ProgramProcess {
    process: Arc<Process>,
    /// Whether it has been waited for. Until then, its number is not given to another process or group.
    reaped: bool,
    pub(super) output: ProgramOutput,
}

impl ProgramProcess {
    /// Starts one in a folder that is to listen at an address; the socket, if there is one, is its standard input. The processes that it
    /// starts are known by the mark.
    ///
    /// # Errors
    /// It cannot be run.
    pub(super) fn start(
        options: &ProgramOptions,
        folder: BorrowedFd<'_>,
        address: &ServerAddress,
        socket: Option<OwnedFd>,
        mark: &str,
    ) -> anyhow::Result<Self> {
        let words = &options.program.command;
        let (pipe, output) = pipe_with(PipeFlags::CLOEXEC).context("cannot make a pipe")?;
        let mut command = Command::new(&words.program);
        let arguments = words.arguments.iter();
        if options.listens() == ProgramListens::StandardInput
            && std::env::var_os(PHP_MAX_REQUESTS).is_none()
        {
            command.env(PHP_MAX_REQUESTS, "0");
        }
        command.args(arguments.map(|word| with_address(word, address)));
        if let Some(path) = words.path.value() {
            command.env("PATH", path);
        }
        for (name, value) in &options.processes.environment {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command
            .env("PWD", options.folder())
            .envs(variables(address))
            .env(Mark::VARIABLE, mark)
            .stdin(socket.map_or_else(Stdio::null, Stdio::from))
            .stdout(output.try_clone().context("cannot duplicate a pipe")?)
            .stderr(output);
        unix::lead_group(&mut command, descriptor_limit::at_start());
        unix::limit_resources(&mut command, system_limits(&options.processes.resources));
        unix::begin_in(&mut command, folder).context("cannot hold a folder")?;
        let started = children::start(|| command.spawn(), |child| Some(child.id()));
        // What the command holds of the pipe would keep it open.
        drop(command);
        let (child, _awaited) = started.map_err(|error| not_run(options, error))?;
        let process = i32::try_from(child.id()).ok().and_then(Process::new);
        let process = process.context("the system gives no number to a process")?;
        let application = options.processes.application.clone();
        let output = log::follow_program(pipe, (&words.name(), process.id()), application);
        let output = output.inspect_err(|_| {
            children::signal_group(child.id(), Signal::KILL);
        });
        Ok(Self {
            process: Arc::new(process),
            reaped: false,
            output: output.context("cannot start a thread")?,
        })
    }

    pub(super) fn pid(&self) -> i32 {
        self.process.id()
    }

    /// By which others see that it has ended.
    pub(super) fn watched(&self) -> Weak<Process> {
        Arc::downgrade(&self.process)
    }

    /// How it ended, if it has. The other processes of its group may still run.
    pub(super) fn ended(&mut self) -> Option<ExitStatus> {
        let status = self.process.reap();
        match status {
            Ok(status) => {
                self.reaped |= status.is_some();
                status.map(ExitStatus::from_raw)
            }
            // Something else has waited for it; how it ended is not known.
            Err(_) if self.process.has_ended() => {
                self.reaped = true;
                Some(ExitStatus::from_raw(0))
            }
            Err(_) => None,
        }
    }

    /// Tells all processes of the group to end.
    pub(super) fn terminate(&self) {
        self.signal(Signal::TERM);
        // A stopped process does not see the signal before it continues.
        self.signal(Signal::CONT);
    }

    /// Kills all processes of the group.
    pub(super) fn kill(&self) {
        self.signal(Signal::KILL);
    }

    fn signal(&self, signal: Signal) {
        if let (false, Ok(leader)) = (self.reaped, u32::try_from(self.pid())) {
            children::signal_group(leader, signal);
        }
    }
}

impl Drop for ProgramProcess {
    /// However runner ends, no process of the group stays behind.
    fn drop(&mut self) {
        self.kill();
    }
}

/// The error of a program that cannot be run.
fn not_run(options: &ProgramOptions, error: io::Error) -> anyhow::Error {
    let words = &options.program.command;
    match words.file() {
        Some(file) => permission::cannot_run(&format!("`{words}`"), &file, error),
        None => anyhow!("cannot run `{words}`: it is not found in `PATH`"),
    }
}

/// The limits of a process: what is limited, and the lower and the upper limit.
fn system_limits(resources: &Resources) -> Vec<(Resource, u64, u64)> {
    let cpu = resources.cpu.map(|time| {
        let seconds = time.as_secs() + u64::from(time.subsec_nanos() > 0);
        (Resource::Cpu, seconds, seconds + CPU_GRACE)
    });
    [
        (Resource::As, resources.memory),
        (Resource::Nofile, resources.files),
        (Resource::Nproc, resources.processes),
        (Resource::Core, resources.core),
    ]
    .into_iter()
    .filter_map(|(resource, limit)| Some((resource, limit?, limit?)))
    .chain(cpu)
    .collect()
}
