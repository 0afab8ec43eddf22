//! The master's seat: whoever has it is the master. A second master claims it, gets ready while the first one goes
//! on, and then takes it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};
use rustix::process::{Pid, getppid};
use signal_hook::SigId;
use signal_hook::consts::{SIGINT, SIGTERM};

use super::control::{BindMode, Control, ReceivedOrder, belongs_to, beside};
use super::trust::{Trust, warn_of_folder};
use crate::supervisor::control::client::Client;
use crate::supervisor::control::order::{Answer, Handover, Order};
use crate::supervisor::control::peer::PeerProcess;
use crate::supervisor::seat::lock::{Lock, LockUrl};
use crate::supervisor::seat::pid_file::{Found, PidFile, find};

pub mod lock;
pub mod pid_file;
pub mod successor;

/// How long the pid lock may be held by somebody else: it is for moments.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long a master that has closed its control socket may take to be gone.
const LAST_MOMENTS: Duration = Duration::from_secs(5);

/// How often that is looked at.
const PAUSE: Duration = Duration::from_millis(20);

/// What a seat is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeatOptions {
    /// The pid file.
    pub pid_file: PathBuf,
    /// Held from the claim until the seat is taken.
    pub startup_lock: LockUrl,
    /// Held while the pid file is read or written.
    pub pid_lock: LockUrl,
}

/// The right to take the seat. Dropped, all stays as it was.
#[derive(Debug)]
pub struct Claim {
    options: SeatOptions,
    predecessor: Option<Predecessor>,
    _startup: Lock,
}

/// The master that has the seat.
#[derive(Debug)]
struct Predecessor {
    client: Client,
    /// Known once it has handed over.
    peer: Option<PeerProcess>,
}

impl Predecessor {
    /// Whether it has started us to take its place: it is told so then, and passes on to us what signals it gets.
    fn awaits_us(&self) -> bool {
        let pid = self.peer.as_ref().map(PeerProcess::pid);
        successor::is_expected() && pid.is_some() && pid == getppid()
    }

    /// Tells it to retire: by a signal, or over a connection to it if it cannot be signalled, since it is in another
    /// container or belongs to another user.
    fn retire(&self, connection: Option<Client>) -> anyhow::Result<()> {
        let signalled = match &self.peer {
            Some(peer) => peer
                .terminate()
                .with_context(|| format!("process {}", peer.pid())),
            None => Err(anyhow!("its process is not visible from here")),
        };
        match (signalled, connection) {
            (Ok(()), _) => Ok(()),
            (Err(_), Some(mut client)) => client.tell(Order::Stop).map(drop),
            (Err(error), None) => Err(error),
        }
    }
}

/// The seat of this process. Dropping it gives it up: the pid file and the control socket are removed, unless
/// a successor has put its own there.
#[derive(Debug)]
pub struct Seat {
    control: Option<Control>,
    pid_file: Option<PidFile>,
    pid_lock: LockUrl,
}

impl Claim {
    /// Claims the seat. May wait for some seconds; to be called before anything is served.
    ///
    /// # Errors
    /// Another master is claiming it at this moment; the one that has it cannot be spoken with; what stands at the
    /// place of the pid file is none.
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
                Holder::Nobody => break None,
                Holder::Master(client) => break Some(client),
                Holder::Mute(pid) if Instant::now() >= until => {
                    return Err(unreachable(pid, &options.pid_file));
                }
                // It is about to be gone, or to answer again: of neither anybody is told.
                Holder::Mute(_) => thread::sleep(PAUSE),
            }
        };
        Ok(Self {
            predecessor: client.map(|client| Predecessor { client, peer: None }),
            options,
            _startup: startup,
        })
    }

    /// Whether there is a master that has the seat.
    #[must_use]
    pub fn has_predecessor(&self) -> bool {
        self.predecessor.is_some()
    }

    /// What the master that has the seat hands over; `None` if nobody has it. One that is ending already is waited for.
    ///
    /// # Errors
    /// It does not hand them over; or a signal told us to end while we waited.
    pub fn handover(&mut self) -> anyhow::Result<Option<Handover>> {
        let Some(predecessor) = &mut self.predecessor else {
            return Ok(None);
        };
        let context = || {
            format!(
                "cannot succeed the master of `{}`",
                self.options.pid_file.display()
            )
        };
        let pid_file = self.options.pid_file.display();
        let stop = StopFlag::listen()?;
        let mut said = false;
        let answer = predecessor.client.ask_patiently(Order::Handover, || {
            if stop.is_set() {
                bail!("interrupted");
            }
            if !std::mem::replace(&mut said, true) {
                crate::log!("waiting for the master of `{pid_file}` to end");
            }
            Ok(())
        });
        drop(stop);
        match answer.with_context(context)? {
            Some(Answer::Sockets(handover)) => {
                predecessor.peer = predecessor.client.peer.take();
                Ok(Some(handover))
            }
            Some(Answer::Refused(reason)) => Err(anyhow!(reason)).with_context(context),
            Some(Answer::Done(_)) => Err(anyhow!("it sends no sockets")).with_context(context),
            None => {
                // Its last connection is closed, and a moment later nothing is left of it.
                if let Some(peer) = &predecessor.client.peer {
                    let _ = peer.wait(LAST_MOMENTS);
                }
                self.predecessor = None;
                Ok(None)
            }
        }
    }

    /// Takes the seat: from here on orders come to us, and the master that had it, if it has handed over, is told to
    /// retire (SIGTERM). Must be called within a tokio runtime.
    ///
    /// # Errors
    /// The pid file or the control socket cannot be made: all stays as it was.
    pub fn take(self) -> anyhow::Result<Seat> {
        let path = &self.options.pid_file;
        let socket = beside(path);
        let lock = self.options.pid_lock.lock(PATIENCE)?;
        let mut pid_file = PidFile::prepare(path)?;
        // While it can be found: nobody connects to it any more once our socket has taken its place.
        let old = match &self.predecessor {
            Some(_) => Client::connect(&socket, Trust::own()).ok().flatten(),
            None => None,
        };
        let place = match self.predecessor {
            Some(_) => BindMode::Succession,
            None => BindMode::Free,
        };
        let control = Control::open(&socket, place)?;
        pid_file.publish(path)?;
        drop(lock);
        if let Some(predecessor) = &self.predecessor
            && !predecessor.awaits_us()
            && let Err(error) = predecessor.retire(old)
        {
            // We serve all the same.
            crate::log!("cannot tell the old master to retire: {error:#}");
        }
        Ok(Seat {
            control: Some(control),
            pid_file: Some(pid_file),
            pid_lock: self.options.pid_lock,
        })
    }
}

/// Whether this process is told to end while nobody looks at its signals.
#[derive(Debug)]
pub struct StopFlag {
    flag: Arc<AtomicBool>,
    signals: Vec<SigId>,
}

impl StopFlag {
    /// Looks at its signals from now on.
    ///
    /// # Errors
    /// The system refuses.
    pub fn listen() -> io::Result<Self> {
        let flag = Arc::new(AtomicBool::new(false));
        let listen = |signal| signal_hook::flag::register(signal, Arc::clone(&flag));
        let signals = [SIGTERM, SIGINT].into_iter().map(listen);
        Ok(Self {
            signals: signals.collect::<io::Result<_>>()?,
            flag,
        })
    }

    /// Whether it was told.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.flag.load(Ordering::Relaxed)
    }
}

impl Drop for StopFlag {
    fn drop(&mut self) {
        for signal in self.signals.drain(..) {
            signal_hook::low_level::unregister(signal);
        }
    }
}

/// Who has a seat.
enum Holder {
    Nobody,
    Master(Client),
    /// A process that lives and has no control socket.
    Mute(Pid),
}

fn holder(options: &SeatOptions) -> anyhow::Result<Holder> {
    let path = &options.pid_file;
    let _lock = options.pid_lock.lock(PATIENCE)?;
    // Read first, so that a mistake in the path is said in its own words.
    let found = find(path)?;
    // It gets our service manager, and we its sockets.
    if let Some(client) = Client::connect(&beside(path), Trust::own())? {
        return Ok(Holder::Master(client));
    }
    match found {
        Found::Nothing => {}
        Found::Running(pid) => return Ok(Holder::Mute(pid)),
        Found::Stale(why) => {
            crate::log!("the pid file `{}` is stale: {why}", path.display());
        }
    }
    Ok(Holder::Nobody)
}

fn unreachable(pid: Pid, pid_file: &Path) -> anyhow::Error {
    let shown = pid_file.display();
    anyhow!(
        "process {pid} is the master of `{shown}`, but its control socket is gone\n = hint: `kill -HUP {pid}` has it made anew"
    )
}

/// Why nobody listens on a control socket, if its master runs all the same: somebody has removed the file.
#[must_use]
pub fn why_unreachable(socket: &Path) -> Option<anyhow::Error> {
    let pid_file = belongs_to(socket)?;
    match find(&pid_file) {
        Ok(Found::Running(pid)) => Some(unreachable(pid, &pid_file)),
        Ok(Found::Nothing | Found::Stale(_)) | Err(_) => None,
    }
}

impl Seat {
    /// A seat without a pid file or locks: a control socket alone, for a server that nobody succeeds. Must be
    /// called within a tokio runtime.
    ///
    /// # Errors
    /// The socket cannot be made, or another process listens there.
    pub fn with_socket(path: &Path, place: BindMode) -> anyhow::Result<Self> {
        warn_of_folder(path);
        Ok(Self {
            control: Some(Control::open(path, place)?),
            pid_file: None,
            pid_lock: LockUrl::Null,
        })
    }

    /// The next order. Nothing is lost if the future is dropped.
    pub async fn next(&mut self) -> ReceivedOrder {
        match &mut self.control {
            Some(control) => control.next().await,
            // It is there until we are dropped.
            None => std::future::pending().await,
        }
    }

    /// Makes the control socket and the pid file anew where somebody has removed or replaced them. Must be called
    /// within a tokio runtime.
    ///
    /// # Errors
    /// They cannot be made.
    pub fn restore(&mut self) -> anyhow::Result<()> {
        let socket = self.control.as_mut().filter(|it| it.is_lost());
        let pid_file = self.pid_file.as_mut().filter(|it| it.is_lost());
        if socket.is_none() && pid_file.is_none() {
            return Ok(());
        }
        // Requests would wait, too; there will be another reload.
        let _lock = self.pid_lock.lock(Duration::ZERO)?;
        if let Some(control) = socket {
            let path = control.path().to_owned();
            *control = Control::open(&path, BindMode::Free)?;
            crate::log!("made `{}` anew, which was removed", path.display());
        }
        if let Some(pid_file) = pid_file {
            let path = pid_file.path().to_owned();
            let mut new = PidFile::prepare(&path)?;
            new.publish(&path)?;
            *pid_file = new;
            crate::log!("made `{}` anew, which was removed", path.display());
        }
        Ok(())
    }

    /// Whether a successor has taken it. Whoever is told to end then ends as one whose work goes on elsewhere.
    #[must_use]
    pub fn has_successor(&self) -> bool {
        self.control.as_ref().is_some_and(Control::has_successor)
    }

    /// The process of that successor; `None` if there is none, or it is not visible from here.
    #[must_use]
    pub fn successor(&self) -> Option<i32> {
        let control = self.control.as_ref().filter(|it| it.has_successor())?;
        // Whoever has made the socket is the peer of who connects to it.
        let client = Client::connect(control.path(), Trust::own());
        let client = client.ok().flatten()?;
        client.peer.map(|peer| peer.pid().as_raw_nonzero().get())
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        // Not while a successor is about to take its place.
        match self.pid_lock.lock(PATIENCE) {
            Ok(_lock) => {
                drop(self.pid_file.take());
                drop(self.control.take());
            }
            Err(error) => {
                crate::log!("cannot remove the pid file: {error:#}");
                if let Some(pid_file) = &mut self.pid_file {
                    pid_file.leave();
                }
                if let Some(control) = &mut self.control {
                    control.leave();
                }
            }
        }
    }
}
