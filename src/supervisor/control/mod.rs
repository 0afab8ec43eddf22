//! The control socket: where a master takes orders.
//!
//! An order is a JSON object on a line, `{"order": "status"}`, and so is its answer, after which the connection
//! is closed. An answer that takes its time is preceded by an empty line a second, so that whoever waits can tell
//! a master that works from one that hangs. The sockets of a handover travel with the first byte of the
//! answer (`SCM_RIGHTS`).
//!
//! Only root and the user that the master runs as may give orders, which the system itself vouches for
//! (`SO_PEERCRED`); the file's permissions say the same. A client that says nothing is dropped after a while, and
//! sooner if others want its place.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixListener as StdUnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use rustix::fs::Mode;
use rustix::io::Errno;
use rustix::net::{self, AddressFamily, SocketType};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Interest};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_util::task::AbortOnDropHandle;

use self::address::Address;
use self::order::{Answer, HEARTBEAT, Order, encode};
use super::trust::Trust;
use crate::faults::spawn_vital;
use crate::own_file::{OwnFile, make_beside};
use crate::unix;

mod address;
pub mod client;
pub mod order;
pub mod peer;

/// The longest order, in bytes.
pub(crate) const LONGEST_ORDER: u64 = 4096;

/// How long a client may take to say what it wants, and to read the answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// How many clients there may be at a time.
const MOST_CLIENTS: usize = 64;

/// How many of them may wait for something that takes its time: the others are for those who ask how things are.
const MOST_WAITING: usize = 48;

/// How long to wait when the system has no descriptor or memory for another client.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// An order that somebody has given.
#[derive(Debug)]
pub struct ReceivedOrder {
    /// What is to be done.
    pub order: Order,
    /// To be answered when it is done. Dropped unanswered, the connection is closed; so is that of somebody
    /// who waits for the end of a process when the process ends.
    pub answer: oneshot::Sender<Answer>,
}

/// Whose place a control socket takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BindMode {
    /// Nobody's: it is an error if a master listens there.
    Free,
    /// That of the master that we succeed.
    Succession,
}

/// The control socket of this process. Dropping it stops listening, and removes the file if no successor has put
/// its own there.
#[derive(Debug)]
pub struct Control {
    orders: mpsc::Receiver<ReceivedOrder>,
    // Before the socket is closed, so that the file is still known for ours.
    file: OwnFile,
    _server: AbortOnDropHandle<()>,
}

/// The path of the control socket that belongs to a pid file.
#[must_use]
pub fn beside(pid_file: &Path) -> PathBuf {
    let mut path = pid_file.as_os_str().to_owned();
    path.push(".socket");
    path.into()
}

/// The pid file that a control socket belongs to, if its name says so.
pub(crate) fn belongs_to(socket: &Path) -> Option<PathBuf> {
    let is_beside = socket.extension().is_some_and(|ending| ending == "socket");
    is_beside.then(|| socket.with_extension(""))
}

impl Control {
    /// Listens at a path. What is there is replaced in one step: nobody ever finds nothing there, or a socket
    /// that is not ready. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// A master listens there already, there is something else than a socket, or none can be made.
    pub fn open(path: &Path, place: BindMode) -> anyhow::Result<Self> {
        let context = || format!("cannot make the control socket `{}`", path.display());
        let (listener, file) = bind(path, place).with_context(context)?;
        listener.set_nonblocking(true).with_context(context)?;
        let listener = UnixListener::from_std(listener).with_context(context)?;
        let (asked, orders) = mpsc::channel(MOST_CLIENTS);
        Ok(Self {
            orders,
            file,
            _server: AbortOnDropHandle::new(spawn_vital(
                "the control socket",
                serve(listener, asked),
            )),
        })
    }

    /// The next order. Nothing is lost if the future is dropped.
    pub async fn next(&mut self) -> ReceivedOrder {
        match self.orders.recv().await {
            Some(asked) => asked,
            // The server ends with us only.
            None => std::future::pending().await,
        }
    }

    /// Whether a successor has put its own socket in the place of ours.
    #[must_use]
    pub fn has_successor(&self) -> bool {
        !self.file.is_there() && address::is_listening(self.path(), Trust::own())
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        self.file.path()
    }

    /// Whether somebody has removed the file, or put one in its place on which no master listens.
    pub(crate) fn is_lost(&self) -> bool {
        !self.file.is_there() && !address::is_listening(self.path(), Trust::own())
    }

    /// Leaves the file where it is, in the end.
    pub(crate) fn leave(&mut self) {
        self.file.leave();
    }
}

/// Makes the socket under another name and moves it into place.
fn bind(path: &Path, place: BindMode) -> anyhow::Result<(StdUnixListener, OwnFile)> {
    check_place(path, place)?;
    let too_long = |error| match error {
        Errno::NAMETOOLONG => anyhow!("the name is too long for a socket"),
        Errno::NOENT | Errno::NOTDIR => anyhow!("there is no such folder"),
        error => error.into(),
    };
    // Clients must be able to name the final one.
    Address::of(path).map_err(too_long)?;
    let socket = net::socket(AddressFamily::UNIX, SocketType::STREAM, None)?;
    rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::CLOEXEC)?;
    // Linux gives the file these permissions; elsewhere it is an error, and nobody can connect to what does not
    // listen yet.
    let _ = rustix::fs::fchmod(&socket, Mode::RUSR | Mode::WUSR);
    let made = make_beside(path, |beside| {
        net::bind(&socket, &Address::of(beside)?.socket)?;
        limit_access(beside)
    });
    let ((), mut file) = made.map_err(|error| match Errno::from_io_error(&error) {
        Some(error) => too_long(error),
        None => error.into(),
    })?;
    net::listen(&socket, 128)?;
    file.rename(path)?;
    Ok((StdUnixListener::from(socket), file))
}

/// On Linux the file has its permissions already.
#[cfg(target_os = "linux")]
#[expect(clippy::unnecessary_wraps, reason = "as elsewhere")]
fn limit_access(_: &Path) -> io::Result<()> {
    Ok(())
}

/// Lets nobody else connect to a socket, and does not follow a link that somebody has put in its place.
#[cfg(not(target_os = "linux"))]
fn limit_access(path: &Path) -> io::Result<()> {
    let flags = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
    let mode = Mode::RUSR | Mode::WUSR;
    Ok(rustix::fs::chmodat(rustix::fs::CWD, path, mode, flags)?)
}

/// Makes sure that nobody loses by our being there.
fn check_place(path: &Path, place: BindMode) -> anyhow::Result<()> {
    match std::fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => {
            bail!("there is something else than a socket")
        }
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error.into()),
    }
    match place {
        BindMode::Succession => Ok(()),
        BindMode::Free if address::is_served(path) => {
            bail!("another process listens there")
        }
        BindMode::Free => Ok(()),
    }
}

/// A client that is being looked after.
struct Visitor {
    task: JoinHandle<()>,
    /// It has said what it wants.
    has_spoken: Arc<AtomicBool>,
}

/// Accepts clients, for ever.
async fn serve(listener: UnixListener, asked: mpsc::Sender<ReceivedOrder>) {
    let mut visitors = Visitors::default();
    let waiting = Arc::new(Semaphore::new(MOST_WAITING));
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        if !is_authorised(&stream) || !visitors.make_room() {
            continue;
        }
        let has_spoken = Arc::new(AtomicBool::new(false));
        let visit = visit(
            stream,
            asked.clone(),
            Arc::clone(&has_spoken),
            Arc::clone(&waiting),
        );
        visitors.0.push_back(Visitor {
            task: tokio::spawn(async move {
                // Whoever goes away, or is too slow, has itself to blame.
                let _ = visit.await;
            }),
            has_spoken,
        });
    }
}

/// The clients that are being looked after, oldest first.
#[derive(Default)]
struct Visitors(VecDeque<Visitor>);

impl Visitors {
    /// Makes room for another, at the cost of the one that has been silent for longest.
    fn make_room(&mut self) -> bool {
        self.0.retain(|visitor| !visitor.task.is_finished());
        if self.0.len() < MOST_CLIENTS {
            return true;
        }
        let silent = |visitor: &Visitor| !visitor.has_spoken.load(Ordering::Relaxed);
        match self.0.iter().position(silent) {
            Some(place) => {
                self.0.remove(place);
                true
            }
            None => false,
        }
    }
}

impl Drop for Visitor {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Whether the process at the other end may give orders.
fn is_authorised(stream: &UnixStream) -> bool {
    let own = rustix::process::geteuid().as_raw();
    stream
        .peer_cred()
        .is_ok_and(|peer| peer.uid() == 0 || peer.uid() == own)
}

/// Looks after one client.
async fn visit(
    stream: UnixStream,
    asked: mpsc::Sender<ReceivedOrder>,
    has_spoken: Arc<AtomicBool>,
    waiting: Arc<Semaphore>,
) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut line = Vec::new();
    let mut bounded = (&mut stream).take(LONGEST_ORDER);
    tokio::time::timeout(PATIENCE, bounded.read_until(b'\n', &mut line)).await??;
    if line.last() != Some(&b'\n') {
        // It has gone away, or would never end.
        return Ok(());
    }
    has_spoken.store(true, Ordering::Relaxed);
    let mut stream = stream.into_inner();
    let order = match Order::parse(&line) {
        Ok(order) => order,
        Err(reason) => return reply(&mut stream, Answer::Refused(reason)).await,
    };
    // Nobody has to wait to have it stop.
    let waits = matches!(order, Order::Reload | Order::Handover);
    let Ok(_place) = waits.then(|| waiting.try_acquire()).transpose() else {
        let reason = "too many others wait for an answer: try again".to_owned();
        return reply(&mut stream, Answer::Refused(reason)).await;
    };
    obey(&mut stream, order, &asked).await
}

/// Has an order obeyed, and answers it.
pub(crate) async fn obey(
    stream: &mut UnixStream,
    order: Order,
    asked: &mpsc::Sender<ReceivedOrder>,
) -> io::Result<()> {
    let (answer, mut answered) = oneshot::channel();
    if asked.send(ReceivedOrder { order, answer }).await.is_err() {
        return Ok(());
    }
    loop {
        tokio::select! {
            answer = &mut answered => return match answer {
                Ok(answer) => reply(stream, answer).await,
                Err(_) => Ok(()),
            },
            () = tokio::time::sleep(HEARTBEAT) => {
                tokio::time::timeout(PATIENCE, stream.write_all(b"\n")).await??;
            }
        }
    }
}

/// Writes an answer.
async fn reply(stream: &mut UnixStream, answer: Answer) -> io::Result<()> {
    let (json, sockets) = encode(answer);
    let descriptors: Vec<BorrowedFd<'_>> = sockets
        .iter()
        .flat_map(|handed| handed.descriptors.iter().map(AsFd::as_fd))
        .collect();
    let text = format!("{json}\n");
    let written = async {
        let mut rest = text.as_bytes();
        if !descriptors.is_empty() {
            let sent = stream
                .async_io(Interest::WRITABLE, || {
                    unix::send_descriptors(stream.as_fd(), rest, &descriptors)
                })
                .await?;
            rest = &rest[sent..];
        }
        stream.write_all(rest).await
    };
    tokio::time::timeout(PATIENCE, written).await?
}
