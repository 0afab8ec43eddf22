//! The signals that a server obeys, and those that it ignores.

use std::os::fd::{AsFd, BorrowedFd};

use anyhow::Context;
use rustix::io::Errno;
use rustix::process::Signal as Number;
use rustix::termios::{isatty, tcgetattr};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::log;
use crate::plan::gateway::Protocol;
use crate::unix;

/// What a signal means to a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignalMeaning {
    /// Finish running requests, then end.
    Stop,
    /// The same from a terminal; a second one ends the server at once.
    Interrupt,
    /// Reload.
    Reload,
    /// Log what the application is doing.
    Stacks,
    /// Open the file of the access log again.
    Reopen,
}

impl SignalMeaning {
    /// The signal that means the same to another process.
    #[must_use]
    pub fn signal(self) -> rustix::process::Signal {
        use rustix::process::Signal;
        match self {
            Self::Stop => Signal::TERM,
            Self::Interrupt => Signal::INT,
            Self::Reload => Signal::HUP,
            Self::Stacks => Signal::QUIT,
            Self::Reopen => Signal::USR2,
        }
    }
}

/// Receives signals that would otherwise end the process.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    /// SIGUSR1, which process managers send to end a FastCGI program. For other protocols it means the same as `reopen`.
    retire: Signal,
    /// The protocol that is served.
    protocol: Protocol,
    /// SIGUSR2; `None` if it is to be ignored.
    reopen: Option<Signal>,
    /// Whether the log has told that `retire` is ignored.
    said: bool,
    /// The same for `reopen`.
    said_reopen: bool,
    interrupt: Signal,
    hang_up: Signal,
    quit: Signal,
    /// Whether standard error was a terminal at the start.
    terminal: bool,
}

impl Signals {
    /// Begins to receive signals.
    ///
    /// # Errors
    /// The system refuses.
    pub fn receive(protocol: Protocol) -> anyhow::Result<Self> {
        let of = |kind| signal(kind).context("cannot receive signals");
        ignore_others()?;
        Ok(Self {
            terminate: of(SignalKind::terminate())?,
            retire: of(SignalKind::user_defined1())?,
            protocol,
            reopen: receive_unless_ignored(Number::USR2.as_raw())?,
            said: false,
            said_reopen: false,
            interrupt: of(SignalKind::interrupt())?,
            hang_up: of(SignalKind::hangup())?,
            quit: of(SignalKind::quit())?,
            terminal: isatty(std::io::stderr()),
        })
    }

    /// Sets the protocol that is served.
    pub fn serve(&mut self, protocol: Protocol) {
        self.protocol = protocol;
    }

    /// Waits for a signal. Cancel-safe.
    pub async fn next(&mut self) -> SignalMeaning {
        loop {
            return tokio::select! {
                _ = self.terminate.recv() => SignalMeaning::Stop,
                _ = self.retire.recv() => match self.protocol {
                    Protocol::FastCgi => SignalMeaning::Stop,
                    Protocol::Http | Protocol::Uwsgi => match reopening("SIGUSR1", &mut self.said) {
                        Some(meaning) => meaning,
                        None => continue,
                    },
                },
                () = received(self.reopen.as_mut()) => {
                    match reopening("SIGUSR2", &mut self.said_reopen) {
                        Some(meaning) => meaning,
                        None => continue,
                    }
                },
                _ = self.interrupt.recv() => SignalMeaning::Interrupt,
                _ = self.hang_up.recv() => match self.terminal && is_gone(std::io::stderr().as_fd()) {
                    true => SignalMeaning::Stop,
                    false => SignalMeaning::Reload,
                },
                _ = self.quit.recv() => SignalMeaning::Stacks,
            };
        }
    }
}

/// Signals without a meaning here, whose default action ends a process.
const MEANINGLESS: &[(Number, &str)] = &[
    (Number::ALARM, "SIGALRM"),
    (Number::VTALARM, "SIGVTALRM"),
    (Number::PROF, "SIGPROF"),
    (Number::IO, "SIGIO"),
    #[cfg(target_os = "linux")]
    (Number::POWER, "SIGPWR"),
    #[cfg(target_os = "linux")]
    (Number::STKFLT, "SIGSTKFLT"),
];

/// The meaning of a signal that opens the access log again. Where that is no file, it has none, and the log says so once.
fn reopening(name: &str, said: &mut bool) -> Option<SignalMeaning> {
    if log::has_access_file() {
        return Some(SignalMeaning::Reopen);
    }
    if !std::mem::replace(said, true) {
        say_meaningless(name);
    }
    None
}

/// Waits for a signal; for ever, if it is ignored.
async fn received(signal: Option<&mut Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => std::future::pending().await,
    }
}

/// Receives the signals without a meaning and does nothing. They are not set to be ignored, because child processes
/// would inherit that; signals that were ignored before stay ignored.
fn ignore_others() -> anyhow::Result<()> {
    let named = MEANINGLESS
        .iter()
        .map(|(signal, name)| (signal.as_raw(), (*name).to_owned()));
    for (number, name) in named.chain(real_time_signals()) {
        if let Some(mut stream) = receive_unless_ignored(number)? {
            tokio::spawn(async move {
                if stream.recv().await.is_some() {
                    say_meaningless(&name);
                }
            });
        }
    }
    outlive_full_files()
}

/// The real-time signals and their names, where there are some.
fn real_time_signals() -> impl Iterator<Item = (i32, String)> {
    #[cfg(target_os = "linux")]
    let numbers = nix::libc::SIGRTMIN()..=nix::libc::SIGRTMAX();
    #[cfg(not(target_os = "linux"))]
    let numbers = std::iter::empty();
    numbers.enumerate().map(|(place, number)| match place {
        0 => (number, "SIGRTMIN".to_owned()),
        _ => (number, format!("SIGRTMIN+{place}")),
    })
}

fn say_meaningless(name: &str) {
    crate::log_warning!("{name} has no meaning here: it is ignored from now on");
}

/// Has a write beyond the largest file size (setrlimit(2)) fail, rather than SIGXFSZ end the process. To be called
/// within a tokio runtime.
///
/// # Errors
/// The system refuses.
pub fn outlive_full_files() -> anyhow::Result<()> {
    receive_unless_ignored(Number::XFSZ.as_raw())?;
    Ok(())
}

fn receive_unless_ignored(number: i32) -> anyhow::Result<Option<Signal>> {
    if unix::is_ignored(number) {
        return Ok(None);
    }
    let stream = signal(SignalKind::from_raw(number)).context("cannot receive signals")?;
    Ok(Some(stream))
}

/// Whether the terminal was closed: then SIGHUP has its original meaning, and no user is left who could stop the
/// server.
fn is_gone(terminal: BorrowedFd<'_>) -> bool {
    matches!(tcgetattr(terminal), Err(Errno::IO))
}
