//! A newer program in our place: when the file that this process was started from has been replaced, the new one is
//! started as a child, gets our listening sockets, and reports when it serves.
//!
//! The two are connected by a pair of sockets; [`predecessor_link`] is the child's end. We send the sockets, as in a
//! handover over the control socket; the child answers [`READY`], or why it cannot serve.
//!
//! Where this process stays, since another one waits for its end and signals it, its child need not stay as well when it is
//! succeeded in its turn: it sends us its end of the link to its own child, whose parent we become
//! (`PR_SET_CHILD_SUBREAPER`), and leaves when we have closed the link to itself. Till then it passes our signals on.

use std::collections::VecDeque;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::process::Signal;
use tokio::io::{AsyncReadExt, Interest};
use tokio::net::UnixStream;
use tokio::runtime::Handle;
use tokio::signal::unix::{Signal as SignalStream, SignalKind, signal};
use tokio::time::timeout;

use super::predecessor_link::{self, LONGEST, READY};
use crate::children::{self, Process};
use crate::supervisor::control::order::Handover;
use crate::supervisor::file_version::FileVersion;
use crate::supervisor::notify::WATCHDOG_PID;
use crate::supervisor::programs::parent_link;
use crate::unix;

/// The time that a program takes to start besides its application.
const LEEWAY: Duration = Duration::from_secs(10);

/// How long a child that has closed the link may take to end.
const LAST_MOMENTS: Duration = Duration::from_secs(5);

/// The file that this process was started from.
#[derive(Debug)]
pub struct Executable {
    path: PathBuf,
    version: FileVersion,
}

impl Executable {
    /// The file as it is now: to be called early. `None` where the system does not tell.
    #[must_use]
    pub fn of_this_process() -> Option<Self> {
        let path = std::env::current_exe().ok()?;
        let version = FileVersion::at(&path).ok()?;
        Some(Self { path, version })
    }

    /// The file that has replaced it; `None` if it is unchanged, or was removed.
    #[must_use]
    pub fn replacement(&self) -> Option<&Path> {
        let now = FileVersion::at(&self.path).ok()?;
        (now != self.version).then_some(&*self.path)
    }
}

/// A child that is to take our place, and the processes that succeed it in turn. Dropped, it is ended, unless it has taken
/// our place.
#[derive(Debug)]
pub struct Successor {
    /// The processes that have not ended, oldest first. The last one serves.
    line: VecDeque<Process>,
    /// How the last process to end has ended.
    status: Option<ExitStatus>,
    children: SignalStream,
    /// The link to the last process; `None` when it has ended.
    link: Option<UnixStream>,
    /// What has arrived over the link.
    received: Vec<u8>,
    has_taken_over: bool,
    /// When it must serve.
    deadline: Option<Instant>,
}

impl Successor {
    /// Starts a program with the arguments of this process, and gives it our sockets and our service manager. `limit` is
    /// the time that its application may take to start. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// It cannot be run.
    pub fn start(
        program: &Path,
        handover: Handover,
        limit: Option<Duration>,
    ) -> anyhow::Result<Self> {
        let start = || {
            let children = signal(SignalKind::child())?;
            let (ours, theirs) = StdUnixStream::pair()?;
            predecessor_link::send(&ours, handover)?;
            let mut arguments = std::env::args_os();
            let mut command = Command::new(program);
            if let Some(name) = arguments.next() {
                command.arg0(name);
            }
            command
                .args(arguments)
                // The watchdog is meant for the main process, which the child becomes.
                .env_remove(WATCHDOG_PID)
                // A terminal's signals reach it through us, and so only once.
                .process_group(0);
            let _inherited = predecessor_link::hand_down(&mut command, &theirs)?;
            parent_link::pass_on(&mut command);
            let number = |child: &Child| Some(child.id());
            let (child, _awaited) = children::start(|| command.spawn(), number)?;
            let pid = i32::try_from(child.id()).ok();
            let process = pid.and_then(Process::new).context("no process id")?;
            ours.set_nonblocking(true)?;
            Ok(Self {
                line: VecDeque::from([process]),
                status: None,
                children,
                link: Some(UnixStream::from_std(ours)?),
                received: Vec::new(),
                has_taken_over: false,
                deadline: limit.map(|limit| Instant::now() + limit + LEEWAY),
            })
        };
        let started: anyhow::Result<Self> = start();
        started.with_context(|| format!("cannot run `{}`", program.display()))
    }

    /// The id of the process that serves; `None` if all have ended.
    #[must_use]
    pub fn id(&self) -> Option<i32> {
        self.line.back().map(Process::id)
    }

    /// Waits until the child serves. Nothing is lost if the future is dropped.
    ///
    /// # Errors
    /// Why it does not, in its own words where it has sent some.
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
                read = link.read_buf(&mut self.received) => read,
                () = &mut late => bail!("the new program did not start in time"),
            };
            // An error ends the link, too.
            if !matches!(read, Ok(1..)) {
                break;
            }
            if self.received == READY {
                self.received.clear();
                return Ok(());
            }
            if self.received.len() >= LONGEST {
                break;
            }
        }
        if !self.received.is_empty() {
            bail!(
                String::from_utf8_lossy(&self.received)
                    .trim_end()
                    .to_owned()
            );
        }
        // A child that closes the link without a word is about to end, or is another program.
        self.link = None;
        match timeout(LAST_MOMENTS, self.ended()).await {
            Ok(Some(status)) => bail!("the new program ended without serving ({status})"),
            Ok(None) | Err(_) => bail!("the new program does not say whether it serves"),
        }
    }

    /// To be called when it serves: dropping this no longer ends it.
    pub fn release(&mut self) {
        self.has_taken_over = true;
    }

    /// Passes a signal on to the process that serves. It is no error if that has ended already.
    pub fn signal(&self, signal: Signal) {
        if let Some(process) = self.line.back() {
            process.signal(signal);
        }
    }

    /// Waits until the child and all that succeed it have ended, and returns how the last one did; `None` if the system does
    /// not tell. Nothing is lost if the future is dropped.
    pub async fn ended(&mut self) -> Option<ExitStatus> {
        loop {
            while let Some(first) = self.line.front() {
                match first.reap() {
                    Ok(None) => break,
                    Ok(Some(status)) => self.status = Some(ExitStatus::from_raw(status)),
                    // Its parent was the process before it, which has ended with its status.
                    Err(_) => {}
                }
                self.line.pop_front();
            }
            if self.line.is_empty() {
                return self.status;
            }
            tokio::select! {
                _ = self.children.recv() => children::bury_orphans(),
                heir = heir(self.link.as_ref(), &mut self.received) => self.follow(heir),
            }
        }
    }

    /// Adds the process that has succeeded the last one, if that has not just ended.
    fn follow(&mut self, heir: Option<(Process, UnixStream)>) {
        self.received.clear();
        // The children of the process that leaves become ours.
        children::adopt_orphans();
        self.link = heir.map(|(process, link)| {
            self.line.push_back(process);
            link
        });
    }

    /// Asks the predecessor of this process, which stays for the sake of those who wait for its end, to follow our successor
    /// instead of us: the future returns when it does. `None` if there is no such predecessor.
    #[must_use]
    pub fn offer(&mut self) -> Option<impl Future<Output = ()> + use<>> {
        // Other systems have no way to wait for the child of a child.
        if !cfg!(target_os = "linux") {
            return None;
        }
        let above = predecessor_link::take()?;
        let text = format!("{}\n", self.id()?);
        let below = self.link.as_ref()?.as_fd();
        unix::send_descriptors(above.as_fd(), text.as_bytes(), &[below]).ok()?;
        above.set_nonblocking(true).ok()?;
        let above = UnixStream::from_std(above).ok()?;
        self.link = None;
        Some(async move {
            // It sends nothing more, so this is the end of the link.
            let _ = above.readable().await;
        })
    }
}

/// The successor of the process at the other end, and the link to it; `None` when that process has ended. Nothing is lost if
/// the future is dropped.
async fn heir(link: Option<&UnixStream>, received: &mut Vec<u8>) -> Option<(Process, UnixStream)> {
    let Some(link) = link else {
        return std::future::pending().await;
    };
    // It is sent in one message, and nothing else is.
    let mut buffer = [0; 64];
    let message = link.async_io(Interest::READABLE, || {
        unix::receive_descriptors(link.as_fd(), &mut buffer)
    });
    let (count, mut descriptors) = message.await.ok()?;
    received.extend_from_slice(&buffer[..count]);
    let text = std::str::from_utf8(received).ok()?;
    let process = Process::new(text.trim_end().parse().ok()?)?;
    let link = StdUnixStream::from(descriptors.pop()?);
    link.set_nonblocking(true).ok()?;
    Some((process, UnixStream::from_std(link).ok()?))
}

impl Drop for Successor {
    fn drop(&mut self) {
        if self.has_taken_over {
            return;
        }
        // SIGTERM first, since it may have files to remove.
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
                if timeout(LAST_MOMENTS, &mut gone).await.is_err() {
                    process.kill();
                    gone.await;
                }
            });
        }
    }
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
