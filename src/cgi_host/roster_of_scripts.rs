//! The programs that run, for the status, and how requests were answered that no program did.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::interface::RequestName;
use crate::interface::master_status::{
    CurrentRequest, Status, Totals, WorkerState, WorkerStatus, seconds,
};

/// All programs of a host.
#[derive(Debug, Default)]
pub(super) struct RosterOfScripts(Mutex<ScriptEntries>);

#[derive(Debug, Default)]
struct ScriptEntries {
    /// By numbers that are not used again.
    running: BTreeMap<u32, ScriptEntry>,
    next: u32,
    totals: Totals,
}

#[derive(Debug)]
struct ScriptEntry {
    pid: Option<i32>,
    since: Instant,
    request: RequestName,
}

impl RosterOfScripts {
    fn lock(&self) -> MutexGuard<'_, ScriptEntries> {
        // No change under the lock can be left half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts something.
    pub(super) fn count(&self, counter: fn(&mut Totals) -> &mut u64) {
        *counter(&mut self.lock().totals) += 1;
    }

    /// A number for a program that is to run.
    pub(super) fn next(&self) -> u32 {
        let mut entries = self.lock();
        entries.next = entries.next.wrapping_add(1);
        entries.next
    }

    /// Notes that the program of this number runs, until the result is dropped.
    pub(super) fn enter(&self, number: u32, pid: u32, request: &RequestName) -> RunningScript<'_> {
        let mut entries = self.lock();
        let entry = ScriptEntry {
            pid: i32::try_from(pid).ok(),
            since: Instant::now(),
            request: request.clone(),
        };
        entries.running.insert(number, entry);
        RunningScript {
            roster: self,
            number,
        }
    }

    /// The programs, oldest first, and the counts.
    pub(super) fn status(&self) -> Status {
        let entries = self.lock();
        let worker = |(number, entry): (&u32, &ScriptEntry)| {
            let age = seconds(entry.since.elapsed());
            WorkerStatus {
                id: *number,
                pid: entry.pid,
                state: WorkerState::Busy,
                age,
                in_flight: 1,
                current: vec![Some(CurrentRequest {
                    method: entry.request.method().to_owned(),
                    path: entry.request.target(),
                    age,
                    answered: false,
                })],
                ..WorkerStatus::default()
            }
        };
        Status {
            workers: entries.running.iter().map(worker).collect(),
            totals: entries.totals.clone(),
            ..Status::default()
        }
    }
}

/// A program that runs.
pub(super) struct RunningScript<'a> {
    roster: &'a RosterOfScripts,
    number: u32,
}

impl Drop for RunningScript<'_> {
    fn drop(&mut self) {
        self.roster.lock().running.remove(&self.number);
    }
}
