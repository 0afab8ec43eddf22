//! The process of a CGI program: started in a process group of its own. It is ended with all that it has started, unless it
//! ends by itself.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::StatusCode;
use rustix::io::Errno;
use rustix::process::Signal;
use tokio::net::unix::pipe::Receiver;
use tokio::time::{sleep, timeout};

use crate::cgi_host::cgi_script::CgiScript;
use crate::cgi_host::script_environment::ScriptEnvironment;
use crate::children::left_behind::LeftBehind;
use crate::children::mark::Mark;
use crate::children::{self, Awaited, EndOfChild};
use crate::interface::RequestBody;
use crate::interface::body_file::{BodyFile, on_disk};

/// How often, and after which pauses, a program is started anew that is open for writing: whoever has written it is about to
/// close it.
const TRIES: u32 = 50;
const PAUSE: Duration = Duration::from_millis(20);

/// How long a process that was killed may take to end. One that a disk keeps from ending is given up.
const LAST_MOMENTS: Duration = Duration::from_secs(5);

/// What a process is started with.
#[derive(Debug)]
struct StartOrder {
    script: CgiScript,
    environment: ScriptEnvironment,
    /// Its standard input; `None` if there is no body.
    body: Option<OwnedFd>,
    /// The processes that it starts are known by this.
    mark: String,
}

/// Why no process was started.
#[derive(Debug)]
pub(super) struct NotStarted {
    /// For the client.
    pub(super) status: StatusCode,
    /// For the log.
    pub(super) reason: String,
}

/// A process that was started, and what it writes.
#[derive(Debug)]
pub(super) struct StartedScript {
    pub(super) process: ScriptProcess,
    pub(super) stdout: Receiver,
    pub(super) stderr: Receiver,
}

/// The process that leads its group. Dropped, it is killed with its group.
#[derive(Debug)]
pub(super) struct ScriptProcess {
    child: Child,
    mark: String,
    end: EndOfChild,
    /// It was waited for: its number may be that of another process and group.
    is_reaped: bool,
    _awaited: Option<Awaited>,
}

/// Starts the program of a request, with its body as standard input: a large one is the file that it was received in.
///
/// # Errors
/// [`NotStarted`].
pub(super) async fn start(
    script: &CgiScript,
    environment: ScriptEnvironment,
    body: RequestBody,
    mark: String,
) -> Result<StartedScript, NotStarted> {
    let body = input(body).await.map_err(|error| NotStarted::of(&error))?;
    let order = Arc::new(StartOrder {
        script: script.clone(),
        environment,
        body,
        mark,
    });
    let mut tries = 0;
    let (mut child, awaited) = loop {
        let order = Arc::clone(&order);
        match on_disk(move || order.spawn()).await {
            Ok(started) => break started,
            Err(error) if is_busy(&error) && tries < TRIES => {
                tries += 1;
                sleep(PAUSE).await;
            }
            Err(error) => return Err(NotStarted::of(&error)),
        }
    };
    let watched = |pipe: Option<OwnedFd>| {
        let pipe = pipe.ok_or(io::Error::from(io::ErrorKind::BrokenPipe));
        pipe.and_then(Receiver::from_owned_fd)
    };
    let stdout = watched(child.stdout.take().map(OwnedFd::from));
    let stderr = watched(child.stderr.take().map(OwnedFd::from));
    let process = ScriptProcess {
        end: EndOfChild::of(child.id()),
        mark: order.mark.clone(),
        child,
        is_reaped: false,
        _awaited: awaited,
    };
    match (stdout, stderr) {
        (Ok(stdout), Ok(stderr)) => Ok(StartedScript {
            process,
            stdout,
            stderr,
        }),
        (Err(error), _) | (_, Err(error)) => {
            process.terminate(Duration::ZERO).await;
            Err(NotStarted::of(&error))
        }
    }
}

/// The descriptor that a program reads a body from.
async fn input(body: RequestBody) -> io::Result<Option<OwnedFd>> {
    let file = match body {
        RequestBody::Empty => return Ok(None),
        RequestBody::Bytes(bytes) => {
            let file = BodyFile::in_memory()?;
            file.write(0, bytes).await?;
            file
        }
        RequestBody::File { file, .. } => file,
    };
    // The offset, which both descriptors share, is at the start.
    file.descriptor()?.try_clone_to_owned().map(Some)
}

impl StartOrder {
    /// Starts the process. Waits until it runs its program. The standard library does so by `posix_spawn(3)`, which copies no
    /// memory, as long as there is nothing here that it cannot do.
    fn spawn(&self) -> io::Result<(Child, Option<Awaited>)> {
        let mut command = match &self.script.interpreter {
            Some(interpreter) => {
                let mut command = Command::new(interpreter);
                command.arg(&self.script.file);
                command
            }
            None => Command::new(&self.script.file),
        };
        let input = match &self.body {
            Some(body) => Stdio::from(body.try_clone()?),
            None => Stdio::null(),
        };
        command
            .env_clear()
            .envs(&self.environment)
            .env(Mark::VARIABLE, &self.mark)
            .stdin(input)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        // RFC 3875 §7.2.
        if let Some(folder) = self.script.file.parent() {
            command.current_dir(folder);
        }
        children::start(|| command.spawn(), |child| Some(child.id()))
    }
}

fn is_busy(error: &io::Error) -> bool {
    Errno::from_io_error(error) == Some(Errno::TXTBSY)
}

impl NotStarted {
    fn of(error: &io::Error) -> Self {
        let (status, hint) = match Errno::from_io_error(error) {
            Some(Errno::ACCESS | Errno::PERM) => (
                StatusCode::FORBIDDEN,
                " (it or its interpreter is not executable)",
            ),
            Some(Errno::NOENT) => (
                StatusCode::INTERNAL_SERVER_ERROR,
                " (it or the interpreter in its `#!` line is not there)",
            ),
            Some(Errno::NOEXEC) => (
                StatusCode::INTERNAL_SERVER_ERROR,
                " (it is no program, and has no `#!` line)",
            ),
            Some(Errno::TOOBIG) => (
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
                " (the header fields of the request)",
            ),
            Some(Errno::MFILE | Errno::NFILE | Errno::AGAIN | Errno::NOMEM | Errno::TXTBSY) => {
                (StatusCode::SERVICE_UNAVAILABLE, "")
            }
            _ => (StatusCode::INTERNAL_SERVER_ERROR, ""),
        };
        Self {
            status,
            reason: format!("cannot be run: {error}{hint}"),
        }
    }
}

impl ScriptProcess {
    /// Its number.
    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it has ended.
    pub(super) async fn ended(&self) {
        self.end.come().await;
    }

    /// Its status, after its end.
    pub(super) fn status(&self) -> Option<ExitStatus> {
        children::status_of_ended(self.id())
    }

    fn signal(&self, signal: Signal) {
        if !self.is_reaped {
            children::signal_group(self.id(), signal);
        }
    }

    /// Ends it: first by SIGTERM, after the `grace` by SIGKILL. What it has started ends with it, in sessions of their own, too.
    pub(super) async fn terminate(mut self, grace: Duration) {
        let (pid, mark) = (self.child.id().cast_signed(), self.mark.clone());
        self.signal(Signal::TERM);
        if timeout(grace, self.ended()).await.is_err() {
            self.signal(Signal::KILL);
            // If this runs out, it ends when the system lets it, already killed.
            let _ = timeout(LAST_MOMENTS, self.ended()).await;
        }
        // Before it is waited for, since its number may be another group's then.
        self.signal(Signal::KILL);
        self.reap();
        let mut left_behind = LeftBehind::default();
        left_behind.by(pid, Some(mark), Instant::now());
        left_behind.ended().await;
    }

    /// Waits for it after its end, and leaves alone what it has started. The number of its group.
    pub(super) fn leave(mut self) -> u32 {
        self.reap();
        self.id()
    }

    /// Waits for it after its end.
    fn reap(&mut self) {
        // An error means that somebody else has waited for it.
        self.is_reaped = !matches!(self.child.try_wait(), Ok(None));
    }
}

impl Drop for ScriptProcess {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}
