//! Reports to a service manager: that this process serves, reloads, stops, is alive (`sd_notify(3)`). Only if
//! `NOTIFY_SOCKET` is set.

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

/// The variables that a service manager sets for the process that it starts. The processes that this one starts must not
/// inherit them.
pub const VARIABLES: [&str; 6] = [
    SOCKET,
    "WATCHDOG_USEC",
    WATCHDOG_PID,
    "LISTEN_FDS",
    "LISTEN_PID",
    "LISTEN_FDNAMES",
];

/// Names the process that the watchdog watches. A successor that we start ourselves must not inherit it: it becomes the
/// service manager's main process, and the watchdog watches it then.
pub const WATCHDOG_PID: &str = "WATCHDOG_PID";

/// Names the service manager's socket.
const SOCKET: &str = "NOTIFY_SOCKET";

/// A service manager, as one master describes it to its successor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manager {
    /// Its socket, as in the environment.
    socket: String,
    /// The longest time without a sign of life, if there is a watchdog.
    #[serde(default)]
    watchdog: Option<Duration>,
}

impl Manager {
    /// The service manager that the environment names.
    fn of_environment() -> Option<Self> {
        let socket = env::var_os(SOCKET).filter(|name| !name.is_empty())?;
        Some(Self {
            socket: socket.to_string_lossy().into_owned(),
            watchdog: sd_notify::watchdog_enabled(),
        })
    }
}

/// Reports to the service manager, if there is one. Clones share one state.
#[derive(Clone, Debug)]
pub struct Notifier(Arc<ManagerLink>);

#[derive(Debug)]
struct ManagerLink {
    manager: Option<Manager>,
    address: Option<SocketAddr>,
    /// Another process has taken our place, and reports instead.
    handed_over: AtomicBool,
    error_logged: Once,
    /// The last status line of [`Notifier::ready`]. Those of a reload or a stop are not kept.
    serving: Mutex<String>,
}

impl Notifier {
    /// Reports to the service manager that the environment names, else to that of the master whose place we take: that
    /// master has reported us as its main process, and the watchdog ends us if we are silent. If the service manager cannot
    /// be reached, the log says so once.
    #[must_use]
    pub fn new(inherited: Option<Manager>) -> Self {
        let manager = Manager::of_environment().or(inherited);
        let socket = manager.as_ref().map(|manager| OsStr::new(&manager.socket));
        let (address, error) = match socket.map(address).transpose() {
            Ok(address) => (address, None),
            Err(error) => (None, Some(error)),
        };
        let notifier = Self(Arc::new(ManagerLink {
            manager,
            address,
            handed_over: AtomicBool::new(false),
            error_logged: Once::new(),
            serving: Mutex::default(),
        }));
        if let Some(error) = error {
            notifier.log_error(&error);
        }
        notifier
    }

    /// The service manager, for a successor.
    #[must_use]
    pub fn manager(&self) -> Option<Manager> {
        self.0.manager.clone()
    }

    /// Whether there is a service manager.
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.0.address.is_some()
    }

    /// Reports that requests are answered from now on, or again after a reload. `status` is a line for people.
    pub fn ready(&self, status: &str) {
        let status = line(status);
        self.send(&[NotifyState::Ready, NotifyState::Status(&status)]);
        *self.serving() = status;
    }

    fn serving(&self) -> MutexGuard<'_, String> {
        let serving = self.0.serving.lock();
        serving.unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds to the status line that the last reload has failed, with the first line of the reason.
    pub fn reload_failed(&self, why: &str) {
        let why = why.lines().next().unwrap_or_default();
        let why = why.trim_start_matches("error: ");
        let status = format!("{}; the last reload failed: {why}", self.serving());
        self.send(&[NotifyState::Status(&line(&status))]);
    }

    /// Reports that a reload begins; [`Notifier::ready`] reports its end, however it went.
    pub fn reloading(&self) {
        match NotifyState::monotonic_usec_now() {
            Ok(now) => self.send(&[
                NotifyState::Reloading,
                now,
                NotifyState::Status("reloading"),
            ]),
            // The protocol requires the time (`sd_notify(3)`).
            Err(error) => self.log_error(&error),
        }
    }

    /// Reports that this process begins to end.
    pub fn stopping(&self) {
        self.send(&[
            NotifyState::Stopping,
            NotifyState::Status("finishing what is under way"),
        ]);
    }

    /// Reports that another process serves in our place, and that a reload, if one was under way, has succeeded. Nothing is
    /// reported afterwards.
    pub fn handed_over(&self, successor: u32) {
        // The successor has reported that it is ready, but was not the main process then, and so was ignored.
        self.send(&[
            NotifyState::MainPid(successor),
            NotifyState::Ready,
            NotifyState::Status(&self.serving()),
        ]);
        self.0.handed_over.store(true, Ordering::Relaxed);
    }

    /// Sends signs of life, twice as often as the watchdog requires, for ever. As a part of the event loop it does so only
    /// while the loop turns.
    pub fn keep_alive(&self) -> impl Future<Output = Infallible> + use<> {
        let notifier = self.clone();
        let manager = self.0.manager.as_ref().filter(|_| self.is_there());
        let wanted = manager.and_then(|manager| manager.watchdog);
        async move {
            let Some(limit) = wanted.filter(|limit| !limit.is_zero()) else {
                return std::future::pending().await;
            };
            let mut clock = tokio::time::interval((limit / 2).max(Duration::from_millis(1)));
            // One sign of life is as good as many: those that were missed are not made up for.
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
        // A service manager that does not read must not delay requests.
        let sent = UnixDatagram::unbound().and_then(|socket| {
            socket.set_nonblocking(true)?;
            socket.send_to_addr(message.as_bytes(), address)
        });
        if let Err(error) = sent {
            self.log_error(&error);
        }
    }

    fn log_error(&self, error: &io::Error) {
        self.0.error_logged.call_once(|| {
            crate::log_warning!("cannot reach the service manager ({SOCKET}): {error}");
        });
    }
}

/// The address of the service manager: a path, or `@` and an abstract name (`sd_notify(3)`).
fn address(name: &OsStr) -> io::Result<SocketAddr> {
    match name.as_bytes() {
        #[cfg(target_os = "linux")]
        [b'@', name @ ..] => {
            use std::os::linux::net::SocketAddrExt;
            SocketAddr::from_abstract_name(name)
        }
        [b'/', ..] => SocketAddr::from_pathname(name),
        _ => Err(io::Error::other(format!(
            "`{}` is not an address of a Unix socket",
            name.to_string_lossy()
        ))),
    }
}

/// Without line breaks, which would begin another assignment of the message.
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
