//! SIGTERM and SIGINT while no event loop looks at signals.

use std::ffi::c_int;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::SigId;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

/// Whether a signal has told this process to end.
#[derive(Debug)]
pub struct StopFlag {
    flag: Arc<AtomicBool>,
    signals: Vec<SigId>,
}

impl StopFlag {
    /// Watches the signals from now on.
    ///
    /// # Errors
    /// The system refuses.
    pub fn listen() -> io::Result<Self> {
        Self::of(&[SIGTERM, SIGINT])
    }

    /// The same where nothing can be reloaded: SIGHUP, which comes when a terminal is closed, ends it, too.
    ///
    /// # Errors
    /// The system refuses.
    pub fn listen_to_all() -> io::Result<Self> {
        Self::of(&[SIGTERM, SIGINT, SIGHUP])
    }

    fn of(signals: &[c_int]) -> io::Result<Self> {
        let flag = Arc::new(AtomicBool::new(false));
        let listen = |signal| signal_hook::flag::register(signal, Arc::clone(&flag));
        let signals = signals.iter().copied().map(listen);
        Ok(Self {
            signals: signals.collect::<io::Result<_>>()?,
            flag,
        })
    }

    /// Whether one has come.
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
