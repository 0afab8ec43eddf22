//! Clients that go away: requests that have not begun are dropped, and the others are given up as soon as possible.

#[path = "support/pool.rs"]
mod support;

use http::StatusCode;
use runner::interface::Application;

use support::{GRACE, Pool, blocks, body, bounded, pool};

/// Waits until the queue has this many requests whose clients still wait.
async fn queued(pool: &Pool, count: usize) {
    let reached = async {
        while pool.wsgi.status().queue.length != count {
            tokio::task::yield_now().await;
        }
    };
    bounded(reached).await;
}

#[tokio::test]
async fn a_request_in_the_queue_goes_with_its_client() {
    let pool = pool(|options| options.limits.queue_length = 2).await;
    let busy = pool.begin("/wait");
    pool.noted("waiting").await;
    // It would end the worker.
    let deserted = pool.begin("/kill");
    let first = pool.begin("/pid");
    queued(&pool, 2).await;
    let refused = bounded(pool.get("/pid")).await;
    assert_eq!(refused.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(refused.headers["retry-after"], "1");
    deserted.abort();
    assert!(deserted.await.expect_err("it was given up").is_cancelled());
    let queue = pool.wsgi.status().queue;
    assert_eq!(queue.length, 1);
    // There is room for another.
    let second = pool.begin("/pid");
    queued(&pool, 2).await;
    pool.allow("go").await;
    let mut pids = Vec::new();
    for request in [busy, first, second] {
        let response = bounded(request).await.expect("answered");
        pids.push(body(response).await.expect("whole"));
    }
    pids.dedup();
    assert_eq!(pids.len(), 1, "the worker was ended: {pids:?}");
    pool.wsgi.stop(GRACE).await;
}

/// The age of a request without a waiting client is not shown.
#[tokio::test]
async fn the_oldest_request_in_the_queue_is_one_with_a_client() {
    let pool = pool(|_| ()).await;
    let busy = pool.begin("/wait");
    pool.noted("waiting").await;
    let deserted = pool.begin("/pid");
    queued(&pool, 1).await;
    deserted.abort();
    assert!(deserted.await.expect_err("it was given up").is_cancelled());
    let queue = pool.wsgi.status().queue;
    assert_eq!((queue.length, queue.oldest), (0, None));
    pool.allow("go").await;
    assert_eq!(busy.await.expect("answered").status, StatusCode::OK);
    pool.wsgi.stop(GRACE).await;
}

#[tokio::test]
async fn an_iterable_is_closed_at_its_next_block() {
    let pool = pool(|_| ()).await;
    let begun = pool.begin("/gated-blocks");
    pool.noted("waiting").await;
    pool.allow("go").await;
    let mut deserted = blocks(bounded(begun).await.expect("answered"));
    assert_eq!(bounded(deserted.next()).await, Some(Ok("block".into())));
    pool.noted("waiting").await;
    drop(deserted);
    // The reader of the worker's messages must run before the test continues.
    tokio::task::yield_now().await;
    pool.allow("go").await;
    pool.noted("closed").await;
    pool.wsgi.stop(GRACE).await;
}

#[tokio::test]
async fn an_application_that_has_not_begun_its_answer_is_closed_at_the_first_block() {
    let pool = pool(|_| ()).await;
    let deserted = pool.begin("/gated-blocks");
    pool.noted("waiting").await;
    deserted.abort();
    assert!(deserted.await.expect_err("it was given up").is_cancelled());
    pool.allow("go").await;
    pool.noted("closed").await;
    pool.wsgi.stop(GRACE).await;
}
