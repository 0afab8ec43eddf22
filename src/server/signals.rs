//! The signals that a server obeys, and those that it does not let end it.

use std::os::fd::{AsFd, BorrowedFd};

use anyhow::Context;
use rustix::io::Errno;
use rustix::process::Signal as Number;
use rustix::termios::{isatty, tcgetattr};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::plan::gateway::Protocol;
use crate::unix;

/// What a signal means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// Finish what is under way and leave.
    Stop,
    /// The same, from somebody at a terminal, who may be more urgent the second time.
    Interrupt,
    /// Read everything anew.
    Reload,
    /// Say what the application is doing.
    Stacks,
}

impl Told {
    /// What tells another process the same.
    #[must_use]
    pub fn signal(self) -> rustix::process::Signal {
        use rustix::process::Signal;
        match self {
            Self::Stop => Signal::TERM,
            Self::Interrupt => Signal::INT,
            Self::Reload => Signal::HUP,
            Self::Stacks => Signal::QUIT,
        }
    }
}

/// The signals, received rather than ending the process.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    /// What process managers of the FastCGI specification's time send. It has no meaning for HTTP.
    retire: Signal,
    /// What is served.
    protocol: Protocol,
    /// It was said that `retire` is ignored.
    said: bool,
    interrupt: Signal,
    hang_up: Signal,
    quit: Signal,
    /// Whether there was a terminal at the start.
    terminal: bool,
}

impl Signals {
    /// From here on, signals are received.
    ///
    /// # Errors
    /// The system does not let us.
    pub fn receive(protocol: Protocol) -> anyhow::Result<Self> {
        let of = |kind| signal(kind).context("cannot receive signals");
        ignore_others()?;
        Ok(Self {
            terminate: of(SignalKind::terminate())?,
            retire: of(SignalKind::user_defined1())?,
            protocol,
            said: false,
            interrupt: of(SignalKind::interrupt())?,
            hang_up: of(SignalKind::hangup())?,
            quit: of(SignalKind::quit())?,
            terminal: isatty(std::io::stderr()),
        })
    }

    /// Another protocol is served from now on.
    pub fn serve(&mut self, protocol: Protocol) {
        self.protocol = protocol;
    }

    /// Waits for one. Nothing is lost if the future is dropped.
    pub async fn next(&mut self) -> Told {
        loop {
            return tokio::select! {
                _ = self.terminate.recv() => Told::Stop,
                _ = self.retire.recv() => match self.protocol {
                    Protocol::FastCgi => Told::Stop,
                    Protocol::Http => {
                        if !std::mem::replace(&mut self.said, true) {
                            say_meaningless("SIGUSR1");
                        }
                        continue;
                    }
                },
                _ = self.interrupt.recv() => Told::Interrupt,
                _ = self.hang_up.recv() => match self.terminal && is_gone(std::io::stderr().as_fd()) {
                    true => Told::Stop,
                    false => Told::Reload,
                },
                _ = self.quit.recv() => Told::Stacks,
            };
        }
    }
}

/// Signals that have no meaning here, and upon which the system ends a process that does not receive them.
const MEANINGLESS: &[(Number, &str)] = &[
    (Number::USR2, "SIGUSR2"),
    (Number::ALARM, "SIGALRM"),
    (Number::VTALARM, "SIGVTALRM"),
    (Number::PROF, "SIGPROF"),
    (Number::IO, "SIGIO"),
    #[cfg(target_os = "linux")]
    (Number::POWER, "SIGPWR"),
    #[cfg(target_os = "linux")]
    (Number::STKFLT, "SIGSTKFLT"),
];

/// Has signals without a meaning end nothing. They are received rather than ignored: programs that we start would
/// inherit that, and with those that were ignored before us it is left so.
fn ignore_others() -> anyhow::Result<()> {
    let named = MEANINGLESS
        .iter()
        .map(|(signal, name)| (signal.as_raw(), (*name).to_owned()));
    for (number, name) in named.chain(unix::real_time_signals()) {
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

fn say_meaningless(name: &str) {
    crate::log!("{name} has no meaning here: it is ignored from now on");
}

/// Has a file that has reached the largest size that it may have (setrlimit(2)) be one that cannot be written, rather than
/// the end of this process. To be called within a tokio runtime.
///
/// # Errors
/// The system does not let us.
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

/// Whether a terminal was closed: SIGHUP has its first meaning then, and nobody is left who could end us.
fn is_gone(terminal: BorrowedFd<'_>) -> bool {
    matches!(tcgetattr(terminal), Err(Errno::IO))
}
