//! A newer program in our place: when the file that this process was started from has been replaced, the new one is
//! started as a child, gets our listening sockets, and says when it serves.
//!
//! The two speak over a pair of sockets, whose other end the child finds through [`VARIABLE`]. We send the
//! sockets, as in a handover over the control socket; it answers [`READY`], or why it cannot serve.
//!
//! Where we stay, for somebody who waits for our end and signals us, and the child is succeeded in its turn, it need
//! not stay as well: it sends us its end of the link to its own child, whose parent we become (`PR_SET_CHILD_SUBREAPER`),
//! and leaves when we have closed the link to itself. Till then it passes on to the new one what we signal.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::io::Write;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};
use rustix::process::Signal;
use tokio::io::{AsyncReadExt, Interest};
use tokio::net::UnixStream;
use tokio::runtime::Handle;
use tokio::signal::unix::{Signal as Stream, SignalKind, signal};

use crate::children::{self, Process};
use crate::supervisor::control::order::{Answer, Handover, decode, encode};
use crate::supervisor::file_version::FileVersion;
use crate::supervisor::notify::WATCHDOG_PID;
use crate::supervisor::programs::parent_link;
use crate::unix;

/// Tells a child that it is to take our place: the number of its end of the link, and, so that nobody else
/// takes it for his, our process id. Not for users.
pub const VARIABLE: &str = "RUNNER_SUCCESSOR";

/// What a child says that serves. Anything else is why it does not.
const READY: &[u8] = b"ready\n";

/// The longest explanation, in bytes.
const LONGEST: usize = 64 * 1024;

/// The file that this process was started from.
#[derive(Debug)]
pub struct Executable {
    path: PathBuf,
    version: FileVersion,
}

impl Executable {
    /// That of this process, as it is now: to be called early. `None` where the system does not tell.
    #[must_use]
    pub fn of_this_process() -> Option<Self> {
        let path = std::env::current_exe().ok()?;
        let version = FileVersion::at(&path).ok()?;
        Some(Self { path, version })
    }

    /// The file that is in its place now; `None` if it is the same, or there is none.
    #[must_use]
    pub fn replacement(&self) -> Option<&Path> {
        let now = FileVersion::at(&self.path).ok()?;
        (now != self.version).then_some(&*self.path)
    }
}

/// A child that is to take our place, and whoever takes its own. Dropped, it is ended, unless it has taken our place.
#[derive(Debug)]
pub struct Successor {
    /// Those of them that are left, oldest first. The last one serves.
    line: VecDeque<Process>,
    /// How the last of them ended that is gone.
    status: Option<ExitStatus>,
    children: Stream,
    /// To the last one; `None` when it has no more to say to us.
    link: Option<UnixStream>,
    /// What it has said so far.
    said: Vec<u8>,
    has_taken_over: bool,
    /// Until then.
    deadline: Option<Instant>,
}

impl Successor {
    /// Starts a program with the arguments of this process, and gives it our sockets and our service manager. Its
    /// application has so long to start. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// It cannot be run.
    pub fn start(
        program: &Path,
        handover: Handover,
        limit: Option<Duration>,
    ) -> anyhow::Result<Self> {
        let context = || format!("cannot run `{}`", program.display());
        let children = signal(SignalKind::child()).with_context(context)?;
        let (ours, theirs) = StdUnixStream::pair().with_context(context)?;
        send(&ours, handover).with_context(context)?;
        // Not closed on exec, for the moment that it takes to start the child.
        let inherited = rustix::io::dup(&theirs).with_context(context)?;
        let mut arguments = std::env::args_os();
        let mut command = Command::new(program);
        if let Some(name) = arguments.next() {
            command.arg0(name);
        }
        command
            .args(arguments)
            .env(VARIABLE, variable(&inherited))
            // It is meant for whoever is the main process.
            .env_remove(WATCHDOG_PID)
            // What a terminal sends to us reaches it through us, and once.
            .process_group(0);
        parent_link::pass_on(&mut command);
        let spawn = || command.spawn();
        let number = |child: &Child| Some(child.id());
        let (child, _awaited) = children::start(spawn, number).with_context(context)?;
        drop((inherited, theirs));
        let pid = i32::try_from(child.id()).ok();
        let process = pid.and_then(Process::new).with_context(context)?;
        ours.set_nonblocking(true).with_context(context)?;
        Ok(Self {
            line: VecDeque::from([process]),
            status: None,
            children,
            link: Some(UnixStream::from_std(ours).with_context(context)?),
            said: Vec::new(),
            has_taken_over: false,
            deadline: limit.map(|limit| Instant::now() + limit + LEEWAY),
        })
    }

    /// The process id of the one that serves; `None` if nobody is left.
    #[must_use]
    pub fn id(&self) -> Option<i32> {
        self.line.back().map(Process::id)
    }

    /// Waits until it serves. Nothing is lost if the future is dropped.
    ///
    /// # Errors
    /// Why it does not, in its own words where it has some.
    pub async fn ready(&mut self) -> anyhow::Result<()> {
        let deadline = self.deadline;
        let late = async {
            match deadline {
                Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::pin!(late);
        while let Some(link) = &mut self.link {
            let read = tokio::select! {
                read = link.read_buf(&mut self.said) => read,
                () = &mut late => bail!("the new program did not start in time"),
            };
            // What breaks off is an end, too.
            if !matches!(read, Ok(1..)) {
                break;
            }
            if self.said == READY {
                self.said.clear();
                return Ok(());
            }
            if self.said.len() >= LONGEST {
                break;
            }
        }
        if !self.said.is_empty() {
            let text = String::from_utf8_lossy(&self.said).trim_end().to_owned();
            bail!(text);
        }
        // Who says nothing is about to end, or is no program of this kind.
        self.link = None;
        let ended = tokio::time::timeout(LAST_MOMENTS, self.ended()).await;
        match ended {
            Ok(Some(status)) => bail!("the new program ended without serving ({status})"),
            Ok(None) | Err(_) => bail!("the new program does not say whether it serves"),
        }
    }

    /// It serves: from here on, it lives as long as it likes.
    pub fn release(&mut self) {
        self.has_taken_over = true;
    }

    /// Passes a signal on to the one that serves. That it has ended already is no error.
    pub fn signal(&self, signal: Signal) {
        if let Some(process) = self.line.back() {
            process.signal(signal);
        }
    }

    /// Waits until it has ended, and whoever has taken its place in turn, and says how the last one did; `None` if the
    /// system does not tell. Nothing is lost if the future is dropped.
    pub async fn ended(&mut self) -> Option<ExitStatus> {
        loop {
            while let Some(first) = self.line.front() {
                match first.reap() {
                    Ok(None) => break,
                    Ok(Some(status)) => self.status = Some(ExitStatus::from_raw(status)),
                    // The one before it was still its parent, and has ended as it did.
                    Err(_) => {}
                }
                self.line.pop_front();
            }
            if self.line.is_empty() {
                return self.status;
            }
            tokio::select! {
                _ = self.children.recv() => children::bury_orphans(),
                heir = heir(self.link.as_ref(), &mut self.said) => self.follow(heir),
            }
        }
    }

    /// The last one has said who has taken its place, or has gone away.
    fn follow(&mut self, heir: Option<(Process, UnixStream)>) {
        self.said.clear();
        // It is to leave to us what it leaves behind.
        children::adopt_orphans();
        self.link = heir.map(|(process, link)| {
            self.line.push_back(process);
            link
        });
    }

    /// Has the process that has started this one, and stands in for it, stand in for our successor instead: the future
    /// returns when it does. `None` if there is no such process.
    #[must_use]
    pub fn offer(&mut self) -> Option<impl Future<Output = ()> + use<>> {
        // Elsewhere nobody could wait for what his child has started.
        if !cfg!(target_os = "linux") {
            return None;
        }
        let above = link().take()?.stream;
        let text = format!("{}\n", self.id()?);
        let below = self.link.as_ref()?.as_fd();
        unix::send_descriptors(above.as_fd(), text.as_bytes(), &[below]).ok()?;
        above.set_nonblocking(true).ok()?;
        let above = UnixStream::from_std(above).ok()?;
        self.link = None;
        Some(async move {
            // Nothing is said any more: that is the end.
            let _ = above.readable().await;
        })
    }
}

/// Who has taken the place of the one at the other end, and the link to it; `None` when that one has gone away. Nothing
/// is lost if the future is dropped.
async fn heir(link: Option<&UnixStream>, said: &mut Vec<u8>) -> Option<(Process, UnixStream)> {
    let Some(link) = link else {
        return std::future::pending().await;
    };
    // It says it at once, and says nothing else.
    let mut buffer = [0; 64];
    let received = link.async_io(Interest::READABLE, || {
        unix::receive_descriptors(link.as_fd(), &mut buffer)
    });
    let (count, mut descriptors) = received.await.ok()?;
    said.extend_from_slice(&buffer[..count]);
    let text = std::str::from_utf8(said).ok()?;
    let process = Process::new(text.trim_end().parse().ok()?)?;
    let link = StdUnixStream::from(descriptors.pop()?);
    link.set_nonblocking(true).ok()?;
    Some((process, UnixStream::from_std(link).ok()?))
}

/// What a program takes to start beside its application.
const LEEWAY: Duration = Duration::from_secs(10);

/// How long a child that has closed the link may take to end.
const LAST_MOMENTS: Duration = Duration::from_secs(5);

impl Drop for Successor {
    fn drop(&mut self) {
        if self.has_taken_over {
            return;
        }
        // It may have files to remove.
        self.signal(Signal::TERM);
        let Some(process) = self.line.pop_back() else {
            return;
        };
        if let (Ok(mut children), Ok(runtime)) =
            (signal(SignalKind::child()), Handle::try_current())
        {
            runtime.spawn(async move {
                let gone = async {
                    while let Ok(None) = process.reap() {
                        children.recv().await;
                    }
                };
                tokio::pin!(gone);
                if tokio::time::timeout(LAST_MOMENTS, &mut gone).await.is_err() {
                    process.kill();
                    // Whoever is killed ends.
                    gone.await;
                }
            });
        }
    }
}

/// Sends sockets. They fit the system's buffer, or are too many for it altogether.
fn send(mut link: &StdUnixStream, handover: Handover) -> anyhow::Result<()> {
    let (text, descriptors) = encode(Answer::Sockets(handover));
    let descriptors: Vec<_> = descriptors.iter().map(AsFd::as_fd).collect();
    link.set_nonblocking(true)?;
    let sent = unix::send_descriptors(link.as_fd(), text.as_bytes(), &descriptors)?;
    link.write_all(&text.as_bytes()[sent..])?;
    Ok(())
}

fn variable(link: &OwnedFd) -> OsString {
    format!("{}:{}", link.as_raw_fd(), std::process::id()).into()
}

/// The link to whoever has started us to take its place.
static LINK: Mutex<Option<PredecessorLink>> = Mutex::new(None);

#[derive(Debug)]
struct PredecessorLink {
    stream: StdUnixStream,
    handover: Handover,
    /// It has been told that we serve.
    has_taken_over: bool,
}

fn link() -> MutexGuard<'static, Option<PredecessorLink>> {
    LINK.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Finds out whether this process is to take another one's place. To be called once, before anything else is done:
/// the processes that we start are not to find the same.
pub fn inherit() {
    let Some(value) = unix::take_variable(VARIABLE) else {
        return;
    };
    *link() = value.to_str().and_then(|value| take(value).ok());
}

fn take(value: &str) -> anyhow::Result<PredecessorLink> {
    let stream = StdUnixStream::from(parent_link::inherited(value)?);
    stream.set_read_timeout(Some(LAST_MOMENTS))?;
    let mut text = Vec::new();
    let mut descriptors = Vec::new();
    let mut buffer = [0; 4096];
    while text.last() != Some(&b'\n') {
        let (count, received) = unix::receive_descriptors(stream.as_fd(), &mut buffer)?;
        if count == 0 || text.len() > LONGEST {
            bail!("broken off");
        }
        descriptors.extend(received);
        text.extend_from_slice(&buffer[..count]);
    }
    match decode(&text, descriptors)? {
        Answer::Sockets(handover) => Ok(PredecessorLink {
            stream,
            handover,
            has_taken_over: false,
        }),
        Answer::Done(_) | Answer::Refused(_) => Err(anyhow!("no sockets")),
    }
}

/// Whether this process was started to take another one's place, and has not done so yet.
#[must_use]
pub fn is_expected() -> bool {
    link().as_ref().is_some_and(|link| !link.has_taken_over)
}

/// What the process has whose place we are to take; nothing a second time.
#[must_use]
pub fn handover() -> Handover {
    let mut link = link();
    let handover = link.as_mut().map(|link| std::mem::take(&mut link.handover));
    handover.unwrap_or_default()
}

/// Says to the process whose place we are to take that we have.
pub fn say_ready() {
    if is_expected()
        && let Some(link) = &mut *link()
    {
        link.has_taken_over = true;
        // If it has ended, there is nobody to tell.
        let _ = link.stream.write_all(READY);
    }
}

/// Says to the process whose place we are to take why we cannot; whether there is one that listens.
#[must_use]
pub fn say_failure(why: &str) -> bool {
    let link = link().take().filter(|link| !link.has_taken_over);
    link.is_some_and(|mut link| link.stream.write_all(why.as_bytes()).is_ok())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{Executable, FileVersion};

    #[test]
    fn a_program_is_replaced_when_another_file_has_its_name() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("program");
        fs::write(&path, "old").expect("a file");
        let executable = Executable {
            version: FileVersion::at(&path).expect("a file"),
            path: path.clone(),
        };
        assert_eq!(executable.replacement(), None);
        fs::write(folder.path().join("new"), "new").expect("a file");
        fs::rename(folder.path().join("new"), &path).expect("the same folder");
        assert_eq!(executable.replacement(), Some(&*path));
        // Being removed is no reason to run what is not there.
        fs::remove_file(&path).expect("a file");
        assert_eq!(executable.replacement(), None);
    }
}
