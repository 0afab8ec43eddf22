//! The responses of a WSGI application, and what happens to them between its process and the client.

#[path = "support/pool.rs"]
mod support;

use std::collections::BTreeMap;
use std::io::{Seek, Write};
use std::time::Duration;

use http::StatusCode;
use runner::interface::body_file::BodyFile;
use runner::interface::{Application, Errors, RequestBody, ResponseBody};
use tokio::sync::mpsc;

use support::{APPLICATION, GRACE, blocks, body, bounded, pool, pool_of, request};

#[tokio::test]
async fn the_environ_is_what_wsgi_demands() {
    let pool = pool(|_| ()).await;
    let text = pool.text("/environ").await;
    let environ: BTreeMap<&str, &str> = text
        .lines()
        .filter_map(|line| line.split_once('='))
        .collect();
    for (name, value) in [
        ("REQUEST_METHOD", "'GET'"),
        ("SCRIPT_NAME", "''"),
        ("PATH_INFO", "'/environ'"),
        ("SERVER_PROTOCOL", "'HTTP/1.1'"),
        ("GATEWAY_INTERFACE", "'CGI/1.1'"),
        ("wsgi.version", "(1, 0)"),
        ("wsgi.url_scheme", "'http'"),
        ("wsgi.multithread", "False"),
        ("wsgi.multiprocess", "False"),
        ("wsgi.run_once", "False"),
        ("wsgi.input_terminated", "True"),
    ] {
        assert_eq!(environ.get(name), Some(&value), "{name}");
    }
    for name in ["wsgi.input", "wsgi.errors", "wsgi.file_wrapper"] {
        assert!(environ.contains_key(name), "{name}");
    }
    pool.wsgi.stop(GRACE).await;
}

#[tokio::test]
async fn statuses_and_headers_arrive_as_they_were_given() {
    let pool = pool(|_| ()).await;
    let response = pool.get("/reason").await;
    assert_eq!(response.status.as_u16(), 299);
    assert_eq!(response.reason.as_deref(), Some(&b"Quite \xe4nother"[..]));
    let values: Vec<_> = response.headers.get_all("x-twice").iter().collect();
    assert_eq!(values, ["1", "2"]);
    for bad in ["/bad-header", "/text", "/error"] {
        assert_eq!(
            pool.get(bad).await.status,
            StatusCode::INTERNAL_SERVER_ERROR,
            "{bad}"
        );
    }
    assert_eq!(pool.text("/").await, "ok");
    pool.wsgi.stop(GRACE).await;
}

/// A header map cannot hold so many fields, and the head of a frame can count no more than 65 535.
#[tokio::test]
async fn a_head_that_is_too_large_costs_its_own_request_only() {
    let pool = pool(|_| ()).await;
    for count in [1_000, 24_576, 30_000, 65_534, 65_535, 70_000] {
        let status = pool.get(&format!("/fields/{count}")).await.status;
        assert_eq!(status, StatusCode::BAD_GATEWAY, "{count}");
    }
    assert_eq!(pool.text("/fields/900").await, "ok");
    pool.wsgi.stop(GRACE).await;
}

#[tokio::test]
async fn blocks_arrive_as_they_are_made() {
    let pool = pool(|_| ()).await;
    let mut blocks = blocks(pool.get("/blocks").await);
    assert_eq!(blocks.next().await, Some(Ok("first".into())));
    // Only now may the application continue.
    pool.allow("go").await;
    assert_eq!(blocks.next().await, Some(Ok("second".into())));
    assert_eq!(blocks.next().await, None);
    pool.noted("closed").await;
    pool.wsgi.stop(GRACE).await;
}

#[tokio::test]
async fn a_body_without_a_client_is_closed() {
    let pool = pool(|_| ()).await;
    let mut endless = blocks(pool.get("/endless").await);
    assert!(endless.next().await.is_some());
    drop(endless);
    pool.noted("closed").await;
    assert_eq!(pool.text("/").await, "ok");
    pool.wsgi.stop(GRACE).await;
}

#[tokio::test]
async fn a_body_without_end_is_made_as_far_as_its_client_takes_it() {
    let pool = pool(|_| ()).await;
    let mut endless = blocks(pool.get("/endless").await);
    let mut taken = 0;
    while taken < 100 * 65536 {
        let block = endless.next().await.expect("more").expect("good");
        taken += block.len();
    }
    drop(endless);
    assert_eq!(pool.text("/").await, "ok");
    pool.wsgi.stop(GRACE).await;
}

#[tokio::test]
async fn a_body_that_ends_early_is_not_taken_for_whole() {
    let pool = pool(|_| ()).await;
    assert!(body(pool.get("/raises").await).await.is_err());
    let mut dying = blocks(pool.get("/dies").await);
    assert_eq!(dying.next().await, Some(Ok("first".into())));
    pool.allow("go").await;
    assert!(matches!(dying.next().await, Some(Err(_))));
    assert_eq!(pool.text("/").await, "ok");
    pool.wsgi.stop(GRACE).await;
}

#[tokio::test]
async fn an_error_after_a_complete_response_affects_no_other_request() {
    let pool = pool(|_| ()).await;
    let pid = pool.text("/pid").await;
    for late in ["/late-error", "/write-late"] {
        assert_eq!(pool.text(late).await, "whole");
    }
    assert_eq!(pool.text("/pid").await, pid, "the worker goes on");
    pool.wsgi.stop(GRACE).await;
}

#[tokio::test]
async fn write_fails_when_the_client_has_gone() {
    let pool = pool(|_| ()).await;
    let mut endless = blocks(pool.get("/write-endless").await);
    assert!(endless.next().await.is_some());
    drop(endless);
    pool.noted("closed").await;
    assert_eq!(pool.text("/").await, "ok");
    pool.wsgi.stop(GRACE).await;
}

#[tokio::test]
async fn large_bodies_go_both_ways() {
    let pool = pool(|_| ()).await;
    assert_eq!(pool.text("/large").await.len(), 1 << 20);
    let mut small = request("/echo");
    small.body = RequestBody::Bytes("some bytes".into());
    assert_eq!(
        body(pool.wsgi.clone().respond(small).await)
            .await
            .expect("whole"),
        "some bytes"
    );
    for (path, wanted) in [("/echo", "from a file"), ("/input", "BufferedReader")] {
        let mut large = request(path);
        let mut file = tempfile::tempfile().expect("made");
        file.write_all(b"from a file").expect("written");
        file.rewind().expect("rewound");
        large.body = RequestBody::File {
            file: BodyFile::of_application(file),
            length: 11,
        };
        assert_eq!(
            body(pool.wsgi.clone().respond(large).await)
                .await
                .expect("whole"),
            wanted
        );
    }
    pool.wsgi.stop(GRACE).await;
}

#[tokio::test]
async fn files_are_handed_over() {
    let pool = pool(|_| ()).await;
    let response = pool.get("/file").await;
    assert!(matches!(
        response.body,
        ResponseBody::File { offset: 10, .. }
    ));
    assert_eq!(body(response).await.expect("whole"), APPLICATION[10..]);
    pool.wsgi.stop(GRACE).await;
}

#[tokio::test]
async fn a_length_that_is_none_cuts_no_file_short() {
    let pool = pool(|_| ()).await;
    for (length, sent) in [("+3", 11), ("-3", 11), (" 3", 11), ("3", 3), ("30", 11)] {
        let response = pool.get(&format!("/file-of/{length}")).await;
        let text = body(response).await.expect("whole");
        assert_eq!(text, "the content"[..sent], "{length}");
    }
    pool.wsgi.stop(GRACE).await;
}

#[tokio::test]
async fn files_that_are_not_what_they_seem_are_read() {
    let pool = pool(|_| ()).await;
    // The system says that the body is empty, or that it is compressed.
    assert!(!pool.text("/proc-file").await.is_empty());
    assert_eq!(pool.text("/gzip").await, "unpacked");
    pool.wsgi.stop(GRACE).await;
}

/// A head or block that is larger than a frame arrives complete or becomes an error response of the server.
#[tokio::test]
async fn data_larger_than_a_frame_costs_no_worker() {
    let pool = pool(|_| ()).await;
    let pid = pool.text("/pid").await;
    for (path, size) in [
        ("/block/", (3 << 20) + 7),
        ("/write/", (3 << 20) + 7),
        ("/whole/", (3 << 20) + 7),
        ("/whole/", (64 << 20) + 7),
    ] {
        let response = pool.get(&format!("{path}{size}")).await;
        let announced = response.headers.get("content-length").cloned();
        let text = body(response).await.expect("whole");
        assert_eq!(text.len(), size, "{path}");
        if let Some(announced) = announced {
            assert_eq!(announced, size.to_string(), "{path}");
        }
    }
    for size in [1 << 18, 1 << 20, 20 << 20] {
        let status = pool.get(&format!("/status/{size}")).await.status;
        assert_eq!(status, StatusCode::BAD_GATEWAY, "{size}");
    }
    let (sender, mut receiver) = mpsc::channel(1000);
    let mut request = request("/errors/1000000");
    request.errors = Errors::Gateway(sender);
    let written = body(pool.wsgi.clone().respond(request).await)
        .await
        .expect("whole");
    assert_eq!(written, "1000000");
    let mut told = Vec::new();
    while told.len() < 3_000_000 {
        told.extend(receiver.recv().await.expect("the rest"));
    }
    assert_eq!(told, "\u{2603}".repeat(1_000_000).into_bytes());
    // A gateway that does not take the line delays no request: the log has the rest.
    let (sender, _receiver) = mpsc::channel(1);
    let mut request = self::request("/errors/1000000");
    request.errors = Errors::Gateway(sender);
    let written = body(pool.wsgi.clone().respond(request).await)
        .await
        .expect("whole");
    assert_eq!(written, "1000000");
    assert_eq!(pool.text("/pid").await, pid, "the worker goes on");
    pool.wsgi.stop(GRACE).await;
}

/// Whatever the class of the file.
#[tokio::test]
async fn what_a_file_gives_is_what_its_own_read_gives() {
    let pool = pool(|_| ()).await;
    for (name, handed_over, wanted) in [
        ("plain", true, "the content"),
        ("unbuffered", true, "the content"),
        ("both-ways", true, "the content"),
        ("named", true, "the content"),
        ("own-read", false, "THE CONTENT"),
        ("own-buffered-read", false, "THE CONTENT"),
        ("own-raw", false, "THE CONTENT"),
        ("own-around", false, "THE CONTENT"),
    ] {
        let response = pool.get(&format!("/file/{name}")).await;
        let is_file = matches!(response.body, ResponseBody::File { .. });
        assert_eq!(is_file, handed_over, "{name}");
        assert_eq!(body(response).await.expect("whole"), wanted, "{name}");
    }
    pool.wsgi.stop(GRACE).await;
}

/// The client goes away at each point where the application has nothing to send.
#[tokio::test]
async fn a_client_that_has_gone_ends_a_request_that_says_nothing() {
    let pool = pool(|_| ()).await;
    for path in ["/empty-blocks", "/write-empty"] {
        let mut silent = blocks(pool.get(path).await);
        assert_eq!(silent.next().await, Some(Ok("first".into())), "{path}");
        pool.noted("waiting").await;
        drop(silent);
        pool.noted("closed").await;
    }
    for path in ["/only-empty-blocks", "/no-head"] {
        let silent = pool.begin(path);
        pool.noted("waiting").await;
        silent.abort();
        pool.noted("closed").await;
    }
    assert_eq!(pool.text("/").await, "ok");
    pool.wsgi.stop(GRACE).await;
}

/// A body that is a file needs a descriptor; a HEAD request does not.
#[tokio::test]
async fn an_application_without_a_descriptor_left_fails_where_it_reads() {
    // Below a soft limit there is room up to the hard limit.
    let pool = pool(|options| {
        options.threads = 2;
        options.resources.files = Some(64);
    })
    .await;
    let pid = pool.text("/pid").await;
    let with_file = |path: &str| {
        let mut large = request(path);
        let mut file = tempfile::tempfile().expect("made");
        file.write_all(b"from a file").expect("written");
        file.rewind().expect("rewound");
        large.body = RequestBody::File {
            file: BodyFile::of_application(file),
            length: 11,
        };
        large
    };
    for _ in 0..2 {
        assert_eq!(pool.text("/exhaust").await, "exhausted");
        for _ in 0..3 {
            let refused = pool.wsgi.clone().respond(with_file("/echo")).await;
            assert_eq!(refused.status, StatusCode::INTERNAL_SERVER_ERROR);
            let unread = pool.wsgi.clone().respond(with_file("/pid")).await;
            assert_eq!(body(unread).await.expect("whole"), pid);
        }
        assert_eq!(pool.text("/release").await, "released");
        let echo = pool.wsgi.clone().respond(with_file("/echo")).await;
        assert_eq!(body(echo).await.expect("whole"), "from a file");
    }
    assert_eq!(pool.text("/pid").await, pid, "the worker goes on");
    pool.wsgi.stop(GRACE).await;
}

/// The number of descriptors that a process has open.
fn descriptors(pid: &str) -> usize {
    let list = std::fs::read_dir(format!("/proc/{pid}/fd"));
    list.expect("it runs").count()
}

#[tokio::test]
async fn an_idle_worker_holds_nothing_of_the_last_request() {
    for python in ["python3", "pypy3"] {
        let pool = pool(|options| options.python = python.into()).await;
        let pid = pool.text("/pid").await;
        let before = descriptors(&pid);
        for path in ["/echo", "/keep", "/", "/error", "/detach"] {
            if (path, python) == ("/detach", "pypy3") {
                // On PyPy the garbage collector closes what the application has dismantled.
                continue;
            }
            let mut large = request(path);
            let mut file = tempfile::tempfile().expect("made");
            file.write_all(b"from a file").expect("written");
            file.rewind().expect("rewound");
            large.body = RequestBody::File {
                file: BodyFile::of_application(file),
                length: 11,
            };
            let text = body(pool.wsgi.clone().respond(large).await)
                .await
                .expect("whole");
            assert!(!text.is_empty(), "{path}");
            // That happens after the response.
            let closed = async {
                let mut looks = tokio::time::interval(Duration::from_millis(2));
                while descriptors(&pid) > before {
                    looks.tick().await;
                }
            };
            bounded(closed).await;
        }
        if python == "python3" {
            pool.text("/drop").await;
            pool.noted("closed").await;
        }
        assert_eq!(pool.text("/pid").await, pid, "{python}");
        pool.wsgi.stop(GRACE).await;
    }
}

#[tokio::test]
async fn error_output_goes_where_the_gateway_wants_it() {
    let pool = pool(|_| ()).await;
    let (sender, mut receiver) = mpsc::channel(1000);
    let mut request = request("/errors");
    request.errors = Errors::Gateway(sender);
    assert_eq!(
        body(pool.wsgi.clone().respond(request).await)
            .await
            .expect("whole"),
        "ok"
    );
    assert_eq!(receiver.recv().await, Some("told\n".into()));
    pool.wsgi.stop(GRACE).await;
}

#[tokio::test]
async fn a_failed_start_says_why() {
    for (source, target, wanted) in [
        (
            "import nowhere",
            "app.application",
            "cannot import `app.application`: ModuleNotFoundError: No module named 'nowhere'",
        ),
        (
            "raise ValueError('on purpose')",
            "app.application",
            "ValueError: on purpose",
        ),
        ("syntax error", "app.application", "SyntaxError"),
        (
            "def app(): pass",
            "app.application",
            "`app` has no attribute `application`",
        ),
        (
            "application = 3",
            "app:application",
            "`app.application` is not callable, it is an int",
        ),
        ("", "app", "`app` is not callable, it is a module"),
        ("", "nowhere.at.all", "No module named 'nowhere'"),
        (
            "def make(): return 3",
            "app:make()",
            "`app.make()` is not callable, it is an int",
        ),
        (
            "import os; os._exit(7)",
            "app.application",
            "Python exited with status 7 while it imported `app.application`",
        ),
        (
            "import sys; sys.exit(7)",
            "app.application",
            "SystemExit: 7",
        ),
    ] {
        let started = pool_of(source, |options| options.target = target.to_owned()).await;
        let error = started
            .err()
            .map(|error| format!("{error:#}"))
            .unwrap_or_default();
        assert!(error.contains(wanted), "{source}: {error}");
        assert!(!error.contains("runner/"), "no frames of ours: {error}");
    }
}

#[tokio::test]
async fn an_import_that_hangs_is_ended() {
    let source = "import threading; threading.Event().wait()";
    let started = pool_of(source, |options| {
        options.start_timeout = Duration::from_millis(300);
    })
    .await;
    let error = started
        .err()
        .map(|error| format!("{error:#}"))
        .unwrap_or_default();
    assert!(error.contains("was not imported within 0.3 s"), "{error}");
}

#[tokio::test]
async fn factories_and_nested_names_are_found() {
    let source = format!(
        "class Space: pass\n{APPLICATION}\nSpace.app = staticmethod(application)\ndef make(): return application"
    );
    for target in ["app:make()", "app.make()", "app.Space.app", "app:Space.app"] {
        let pool = pool_of(&source, |options| options.target = target.to_owned())
            .await
            .expect("started");
        assert_eq!(pool.text("/").await, "ok");
        pool.wsgi.stop(GRACE).await;
    }
}

#[tokio::test]
async fn no_python_is_one_message() {
    let started = pool_of("", |options| options.python = "/nonexistent/python".into()).await;
    let error = started
        .err()
        .map(|error| format!("{error:#}"))
        .unwrap_or_default();
    assert!(
        error.starts_with("cannot run `/nonexistent/python` (runner.python): "),
        "{error}"
    );
}
