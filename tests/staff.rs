//! The number of workers, how they leave, and what the log says of them, with real Python processes.

#[path = "support/pool.rs"]
mod support;

use std::sync::Arc;
use std::time::Duration;

use http::StatusCode;
use runner::interface::Application;
use runner::interface::master_status::WorkerState;
use tokio::task::JoinHandle;

use runner::workers::options::Preload;
use support::{GRACE, Pool, bounded, kill, pool, pool_of, watch};

impl Pool {
    fn stopping(&self) -> JoinHandle<()> {
        let wsgi = Arc::clone(&self.wsgi);
        tokio::spawn(async move { wsgi.stop(GRACE).await })
    }
}

#[tokio::test]
async fn a_stop_answers_what_waits() {
    let pool = pool(|_| ()).await;
    let slow = pool.begin("/wait");
    pool.noted("waiting").await;
    let waiting: Vec<_> = (0..10).map(|_| pool.begin("/pid")).collect();
    pool.status_is(|status| status.queue.length > 0).await;
    let stopping = pool.stopping();
    tokio::task::yield_now().await;
    let late = pool.get("/pid").await;
    assert_eq!(late.status, StatusCode::SERVICE_UNAVAILABLE);
    pool.allow("go").await;
    for request in waiting.into_iter().chain([slow]) {
        assert_eq!(request.await.expect("answered").status, StatusCode::OK);
    }
    bounded(stopping).await.expect("stopped");
    assert_eq!(pool.wsgi.status().workers, []);
}

#[tokio::test]
async fn a_stop_answers_what_waits_even_if_the_last_worker_dies() {
    let pool = pool(|_| ()).await;
    let pid = pool.text("/pid").await;
    let slow = pool.begin("/wait");
    pool.noted("waiting").await;
    let waiting: Vec<_> = (0..3).map(|_| pool.begin("/pid")).collect();
    pool.status_is(|status| status.queue.length > 0).await;
    let stopping = pool.stopping();
    tokio::task::yield_now().await;
    kill(&pid);
    let lost = slow.await.expect("answered");
    assert_eq!(lost.status, StatusCode::BAD_GATEWAY);
    for request in waiting {
        assert_eq!(request.await.expect("answered").status, StatusCode::OK);
    }
    bounded(stopping).await.expect("stopped");
}

/// While one still works, idle ones have left already.
#[tokio::test]
async fn workers_leave_one_by_one() {
    let pool = pool(|options| {
        options.min = 3;
        options.max = 3;
    })
    .await;
    pool.wsgi.all_ready().await.expect("ready");
    let slow = pool.begin("/wait");
    pool.noted("waiting").await;
    let stopping = pool.stopping();
    let status = pool.status_is(|status| status.workers.len() == 1).await;
    assert_eq!(status.workers[0].state, WorkerState::Busy);
    assert!(!stopping.is_finished());
    pool.allow("go").await;
    assert_eq!(slow.await.expect("answered").status, StatusCode::OK);
    bounded(stopping).await.expect("stopped");
}

#[tokio::test]
async fn the_status_shows_the_request_of_each_worker() {
    let pool = pool(|options| {
        options.threads = 2;
        options.limits.queue_length = 1;
    })
    .await;
    let pid: i32 = pool.text("/pid").await.parse().expect("a number");
    let slow = pool.begin("/wait");
    pool.noted("waiting").await;
    let status = pool.wsgi.status();
    let [worker] = &status.workers[..] else {
        panic!("{status:#?}");
    };
    assert_eq!(
        (worker.pid, worker.state, worker.requests),
        (Some(pid), WorkerState::Busy, 1)
    );
    assert!(
        worker.rss.is_some_and(|bytes| bytes > 1 << 20),
        "{worker:?}"
    );
    let current: Vec<_> = worker.current.iter().flatten().collect();
    assert_eq!(worker.current.len(), 2);
    assert_eq!(current.len(), 1);
    assert_eq!((&*current[0].method, &*current[0].path), ("GET", "/wait"));
    assert!(current[0].age <= worker.age);
    assert_eq!((status.queue.length, status.queue.oldest), (0, None));
    assert_eq!((status.totals.requests, status.back_off), (2, None));
    pool.allow("go").await;
    slow.await.expect("answered");
    pool.status_is(|status| status.workers[0].state == WorkerState::Idle)
        .await;
    assert_eq!(pool.get("/kill").await.status, StatusCode::BAD_GATEWAY);
    let status = pool
        .status_is(|status| status.totals.deaths == 1 && status.workers.len() == 1)
        .await;
    assert_eq!(status.totals.bad_gateway, 1);
    let [failure] = &status.failures[..] else {
        panic!("{status:#?}");
    };
    let said = format!("worker {pid} was killed by SIGKILL");
    assert!(failure.what.starts_with(&said), "{failure:?}");
    pool.wsgi.stop(GRACE).await;
}

#[tokio::test]
async fn all_are_ready_when_as_many_serve_as_always_should() {
    let pool = pool(|options| {
        options.min = 4;
        options.max = 4;
    })
    .await;
    pool.wsgi.all_ready().await.expect("ready");
    let status = pool.wsgi.status();
    assert_eq!(status.workers.len(), 4);
    for worker in status.workers {
        assert_eq!(worker.state, WorkerState::Idle);
    }
    pool.wsgi.stop(GRACE).await;
    assert!(pool.wsgi.all_ready().await.is_err(), "there are none");
}

/// The first import succeeds, later ones fail.
#[tokio::test]
async fn a_worker_that_cannot_be_started_is_an_error_of_all() {
    let source = "\
import os, pathlib
folder = pathlib.Path(__file__).parent
try:
    (folder / 'taken').mkdir()
except FileExistsError:
    with open(folder / 'go', 'rb', buffering=0) as pipe:
        pipe.read(1)
    raise

def application(environ, start_response):
    start_response('200 OK', [])
    return [b'%d' % os.getpid()]
";
    let pool = pool_of(source, |options| {
        options.preload = Preload::Never;
        options.min = 2;
        options.max = 2;
    })
    .await
    .expect("started");
    let wsgi = Arc::clone(&pool.wsgi);
    let all_ready = tokio::spawn(async move { wsgi.all_ready().await });
    tokio::task::yield_now().await;
    pool.allow("go").await;
    let error = bounded(all_ready).await.expect("asked");
    let error = error.expect_err("one fails");
    assert!(
        format!("{error:#}").contains("FileExistsError"),
        "{error:#}"
    );
    let pid = pool.text("/pid").await;
    let status = pool.status_is(|status| status.back_off.is_some()).await;
    assert!(status.failures[0].what.contains("FileExistsError"));
    let worker = watch(&pid);
    bounded(pool.wsgi.stop(Duration::ZERO)).await;
    assert!(worker.has_ended());
}

/// As many as are busy at once, and down to the minimum when there are no requests.
#[tokio::test]
async fn workers_come_with_the_requests_and_go_with_them() {
    let pool = pool(|options| {
        options.max = 3;
        options.retire_after.idle = Duration::from_millis(100);
    })
    .await;
    let busy: Vec<_> = (0..3).map(|_| pool.begin("/wait")).collect();
    for _ in &busy {
        pool.noted("waiting").await;
    }
    let status = pool.wsgi.status();
    let busy_ones = status.workers.iter();
    let busy_ones = busy_ones.filter(|worker| worker.state == WorkerState::Busy);
    assert_eq!(busy_ones.count(), 3, "{status:#?}");
    for _ in &busy {
        pool.allow("go").await;
    }
    for request in busy {
        assert_eq!(request.await.expect("answered").status, StatusCode::OK);
    }
    let status = pool.status_is(|status| status.workers.len() == 1).await;
    assert_eq!((status.totals.deaths, status.totals.recycled), (0, 0));
    // The worker that was used last stays, whichever that is, and it answers.
    let left = status.workers[0].pid.expect("it runs").to_string();
    assert_eq!(pool.text("/pid").await, left);
    pool.wsgi.stop(GRACE).await;
}

/// The first one beyond the minimum is started at once, the next only after the interval.
#[tokio::test]
async fn workers_are_added_one_at_a_time() {
    for min in [0, 1] {
        let pool = pool(|options| {
            options.min = min;
            options.max = 4;
            options.start_interval = Duration::from_secs(3600);
        })
        .await;
        let busy: Vec<_> = (0..2).map(|_| pool.begin("/wait")).collect();
        for _ in &busy {
            pool.noted("waiting").await;
        }
        let waits = pool.begin("/pid");
        let long = Some(0.1);
        let status = pool.status_is(|status| status.queue.oldest > long).await;
        assert_eq!((status.workers.len(), status.queue.length), (2, 1));
        for _ in &busy {
            pool.allow("go").await;
        }
        for request in busy.into_iter().chain([waits]) {
            assert_eq!(request.await.expect("answered").status, StatusCode::OK);
        }
        pool.wsgi.stop(GRACE).await;
    }
}

/// An unused application keeps no process except the one that has imported it.
#[tokio::test]
async fn without_a_least_number_the_first_request_starts_a_worker() {
    for preload in [Preload::Auto, Preload::Never] {
        let pool = pool(|options| {
            options.min = 0;
            options.preload = preload;
            // No request waits for that.
            options.start_interval = Duration::from_secs(3600);
            options.retire_after.idle = Duration::from_millis(50);
        })
        .await;
        assert_eq!(pool.wsgi.status().workers, []);
        let first = bounded(pool.text("/pid")).await;
        pool.status_is(|status| status.workers.is_empty()).await;
        let second = bounded(pool.text("/pid")).await;
        assert_ne!(first, second);
        bounded(pool.wsgi.stop(GRACE)).await;
    }
}

#[tokio::test]
async fn without_a_least_number_an_import_that_fails_is_found_at_the_start() {
    let start = |preload| {
        pool_of("import nothing_like_this\n", move |options| {
            options.min = 0;
            options.preload = preload;
        })
    };
    let error = start(Preload::Auto).await.err().expect("it fails");
    assert!(
        format!("{error:#}").contains("nothing_like_this"),
        "{error:#}"
    );
    // Unless each worker imports the application itself.
    let pool = start(Preload::Never).await.expect("nothing to be started");
    let error = bounded(pool.wsgi.all_ready()).await.expect_err("it fails");
    assert!(
        format!("{error:#}").contains("nothing_like_this"),
        "{error:#}"
    );
    let request = pool.begin("/");
    let status = pool.status_is(|status| status.back_off.is_some()).await;
    assert!(status.failures[0].what.contains("nothing_like_this"));
    bounded(pool.wsgi.stop(Duration::ZERO)).await;
    let refused = request.await.expect("answered");
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
}
