//! Workers: stands in for the architect's until that is merged.
pub mod interpreter;
pub mod pool;

use std::path::PathBuf;
use std::time::Duration;

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
    pub arguments: Vec<String>,
    /// Modules to import beforehand.
    pub imports: Vec<String>,
    /// So many workers are kept running.
    pub min: usize,
    /// There are never more.
    pub max: usize,
    /// Requests that a worker answers at the same time.
    pub threads: usize,
    /// The least time between two starts above the minimum.
    pub start_interval: Duration,
    /// Import the application once and fork, or afresh in each worker.
    pub preload: bool,
    /// `wsgi.run_once`: the process answers one request.
    pub run_once: bool,
    /// How long the import may take; zero for no limit.
    pub start_timeout: Duration,
    /// How long workers have to leave.
    pub stop_timeout: Duration,
    /// What the pool allows a request.
    pub limits: pool::Limits,
}
