//! What the page says of a status.

use super::*;
use crate::interface::master_status::{BackOff, CurrentRequest, LastReload, QueueStatus};

fn serving() -> Status {
    Status {
        state: "serving".to_owned(),
        sockets: vec!["http://localhost/".to_owned()],
        workers: vec![WorkerStatus {
            state: WorkerState::Idle,
            ..WorkerStatus::default()
        }],
        ..Status::default()
    }
}

fn said(status: &Status) -> (Wellness, &'static str, Vec<String>) {
    let view = view(status, 100.0);
    (view.level, view.verdict, view.troubles)
}

fn certificate_until(expires: f64) -> CertificateStatus {
    CertificateStatus {
        names: vec!["a.test".to_owned(), "b.test".to_owned()],
        expires,
    }
}

#[test]
fn the_first_word_is_whether_it_is_well() {
    assert_eq!(said(&serving()), (Wellness::Ok, "Well", Vec::new()));
    let with = |change: fn(&mut Status)| {
        let mut status = serving();
        change(&mut status);
        let (level, verdict, troubles) = said(&status);
        (level, verdict, troubles.concat())
    };
    type StatusChange = fn(&mut Status);
    let cases: [(StatusChange, Wellness, &str, &str); 10] = [
        (
            |it| it.state = "starting".into(),
            Wellness::Bad,
            "Starting",
            "",
        ),
        (
            |it| it.state = "stopping".into(),
            Wellness::Bad,
            "Stopping",
            "",
        ),
        (
            |it| {
                it.workers.clear();
                it.back_off = Some(BackOff {
                    until: 130.0,
                    early_deaths: 4,
                });
            },
            Wellness::Bad,
            "Cannot answer requests",
            "The last 4 workers died before their first answers; next attempt in 30 s.",
        ),
        (
            |it| it.workers[0].state = WorkerState::Starting,
            Wellness::Bad,
            "No worker is ready",
            "",
        ),
        (
            |it| it.state = "reloading".into(),
            Wellness::Ok,
            "Well, reloading",
            "",
        ),
        (
            |it| {
                it.queue = QueueStatus {
                    length: 3,
                    oldest: Some(12.0),
                }
            },
            Wellness::Warn,
            "Works, with troubles",
            "3 requests wait for a worker, the first for 12 s.",
        ),
        (
            |it| {
                it.reloads.last = Some(LastReload {
                    at: 40.0,
                    failure: Some("error: no module `shop`".to_owned()),
                });
            },
            Wellness::Warn,
            "Works, with troubles",
            "The last reload, 1 m 00 s ago, failed: no module `shop`",
        ),
        (
            |it| {
                it.workers[0].current = vec![Some(CurrentRequest {
                    age: 45.0,
                    ..CurrentRequest::default()
                })];
            },
            Wellness::Warn,
            "Works, with troubles",
            "A request has been running for 45 s.",
        ),
        (
            |it| it.certificates = vec![certificate_until(100.0 + 7200.0)],
            Wellness::Warn,
            "Works, with troubles",
            "The certificate for a.test, b.test is valid for 2 h 00 m.",
        ),
        (
            |it| it.certificates = vec![certificate_until(100.0 + 90_000.0)],
            Wellness::Ok,
            "Well",
            "",
        ),
    ];
    for (change, level, verdict, troubles) in cases {
        assert_eq!(with(change), (level, verdict, troubles.to_owned()));
    }
}

#[test]
fn a_server_that_listens_nowhere_has_no_figures() {
    let view = view(&Status::default(), 0.0);
    assert!(view.figures.is_empty() && view.workers.is_empty());
}
