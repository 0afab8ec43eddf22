//! The seat of a master: the process that has it is the master. A second master claims the seat, gets ready while the
//! first one goes on serving, and then takes it over.

use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};
use rustix::process::{Pid, getppid};

use self::lock::{Lock, LockUrl};
use self::pid_file::{PidFile, PidFileState, find};
use super::control::client::Client;
use super::control::order::{Answer, Handover, Order};
use super::control::peer::PeerProcess;
use super::control::{BindMode, Control, ReceivedOrder, belongs_to, beside};
use super::stop_flag::StopFlag;
use super::trust::{Trust, warn_of_folder};

pub mod lock;
pub mod pid_file;
pub mod predecessor_link;
pub mod successor;

/// How long another process may hold the pid lock, which is meant for moments.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long a master may take to end after it has closed its control socket.
const LAST_MOMENTS: Duration = Duration::from_secs(5);

/// The pause before that is looked at again.
const PAUSE: Duration = Duration::from_millis(20);

/// The files of a seat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeatOptions {
    /// The pid file.
    pub pid_file: PathBuf,
    /// Held from the claim until the seat is taken.
    pub startup_lock: LockUrl,
    /// Held while the pid file is read or written.
    pub pid_lock: LockUrl,
}

/// The right to take the seat. Dropped, it changes nothing.
#[derive(Debug)]
pub struct Claim {
    options: SeatOptions,
    predecessor: Option<Predecessor>,
    /// Where orders come already, if there is no predecessor.
    control: Option<Control>,
    // Given up last, so that no other process finds the control socket of this one.
    _startup: Lock,
}

/// The master that has the seat.
#[derive(Debug)]
struct Predecessor {
    client: Client,
    /// Known once it has handed over.
    process: Option<PeerProcess>,
}

impl Predecessor {
    /// Whether this process is a successor that it has started itself: it is told of our start directly, and passes its
    /// signals on to us.
    fn awaits_us(&self) -> bool {
        let pid = self.process.as_ref().map(PeerProcess::pid);
        predecessor_link::is_successor() && pid.is_some() && pid == getppid()
    }

    /// Tells it to retire: by a signal, or over a connection if it cannot be signalled since it is in another container or
    /// belongs to another user.
    fn retire(&self, connection: Option<Client>) -> anyhow::Result<()> {
        let signalled = match &self.process {
            Some(process) => process
                .terminate()
                .with_context(|| format!("process {}", process.pid())),
            None => Err(anyhow!("its process is not visible from here")),
        };
        match (signalled, connection) {
            (Ok(()), _) => Ok(()),
            (Err(_), Some(mut client)) => client.tell(Order::Stop).map(drop),
            (Err(error), None) => Err(error),
        }
    }
}

impl Claim {
    /// Claims the seat. To be called before anything is served, since it may wait for some seconds.
    ///
    /// # Errors
    /// Another process is claiming the seat; the master that has it does not answer; what is at the path of the pid file is
    /// not a pid file.
    pub fn new(options: SeatOptions) -> anyhow::Result<Self> {
        let shown = options.pid_file.display();
        let Some(startup) = options.startup_lock.try_lock()? else {
            bail!(
                "another `runner` is starting with the pid file `{shown}` (`{}` is locked)",
                options.startup_lock
            );
        };
        warn_of_folder(&options.pid_file);
        let until = Instant::now() + LAST_MOMENTS;
        let client = loop {
            match holder(&options)? {
                Holder::None => break None,
                Holder::Master(client) => break Some(client),
                Holder::Mute(pid) if Instant::now() >= until => {
                    return Err(unreachable(pid, &options.pid_file));
                }
                // It ends, or makes its socket anew: the system reports the one event, but not the other.
                Holder::Mute(_) => thread::sleep(PAUSE),
            }
        };
        let process = None;
        Ok(Self {
            predecessor: client.map(|client| Predecessor { client, process }),
            options,
            control: None,
            _startup: startup,
        })
    }

    /// Whether a master has the seat.
    #[must_use]
    pub fn has_predecessor(&self) -> bool {
        self.predecessor.is_some()
    }

    /// Opens the control socket, unless a master has the seat. There is no pid file before the seat is taken: it says that
    /// the server serves. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// The socket cannot be made.
    pub fn open(&mut self) -> anyhow::Result<()> {
        if self.predecessor.is_none() {
            let _lock = self.options.pid_lock.lock(PATIENCE)?;
            let socket = beside(&self.options.pid_file);
            self.control = Some(Control::open(&socket, BindMode::Free)?);
        }
        Ok(())
    }

    /// The next order; never, if the control socket is not open. Nothing is lost if the future is dropped.
    pub async fn next(&mut self) -> ReceivedOrder {
        match &mut self.control {
            Some(control) => control.next().await,
            None => std::future::pending().await,
        }
    }

    /// What the master that has the seat hands over; `None` if there is none, after waiting for one that was ending.
    ///
    /// # Errors
    /// The master refuses, or a signal has told this process to end.
    pub fn handover(&mut self) -> anyhow::Result<Option<Handover>> {
        let Some(predecessor) = &mut self.predecessor else {
            return Ok(None);
        };
        let pid_file = self.options.pid_file.display();
        let context = || format!("cannot succeed the master of `{pid_file}`");
        let stop = StopFlag::listen()?;
        let mut is_logged = false;
        let answer = predecessor.client.ask_patiently(Order::Handover, || {
            if stop.is_set() {
                bail!("interrupted");
            }
            if !std::mem::replace(&mut is_logged, true) {
                crate::log!("waiting for the master of `{pid_file}` to end");
            }
            Ok(())
        });
        drop(stop);
        match answer.with_context(context)? {
            Some(Answer::Sockets(handover)) => {
                predecessor.process = predecessor.client.peer.take();
                Ok(Some(handover))
            }
            Some(Answer::Refused(reason)) => Err(anyhow!(reason)).with_context(context),
            Some(Answer::Done(_)) => Err(anyhow!("it sends no sockets")).with_context(context),
            None => {
                // It has closed its last connection, and ends in a moment.
                if let Some(process) = &predecessor.client.peer {
                    let _ = process.wait(LAST_MOMENTS);
                }
                self.predecessor = None;
                Ok(None)
            }
        }
    }

    /// Takes the seat: orders come to this process from now on, and a predecessor is told to retire (SIGTERM). Must be
    /// called within a tokio runtime.
    ///
    /// # Errors
    /// The pid file or the control socket cannot be made. Then nothing has changed.
    pub fn take(self) -> anyhow::Result<Seat> {
        let path = &self.options.pid_file;
        let socket = beside(path);
        let lock = self.options.pid_lock.lock(PATIENCE)?;
        let mut pid_file = PidFile::prepare(path)?;
        // Connected now, since our socket is about to replace the predecessor's.
        let old = match &self.predecessor {
            Some(_) => Client::connect(&socket, Trust::own()).ok().flatten(),
            None => None,
        };
        let mode = match self.predecessor {
            Some(_) => BindMode::Succession,
            None => BindMode::Free,
        };
        let control = match self.control {
            Some(control) => control,
            None => Control::open(&socket, mode)?,
        };
        pid_file.publish(path)?;
        drop(lock);
        if let Some(predecessor) = &self.predecessor
            && !predecessor.awaits_us()
            && let Err(error) = predecessor.retire(old)
        {
            // No reason not to serve.
            crate::log_error!("cannot tell the old master to retire: {error:#}");
        }
        Ok(Seat {
            control,
            pid_file: Some(pid_file),
            pid_lock: self.options.pid_lock,
            _given_up: None,
        })
    }
}

/// The process that has a seat.
enum Holder {
    None,
    Master(Client),
    /// It runs, but has no control socket.
    Mute(Pid),
}

fn holder(options: &SeatOptions) -> anyhow::Result<Holder> {
    let path = &options.pid_file;
    let _lock = options.pid_lock.lock(PATIENCE)?;
    // Read first, since its errors explain a wrong path best.
    let found = find(path)?;
    // The master hands its sockets over to us, and we tell its service manager about us: no other user is trusted.
    if let Some(client) = Client::connect(&beside(path), Trust::own())? {
        return Ok(Holder::Master(client));
    }
    match found {
        PidFileState::Missing => {}
        PidFileState::Running(pid) => return Ok(Holder::Mute(pid)),
        PidFileState::Stale(why) => {
            crate::log_warning!("the pid file `{}` is stale: {why}", path.display());
        }
    }
    Ok(Holder::None)
}

fn unreachable(pid: Pid, pid_file: &Path) -> anyhow::Error {
    let shown = pid_file.display();
    anyhow!(
        "process {pid} is the master of `{shown}`, but its control socket is gone\n = hint: `kill -HUP {pid}` has it made anew"
    )
}

/// An error for a control socket without a master, if the master runs all the same: its socket was removed.
#[must_use]
pub fn why_unreachable(socket: &Path) -> Option<anyhow::Error> {
    let pid_file = belongs_to(socket)?;
    match find(&pid_file) {
        Ok(PidFileState::Running(pid)) => Some(unreachable(pid, &pid_file)),
        Ok(PidFileState::Missing | PidFileState::Stale(_)) | Err(_) => None,
    }
}

/// The seat of this process. Dropped, it is given up: the pid file and the control socket are removed, unless a successor
/// has put its own there.
#[derive(Debug)]
pub struct Seat {
    pid_file: Option<PidFile>,
    control: Control,
    pid_lock: LockUrl,
    /// Held while the others are dropped, so that no successor takes the seat in between.
    _given_up: Option<Lock>,
}

impl Seat {
    /// A seat without a pid file or locks: only a control socket, for a server that cannot be succeeded. Must be called
    /// within a tokio runtime.
    ///
    /// # Errors
    /// The socket cannot be made, or another process listens there.
    pub fn with_socket(path: &Path, mode: BindMode) -> anyhow::Result<Self> {
        warn_of_folder(path);
        Ok(Self {
            control: Control::open(path, mode)?,
            pid_file: None,
            pid_lock: LockUrl::Null,
            _given_up: None,
        })
    }

    /// The next order. Nothing is lost if the future is dropped.
    pub async fn next(&mut self) -> ReceivedOrder {
        self.control.next().await
    }

    /// Makes the control socket and the pid file anew if they were removed or replaced. Must be called within a tokio
    /// runtime.
    ///
    /// # Errors
    /// They cannot be made.
    pub fn restore(&mut self) -> anyhow::Result<()> {
        let socket_is_lost = self.control.is_lost();
        let pid_file = self.pid_file.as_mut().filter(|it| it.is_lost());
        if !socket_is_lost && pid_file.is_none() {
            return Ok(());
        }
        // Not waited for, since requests would wait, too; the next reload tries again.
        let _lock = self.pid_lock.lock(Duration::ZERO)?;
        if socket_is_lost {
            let path = self.control.path().to_owned();
            self.control = Control::open(&path, BindMode::Free)?;
            crate::log_warning!("made `{}` anew, which was removed", path.display());
        }
        if let Some(pid_file) = pid_file {
            let path = pid_file.path().to_owned();
            let mut new = PidFile::prepare(&path)?;
            new.publish(&path)?;
            *pid_file = new;
            crate::log_warning!("made `{}` anew, which was removed", path.display());
        }
        Ok(())
    }

    /// Whether a successor has taken the seat. A master that is told to end then retires, since its work goes on elsewhere.
    #[must_use]
    pub fn has_successor(&self) -> bool {
        self.control.has_successor()
    }

    /// Logs that a supervised master ends, and which process goes on after a warm restart.
    pub fn report_end(&self) {
        if self.pid_file.is_none() {
            return;
        }
        match self.successor() {
            Some(pid) => crate::log!("stopped: process {pid} has taken over"),
            None => crate::log!("stopped"),
        }
    }

    /// The process of the successor; `None` if there is none, or it is not visible from here.
    #[must_use]
    pub fn successor(&self) -> Option<i32> {
        if !self.has_successor() {
            return None;
        }
        // The peer of a connection is the process that has made the socket.
        let client = Client::connect(self.control.path(), Trust::own());
        let process = client.ok().flatten()?.peer?;
        Some(process.pid().as_raw_nonzero().get())
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        match self.pid_lock.lock(PATIENCE) {
            Ok(lock) => self._given_up = Some(lock),
            Err(error) => {
                crate::log_error!("cannot remove the pid file: {error:#}");
                if let Some(pid_file) = &mut self.pid_file {
                    pid_file.leave();
                }
                self.control.leave();
            }
        }
    }
}
