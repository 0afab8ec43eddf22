//! The status without what is not for everybody who can connect to the pages. On the control socket, which only the user of
//! the server and root can use, it is whole.

use crate::interface::master_status::Status;
use crate::secrets;

/// Leaves out the queries of requests, which have tokens and searches in them, and all of a failure's description but its
/// first line; hides secrets in that, in paths, and in commands.
pub(super) fn publish(status: &mut Status) {
    for worker in &mut status.workers {
        for request in worker.current.iter_mut().flatten() {
            if let Some((path, _)) = request.path.split_once(['?', '#']) {
                request.path = format!("{path}?…");
            }
            request.path = secrets::hidden(&request.path);
        }
    }
    for program in &mut status.programs {
        program.command = secrets::hidden(&program.command);
        program.down = program.down.as_deref().map(first_line);
    }
    for failure in &mut status.failures {
        failure.what = first_line(&failure.what);
    }
    if let Some(last) = &mut status.reloads.last {
        last.failure = last.failure.as_deref().map(first_line);
    }
}

fn first_line(text: &str) -> String {
    let line = text.lines().find(|line| !line.trim().is_empty());
    secrets::hidden(line.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::interface::master_status::{
        CurrentRequest, LastReload, ProgramStatus, RecentFailure, WorkerStatus,
    };

    #[test]
    fn nothing_secret_is_published() {
        const SECRET: &str = "xyzzy4711";
        let mut status = Status {
            workers: vec![WorkerStatus {
                current: vec![Some(CurrentRequest {
                    path: format!("/reset?token={SECRET}"),
                    ..CurrentRequest::default()
                })],
                ..WorkerStatus::default()
            }],
            programs: vec![ProgramStatus {
                command: format!("./worker --password={SECRET}"),
                down: Some(format!("no\n{SECRET}")),
                ..ProgramStatus::default()
            }],
            failures: vec![RecentFailure {
                what: format!("\nKeyError: password={SECRET}\nat {SECRET}"),
                ..RecentFailure::default()
            }],
            ..Status::default()
        };
        status.reloads.last = Some(LastReload {
            failure: Some(format!("error: no\n{SECRET}")),
            ..LastReload::default()
        });
        publish(&mut status);
        let text = serde_json::to_string(&status).unwrap();
        assert!(!text.contains(SECRET), "{text}");
        for kept in ["/reset?…", "./worker", "KeyError", "error: no"] {
            assert!(text.contains(kept), "{kept}: {text}");
        }
    }
}
