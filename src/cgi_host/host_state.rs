//! How CGI programs are run, and what all requests for them share.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::cgi_host::process_slots::ProcessSlots;
use crate::cgi_host::roster_of_scripts::RosterOfScripts;
use crate::children::left_groups::LeftGroups;
use crate::children::mark::Mark;
use crate::interface::Depot;

/// How CGI programs are run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CgiHostOptions {
    /// How many processes run at a time, at most.
    pub processes: usize,
    /// How many requests may wait for one.
    pub queue_length: usize,
    /// How long a request may wait for one; zero for no limit.
    pub queue_timeout: Duration,
    /// How long a program may take to the head of its response, and to end behind its response; zero for no limit.
    pub request_timeout: Duration,
    /// Variables of the environment beside those of the request, `PATH` among them.
    pub environment: Vec<(OsString, OsString)>,
    /// The folder for responses that clients receive slowly.
    pub folder: PathBuf,
    /// How much of one response is stored there, in bytes.
    pub max_buffer: u64,
    /// The same for all responses together.
    pub max_buffers: u64,
}

/// What all requests share.
#[derive(Debug)]
pub(super) struct HostState {
    pub(super) options: CgiHostOptions,
    pub(super) slots: ProcessSlots,
    pub(super) roster: RosterOfScripts,
    /// Keeps responses for slow clients.
    pub(super) depot: Arc<Depot>,
    /// Known by all processes that the programs start.
    pub(super) mark: Mark,
    /// What programs have left that have answered.
    pub(super) left_groups: LeftGroups,
    /// The time of those that are left is over.
    pub(super) ending: CancellationToken,
}

impl HostState {
    pub(super) fn new(options: CgiHostOptions) -> Self {
        let depot = Depot::new(options.folder.clone(), options.max_buffer);
        let slots = ProcessSlots::new(
            options.processes,
            options.queue_length,
            options.queue_timeout,
        );
        let depot = depot.with_total(options.max_buffers);
        let depot = depot.with_waiting(Arc::clone(slots.count()));
        Self {
            slots,
            roster: RosterOfScripts::default(),
            mark: Mark::new(),
            left_groups: LeftGroups::new(),
            depot: Arc::new(depot),
            ending: CancellationToken::new(),
            options,
        }
    }
}
