//! Workers that die and workers that are replaced, under load, from the clients' side.

#[path = "support/pool.rs"]
mod support;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs;
use std::rc::Rc;
use std::time::Duration;

use http::StatusCode;
use runner::interface::Application;
use runner::interface::master_status::{RecentFailure, WorkerState, WorkerStatus};
use runner::workers::options::WorkerOptions;
use tokio::task::LocalSet;

use runner::workers::options::Preload;
use support::{APPLICATION, GRACE, Pool, bounded, kill, pool, pool_of, watch};

/// The number of simultaneous clients.
const CLIENTS: usize = 8;

/// Asks for the worker's process again and again while another thing happens; returns the number of responses with each
/// status.
async fn under_load(pool: Rc<Pool>, meanwhile: impl AsyncFnOnce()) -> BTreeMap<StatusCode, usize> {
    let tasks = LocalSet::new();
    let over = Rc::new(Cell::new(false));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let (pool, over) = (Rc::clone(&pool), Rc::clone(&over));
            tasks.spawn_local(async move {
                let mut statuses: BTreeMap<_, usize> = BTreeMap::new();
                // The server needs the processor, too.
                let mut pace = tokio::time::interval(Duration::from_millis(2));
                while !over.get() {
                    pace.tick().await;
                    let status = bounded(pool.get("/pid")).await.status;
                    *statuses.entry(status).or_default() += 1;
                }
                statuses
            })
        })
        .collect();
    tasks
        .run_until(async {
            meanwhile().await;
            over.set(true);
            let mut all = BTreeMap::new();
            for client in clients {
                for (status, count) in client.await.expect("it ends") {
                    *all.entry(status).or_default() += count;
                }
            }
            all
        })
        .await
}

/// Waits, under load, until this many workers were replaced; all responses must be the application's.
async fn is_replaced(times: u64, change: impl FnOnce(&mut WorkerOptions)) {
    let pool = Rc::new(pool(change).await);
    let replaced = async || {
        pool.status_is(|status| status.totals.recycled >= times)
            .await;
    };
    let statuses = under_load(Rc::clone(&pool), replaced).await;
    let seen: Vec<_> = statuses.into_keys().collect();
    assert_eq!(seen, [StatusCode::OK]);
    let status = pool.wsgi.status();
    assert_eq!((status.totals.deaths, status.failures), (0, vec![]));
    pool.wsgi.stop(GRACE).await;
}

#[tokio::test]
async fn nothing_is_lost_when_workers_have_answered_enough() {
    for threads in [1, 2] {
        is_replaced(20, |options| {
            options.min = 2;
            options.max = 2;
            options.threads = threads;
            options.retire_after.requests = 50;
        })
        .await;
    }
}

#[tokio::test]
async fn nothing_is_lost_when_workers_are_old() {
    is_replaced(10, |options| {
        options.min = 2;
        options.max = 2;
        options.retire_after.lifetime = Duration::from_millis(50);
    })
    .await;
}

#[tokio::test]
async fn nothing_is_lost_when_a_new_worker_imports_the_application_afresh() {
    is_replaced(3, |options| {
        options.preload = Preload::Never;
        options.retire_after.requests = 50;
    })
    .await;
}

#[tokio::test]
async fn a_worker_that_has_become_large_is_replaced() {
    let pool = pool(|options| options.retire_after.memory = 64 << 20).await;
    let large = pool.text("/hoard").await;
    let worker = watch(&large);
    // It is idle by then, and no client sends a request.
    worker.ended().await;
    assert_ne!(pool.text("/pid").await, large);
    assert_eq!(pool.wsgi.status().totals.recycled, 1);
    pool.wsgi.stop(GRACE).await;
}

/// The old worker takes as long as it needs; its replacement answers other requests meanwhile.
#[tokio::test]
async fn a_worker_that_is_replaced_finishes_what_it_is_on() {
    let pool = pool(|options| {
        options.threads = 2;
        options.retire_after.requests = 5;
    })
    .await;
    let first = pool.text("/pid").await;
    let worker = watch(&first);
    let slow = pool.begin("/wait");
    pool.noted("waiting").await;
    let others = async { while pool.text("/pid").await == first {} };
    bounded(others).await;
    let leaving = |state| state == WorkerState::Leaving;
    pool.status_is(|status| status.workers.iter().any(|worker| leaving(worker.state)))
        .await;
    assert!(!worker.has_ended());
    pool.allow("go").await;
    let answer = slow.await.expect("answered");
    assert_eq!(support::body(answer).await.expect("whole"), first);
    worker.ended().await;
    pool.wsgi.stop(GRACE).await;
}

#[tokio::test]
async fn a_worker_stays_while_it_has_no_successor() {
    let pool = pool(|options| {
        options.preload = Preload::Never;
        options.retire_after.requests = 5;
    })
    .await;
    let first = pool.text("/pid").await;
    let file = pool.folder().join("app.py");
    fs::write(&file, "1 / 0\n").expect("written");
    // It answers long after it was due to leave.
    let failed = async {
        while pool.wsgi.status().failures.len() < 2 {
            assert_eq!(pool.text("/pid").await, first);
        }
    };
    bounded(failed).await;
    let status = pool.wsgi.status();
    assert!(status.failures[0].what.contains("ZeroDivisionError"));
    assert!(status.back_off.is_some());
    fs::write(&file, APPLICATION).expect("written");
    let replaced = async { while pool.text("/pid").await == first {} };
    bounded(replaced).await;
    assert_eq!(pool.wsgi.status().back_off, None);
    pool.wsgi.stop(GRACE).await;
}

#[tokio::test]
async fn a_worker_that_is_killed_costs_one_request_of_each_lane() {
    const KILLS: usize = 10;
    for threads in [1, 3] {
        let pool = pool(|options| {
            options.min = 2;
            options.max = 2;
            options.threads = threads;
        })
        .await;
        let pool = Rc::new(pool);
        let kill_some = async || {
            for _ in 0..KILLS {
                let status = pool
                    .status_is(|status| {
                        let mut serving = status.workers.iter().filter(|it| serves(it));
                        serving.clone().count() == 2 && serving.any(|it| it.requests > 0)
                    })
                    .await;
                let used = status.workers.iter().max_by_key(|worker| worker.requests);
                let pid = used.and_then(|worker| worker.pid).expect("it runs");
                let deaths = status.totals.deaths;
                kill(&pid.to_string());
                pool.status_is(|status| status.totals.deaths > deaths).await;
            }
        };
        let mut statuses = under_load(Rc::clone(&pool), kill_some).await;
        let lost = statuses.remove(&StatusCode::BAD_GATEWAY).unwrap_or(0);
        assert!(lost <= KILLS * threads, "{lost} requests were lost");
        let others: Vec<_> = statuses.into_keys().collect();
        assert_eq!(others, [StatusCode::OK]);
        let status = pool.wsgi.status();
        assert_eq!(status.totals.deaths, KILLS as u64);
        assert_eq!(status.totals.bad_gateway, lost as u64);
        pool.wsgi.stop(GRACE).await;
    }
}

fn serves(worker: &WorkerStatus) -> bool {
    matches!(worker.state, WorkerState::Idle | WorkerState::Busy)
}

/// Whatever is mended, the server notices by itself.
#[tokio::test]
async fn workers_that_die_at_once_are_tried_again_until_they_do_not() {
    let pool = pool(|_| ()).await;
    let (worker, template) = (pool.text("/pid").await, pool.text("/parent").await);
    let file = pool.folder().join("app.py");
    let dies =
        "import os\nos.register_at_fork(after_in_child=lambda: os._exit(7))\napplication = print\n";
    fs::write(&file, dies).expect("written");
    for pid in [&template, &worker] {
        let process = watch(pid);
        kill(pid);
        process.ended().await;
    }
    let status = pool
        .status_is(|status| {
            let back_off = status.back_off.as_ref();
            back_off.is_some_and(|back_off| back_off.early_deaths >= 3)
        })
        .await;
    for wanted in [
        "exited with status 7 before it was ready",
        "the template was killed by SIGKILL",
    ] {
        let said = |failure: &RecentFailure| failure.what.contains(wanted);
        assert!(status.failures.iter().any(said), "{status:#?}");
    }
    fs::write(&file, APPLICATION).expect("written");
    pool.status_is(|status| status.workers.iter().any(serves))
        .await;
    let answer = bounded(pool.get("/pid")).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert_eq!(pool.wsgi.status().back_off, None);
    pool.wsgi.stop(GRACE).await;
}

/// Where no worker is left and none can be started, requests are refused: those that wait, and later ones at once. Nothing
/// else would answer them here.
#[tokio::test]
async fn without_any_worker_requests_are_refused_until_one_can_be_started() {
    for (preload, min) in [(Preload::Auto, 1), (Preload::Never, 1), (Preload::Never, 0)] {
        let pool = pool(|options| {
            options.preload = preload;
            options.min = min;
            options.limits.queue_timeout = Duration::ZERO;
        })
        .await;
        let mut processes = vec![pool.text("/pid").await];
        if preload == Preload::Auto {
            processes.insert(0, pool.text("/parent").await);
        }
        let file = pool.folder().join("app.py");
        fs::write(&file, "1 / 0\n").expect("written");
        for pid in &processes {
            let process = watch(pid);
            kill(pid);
            process.ended().await;
        }
        let waits = pool.begin("/pid");
        let refused = bounded(waits).await.expect("answered");
        assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
        let again = bounded(pool.get("/pid")).await;
        assert_eq!(again.status, StatusCode::SERVICE_UNAVAILABLE);
        let later: u64 = again.headers["retry-after"]
            .to_str()
            .expect("ASCII")
            .parse()
            .expect("seconds");
        assert!((1..=30).contains(&later), "{later}");
        let status = pool.wsgi.status();
        assert_eq!(status.totals.unavailable, 2);
        let last = &status.failures.last().expect("a failure").what;
        assert!(last.contains("ZeroDivisionError"), "{last}");
        fs::write(&file, APPLICATION).expect("written");
        let answered = async { while pool.get("/pid").await.status != StatusCode::OK {} };
        bounded(answered).await;
        pool.wsgi.stop(GRACE).await;
    }
}

#[tokio::test]
async fn an_application_that_dies_during_its_import_is_reported() {
    let died = pool_of("import os\nos._exit(3)\n", |_| ()).await;
    let error = died.err().expect("it fails");
    let wanted = "Python exited with status 3 while it imported `app.application`";
    assert_eq!(format!("{error:#}"), wanted);
}
