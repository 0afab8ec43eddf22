//! A pool of ASGI workers with real processes: answers in any order, blocked loops, slow and vanishing clients, deaths, stops.

#[path = "support/pool.rs"]
mod support;

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::time::Duration;

use http::StatusCode;
use runner::interface::{
    Application, CloseReason, Outgoing, Request, Response, ResponseBody, WebSocket,
    WebSocketMessage,
};
use runner::workers::options::{AsgiOptions, LINGERING, Lifespan, WorkerOptions};
use support::{GRACE, Pool, blocks, body, bounded, kill, pool_of, request, watch};

const APPLICATION: &str = include_str!("apps/asgi_pool.py");

fn asgi() -> AsgiOptions {
    AsgiOptions {
        lifespan: Lifespan::Auto,
        event_loop: "asyncio".to_owned(),
        concurrency: 100,
        disconnect_grace: Duration::from_secs(10),
        drain: Duration::ZERO,
        lingering: LINGERING,
    }
}

async fn asgi_pool(change: impl FnOnce(&mut WorkerOptions)) -> Pool {
    let changed = |options: &mut WorkerOptions| {
        options.asgi = Some(asgi());
        change(options);
    };
    pool_of(APPLICATION, changed).await.expect("started")
}

/// Opens a WebSocket.
async fn web_socket(pool: &Pool) -> WebSocket {
    let offer = Request {
        offers_web_socket: true,
        ..request("/")
    };
    let response: Response = bounded(pool.wsgi.clone().respond(offer)).await;
    assert_eq!(response.status, StatusCode::SWITCHING_PROTOCOLS);
    assert_eq!(response.headers["sec-websocket-protocol"], "chat");
    match response.body {
        ResponseBody::WebSocket(socket) => socket,
        other => panic!("no WebSocket: {other:?}"),
    }
}

async fn next(socket: &mut WebSocket) -> Option<Outgoing> {
    let next = bounded(poll_fn(|context| socket.poll_next(context))).await;
    if let Some(Outgoing::Message(message)) = &next {
        socket.taken(message.cost());
    }
    next
}

async fn deliver(socket: &mut WebSocket, message: WebSocketMessage) {
    bounded(poll_fn(|context| socket.poll_room(context))).await;
    socket.deliver(message);
}

fn text(text: &'static str) -> WebSocketMessage {
    WebSocketMessage::Text(text.into())
}

fn closed(code: u16) -> Option<Outgoing> {
    Some(Outgoing::Close(CloseReason::of(code)))
}

async fn status_of(answer: tokio::task::JoinHandle<Response>) -> u16 {
    bounded(answer).await.expect("answered").status.as_u16()
}

#[tokio::test]
async fn answers_come_in_any_order() {
    let pool = asgi_pool(|_| {}).await;
    let first = pool.begin("/wait");
    pool.noted("waiting").await;
    assert_eq!(bounded(pool.text("/")).await, "hello");
    pool.status_is(|status| status.workers[0].in_flight == 1)
        .await;
    pool.allow("go").await;
    assert_eq!(status_of(first).await, 200);
    pool.status_is(|status| status.workers[0].in_flight == 0)
        .await;
    pool.wsgi.stop(GRACE).await;
}

#[tokio::test]
async fn a_blocked_loop_costs_its_own_requests_only() {
    let pool = asgi_pool(|options| {
        options.min = 2;
        options.max = 2;
    })
    .await;
    pool.wsgi.all_ready().await.expect("both");
    let blocked = pool.begin("/block");
    pool.noted("waiting").await;
    let others: Vec<_> = (0..50).map(|_| pool.begin("/")).collect();
    for other in others {
        assert_eq!(status_of(other).await, 200);
    }
    assert!(!blocked.is_finished());
    pool.status_is(|status| {
        let lags = |it: &runner::interface::master_status::WorkerStatus| {
            it.lag.is_some_and(|lag| lag > 0.2)
        };
        status.workers.iter().filter(|it| lags(it)).count() <= 1
    })
    .await;
    pool.allow("go").await;
    assert_eq!(status_of(blocked).await, 200);
    pool.wsgi.stop(GRACE).await;
}

/// What waits while both loops are blocked, and blocks them only after it has begun, is shared out between them, though one of
/// them reads on before the other.
#[tokio::test]
async fn a_burst_that_blocks_late_is_shared_by_the_workers() {
    const BURST: usize = 10;
    let pool = asgi_pool(|options| {
        options.min = 2;
        options.max = 2;
    })
    .await;
    pool.wsgi.all_ready().await.expect("both");
    let mut answers = Vec::new();
    for _ in 0..2 {
        answers.push(pool.begin("/late/go"));
        pool.noted("waiting").await;
    }
    answers.extend((0..BURST).map(|_| pool.begin("/late/closed")));
    // A loop that was blocked for long has as long to read on.
    let long = Some(0.5);
    pool.status_is(|status| status.queue.length == BURST && status.queue.oldest > long)
        .await;
    for _ in 0..2 {
        pool.allow("go").await;
    }
    pool.status_is(|status| status.queue.length == 0).await;
    for _ in 0..BURST {
        pool.allow("closed").await;
    }
    let mut shares = BTreeMap::new();
    for answer in answers {
        let pid = body(bounded(answer).await.expect("answered")).await;
        *shares.entry(pid.expect("whole")).or_insert(0) += 1;
    }
    let shares: Vec<usize> = shares.into_values().collect();
    assert!(
        shares.len() == 2 && shares.iter().all(|share| *share > BURST / 3),
        "{shares:?}"
    );
    pool.wsgi.stop(GRACE).await;
}

/// Each is written to the worker with what blocks it behind it: it is answered before that, in the same turn of the loop.
#[tokio::test]
async fn answers_that_are_complete_do_not_wait_for_a_loop_that_is_blocked() {
    let pool = asgi_pool(|_| {}).await;
    for (quick, slow) in [("/", "/block"), ("/turn", "/turn-block")] {
        let answered = [pool.begin(quick), pool.begin(quick)];
        let blocked = pool.begin(slow);
        pool.noted("waiting").await;
        let waiting = pool.begin("/");
        for answer in answered {
            assert_eq!(status_of(answer).await, 200, "{quick}");
        }
        assert!(!blocked.is_finished() && !waiting.is_finished());
        pool.allow("go").await;
        assert_eq!(status_of(blocked).await, 200);
        assert_eq!(status_of(waiting).await, 200);
    }
    pool.wsgi.stop(GRACE).await;
}

#[tokio::test]
async fn a_worker_that_is_killed_costs_what_it_had_begun() {
    let pool = asgi_pool(|_| {}).await;
    let mut socket = web_socket(&pool).await;
    deliver(&mut socket, text("pid")).await;
    let Some(Outgoing::Message(WebSocketMessage::Text(pid))) = next(&mut socket).await else {
        panic!("no answer");
    };
    let pid = String::from_utf8(pid.to_vec()).expect("a number");
    let mut stream = blocks(bounded(pool.get("/endless")).await);
    assert_eq!(bounded(stream.next()).await, Some(Ok("begun".into())));
    let waits = pool.begin("/wait");
    pool.noted("waiting").await;
    kill(&pid);
    assert_eq!(status_of(waits).await, 502);
    assert!(bounded(stream.next()).await.expect("not whole").is_err());
    assert_eq!(next(&mut socket).await, closed(CloseReason::FAILED));
    assert_ne!(bounded(pool.text("/pid")).await, pid);
    let totals = pool.wsgi.status().totals;
    assert_eq!((totals.bad_gateway, totals.deaths), (1, 1));
    pool.wsgi.stop(GRACE).await;
}

#[tokio::test]
async fn a_stop_ends_what_does_not_end_by_itself() {
    for returns in [false, true] {
        let pool = asgi_pool(|_| {}).await;
        let mut socket = web_socket(&pool).await;
        let mut stream = blocks(bounded(pool.get("/endless")).await);
        assert_eq!(bounded(stream.next()).await, Some(Ok("begun".into())));
        let mut download = blocks(bounded(pool.get("/stream")).await);
        assert_eq!(bounded(download.next()).await, Some(Ok("begun".into())));
        pool.noted("waiting").await;
        let waits = pool.begin("/wait");
        pool.noted("waiting").await;
        if returns {
            pool.wsgi.drain(true);
        }
        let code = match returns {
            true => CloseReason::RESTART,
            false => CloseReason::GOING_AWAY,
        };
        let stop = pool.wsgi.stop(GRACE);
        let others = async {
            assert_eq!(next(&mut socket).await, closed(code));
            // Both are told that their clients have left.
            pool.noted("closed").await;
            pool.noted("closed").await;
            // What has not begun a response is an ordinary request, and what ends by itself may end.
            assert!(!waits.is_finished());
            pool.allow("go").await;
            pool.allow("go").await;
            assert_eq!(status_of(waits).await, 200);
            assert_eq!(bounded(download.next()).await, Some(Ok(", ended".into())));
            assert_eq!(bounded(download.next()).await, None);
        };
        bounded(async { tokio::join!(stop, others) }).await;
        assert_eq!(pool.wsgi.status().totals.gateway_timeout, 0);
    }
}

#[tokio::test]
async fn a_start_fails_with_what_lifespan_says() {
    for min in [1, 2] {
        let changed = |options: &mut WorkerOptions| {
            options.asgi = Some(asgi());
            options.min = min;
            options.max = min;
            options.environment = vec![("LIFESPAN".to_owned(), Some("fails".to_owned()))];
        };
        let Err(error) = bounded(pool_of(APPLICATION, changed)).await else {
            panic!("it started");
        };
        let error = format!("{error:#}");
        assert!(error.contains("no database"), "{error}");
    }
}

#[tokio::test]
async fn a_slow_client_holds_up_nobody() {
    let pool = asgi_pool(|_| {}).await;
    let response = bounded(pool.get("/large")).await;
    pool.noted("waiting").await;
    for _ in 0..20 {
        assert_eq!(bounded(pool.text("/")).await, "hello");
    }
    // It waits for its client, and is not done.
    assert_eq!(pool.wsgi.status().workers[0].in_flight, 1);
    let body = bounded(body(response)).await.expect("whole");
    assert_eq!(body.len(), 256 * 65536);
    assert!(body.ends_with('5'));
    pool.wsgi.stop(GRACE).await;
}

#[tokio::test]
async fn large_messages_go_both_ways_within_their_windows() {
    let pool = asgi_pool(|_| {}).await;
    let mut socket = web_socket(&pool).await;
    for size in [0, 1, 65_535, 300_000, 5_000_000] {
        let payload: Vec<u8> = (0..size).map(|place: usize| (place % 251) as u8).collect();
        let message = WebSocketMessage::Binary(payload.into());
        deliver(&mut socket, message.clone()).await;
        assert_eq!(next(&mut socket).await, Some(Outgoing::Message(message)));
    }
    for _ in 0..1000 {
        deliver(&mut socket, text("again and again")).await;
    }
    for _ in 0..1000 {
        let again = Some(Outgoing::Message(text("again and again")));
        assert_eq!(next(&mut socket).await, again);
    }
    socket.left(CloseReason::of(CloseReason::NORMAL));
    pool.noted("closed").await;
    pool.status_is(|status| status.workers[0].web_sockets == 0)
        .await;
    pool.wsgi.stop(GRACE).await;
}

#[tokio::test]
async fn an_application_is_told_that_its_client_has_left() {
    let pool = asgi_pool(|_| {}).await;
    let early = pool.begin("/left");
    pool.noted("waiting").await;
    early.abort();
    pool.noted("closed").await;
    let stream = bounded(pool.get("/endless")).await;
    drop(stream);
    pool.noted("closed").await;
    drop(web_socket(&pool).await);
    pool.noted("closed").await;
    pool.status_is(|status| status.workers[0].in_flight == 0)
        .await;
    pool.wsgi.stop(GRACE).await;
}

#[tokio::test]
async fn what_takes_too_long_is_cancelled_alone() {
    let pool = asgi_pool(|options| {
        options.limits.request_timeout = Duration::from_millis(300);
    })
    .await;
    let pid = pool.text("/pid").await;
    let stream = bounded(pool.get("/stream")).await;
    pool.noted("waiting").await;
    let hangs = pool.begin("/hang");
    pool.noted("waiting").await;
    assert_eq!(status_of(hangs).await, 504);
    pool.noted("closed").await;
    pool.allow("go").await;
    assert_eq!(bounded(body(stream)).await.as_deref(), Ok("begun, ended"));
    assert_eq!(bounded(pool.text("/pid")).await, pid);
    assert_eq!(pool.wsgi.status().totals.gateway_timeout, 1);
    pool.wsgi.stop(GRACE).await;
}

/// A task that catches its cancellation for ever cannot be ended, but its worker can.
#[tokio::test]
async fn a_worker_whose_task_clings_to_life_is_replaced() {
    let pool = asgi_pool(|options| {
        options.limits.request_timeout = Duration::from_millis(300);
        options.asgi = Some(AsgiOptions {
            lingering: Duration::from_millis(200),
            disconnect_grace: Duration::ZERO,
            ..asgi()
        });
    })
    .await;
    let pid = pool.text("/pid").await;
    let clings = pool.begin("/cling");
    pool.noted("waiting").await;
    assert_eq!(status_of(clings).await, 504);
    pool.noted("closed").await;
    pool.status_is(|status| status.totals.recycled == 1).await;
    assert_ne!(bounded(pool.text("/pid")).await, pid);
    pool.wsgi.stop(Duration::ZERO).await;
}

#[tokio::test]
async fn a_loop_that_stays_blocked_is_ended() {
    let pool = asgi_pool(|options| {
        options.limits.request_timeout = Duration::from_millis(500);
    })
    .await;
    let pid = pool.text("/pid").await;
    let process = watch(&pid);
    let blocks = pool.begin("/block");
    pool.noted("waiting").await;
    assert_eq!(status_of(blocks).await, 504);
    process.ended().await;
    assert_ne!(bounded(pool.text("/pid")).await, pid);
    pool.wsgi.stop(GRACE).await;
}

#[tokio::test]
async fn what_is_beyond_the_concurrency_waits_in_the_queue() {
    let pool = asgi_pool(|options| {
        options.asgi = Some(AsgiOptions {
            concurrency: 1,
            ..asgi()
        });
        options.limits.queue_length = 1;
    })
    .await;
    let _socket = web_socket(&pool).await;
    let first = pool.begin("/wait");
    pool.noted("waiting").await;
    let second = pool.begin("/pid");
    pool.status_is(|status| status.queue.length == 1).await;
    assert_eq!(bounded(pool.get("/")).await.status, 503);
    pool.allow("go").await;
    assert_eq!(status_of(first).await, 200);
    assert_eq!(status_of(second).await, 200);
    pool.wsgi.stop(GRACE).await;
}
