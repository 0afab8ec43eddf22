//! What is configured: which application the workers run, how many there are, and their limits.

use std::ffi::OsString;
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// What a worker that has nothing to do may take to leave.
pub(crate) const MOMENT: Duration = Duration::from_millis(500);

/// What the workers run, and how many of them there are to be.
#[derive(Clone, Debug)]
pub struct WorkerOptions {
    /// The Python interpreter.
    pub python: PathBuf,
    /// What to import: `pkg.mod.attr`, `pkg.mod:attr` or `module:factory()`.
    pub target: String,
    /// Folders in which modules are found first.
    pub search_path: Vec<PathBuf>,
    /// `sys.argv`.
    pub arguments: Vec<OsString>,
    /// The folder that they begin in; ours if there is none.
    pub begins_in: Option<Arc<File>>,
    /// Modules to import beforehand.
    pub imports: Vec<String>,
    /// What their environment has other than ours: a variable and its value, or `None` if it is taken out.
    pub environment: Vec<(String, Option<String>)>,
    /// So many workers are kept running. With 0 the application is imported, if it is to be preloaded, and the first
    /// worker is started for the first request.
    pub min: usize,
    /// There are never more.
    pub max: usize,
    /// When they leave though nothing is wrong with them.
    pub turnover: Turnover,
    /// Requests that a worker answers at the same time.
    pub threads: usize,
    /// The least time between two starts above the minimum.
    pub start_interval: Duration,
    /// Import the application once and fork, or afresh in each worker.
    pub preload: Preload,
    /// `wsgi.run_once`: the process answers one request.
    pub run_once: bool,
    /// How long the import may take; zero for no limit.
    pub start_timeout: Duration,
    /// How long workers have to leave.
    pub stop_timeout: Duration,
    /// What the pool allows a request.
    pub limits: Limits,
    /// What the system allows a worker.
    pub resources: Resources,
    /// The folder where responses are kept that their clients take slowly.
    pub folder: PathBuf,
    /// How much of one response is kept there, in bytes.
    pub max_buffer: u64,
}

/// Whether the application is imported once, before its workers are forked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preload {
    /// Unless it is seen then that forks could not share what it has.
    Auto,
    /// Even then.
    Always,
    /// Each worker imports it afresh.
    Never,
}

/// The limits that a pool keeps.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How long an application may take to the head of its response; zero for no limit.
    pub request_timeout: Duration,
    /// After how long it is said what a request is at; zero for never.
    pub request_slow: Duration,
    /// How many requests may wait.
    pub queue_length: usize,
    /// How long a request may wait.
    pub queue_timeout: Duration,
}

/// When workers leave though nothing is wrong with them. Zero is no limit.
#[derive(Clone, Debug, Default)]
pub struct Turnover {
    /// After so many requests, give or take a tenth: those that began together do not end together.
    pub max_requests: u64,
    /// After so long.
    pub max_lifetime: Duration,
    /// When they take so much memory (resident set), in bytes.
    pub max_memory: u64,
    /// Having had nothing to do for so long, while there are more than the fewest.
    pub idle_timeout: Duration,
}

/// The limits of each worker and each process that it starts; `None` leaves one as it is.
#[derive(Clone, Debug, Default)]
pub struct Resources {
    /// The address space in bytes.
    pub memory: Option<u64>,
    /// Open files.
    pub files: Option<u64>,
    /// Processor time, in whole seconds.
    pub cpu: Option<Duration>,
    /// Processes and threads of the user.
    pub processes: Option<u64>,
    /// The size of a core file in bytes.
    pub core: Option<u64>,
}

impl Resources {
    /// Those that are set, by their names in settings and in control.py, in bytes, seconds or pieces.
    pub fn rows(&self) -> impl Iterator<Item = (&'static str, f64)> {
        #[allow(clippy::cast_precision_loss)] // settings take no more than 2^53
        let number = |value: Option<u64>| value.map(|value| value as f64);
        [
            ("memory", number(self.memory)),
            ("files", number(self.files)),
            ("cpu", self.cpu.map(|time| time.as_secs_f64().ceil())),
            ("processes", number(self.processes)),
            ("core", number(self.core)),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
    }
}
