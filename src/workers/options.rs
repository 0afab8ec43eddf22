//! The settings of the workers: the application, how many there are, and their limits.

use std::ffi::OsString;
use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::log::LineForm;
use crate::workers::python::imported_folders::ImportedFolders;

/// A task of an ASGI application that has not ended so long after it was cancelled is not going to.
pub const LINGERING: Duration = Duration::from_secs(10);

/// How long a process that has nothing left to do may take to end.
pub(crate) const GRACE: Duration = Duration::from_millis(500);

/// The most of the time to stop that is left to the end of lifespan, which is an eighth of it otherwise.
const LONGEST_LAST_MOMENT: Duration = Duration::from_secs(5);

/// How long a worker may take to begin to serve when all are to leave.
const LAST_START: Duration = Duration::from_secs(3);

/// The application, how many workers it has, and their limits.
#[derive(Clone, Debug)]
pub struct WorkerOptions {
    /// The Python interpreter.
    pub python: PathBuf,
    /// Where that comes from, for messages.
    pub python_origin: String,
    /// What to import: `pkg.mod.attr`, `pkg.mod:attr` or `module:factory()`.
    pub target: String,
    /// The first folders in which modules are looked for.
    pub search_path: Vec<PathBuf>,
    /// `sys.argv`.
    pub arguments: Vec<OsString>,
    /// The current folder of the workers; that of runner if there is none.
    pub begins_in: Option<Arc<File>>,
    /// Modules to import after the application.
    pub imports: Vec<String>,
    /// Variables that differ from runner's environment: a name, and its value, or `None` to remove it.
    pub environment: Vec<(String, Option<String>)>,
    /// The least number of workers. With 0 the application is imported at the start if it is preloaded, and the first
    /// worker is started for the first request.
    pub min: usize,
    /// The largest number of workers.
    pub max: usize,
    /// When workers are replaced or leave though nothing is wrong with them.
    pub retire_after: RetireAfter,
    /// Requests that a worker answers at the same time.
    pub threads: usize,
    /// The least time between two starts beyond the least number.
    pub start_interval: Duration,
    /// Whether to import the application once and fork.
    pub preload: Preload,
    /// `wsgi.run_once`: the process answers one request.
    pub run_once: bool,
    /// Nothing but its import is wanted: the process ends without waiting for threads and exit handlers.
    pub only_imported: bool,
    /// How long the import, and then the beginning of a worker, may take; zero for no limit.
    pub start_timeout: Duration,
    /// How long workers may take to leave.
    pub stop_timeout: Duration,
    /// The limits of requests.
    pub limits: Limits,
    /// The limits that the system enforces on each worker.
    pub resources: Resources,
    /// The form of the lines that workers write of their own.
    pub line_form: LineForm,
    /// Whether these lines name a request by its `X-Request-Id`, which is one of runner's.
    pub names_requests: bool,
    /// The folder for responses that clients receive slowly.
    pub folder: PathBuf,
    /// How much of one response is stored there, in bytes.
    pub max_buffer: u64,
    /// The same for all responses together.
    pub max_buffers: u64,
    /// How the application is called: by ASGI with these options, or by WSGI.
    pub asgi: Option<AsgiOptions>,
    /// Where to say what was imported, and answer exceptions with pages that show them: `launch`.
    pub development: Option<Arc<ImportedFolders>>,
}

/// The limits of ASGI workers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LoopLimits {
    /// How many requests a worker works on at a time, WebSockets not counted.
    pub(crate) concurrency: usize,
    /// How long WebSockets and streams of events may go on when their worker is to leave.
    pub(crate) drain: Duration,
    /// How long responses that end by themselves may go on when all workers are to leave.
    pub(crate) finish: Duration,
    /// How long code may go on for which no client waits, when all workers are to leave: the end of lifespan comes after it.
    pub(crate) background: Duration,
    /// How long the worker may take to end what was told to end.
    pub(crate) grace: Duration,
    /// A task that has not ended so long after it was cancelled is not going to.
    pub(crate) lingering: Duration,
}

impl WorkerOptions {
    /// How long a worker that exists may take to begin to serve; zero for no limit. Less if all are to leave, since requests
    /// that wait for it hold that up.
    pub(crate) fn begin_timeout(&self, is_stop: bool) -> Duration {
        match (is_stop, self.start_timeout) {
            (true, Duration::ZERO) => LAST_START,
            (true, limit) => limit.min(LAST_START),
            (false, limit) => limit,
        }
    }

    /// How long a worker has to end that is told to leave though requests have not ended: the end of lifespan takes its
    /// time, too.
    pub(crate) fn last_moment(&self) -> Duration {
        match self.has_lifespan() {
            true => (self.stop_timeout / 8).clamp(GRACE, LONGEST_LAST_MOMENT),
            false => GRACE,
        }
    }

    /// Whether the application is told of the beginning of its worker.
    pub(crate) fn has_lifespan(&self) -> bool {
        let asgi = self.asgi.as_ref();
        asgi.is_some_and(|asgi| asgi.lifespan != Lifespan::Off)
    }

    /// The limits of workers that answer in any order; `None` if they speak WSGI.
    pub(crate) fn loop_limits(&self) -> Option<LoopLimits> {
        self.asgi.as_ref().map(|asgi| LoopLimits {
            concurrency: asgi.concurrency.max(1),
            drain: asgi.drain,
            // The application has the rest of the time to end what it is then told to end.
            finish: self.stop_timeout / 4 * 3,
            background: self.stop_timeout.saturating_sub(self.last_moment()),
            grace: asgi.disconnect_grace + self.stop_timeout.max(GRACE),
            lingering: asgi.lingering,
        })
    }
}

/// How an ASGI application is run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AsgiOptions {
    /// Whether it is told of the beginning and the end of its worker.
    pub lifespan: Lifespan,
    /// `auto`, `asyncio`, `uvloop`, or `module:factory` for what makes an event loop.
    pub event_loop: String,
    /// How many requests a worker works on at a time, WebSockets not counted.
    pub concurrency: usize,
    /// How long the application may go on for a client that has left, before its task is cancelled.
    pub disconnect_grace: Duration,
    /// How long WebSockets and streams of events may go on when their worker is to leave.
    pub drain: Duration,
    /// How long a task may go on after it was cancelled, before its worker is replaced: [`LINGERING`], but in tests.
    pub lingering: Duration,
}

/// `runner.asgi.lifespan`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lifespan {
    /// It is, if it takes part.
    #[default]
    Auto,
    /// It is, and an exception there is a failure.
    On,
    /// It is not.
    Off,
}

/// Whether the application is imported once, before its workers are forked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preload {
    /// If it turns out to have nothing that forks could not share.
    Auto,
    /// In any case.
    Always,
    /// No: each worker imports it.
    Never,
}

/// The limits of requests.
#[derive(Clone, Copy, Debug, Default)]
pub struct Limits {
    /// How long an application may take to the head of its response; zero for no limit.
    pub request_timeout: Duration,
    /// After how long the log shows where a request is; zero for never.
    pub request_slow: Duration,
    /// How many requests may wait.
    pub queue_length: usize,
    /// How long a request may wait; zero for no limit.
    pub queue_timeout: Duration,
}

/// When workers are replaced or leave though nothing is wrong with them. Zero is no limit.
#[derive(Clone, Debug, Default)]
pub struct RetireAfter {
    /// Requests after which a worker is replaced (±10 %, so that workers that began together do not end together).
    pub requests: u64,
    /// The age at which a worker is replaced.
    pub lifetime: Duration,
    /// The memory (resident set, in bytes) above which a worker is replaced.
    pub memory: u64,
    /// The idle time after which a worker beyond the least number leaves.
    pub idle: Duration,
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
