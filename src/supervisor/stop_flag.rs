//! SIGTERM and SIGINT while no event loop looks at signals.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::SigId;
use signal_hook::consts::{SIGINT, SIGTERM};

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
        let flag = Arc::new(AtomicBool::new(false));
        let listen = |signal| signal_hook::flag::register(signal, Arc::clone(&flag));
        let signals = [SIGTERM, SIGINT].into_iter().map(listen);
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
