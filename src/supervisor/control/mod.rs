//! The control socket: a master takes orders there.
//!
//! An order is a JSON object on a line, `{"order": "status"}`, and so is its answer, after which the connection is closed.
//! While an order is worked on, the client gets an empty line every second, so that it can tell a busy master from one that
//! hangs. The sockets of a handover travel with the first byte of the answer (`SCM_RIGHTS`).
//!
//! Only root and the user that the master runs as may give orders, for which the system vouches (`SO_PEERCRED`); the
//! permissions of the file say the same. A client that sends no order is dropped after a while, and sooner if another
//! client needs its place.

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
use rustix::net::{self, AddressFamily};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, Interest};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use self::connect::is_listening;
use self::order::{Answer, HEARTBEAT, Order, encode};
use super::trust::Trust;
use crate::own_file::{OwnFile, make_beside};
use crate::panics::spawn_vital;
use crate::unix;
use crate::unix_socket::{UnixAddress, is_served, stream_socket};

pub mod client;
mod connect;
pub mod order;
pub mod peer;

/// The longest order, in bytes.
pub(super) const LONGEST_ORDER: u64 = 4096;

/// How long a client may take to send its order, and to read the answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// The number of clients at a time.
const MOST_CLIENTS: usize = 64;

/// The number of clients that may wait for a reload or a handover. The rest is for orders that are answered at once.
const MOST_WAITING: usize = 48;

/// The pause when the system has no descriptor or memory for another client.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// An order of a client.
#[derive(Debug)]
pub struct ReceivedOrder {
    /// What is to be done.
    pub order: Order,
    /// Takes the answer. Dropped without one, it closes the connection; so does the end of the process, which a client
    /// may wait for.
    pub answer: oneshot::Sender<Answer>,
}

/// What a control socket may replace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BindMode {
    /// No socket at which a process listens.
    Free,
    /// The socket of the master whose place this one takes.
    Succession,
}

/// The control socket of this process. Dropped, it stops listening, and removes the file unless a successor has put its
/// own there.
#[derive(Debug)]
pub struct Control {
    orders: mpsc::Receiver<ReceivedOrder>,
    // Dropped before the socket is closed, so that the file is still known to be ours.
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
pub(super) fn belongs_to(socket: &Path) -> Option<PathBuf> {
    let is_beside = socket.extension().is_some_and(|ending| ending == "socket");
    is_beside.then(|| socket.with_extension(""))
}

impl Control {
    /// Listens at a path. A socket there is replaced in one step, so that a client always finds one that is ready. Must be
    /// called within a tokio runtime.
    ///
    /// # Errors
    /// A master listens there already, there is another kind of file, or no socket can be made.
    pub fn open(path: &Path, mode: BindMode) -> anyhow::Result<Self> {
        let context = || format!("cannot make the control socket `{}`", path.display());
        let (listener, file) = bind(path, mode).with_context(context)?;
        listener.set_nonblocking(true).with_context(context)?;
        let listener = UnixListener::from_std(listener).with_context(context)?;
        let (received, orders) = mpsc::channel(MOST_CLIENTS);
        let server = spawn_vital("the control socket", serve(listener, received));
        Ok(Self {
            orders,
            file,
            _server: AbortOnDropHandle::new(server),
        })
    }

    /// The next order. Nothing is lost if the future is dropped.
    pub async fn next(&mut self) -> ReceivedOrder {
        match self.orders.recv().await {
            Some(order) => order,
            // The server does not end before this is dropped.
            None => std::future::pending().await,
        }
    }

    /// Whether a successor has replaced the socket with its own.
    #[must_use]
    pub fn has_successor(&self) -> bool {
        !self.file.is_there() && is_listening(self.path(), Trust::own())
    }

    /// Its path.
    pub(super) fn path(&self) -> &Path {
        self.file.path()
    }

    /// Whether the file was removed, or replaced with one at which no master listens.
    pub(super) fn is_lost(&self) -> bool {
        !self.file.is_there() && !is_listening(self.path(), Trust::own())
    }

    /// Leaves the file in its place when this is dropped.
    pub(super) fn leave(&mut self) {
        self.file.leave();
    }
}

/// Makes the socket under another name and moves it to its path.
fn bind(path: &Path, mode: BindMode) -> anyhow::Result<(StdUnixListener, OwnFile)> {
    check_path(path, mode)?;
    let explain = |error| match error {
        Errno::NAMETOOLONG => anyhow!("the name is too long for a socket"),
        Errno::NOENT | Errno::NOTDIR => anyhow!("there is no such folder"),
        error => error.into(),
    };
    // Clients connect to the final name, which may be longer than the first one.
    UnixAddress::of(path).map_err(explain)?;
    let socket = stream_socket(AddressFamily::UNIX)?;
    // On Linux the file gets these permissions. Elsewhere this is an error, and `limit_access` follows, before the socket
    // listens.
    let _ = rustix::fs::fchmod(&socket, Mode::RUSR | Mode::WUSR);
    let made = make_beside(path, |beside| {
        net::bind(&socket, &UnixAddress::of(beside)?.socket)?;
        limit_access(beside)
    });
    let ((), mut file) = made.map_err(|error| match Errno::from_io_error(&error) {
        Some(error) => explain(error),
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

/// Keeps other users from connecting to a socket. A link in its place is not followed.
#[cfg(not(target_os = "linux"))]
fn limit_access(path: &Path) -> io::Result<()> {
    let flags = rustix::fs::AtFlags::SYMLINK_NOFOLLOW;
    let mode = Mode::RUSR | Mode::WUSR;
    Ok(rustix::fs::chmodat(rustix::fs::CWD, path, mode, flags)?)
}

/// Makes sure that a control socket may be put at a path.
fn check_path(path: &Path, mode: BindMode) -> anyhow::Result<()> {
    match std::fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => {
            bail!("there is something else than a socket")
        }
        Ok(_) if mode == BindMode::Free && is_served(path) => {
            bail!("another process listens there")
        }
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// A connection.
struct Visitor {
    task: AbortOnDropHandle<()>,
    /// Whether its order has arrived.
    has_spoken: Arc<AtomicBool>,
}

/// Accepts clients, for ever.
async fn serve(listener: UnixListener, received: mpsc::Sender<ReceivedOrder>) {
    let mut visitors = VecDeque::new();
    let waiting = Arc::new(Semaphore::new(MOST_WAITING));
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        if !is_authorised(&stream) || !make_room(&mut visitors) {
            continue;
        }
        let has_spoken = Arc::new(AtomicBool::new(false));
        let visit = visit(
            stream,
            received.clone(),
            Arc::clone(&has_spoken),
            Arc::clone(&waiting),
        );
        visitors.push_back(Visitor {
            task: AbortOnDropHandle::new(tokio::spawn(async move {
                // An error concerns that client only.
                let _ = visit.await;
            })),
            has_spoken,
        });
    }
}

/// Makes room for another visitor, if necessary by dropping the one that has been silent for longest. Returns whether there
/// is room.
fn make_room(visitors: &mut VecDeque<Visitor>) -> bool {
    visitors.retain(|visitor| !visitor.task.is_finished());
    if visitors.len() < MOST_CLIENTS {
        return true;
    }
    let silent = |visitor: &Visitor| !visitor.has_spoken.load(Ordering::Relaxed);
    let longest = visitors.iter().position(silent);
    longest.and_then(|place| visitors.remove(place)).is_some()
}

/// Whether the process at the other end may give orders.
fn is_authorised(stream: &UnixStream) -> bool {
    let own = rustix::process::geteuid().as_raw();
    stream
        .peer_cred()
        .is_ok_and(|peer| peer.uid() == 0 || peer.uid() == own)
}

/// Serves one client.
async fn visit(
    stream: UnixStream,
    received: mpsc::Sender<ReceivedOrder>,
    has_spoken: Arc<AtomicBool>,
    waiting: Arc<Semaphore>,
) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut line = Vec::new();
    let mut bounded = (&mut stream).take(LONGEST_ORDER);
    timeout(PATIENCE, bounded.read_until(b'\n', &mut line)).await??;
    if line.last() != Some(&b'\n') {
        // The client has gone, or its order is too long.
        return Ok(());
    }
    has_spoken.store(true, Ordering::Relaxed);
    let mut stream = stream.into_inner();
    let order = match Order::parse(&line) {
        Ok(order) => order,
        Err(reason) => return reply(&mut stream, Answer::Refused(reason)).await,
    };
    // An order to stop is obeyed even while the client does not wait.
    let waits = matches!(order, Order::Reload | Order::Handover);
    let Ok(_permit) = waits.then(|| waiting.try_acquire()).transpose() else {
        let reason = "too many others wait for an answer: try again".to_owned();
        return reply(&mut stream, Answer::Refused(reason)).await;
    };
    obey(&mut stream, order, &received).await
}

/// Passes an order on, and answers it, with an empty line every second until then.
pub(super) async fn obey(
    stream: &mut UnixStream,
    order: Order,
    received: &mpsc::Sender<ReceivedOrder>,
) -> io::Result<()> {
    let (answer, mut answered) = oneshot::channel();
    if received
        .send(ReceivedOrder { order, answer })
        .await
        .is_err()
    {
        return Ok(());
    }
    loop {
        tokio::select! {
            answer = &mut answered => return match answer {
                Ok(answer) => reply(stream, answer).await,
                Err(_) => Ok(()),
            },
            () = tokio::time::sleep(HEARTBEAT) => {
                timeout(PATIENCE, stream.write_all(b"\n")).await??;
            }
        }
    }
}

/// Writes an answer.
async fn reply(stream: &mut UnixStream, answer: Answer) -> io::Result<()> {
    let (text, sockets) = encode(answer);
    let descriptors: Vec<BorrowedFd<'_>> = sockets.iter().map(AsFd::as_fd).collect();
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
    timeout(PATIENCE, written).await?
}
