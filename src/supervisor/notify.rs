//! What a service manager is told: that we serve, reload, stop, are alive (`sd_notify(3)`).
//!
//! Nothing of it happens unless `NOTIFY_SOCKET` is set.

use std::convert::Infallible;
use std::env;
use std::ffi::OsStr;
use std::future::Future;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError};
use std::time::Duration;

use sd_notify::NotifyState;
use serde::{Deserialize, Serialize};

use crate::log;

/// The variables that a service manager sets for the process that it starts, and that mean nothing to (or are
/// misunderstood by) the processes that this one starts.
pub const VARIABLES: [&str; 6] = [
    SOCKET,
    "WATCHDOG_USEC",
    WATCHDOG_PID,
    "LISTEN_FDS",
    "LISTEN_PID",
    "LISTEN_FDNAMES",
];

/// The process that the watchdog is meant for. A successor that we start ourselves, and that takes our place in
/// the eyes of the service manager, must not inherit it: the watchdog is meant for that one then.
pub const WATCHDOG_PID: &str = "WATCHDOG_PID";

/// Names the service manager's socket.
const SOCKET: &str = "NOTIFY_SOCKET";

/// A service manager, as one master tells another of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manager {
    /// Its socket, as in the environment.
    socket: String,
    /// How often it wants a sign of life, if it does.
    #[serde(default)]
    watchdog: Option<Duration>,
}

impl Manager {
    /// That of the environment.
    fn of_environment() -> Option<Self> {
        let socket = env::var_os(SOCKET).filter(|name| !name.is_empty())?;
        Some(Self {
            socket: socket.to_string_lossy().into_owned(),
            watchdog: sd_notify::watchdog_enabled(),
        })
    }
}

/// A way to the service manager, if there is one. Clones are the same way.
#[derive(Clone, Debug)]
pub struct Notifier(Arc<ManagerLink>);

#[derive(Debug)]
struct ManagerLink {
    manager: Option<Manager>,
    address: Option<SocketAddr>,
    /// Another process has taken our place: it does the talking.
    handed_over: AtomicBool,
    complained: Once,
    /// What people were told last of how it goes, while we served.
    serving: Mutex<String>,
}

impl Notifier {
    /// The service manager that the environment names, else that of the master whose place we take: it has started
    /// that one, is told by it that we are the main process now, and may end us if it hears nothing from there on. One
    /// that cannot be reached is said so once, in the log.
    #[must_use]
    pub fn new(inherited: Option<Manager>) -> Self {
        let manager = Manager::of_environment().or(inherited);
        let mut complaint = None;
        let address = manager.as_ref().and_then(|manager| {
            let address = address(OsStr::new(&manager.socket));
            address.map_err(|error| complaint = Some(error)).ok()
        });
        let notifier = Self(Arc::new(ManagerLink {
            manager,
            address,
            handed_over: AtomicBool::new(false),
            complained: Once::new(),
            serving: Mutex::default(),
        }));
        if let Some(error) = complaint {
            notifier.complain(&error);
        }
        notifier
    }

    /// The service manager, for whoever takes our place.
    #[must_use]
    pub fn manager(&self) -> Option<Manager> {
        self.0.manager.clone()
    }

    /// Whether there is a service manager.
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.0.address.is_some()
    }

    /// Requests are answered from now on, or again after a reload. `status` is a line for people.
    pub fn ready(&self, status: &str) {
        let status = line(status);
        self.send(&[NotifyState::Ready, NotifyState::Status(&status)]);
        *self.serving() = status;
    }

    /// That of a reload, or of the end, is not it.
    fn serving(&self) -> MutexGuard<'_, String> {
        let serving = self.0.serving.lock();
        serving.unwrap_or_else(PoisonError::into_inner)
    }

    /// The reload that has just ended has failed. The first line of the reason is for people.
    pub fn reload_failed(&self, why: &str) {
        let why = why.lines().next().unwrap_or_default();
        let why = why.trim_start_matches("error: ");
        let status = format!("{}; the last reload failed: {why}", self.serving());
        self.send(&[NotifyState::Status(&line(&status))]);
    }

    /// A reload begins; [`Notifier::ready`] ends it, however it went.
    pub fn reloading(&self) {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => self.send(&[
                NotifyState::Reloading,
                now,
                NotifyState::Status("reloading"),
            ]),
            // Without the time it would be taken for a fault of ours.
            Err(error) => self.complain(&error),
        }
    }

    /// The end begins.
    pub fn stopping(&self) {
        self.send(&[
            NotifyState::Stopping,
            NotifyState::Status("finishing what is under way"),
        ]);
    }

    /// Another process serves in our place, and a reload that was under way has ended well. Nothing more is said
    /// by us.
    pub fn handed_over(&self, successor: u32) {
        // Till now it has not believed the successor, who has said so, too.
        self.send(&[
            NotifyState::MainPid(successor),
            NotifyState::Ready,
            NotifyState::Status(&self.serving()),
        ]);
        self.0.handed_over.store(true, Ordering::Relaxed);
    }

    /// Says that we are alive, twice as often as the service manager wants to hear it; never ends. As a part of the
    /// event loop it says so only while the loop turns.
    pub fn keep_alive(&self) -> impl Future<Output = Infallible> + use<> {
        let notifier = self.clone();
        let manager = self.0.manager.as_ref().filter(|_| self.is_there());
        let wanted = manager.and_then(|manager| manager.watchdog);
        async move {
            let Some(limit) = wanted.filter(|limit| !limit.is_zero()) else {
                return std::future::pending().await;
            };
            let mut clock = tokio::time::interval((limit / 2).max(Duration::from_millis(1)));
            // What was missed is not made up for: one sign of life is as good as many.
            clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                clock.tick().await;
                notifier.send(&[NotifyState::Watchdog]);
            }
        }
    }

    fn send(&self, states: &[NotifyState<'_>]) {
        let Some(address) = &self.0.address else {
            return;
        };
        if self.0.handed_over.load(Ordering::Relaxed) {
            return;
        }
        let message: String = states.iter().map(|state| format!("{state}\n")).collect();
        // A service manager that does not read must not hold up requests.
        let sent = UnixDatagram::unbound().and_then(|socket| {
            socket.set_nonblocking(true)?;
            socket.send_to_addr(message.as_bytes(), address)
        });
        if let Err(error) = sent {
            self.complain(&error);
        }
    }

    fn complain(&self, error: &io::Error) {
        self.0
            .complained
            .call_once(|| log!("cannot reach the service manager ({SOCKET}): {error}"));
    }
}

/// `sd_notify(3)`: a path, or `@` and an abstract name.
fn address(name: &OsStr) -> io::Result<SocketAddr> {
    match name.as_bytes() {
        #[cfg(target_os = "linux")]
        [b'@', name @ ..] => {
            use std::os::linux::net::SocketAddrExt;
            SocketAddr::from_abstract_name(name)
        }
        [b'/', ..] => SocketAddr::from_pathname(name),
        _ => Err(io::Error::other(format!(
            "`{}` is no address of a Unix socket",
            name.to_string_lossy()
        ))),
    }
}

/// A line of its own, so that nothing in it passes for another message.
fn line(text: &str) -> String {
    text.replace(char::is_control, " ")
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::{address, line};

    #[test]
    fn a_status_is_one_line() {
        assert_eq!(line("serving\nMAINPID=1\0"), "serving MAINPID=1 ");
    }

    #[test]
    fn sockets_have_paths_or_abstract_names() {
        for (name, good) in [
            ("/run/systemd/notify", true),
            ("@/org/freedesktop/notify", true),
            ("vsock:2:1", false),
            ("relative", false),
            (&"/long".repeat(50), false),
        ] {
            assert_eq!(address(OsStr::new(name)).is_ok(), good, "{name}");
        }
    }
}
