//! The pages of the master (`runner.status.http`): what they show, to whom, and that nothing keeps them from being served.

mod support;

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::FileTypeExt;

use rustix::process::Signal;
use serde_json::{Value as Json, json};
use support::http::{Connection, Waits, get, request};
use support::{Address, Folder, Reply, Server, free_port, version};

const PAGES: [&str; 8] = [
    "/",
    "/events",
    "/status.css",
    "/status.js",
    "/status.json",
    "/metrics",
    "/healthz",
    "/readyz",
];

/// A server whose workers wait at the gate, and its pages.
struct Gated {
    server: Server,
    pages: Address,
}

/// The settings of a server with pages at a port, and further lines.
fn settings(port: u16, more: &str) -> String {
    format!(
        "app = commands.Alias(command=['serve', 'WSGI', 'import:gated.application'])\n\
         url = 'tcp://127.0.0.1:0'\n\
         runner.status.url = 'unix:control'\n\
         runner.status.http = 'tcp://127.0.0.1:{port}'\n\
         runner.workers.max = 1\n{more}"
    )
}

impl Gated {
    fn start(more: &str) -> Self {
        let port = free_port();
        let server = Folder::new()
            .copy("tests/apps/gated.py")
            .file("app.ini", settings(port, more))
            .gated(["runIni", "app.ini"])
            .start();
        let pages = Address::port(port);
        Self { server, pages }
    }

    fn get(&self, target: &str) -> Reply {
        get(&self.pages, target)
    }

    /// Sends a request that waits at the gate, or for a worker.
    fn hang(&self, target: &str) -> Connection {
        let mut connection = Connection::open(self.server.address());
        let head = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        connection.send(head.as_bytes());
        connection
    }

    /// The page for people.
    fn page(&self) -> String {
        html(&self.pages)
    }

    /// The value of a metric, with its labels.
    fn metric(&self, name: &str) -> Option<f64> {
        value(&self.get("/metrics").ok(), name)
    }

    fn wait_for(&self, name: &str, wanted: f64) {
        Waits::until(
            || self.metric(name) == Some(wanted),
            || format!("{name} is not {wanted}:\n{}", self.get("/metrics").ok()),
        );
    }

    fn open_gate(&self, connection: &mut Connection) {
        self.server.folder().open_gate();
        assert_eq!(connection.reply("GET").status, 200);
    }

    fn reload(&self) -> i32 {
        let words = ["reload", "app.ini"];
        self.server.folder().runner(words).run().status
    }
}

/// The page for people, with its slashes, which may be written as entities, too.
fn html(pages: &Address) -> String {
    get(pages, "/").ok().replace("&#x2f;", "/")
}

fn value(metrics: &str, name: &str) -> Option<f64> {
    let value = |line: &str| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok();
    metrics.lines().find_map(value)
}

fn json(reply: &Reply) -> Json {
    serde_json::from_str(&reply.ok()).expect("JSON")
}

#[test]
fn they_tell_what_hangs_while_every_worker_hangs() {
    let gated = Gated::start("");
    let mut first = gated.hang("/wait?token=xyzzy<b>");
    gated.server.wait_for_log(|log| log.contains("waiting\n"));
    let mut second = gated.hang("/wait");
    gated.wait_for("runner_queue_requests", 1.0);
    let page = gated.page();
    for said in [
        "<title>Works, with troubles - runner</title>",
        "1 request waits for a worker, the first for ",
        "<code>GET /wait?…</code>",
        "1 of 1",
        gated.server.url(),
    ] {
        assert!(page.contains(said), "{said} is missing:\n{page}");
    }
    let status = json(&gated.get("/status.json"));
    assert_eq!(status["queue"]["length"], 1);
    assert_eq!(status["workers"][0]["current"][0]["path"], "/wait?…");
    for target in ["/", "/status.json", "/metrics"] {
        let text = gated.get(target).ok();
        assert!(!text.contains("xyzzy"), "{target} shows a query:\n{text}");
    }
    assert_eq!(gated.get("/readyz").ok(), "ready\n");
    assert_eq!(gated.get("/healthz").ok(), "ok\n");
    gated.open_gate(&mut first);
    gated.wait_for("runner_queue_requests", 0.0);
    gated.open_gate(&mut second);
    gated.wait_for(
        "runner_http_requests_total{method=\"GET\",code=\"200\"}",
        2.0,
    );
    gated.wait_for("runner_http_request_duration_seconds_count", 2.0);
    assert_eq!(gated.metric("runner_queue_wait_seconds_count"), Some(1.0));
    assert_eq!(gated.server.stop().status, 0);
}

#[test]
fn the_page_is_kept_up_to_date() {
    let gated = Gated::start("");
    let mut events = Connection::open(&gated.pages);
    events.send(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let head = events.until("\r\n\r\n");
    assert!(head.contains("text/event-stream"), "{head}");
    assert!(!head.contains("content-length"), "{head}");
    events.until("\ndata: <h1><span class=\"light\" aria-hidden=\"true\"></span>Well</h1>\n");
    let mut request = gated.hang("/wait");
    events.until("<code>GET &#x2f;wait</code>");
    gated.open_gate(&mut request);
    // Its client does not keep the server from ending.
    assert_eq!(gated.server.stop().status, 0);
}

#[test]
fn each_answer_is_for_the_reader_only() {
    let gated = Gated::start("");
    let ask = |method, target, host: &str| {
        let mut connection = Connection::open(&gated.pages);
        let head =
            format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        connection.send(head.as_bytes());
        connection
    };
    for target in PAGES {
        let stranger = ask("GET", target, "evil.example").reply("GET");
        assert_eq!(stranger.status, 421, "{target}");
        for method in ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "PURGE"] {
            let reply = ask(method, target, "localhost").reply(method);
            assert_eq!(reply.status, 405, "{method} {target}");
            assert_eq!(reply.header("allow"), Some("GET,HEAD"), "{method} {target}");
        }
        if target == "/events" {
            continue;
        }
        let reply = ask("GET", target, "127.0.0.1:1").reply("GET");
        assert_eq!(reply.status, 200, "{target}");
        let policy = reply.header("content-security-policy").unwrap_or_default();
        assert!(
            policy.starts_with("default-src 'none'; "),
            "{target}: {policy}"
        );
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(reply.header("cache-control"), Some("no-store"));
        assert_eq!(ask("HEAD", target, "localhost").reply("HEAD").status, 200);
    }
    assert_eq!(gated.get("/nowhere").status, 404);
    assert_eq!(
        request(&gated.pages, "GET", "/", &[], &[b'a'; 5000]).status,
        413
    );
    // Nothing on the page is from elsewhere.
    let page = gated.page();
    assert!(
        !page.contains("//cdn") && !page.contains("https:"),
        "{page}"
    );
    assert_eq!(gated.server.stop().status, 0);
}

#[test]
fn what_gateways_and_applications_answer_is_counted() {
    let gated = Gated::start("runner.http.max_target = 256\n");
    let server = gated.server.address();
    assert_eq!(get(server, "/").status, 200);
    assert_eq!(get(server, "/exit").status, 502);
    assert_eq!(request(server, "PROPFIND", "/", &[], b"").status, 200);
    assert_eq!(get(server, &format!("/{}", "a".repeat(300))).status, 414);
    gated.wait_for("runner_http_request_duration_seconds_count", 4.0);
    gated.wait_for("runner_http_response_size_bytes_count", 4.0);
    let metrics = gated.get("/metrics").ok();
    for (name, wanted) in [
        (
            "runner_http_requests_total{method=\"GET\",code=\"200\"}",
            1.0,
        ),
        (
            "runner_http_requests_total{method=\"GET\",code=\"502\"}",
            1.0,
        ),
        (
            "runner_http_requests_total{method=\"other\",code=\"200\"}",
            1.0,
        ),
        ("runner_requests_failed_total{cause=\"502\"}", 1.0),
        ("runner_worker_exits_total{cause=\"died\"}", 1.0),
        ("runner_http_response_start_seconds_count", 3.0),
        ("runner_http_request_size_bytes_count", 3.0),
        ("runner_service_seconds_count", 2.0),
        ("runner_reloads_total{result=\"success\"}", 0.0),
    ] {
        assert_eq!(value(&metrics, name), Some(wanted), "{name}:\n{metrics}");
    }
    let refused = metrics
        .lines()
        .any(|line| line.ends_with("code=\"414\"} 1.0"));
    assert!(refused, "{metrics}");
    // Not those of the pages themselves.
    assert_eq!(
        gated.get("/metrics").ok().matches("code=\"404\"").count(),
        0
    );
    let mut check = gated
        .server
        .folder()
        .program("promtool", ["check", "metrics"]);
    check = check.stdin(metrics);
    check.run().is(0, "", "");
    // Totals go on after a reload.
    assert_eq!(gated.reload(), 0);
    assert_eq!(get(server, "/").status, 200);
    gated.wait_for(
        "runner_http_requests_total{method=\"GET\",code=\"200\"}",
        2.0,
    );
    assert_eq!(
        gated.metric("runner_reloads_total{result=\"success\"}"),
        Some(1.0)
    );
    assert_eq!(gated.server.stop().status, 0);
}

#[test]
fn a_reload_that_fails_is_on_the_page_and_one_may_move_the_pages() {
    let gated = Gated::start("");
    let folder = gated.server.folder().clone();
    fs::write(folder.path("gated.py"), "import no_such_module\n").expect("a file");
    assert_eq!(gated.reload(), 1);
    let page = gated.page();
    assert!(page.contains(" ago, failed: cannot import"), "{page}");
    assert!(!page.contains("Traceback"), "{page}");
    assert_eq!(gated.metric("runner_last_reload_successful"), Some(0.0));
    assert_eq!(gated.get("/readyz").status, 200);

    let folder = folder.copy("tests/apps/gated.py");
    let held = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = free_port();
    let move_to = |port| fs::write(folder.path("app.ini"), settings(port, "")).expect("a file");
    move_to(held.local_addr().expect("an address").port());
    assert_eq!(gated.reload(), 1);
    assert_eq!(gated.get("/healthz").status, 200);
    drop(held);
    move_to(port);
    assert_eq!(gated.reload(), 0);
    assert_eq!(get(&Address::port(port), "/healthz").status, 200);
    Waits::until(
        || !gated.pages.accepts(),
        || "the old address is served".to_owned(),
    );
    assert_eq!(gated.server.stop().status, 0);
}

#[test]
fn it_is_not_ready_before_it_serves_and_while_it_stops() {
    const WAITS: &str = "\
import os
import gated
# Each worker imports it, too, if it cannot be forked.
if not os.path.exists('begun'):
    gated.wait()
    open('begun', 'x').close()
application = gated.application
";
    let port = free_port();
    let pages = Address::port(port);
    let settings = settings(port, "").replace("import:gated", "import:waits");
    let server = Folder::new()
        .copy("tests/apps/gated.py")
        .file("waits.py", WAITS)
        .file("app.ini", settings)
        .gated(["runIni", "app.ini"])
        .begin();
    server.wait_for_log(|log| log.contains("status pages on "));
    let reply = get(&pages, "/readyz");
    assert_eq!(
        (reply.status, &*reply.text()),
        (503, "not ready: starting\n")
    );
    assert_eq!(get(&pages, "/healthz").ok(), "ok\n");
    assert!(html(&pages).contains("Starting</h1>"));
    server.wait_for_log(|log| log.contains("waiting\n"));
    server.folder().open_gate();
    let server = server.serving();
    assert_eq!(get(&pages, "/readyz").ok(), "ready\n");
    let mut connection = Connection::open(server.address());
    connection.send(b"GET /wait HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    server.wait_for_log(|log| log.matches("waiting\n").count() == 2);
    server.signal(Signal::TERM);
    Waits::until(
        || get(&pages, "/readyz").text() == "not ready: stopping\n",
        || "it does not stop".to_owned(),
    );
    server.folder().open_gate();
    assert_eq!(connection.reply("GET").status, 200);
    assert_eq!(server.wait().status, 0);
    assert!(!pages.accepts());
}

#[test]
fn they_are_served_when_the_server_is_full() {
    let gated = Gated::start("runner.http.max_connections = 1\n");
    let mut only = gated.hang("/wait");
    gated.server.wait_for_log(|log| log.contains("waiting\n"));
    // It waits in the queue of the system.
    let mut waits = gated.hang("/");
    assert_eq!(
        gated.metric("runner_http_connections{state=\"active\"}"),
        Some(1.0)
    );
    assert_eq!(gated.get("/readyz").status, 200);
    gated.open_gate(&mut only);
    assert_eq!(waits.reply("GET").status, 200);
    assert_eq!(gated.server.stop().status, 0);
}

#[test]
fn a_warm_restart_takes_the_address_over() {
    for socket in [true, false] {
        let port = free_port();
        let folder = Folder::new().file("app.py", version(1));
        let url = match socket {
            true => "unix:pages.sock".to_owned(),
            false => format!("tcp://127.0.0.1:{port}"),
        };
        let pages = match socket {
            true => Address::of_url(&format!("unix:{}", folder.path("pages.sock").display())),
            false => Some(Address::port(port)),
        };
        let pages = pages.expect("an address");
        let folder = folder.file(
            "app.ini",
            format!(
                "app = commands.Alias(command=['supervise', 'serve', 'WSGI', 'import:app.application'])\n\
                 url = 'tcp://127.0.0.1:0'\n\
                 runner.supervise.pid_file = 'app.pid'\n\
                 runner.status.http = '{url}'\n"
            ),
        );
        let pid = || json(&get(&pages, "/status.json"))["pid"].clone();
        let number = |server: &Server| json!(server.pid().as_raw_nonzero().get());
        let first = folder.runner(["runIni", "app.ini"]).start();
        assert_eq!(pid(), number(&first));
        let second = folder.runner(["runIni", "app.ini"]).start();
        assert_eq!(first.wait().status, 0);
        assert_eq!(pid(), number(&second));
        assert_eq!(get(&pages, "/readyz").ok(), "ready\n");
        assert_eq!(second.stop().status, 0);
        assert!(!pages.accepts() && !folder.path("pages.sock").exists());
    }
}

#[test]
fn a_unix_socket_has_them_and_so_has_fastcgi() {
    let folder = Folder::new().file("app.py", version(1)).file(
        "app.ini",
        "app = commands.Alias(command=['FastCGI', 'unix:app.sock', 'WSGI', 'import:app.application'])\n\
         runner.status.http = 'unix:pages.sock'\n",
    );
    let server = folder.runner(["runIni", "app.ini"]).start();
    let file = fs::metadata(folder.path("pages.sock")).expect("a file");
    assert!(file.file_type().is_socket());
    let url = format!("unix:{}", folder.path("pages.sock").display());
    let pages = Address::of_url(&url).expect("an address");
    assert_eq!(get(&pages, "/readyz").ok(), "ready\n");
    // Any name will do: no browser connects there.
    let named = request(&pages, "GET", "/healthz", &["Via: 1.1 proxy"], b"");
    assert_eq!(named.status, 200);
    assert_eq!(server.stop().status, 0);
    assert!(!folder.path("pages.sock").exists());
}

/// A Prometheus that scrapes the server sees the queue grow and shrink.
#[test]
fn prometheus_sees_the_queue_grow_and_shrink() {
    let gated = Gated::start("");
    let Address::Tcp(_, target) = &gated.pages else {
        panic!("no port");
    };
    let port = free_port();
    let folder = Folder::new().file(
        "prometheus.yml",
        format!(
            "scrape_configs:\n- job_name: runner\n  scrape_interval: 100ms\n  scrape_timeout: 100ms\n  \
             static_configs:\n  - targets: ['127.0.0.1:{target}']\n"
        ),
    );
    let listen = format!("--web.listen-address=127.0.0.1:{port}");
    let options = [
        "--config.file=prometheus.yml",
        "--storage.tsdb.path=data",
        &listen,
    ];
    let prometheus = folder
        .program("prometheus", options)
        .start_at(Address::port(port));
    let queue = || {
        let reply = prometheus.get("/api/v1/query?query=runner_queue_requests");
        let found: Json = serde_json::from_slice(&reply.body).unwrap_or_default();
        found["data"]["result"][0]["value"][1].clone()
    };
    let is = |wanted: &str| {
        Waits::until(
            || queue() == wanted,
            || format!("the queue is not {wanted}"),
        );
    };
    is("0");
    let mut first = gated.hang("/wait");
    gated.server.wait_for_log(|log| log.contains("waiting\n"));
    let mut second = gated.hang("/wait");
    let mut third = gated.hang("/wait");
    is("2");
    gated.open_gate(&mut first);
    is("1");
    gated.open_gate(&mut second);
    gated.open_gate(&mut third);
    is("0");
    assert_eq!(prometheus.stop().status, 0);
    assert_eq!(gated.server.stop().status, 0);
}
