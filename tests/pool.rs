//! The worker pool with real Python processes: what happens to requests when workers are slow, die or hang.

#[path = "support/pool.rs"]
mod support;

use std::time::Duration;

use http::StatusCode;
use runner::interface::Application;
use runner::interface::master_status::Status;

use runner::workers::options::Preload;
use support::{APPLICATION, GRACE, Watched, blocks, body, bounded, kill, pool, pool_of, watch};

#[tokio::test]
async fn a_worker_that_dies_costs_only_its_own_request() {
    let pool = pool(|_| ()).await;
    let first = pool.text("/pid").await;
    for bad in ["/kill", "/exit"] {
        // All sent in the same turn of the loop, so that they are in one batch.
        let (before, dying, after, last) = tokio::join!(
            pool.get("/pid"),
            pool.get(bad),
            pool.get("/pid"),
            pool.get("/pid")
        );
        assert_eq!(before.status, StatusCode::OK);
        assert_eq!(dying.status, StatusCode::BAD_GATEWAY);
        let after = body(after).await.expect("whole");
        assert_eq!(after, body(last).await.expect("whole"));
        assert_ne!(after, first, "another worker");
    }
    pool.wsgi.stop(GRACE).await;
}

#[tokio::test]
async fn no_request_waits_behind_a_slow_one_if_another_lane_is_free() {
    for (max, threads) in [(2, 1), (1, 2)] {
        let pool = pool(|options| {
            options.min = max;
            options.max = max;
            options.threads = threads;
        })
        .await;
        // The pool learns that requests are quick, so that it sends them ahead.
        for _ in 0..200 {
            pool.text("/pid").await;
        }
        let slow = pool.begin("/wait");
        let quick: Vec<_> = (0..20).map(|_| pool.begin("/pid")).collect();
        for one in quick {
            assert_eq!(one.await.expect("answered").status, StatusCode::OK);
        }
        assert!(!slow.is_finished());
        pool.allow("go").await;
        assert_eq!(slow.await.expect("answered").status, StatusCode::OK);
        pool.wsgi.stop(GRACE).await;
    }
}

#[tokio::test]
async fn workers_are_added_when_requests_wait_and_all_are_busy() {
    let pool = pool(|options| options.max = 2).await;
    let slow = pool.begin("/wait");
    pool.noted("waiting").await;
    let quick = pool.text("/pid").await;
    pool.allow("go").await;
    let slow = body(slow.await.expect("answered")).await.expect("whole");
    assert_ne!(quick, slow);
    pool.wsgi.stop(GRACE).await;
}

#[tokio::test]
async fn a_full_queue_is_503_at_once() {
    let pool = pool(|options| options.limits.queue_length = 1).await;
    let slow = pool.begin("/wait");
    pool.noted("waiting").await;
    // One waits in the queue, or was sent ahead to the worker before the worker was known to be stuck.
    let first = pool.begin("/");
    tokio::task::yield_now().await;
    let refused = bounded(pool.get("/")).await;
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(refused.headers.contains_key("retry-after"));
    pool.allow("go").await;
    for waiting in [slow, first] {
        assert_eq!(waiting.await.expect("answered").status, StatusCode::OK);
    }
    pool.wsgi.stop(GRACE).await;
}

/// A request that was sent ahead to a worker comes back if the worker does not begin it; its waiting time continues.
#[tokio::test]
async fn requests_sent_ahead_count_as_waiting() {
    let pool = pool(|options| options.limits.queue_length = 3).await;
    // The pool learns that requests are quick, so that it sends many ahead.
    for _ in 0..200 {
        pool.text("/pid").await;
    }
    let slow = pool.begin("/wait");
    let others: Vec<_> = (0..8).map(|_| pool.begin("/pid")).collect();
    pool.noted("waiting").await;
    let status = pool.status_is(|status| status.queue.length > 0).await;
    assert_eq!((status.queue.length, status.totals.unavailable), (3, 5));
    pool.allow("go").await;
    assert_eq!(slow.await.expect("answered").status, StatusCode::OK);
    let mut answered = 0;
    for other in others {
        let status = other.await.expect("answered").status;
        answered += usize::from(status == StatusCode::OK);
    }
    assert_eq!(answered, 3);
    pool.wsgi.stop(GRACE).await;
}

#[tokio::test]
async fn a_long_wait_is_503() {
    let pool = pool(|options| options.limits.queue_timeout = Duration::from_millis(50)).await;
    let slow = pool.begin("/wait");
    pool.noted("waiting").await;
    let tired = pool.get("/").await;
    assert_eq!(tired.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(tired.headers.contains_key("retry-after"));
    pool.allow("go").await;
    assert_eq!(slow.await.expect("answered").status, StatusCode::OK);
    assert_eq!(pool.text("/").await, "ok");
    pool.wsgi.stop(GRACE).await;
}

#[tokio::test]
async fn a_request_that_takes_too_long_is_504_and_its_worker_replaced() {
    let pool = pool(|options| options.limits.request_timeout = Duration::from_millis(100)).await;
    let pid = pool.text("/pid").await;
    let worker = watch(&pid);
    assert_eq!(pool.get("/spin").await.status, StatusCode::GATEWAY_TIMEOUT);
    assert_ne!(pool.text("/pid").await, pid);
    worker.ended().await;
    pool.wsgi.stop(GRACE).await;
}

#[tokio::test]
async fn other_requests_of_a_worker_with_a_hanging_one_are_finished() {
    let pool = pool(|options| {
        options.threads = 2;
        options.limits.request_timeout = Duration::from_millis(200);
    })
    .await;
    let pid = pool.text("/pid").await;
    let worker = watch(&pid);
    let mut neighbour = blocks(pool.get("/blocks").await);
    assert_eq!(neighbour.next().await, Some(Ok("first".into())));
    assert_eq!(pool.get("/spin").await.status, StatusCode::GATEWAY_TIMEOUT);
    // Another worker starts at once, though the first one is still busy.
    assert_ne!(pool.text("/pid").await, pid);
    assert!(!worker.has_ended());
    pool.allow("go").await;
    assert_eq!(neighbour.next().await, Some(Ok("second".into())));
    assert_eq!(neighbour.next().await, None);
    worker.ended().await;
    pool.wsgi.stop(GRACE).await;
}

#[tokio::test]
async fn a_worker_whose_overdue_request_ends_after_all_is_ended_too() {
    let pool = pool(|options| options.limits.request_timeout = Duration::from_millis(50)).await;
    let pid = pool.text("/pid").await;
    let worker = watch(&pid);
    assert_eq!(pool.get("/wait").await.status, StatusCode::GATEWAY_TIMEOUT);
    pool.allow("go").await;
    worker.ended().await;
    assert_ne!(pool.text("/pid").await, pid);
    pool.wsgi.stop(GRACE).await;
}

#[tokio::test]
async fn the_death_of_the_template_stops_nothing() {
    let pool = pool(|_| ()).await;
    let pid = pool.text("/pid").await;
    let template = pool.text("/parent").await;
    let watched = watch(&template);
    kill(&template);
    watched.ended().await;
    assert_eq!(pool.text("/pid").await, pid, "the worker goes on");
    assert_eq!(pool.get("/kill").await.status, StatusCode::BAD_GATEWAY);
    assert_ne!(pool.text("/pid").await, pid, "from another template");
    assert_ne!(pool.text("/parent").await, template);
    pool.wsgi.stop(GRACE).await;
}

#[tokio::test]
async fn without_preload_each_worker_imports_for_itself() {
    let pool = pool(|options| {
        options.preload = Preload::Never;
        options.min = 2;
        options.max = 2;
    })
    .await;
    let own = std::process::id().to_string();
    assert_eq!(pool.text("/parent").await, own);
    assert_eq!(pool.get("/kill").await.status, StatusCode::BAD_GATEWAY);
    assert_eq!(pool.text("/parent").await, own);
    assert_eq!(pool.text("/thread").await, "MainThread");
    pool.wsgi.stop(GRACE).await;
}

#[tokio::test]
async fn an_application_with_threads_is_not_forked() {
    let source = format!(
        "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()\n{APPLICATION}"
    );
    let pool = pool_of(&source, |_| ()).await.expect("started");
    assert_eq!(pool.text("/parent").await, std::process::id().to_string());
    pool.wsgi.stop(GRACE).await;
}

#[tokio::test]
async fn no_request_waits_behind_what_an_application_does_after_its_response() {
    let pool = pool(|options| options.threads = 2).await;
    assert_eq!(pool.text("/close-waits").await, "whole");
    pool.noted("waiting").await;
    for _ in 0..3 {
        assert_eq!(bounded(pool.text("/")).await, "ok");
    }
    pool.allow("go").await;
    pool.wsgi.stop(GRACE).await;
}

/// The work after a response has as much time as a request.
#[tokio::test]
async fn a_worker_that_is_stuck_after_its_answer_is_replaced() {
    let pool = pool(|options| options.limits.request_timeout = Duration::from_millis(200)).await;
    let pid = pool.text("/pid").await;
    let worker = watch(&pid);
    assert_eq!(pool.text("/close-waits").await, "whole");
    pool.noted("waiting").await;
    assert_ne!(bounded(pool.text("/pid")).await, pid);
    worker.ended().await;
    let failures = pool.wsgi.status().failures;
    let said = "code that runs after the answer to GET /close-waits has not ended for ";
    assert!(failures[0].what.starts_with(said), "{failures:?}");
    pool.wsgi.stop(GRACE).await;
}

#[tokio::test]
async fn a_lane_that_was_stuck_after_its_answer_is_used_again() {
    let pool = pool(|_| ()).await;
    assert_eq!(pool.text("/close-waits").await, "whole");
    pool.noted("waiting").await;
    let waits = pool.begin("/");
    pool.allow("go").await;
    assert_eq!(
        bounded(waits).await.expect("answered").status,
        StatusCode::OK
    );
    assert_eq!(bounded(pool.text("/")).await, "ok");
    pool.wsgi.stop(GRACE).await;
}

#[tokio::test]
async fn a_process_that_an_application_has_forked_holds_up_no_stop() {
    let pool = pool(|_| ()).await;
    assert_eq!(pool.text("/fork-leak").await, "forked");
    bounded(pool.wsgi.stop(GRACE)).await;
    pool.allow("go").await;
}

#[tokio::test]
async fn a_process_that_an_application_forks_is_not_a_worker() {
    let pool = pool(|_| ()).await;
    for _ in 0..3 {
        assert_eq!(bounded(pool.text("/fork-return")).await, "parent");
    }
    pool.wsgi.stop(GRACE).await;
}

#[tokio::test]
async fn what_such_a_process_has_opened_and_forked_is_its_own() {
    let pool = pool(|_| ()).await;
    let found = bounded(pool.text("/fork-twice")).await;
    assert_eq!(found, "whole: 1, blocked: 0");
    pool.wsgi.stop(GRACE).await;
}

#[tokio::test]
async fn what_a_worker_leaves_behind_is_buried() {
    let pool = pool(|_| ()).await;
    let pid = pool.text("/orphan").await;
    let orphan = watch(&pid);
    pool.allow("go").await;
    orphan.ended().await;
    let buried = async {
        while std::path::Path::new("/proc").join(&pid).exists() {
            tokio::task::yield_now().await;
        }
    };
    bounded(buried).await;
    pool.wsgi.stop(GRACE).await;
}

#[tokio::test]
async fn processes_of_an_application_obey_signals() {
    let pool = pool(|_| ()).await;
    for _ in 0..10 {
        assert_eq!(bounded(pool.text("/terminate")).await, "-15");
    }
    pool.wsgi.stop(GRACE).await;
}

#[tokio::test]
async fn nothing_is_left_after_a_stop() {
    for preload in [Preload::Auto, Preload::Never] {
        let pool = pool(|options| options.preload = preload).await;
        let (worker, parent) = (pool.text("/pid").await, pool.text("/parent").await);
        let processes = [Some(worker), (preload == Preload::Auto).then_some(parent)];
        let processes: Vec<_> = processes.iter().flatten().map(|pid| watch(pid)).collect();
        pool.wsgi.stop(GRACE).await;
        assert!(processes.iter().all(Watched::has_ended));
        assert_eq!(pool.get("/").await.status, StatusCode::SERVICE_UNAVAILABLE);
    }
}

#[tokio::test]
async fn a_stop_ends_what_is_stuck() {
    let pool = pool(|_| ()).await;
    let pid = pool.text("/pid").await;
    let stuck = pool.begin("/wait");
    pool.noted("waiting").await;
    let worker = watch(&pid);
    pool.wsgi.stop(Duration::ZERO).await;
    assert_eq!(
        stuck.await.expect("answered").status,
        StatusCode::GATEWAY_TIMEOUT
    );
    assert!(worker.has_ended());
}

/// A template that waits for its children itself and does not report a worker's end: the end is noticed all the same.
#[tokio::test]
async fn the_end_of_a_worker_is_noticed_without_a_report() {
    let source = format!(
        "{APPLICATION}
import ctypes, threading
template = os.getpid()
ignore = ctypes.CDLL(None).signal

def ignore_children():
    # Those that it forks are waited for by the system then.
    while os.getpid() == template:
        ignore(int(signal.SIGCHLD), 1)
        threading.Event().wait(0.01)

threading.Thread(target=ignore_children, daemon=True).start()
"
    );
    let pool = pool_of(&source, |options| {
        options.preload = Preload::Always;
        options.stop_timeout = Duration::from_millis(200);
    })
    .await
    .expect("started");
    let first = pool.text("/pid").await;
    assert_eq!(pool.get("/kill").await.status, StatusCode::BAD_GATEWAY);
    assert_ne!(pool.text("/pid").await, first);
    // The thread reaches it soon.
    let missed = |status: &Status| status.workers.len() == 1 && status.totals.deaths == 1;
    pool.status_is(missed).await;
    bounded(pool.wsgi.stop(Duration::from_millis(500))).await;
}
