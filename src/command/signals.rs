//! The signals that a server obeys.

use std::os::fd::{AsFd, BorrowedFd};

use anyhow::Context;
use rustix::io::Errno;
use rustix::termios::{isatty, tcgetattr};
use tokio::signal::unix::{Signal, SignalKind, signal};

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
    /// What process managers of the FastCGI specification's time send.
    retire: Signal,
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
    pub fn receive() -> anyhow::Result<Self> {
        let of = |kind| signal(kind).context("cannot receive signals");
        Ok(Self {
            terminate: of(SignalKind::terminate())?,
            retire: of(SignalKind::user_defined1())?,
            interrupt: of(SignalKind::interrupt())?,
            hang_up: of(SignalKind::hangup())?,
            quit: of(SignalKind::quit())?,
            terminal: isatty(std::io::stderr()),
        })
    }

    /// Waits for one. Nothing is lost if the future is dropped.
    pub async fn next(&mut self) -> Told {
        tokio::select! {
            _ = self.terminate.recv() => Told::Stop,
            _ = self.retire.recv() => Told::Stop,
            _ = self.interrupt.recv() => Told::Interrupt,
            _ = self.hang_up.recv() => match self.terminal && is_gone(std::io::stderr().as_fd()) {
                true => Told::Stop,
                false => Told::Reload,
            },
            _ = self.quit.recv() => Told::Stacks,
        }
    }
}

/// Whether a terminal was closed: SIGHUP has its first meaning then, and nobody is left who could end us.
fn is_gone(terminal: BorrowedFd<'_>) -> bool {
    matches!(tcgetattr(terminal), Err(Errno::IO))
}
