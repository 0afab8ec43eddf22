//! CGI programs (RFC 3875): a process for each request, and how many of them there are.
//!
//! From the bottom to the top (no file names one that is above it):
//! - `process_slots`: how many run at a time; `roster_of_scripts`: what the status shows of them;
//! - [`CgiHostOptions`], and what all requests share: `host_state`; a program and what it answers: `cgi_script`;
//! - `script_environment`: the environment of a process;
//! - `script_process`: its start and its end, and that of what it has started;
//! - `script_errors`: what it writes to standard error; `script_output`: what it answers;
//! - `exchange`: one request, from its turn to the end of its process.
//!
//! Nothing here makes the thread of all connections wait: processes are started on threads that may.

mod cgi_script;
mod exchange;
mod host_state;
mod process_slots;
mod roster_of_scripts;
mod script_environment;
mod script_errors;
mod script_output;
mod script_process;

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::StatusCode;
use tokio::sync::oneshot;
use tokio_util::task::TaskTracker;

pub use crate::cgi_host::cgi_script::{CgiScript, ScriptAnswer};
pub use crate::cgi_host::host_state::CgiHostOptions;
use crate::cgi_host::host_state::HostState;
use crate::children;
use crate::children::left_behind::LeftBehind;
use crate::children::orphan_guard;
use crate::interface::master_status::Status;
use crate::interface::measurements::Measurements;
use crate::interface::{Request, Response};

/// Runs CGI programs.
#[derive(Debug)]
pub struct CgiHost {
    state: Arc<HostState>,
    /// One for each request.
    tasks: TaskTracker,
}

impl CgiHost {
    /// No process runs yet.
    #[must_use]
    pub fn new(options: CgiHostOptions) -> Self {
        children::adopt_orphans();
        let state = HostState::new(options);
        if let Err(error) = orphan_guard::protect(&state.mark) {
            crate::log_warning!(
                "cannot run `sh`: {error}; CGI programs that hang stay if runner is killed"
            );
        }
        Self {
            state: Arc::new(state),
            tasks: TaskTracker::new(),
        }
    }

    /// Runs a program for a request, whose `SCRIPT_NAME` is that of the program. If the future is dropped, the program is
    /// ended.
    pub fn respond(
        &self,
        script: CgiScript,
        request: Request,
    ) -> impl Future<Output = ScriptAnswer> + Send + use<> {
        let (promise, answer) = oneshot::channel();
        let state = Arc::clone(&self.state);
        self.tasks
            .spawn(exchange::run(state, script, request, promise));
        async move {
            // Only a panic leaves a request without an answer.
            let lost = |_| ScriptAnswer::Response(Response::plain(StatusCode::BAD_GATEWAY));
            answer.await.unwrap_or_else(lost)
        }
    }

    /// Lets the programs that run, and those of requests that wait, answer for this long, and ends what is left then.
    /// Returns when no process is left.
    pub async fn stop(&self, within: Duration) {
        self.tasks.close();
        if tokio::time::timeout(within, self.tasks.wait())
            .await
            .is_err()
        {
            self.state.ending.cancel();
            self.tasks.wait().await;
        }
        let (mut left_behind, now) = (LeftBehind::default(), Instant::now());
        left_behind.groups(&self.state.left_groups, now);
        left_behind.sweep(&self.state.mark, now);
        left_behind.ended().await;
        orphan_guard::forget(&self.state.mark);
    }

    /// The processes, and the requests that wait for one.
    #[must_use]
    pub fn status(&self) -> Status {
        Status {
            queue: self.state.slots.status(),
            delivering: self.state.depot.delivering(),
            ..self.state.roster.status()
        }
    }

    /// How long requests waited for a process.
    #[must_use]
    pub fn measurements(&self) -> Measurements {
        Measurements {
            queue_waits: self.state.slots.waits(),
            ..Measurements::default()
        }
    }
}
