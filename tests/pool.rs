//! The worker pool with real Python processes: what becomes of requests when workers are slow, die or hang.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode, Version};
use runner::application::wsgi::Wsgi;
use runner::application::{
    Application, Blocks, Connection, Errors, Request, RequestBody, Response, ResponseBody,
};
use runner::workers::WorkerOptions;
use runner::workers::pool::Limits;
use tokio::sync::mpsc;

const APPLICATION: &str = r#"
import os, signal, sys, threading, time

folder = os.path.dirname(os.path.abspath(__file__))

def wait_for(name):
    while not os.path.exists(os.path.join(folder, name)):
        time.sleep(0.001)

def note(name):
    open(os.path.join(folder, name), "w").close()

class Closing:
    def __init__(self, blocks, name):
        self.blocks, self.name = blocks, name
    def __iter__(self):
        return iter(self.blocks)
    def close(self):
        note(self.name)

def blocks():
    yield b"first"
    wait_for("go")
    yield b"second"

def endless():
    while True:
        yield b"x" * 65536

def dies_in_the_middle():
    yield b"first"
    wait_for("go")
    os.kill(os.getpid(), signal.SIGKILL)

def raises_in_the_middle():
    yield b"first"
    raise ValueError("on purpose")

def application(environ, start_response):
    path = environ["PATH_INFO"]
    text = [("Content-Type", "text/plain")]
    if path == "/environ":
        body = "\n".join("%s=%r" % item for item in sorted(environ.items())).encode()
    elif path == "/pid":
        body = str(os.getpid()).encode()
    elif path == "/parent":
        body = str(os.getppid()).encode()
    elif path == "/thread":
        body = threading.current_thread().name.encode()
    elif path == "/wait":
        note("waiting")
        wait_for("go")
        body = str(os.getpid()).encode()
    elif path == "/spin":
        while True:
            pass
    elif path == "/kill":
        os.kill(os.getpid(), signal.SIGKILL)
    elif path == "/exit":
        os._exit(3)
    elif path == "/echo":
        body = environ["wsgi.input"].read()
    elif path == "/input":
        body = type(environ["wsgi.input"]).__name__.encode()
    elif path == "/blocks":
        start_response("200 OK", text)
        return Closing(blocks(), "closed")
    elif path == "/endless":
        start_response("200 OK", text)
        return Closing(endless(), "closed")
    elif path == "/dies":
        start_response("200 OK", text)
        return dies_in_the_middle()
    elif path == "/raises":
        start_response("200 OK", text)
        return raises_in_the_middle()
    elif path == "/error":
        raise ValueError("on purpose")
    elif path == "/errors":
        environ["wsgi.errors"].write("told\n")
        body = b"ok"
    elif path == "/file":
        start_response("200 OK", text)
        opened = open(__file__, "rb")
        opened.seek(10)
        return environ["wsgi.file_wrapper"](opened)
    elif path == "/large":
        body = b"0123456789abcdef" * (1 << 16)
    elif path == "/reason":
        start_response("299 Quite \xe4nother", text + [("X-Twice", "1"), ("X-Twice", "2")])
        return [b""]
    elif path == "/bad-header":
        start_response("200 OK", [("X", "a\r\nb")])
        return [b""]
    elif path == "/text":
        start_response("200 OK", text)
        return ["no bytes"]
    else:
        body = b"ok"
    start_response("200 OK", text)
    return [body]
"#;

/// An application of its own in a folder of its own.
struct Pool {
    wsgi: Arc<Wsgi>,
    folder: tempfile::TempDir,
}

fn options(folder: &Path) -> WorkerOptions {
    WorkerOptions {
        python: "python3".into(),
        target: "app.application".to_owned(),
        search_path: vec![folder.to_owned()],
        arguments: vec!["test".to_owned()],
        imports: Vec::new(),
        min: 1,
        max: 1,
        threads: 1,
        start_interval: Duration::ZERO,
        preload: true,
        run_once: false,
        start_timeout: Duration::from_secs(60),
        stop_timeout: Duration::from_secs(30),
        limits: Limits {
            request_timeout: Duration::from_secs(60),
            queue_length: 1000,
            queue_timeout: Duration::from_secs(30),
        },
    }
}

async fn pool(change: impl FnOnce(&mut WorkerOptions)) -> Pool {
    pool_of(APPLICATION, change).await.expect("started")
}

async fn pool_of(source: &str, change: impl FnOnce(&mut WorkerOptions)) -> anyhow::Result<Pool> {
    let folder = tempfile::tempdir()?;
    fs::write(folder.path().join("app.py"), source)?;
    let mut options = options(folder.path());
    change(&mut options);
    let wsgi = Arc::new(Wsgi::start(options).await?);
    Ok(Pool { wsgi, folder })
}

fn request(path: &str) -> Request {
    Request {
        method: Method::GET,
        target: Bytes::copy_from_slice(path.as_bytes()),
        script_name: Bytes::new(),
        path_info: Bytes::copy_from_slice(path.as_bytes()),
        query: Bytes::new(),
        version: Version::HTTP_11,
        headers: HeaderMap::new(),
        body: RequestBody::Empty,
        connection: Arc::new(Connection::default()),
        variables: Vec::new(),
        errors: Errors::Log,
    }
}

impl Pool {
    async fn get(&self, path: &str) -> Response {
        self.wsgi.respond(request(path)).await
    }

    async fn text(&self, path: &str) -> String {
        body(self.get(path).await).await.expect("whole")
    }

    /// Sends a request without waiting for its answer.
    fn begin(&self, path: &str) -> tokio::task::JoinHandle<Response> {
        let wsgi = Arc::clone(&self.wsgi);
        let request = request(path);
        tokio::spawn(async move { wsgi.respond(request).await })
    }

    /// Waits until the application has said something.
    async fn noted(&self, name: &str) {
        let path = self.folder.path().join(name);
        wait_until(|| path.exists()).await;
    }

    fn allow(&self, name: &str) {
        fs::write(self.folder.path().join(name), "").expect("written");
    }
}

/// Waits for something that nobody tells us of.
async fn wait_until(mut condition: impl FnMut() -> bool) {
    let waiting = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let bounded = tokio::time::timeout(Duration::from_secs(30), waiting);
    bounded.await.expect("it happened in half a minute");
}

async fn body(response: Response) -> Result<String, String> {
    let mut bytes = Vec::new();
    match response.body {
        ResponseBody::Bytes(body) => bytes.extend_from_slice(&body),
        ResponseBody::Stream(mut blocks) => {
            while let Some(block) = blocks.next().await {
                match block {
                    Ok(block) => bytes.extend_from_slice(&block),
                    Err(error) => return Err(error.to_string()),
                }
            }
        }
        ResponseBody::File {
            file,
            offset,
            length,
        } => {
            use std::os::unix::fs::FileExt;
            bytes.resize(usize::try_from(length).expect("small"), 0);
            file.read_exact_at(&mut bytes, offset).expect("read");
        }
    }
    Ok(String::from_utf8(bytes).expect("UTF-8"))
}

fn blocks(response: Response) -> Blocks {
    match response.body {
        ResponseBody::Stream(blocks) => blocks,
        other => panic!("not a stream: {other:?}"),
    }
}

fn alive(pid: &str) -> bool {
    // A zombie has ended.
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
        !stat
            .rsplit(')')
            .next()
            .is_some_and(|rest| rest.trim_start().starts_with('Z'))
    })
}

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
    pool.wsgi.stop().await;
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
    pool.wsgi.stop().await;
}

#[tokio::test]
async fn blocks_arrive_as_they_are_made() {
    let pool = pool(|_| ()).await;
    let mut blocks = blocks(pool.get("/blocks").await);
    assert_eq!(blocks.next().await, Some(Ok("first".into())));
    // Only now may the application go on.
    pool.allow("go");
    assert_eq!(blocks.next().await, Some(Ok("second".into())));
    assert_eq!(blocks.next().await, None);
    pool.noted("closed").await;
    pool.wsgi.stop().await;
}

#[tokio::test]
async fn a_body_that_nobody_wants_is_closed() {
    let pool = pool(|_| ()).await;
    let mut endless = blocks(pool.get("/endless").await);
    assert!(endless.next().await.is_some());
    drop(endless);
    pool.noted("closed").await;
    assert_eq!(pool.text("/").await, "ok");
    pool.wsgi.stop().await;
}

#[tokio::test]
async fn a_slow_client_holds_back_the_application() {
    let pool = pool(|_| ()).await;
    let mut endless = blocks(pool.get("/endless").await);
    for _ in 0..100 {
        let block = endless.next().await.expect("more").expect("good");
        assert_eq!(block.len(), 65536);
    }
    // Others are answered in the meantime if there is another worker; here they wait.
    drop(endless);
    assert_eq!(pool.text("/").await, "ok");
    pool.wsgi.stop().await;
}

#[tokio::test]
async fn a_body_that_ends_early_is_not_taken_for_whole() {
    let pool = pool(|_| ()).await;
    assert!(body(pool.get("/raises").await).await.is_err());
    let mut dying = blocks(pool.get("/dies").await);
    assert_eq!(dying.next().await, Some(Ok("first".into())));
    pool.allow("go");
    assert!(matches!(dying.next().await, Some(Err(_))));
    assert_eq!(pool.text("/").await, "ok");
    pool.wsgi.stop().await;
}

#[tokio::test]
async fn large_bodies_go_both_ways() {
    let pool = pool(|_| ()).await;
    assert_eq!(pool.text("/large").await.len(), 1 << 20);
    let mut small = request("/echo");
    small.body = RequestBody::Bytes("some bytes".into());
    assert_eq!(
        body(pool.wsgi.respond(small).await).await.expect("whole"),
        "some bytes"
    );
    for (path, wanted) in [("/echo", "from a file"), ("/input", "BufferedReader")] {
        let mut large = request(path);
        let mut file = tempfile::tempfile().expect("made");
        std::io::Write::write_all(&mut file, b"from a file").expect("written");
        std::io::Seek::rewind(&mut file).expect("rewound");
        large.body = RequestBody::File { file, length: 11 };
        assert_eq!(
            body(pool.wsgi.respond(large).await).await.expect("whole"),
            wanted
        );
    }
    pool.wsgi.stop().await;
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
    pool.wsgi.stop().await;
}

#[tokio::test]
async fn error_output_goes_where_the_gateway_wants_it() {
    let pool = pool(|_| ()).await;
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let mut request = request("/errors");
    request.errors = Errors::Gateway(sender);
    assert_eq!(
        body(pool.wsgi.respond(request).await).await.expect("whole"),
        "ok"
    );
    assert_eq!(receiver.recv().await, Some("told\n".into()));
    pool.wsgi.stop().await;
}

#[tokio::test]
async fn a_worker_that_dies_costs_only_its_own_request() {
    let pool = pool(|_| ()).await;
    let first = pool.text("/pid").await;
    for bad in ["/kill", "/exit"] {
        // All sent in the same turn, so that they are in the same batch.
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
    pool.wsgi.stop().await;
}

#[tokio::test]
async fn nobody_waits_behind_a_slow_request_where_another_lane_is_free() {
    for (max, threads) in [(2, 1), (1, 2)] {
        let pool = pool(|options| {
            options.min = max;
            options.max = max;
            options.threads = threads;
        })
        .await;
        // Teach the pool that requests are quick, so that it sends them ahead.
        for _ in 0..200 {
            pool.text("/pid").await;
        }
        let slow = pool.begin("/wait");
        let quick: Vec<_> = (0..20).map(|_| pool.begin("/pid")).collect();
        for one in quick {
            assert_eq!(one.await.expect("answered").status, StatusCode::OK);
        }
        assert!(!slow.is_finished());
        pool.allow("go");
        assert_eq!(slow.await.expect("answered").status, StatusCode::OK);
        pool.wsgi.stop().await;
    }
}

#[tokio::test]
async fn workers_are_added_when_requests_wait_and_all_are_busy() {
    let pool = pool(|options| options.max = 2).await;
    let slow = pool.begin("/wait");
    pool.noted("waiting").await;
    let quick = pool.text("/pid").await;
    pool.allow("go");
    let slow = body(slow.await.expect("answered")).await.expect("whole");
    assert_ne!(quick, slow);
    pool.wsgi.stop().await;
}

#[tokio::test]
async fn a_full_queue_and_a_long_wait_are_503() {
    let pool = pool(|options| {
        options.limits.queue_length = 1;
        options.limits.queue_timeout = Duration::from_millis(50);
    })
    .await;
    let slow = pool.begin("/wait");
    pool.noted("waiting").await;
    let (queued, refused) = tokio::join!(pool.get("/"), pool.get("/"));
    for response in [queued, refused] {
        assert_eq!(response.status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(response.headers.contains_key("retry-after"));
    }
    pool.allow("go");
    assert_eq!(slow.await.expect("answered").status, StatusCode::OK);
    assert_eq!(pool.text("/").await, "ok");
    pool.wsgi.stop().await;
}

#[tokio::test]
async fn a_request_that_takes_too_long_is_504_and_its_worker_replaced() {
    let pool = pool(|options| options.limits.request_timeout = Duration::from_millis(100)).await;
    let pid = pool.text("/pid").await;
    assert_eq!(pool.get("/spin").await.status, StatusCode::GATEWAY_TIMEOUT);
    assert_ne!(pool.text("/pid").await, pid);
    wait_until(|| !alive(&pid)).await;
    pool.wsgi.stop().await;
}

#[tokio::test]
async fn the_death_of_the_template_stops_nothing() {
    let pool = pool(|_| ()).await;
    let pid = pool.text("/pid").await;
    let template = pool.text("/parent").await;
    kill(&template);
    wait_until(|| !alive(&template)).await;
    assert_eq!(pool.text("/pid").await, pid, "the worker goes on");
    assert_eq!(pool.get("/kill").await.status, StatusCode::BAD_GATEWAY);
    assert_ne!(pool.text("/pid").await, pid, "from another template");
    assert_ne!(pool.text("/parent").await, template);
    pool.wsgi.stop().await;
}

fn kill(pid: &str) {
    let pid = rustix::process::Pid::from_raw(pid.parse().expect("a number")).expect("a process id");
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("killed");
}

#[tokio::test]
async fn without_preload_each_worker_imports_for_itself() {
    let pool = pool(|options| {
        options.preload = false;
        options.min = 2;
        options.max = 2;
    })
    .await;
    let own = std::process::id().to_string();
    assert_eq!(pool.text("/parent").await, own);
    assert_eq!(pool.get("/kill").await.status, StatusCode::BAD_GATEWAY);
    assert_eq!(pool.text("/parent").await, own);
    assert_eq!(pool.text("/thread").await, "MainThread");
    pool.wsgi.stop().await;
}

#[tokio::test]
async fn an_application_with_threads_is_not_forked() {
    let source = format!(
        "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()\n{APPLICATION}"
    );
    let pool = pool_of(&source, |_| ()).await.expect("started");
    assert_eq!(pool.text("/parent").await, std::process::id().to_string());
    pool.wsgi.stop().await;
}

#[tokio::test]
async fn nothing_is_left_after_a_stop() {
    for preload in [true, false] {
        let pool = pool(|options| options.preload = preload).await;
        let (worker, parent) = (pool.text("/pid").await, pool.text("/parent").await);
        pool.wsgi.stop().await;
        assert!(!alive(&worker));
        assert!(!preload || !alive(&parent));
        assert_eq!(pool.get("/").await.status, StatusCode::SERVICE_UNAVAILABLE);
    }
}

#[tokio::test]
async fn a_stop_ends_what_is_stuck() {
    let pool = pool(|_| ()).await;
    let pid = pool.text("/pid").await;
    let stuck = pool.begin("/wait");
    pool.noted("waiting").await;
    pool.wsgi.stop().await;
    assert_eq!(
        stuck.await.expect("answered").status,
        StatusCode::BAD_GATEWAY
    );
    assert!(!alive(&pid));
}

#[tokio::test]
async fn what_cannot_be_started_says_why() {
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
            "`app` has no attribute `application`; it has `app`",
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
        pool.wsgi.stop().await;
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
