//! `commands.Routes({…})`: a site of several applications is started, reloaded and stopped as one, and `status` shows them
//! apart. What a request reaches is tested in `src/application/routes/`, and behind each gateway in `gateways.rs`.

mod support;

use rustix::process::Signal;
use serde_json::Value as Json;
use support::http::{Connection, get, request};
use support::{Address, Folder, Load, Server, python};

/// An application that answers with a text and the path below its mount.
fn application(text: &str) -> String {
    format!(
        "\
def application(environ, start_response):
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [('{text} ' + environ['SCRIPT_NAME'] + '|' + environ['PATH_INFO']).encode('latin-1')]
"
    )
}

/// A file of routes to two applications by WSGI, one by ASGI, and others.
const SITE: &str = "\
site = commands.Routes({
    '/': ['WSGI', 'import:shop.application'],
    '/api/': 'api',
    '*.example.org/': 'api',
    '/static/': ['files', 'public'],
    'old.example.org/': ['redirect', 'https://example.org/'],
})
api = commands.Alias(command=['WSGI', 'import:api.application'])
app = commands.Alias(command=['serve', 'site'])
url = 'tcp://127.0.0.1:0'
runner.status.url = 'unix:control'
[runner.workers]
max = 1
[runner.status]
http = 'unix:pages'
[runner.http]
trusted_proxies = ['127.0.0.1']
forwarded = ['X-Forwarded-Host']
";

fn folder() -> Folder {
    Folder::new()
        .file("shop.py", application("shop"))
        .file("api.py", application("api"))
        .file("public/style.css", "body {}\n")
        .file("app.ini", SITE)
}

fn start(folder: &Folder) -> Server {
    folder.runner(["runIni", "app.ini"]).start()
}

#[test]
fn host_and_path_decide_who_answers() {
    let server = start(&folder());
    for (host, path, text) in [
        ("localhost", "/x", "shop |/x"),
        ("localhost", "/api/x", "api /api|/x"),
        ("a.example.org:8000", "/api/x", "api |/api/x"),
        ("A.EXAMPLE.ORG.", "/x", "api |/x"),
        ("localhost", "/static/style.css", "body {}\n"),
        ("localhost", "//api/x", "api /api|/x"),
        ("localhost", "/static/%2e%2e/api/%2e/x", "api /api|/x"),
    ] {
        let mut connection = Connection::open(server.address());
        let head = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n");
        connection.send(head.as_bytes());
        let reply = connection.reply("GET");
        assert_eq!((reply.status, &*reply.text()), (200, text), "{host} {path}");
    }
    // What a trusted proxy says counts.
    let fields = ["X-Forwarded-Host: old.example.org"];
    let reply = request(server.address(), "GET", "/a?b", &fields, b"");
    assert_eq!(reply.status, 308);
    assert_eq!(reply.header("location"), Some("https://example.org/a?b"));
    assert_eq!(server.stop().status, 0);
}

#[test]
fn the_graph_shows_each_route() {
    let graph = folder().runner(["graph", "app.ini"]).run();
    let expected = "\
app.ini
  serve
    HTTP on tcp://127.0.0.1:0       app.ini:10
      routes                        app.ini:1
        /                           app.ini:2
          WSGI                      app.ini:2
            import:shop.application app.ini:2
        /api/                       app.ini:3
          WSGI                      app.ini:8
            import:api.application  app.ini:8
        *.example.org/              app.ini:4
          WSGI                      app.ini:8
            import:api.application  app.ini:8
        /static/                    app.ini:5
          files public              app.ini:5
        old.example.org/            app.ini:6
          redirect https://example.org/ app.ini:6
";
    let words = |text: &str| -> Vec<String> {
        let lines = text.lines();
        lines
            .map(|line| {
                let depth = line.len() - line.trim_start().len();
                let words: Vec<&str> = line.split_whitespace().collect();
                format!("{}{}", " ".repeat(depth), words.join(" "))
            })
            .collect()
    };
    let shown = graph.success();
    let shown = shown.replace(&format!("{}/", folder_of(shown)), "");
    assert_eq!(words(&shown), words(expected));
}

/// The folder of the files in a drawing, which has it in the name of the folder that is served.
fn folder_of(shown: &str) -> String {
    let line = shown.lines().find(|line| line.contains("files "));
    let path = line.and_then(|line| line.split_whitespace().nth(1));
    let path = path.and_then(|path| path.strip_suffix("/public"));
    path.unwrap_or_default().to_owned()
}

/// The application that does not start ends the others, which may not be ready for long.
#[test]
fn a_start_that_fails_leaves_nothing_running() {
    let folder = folder()
        .file(
            "shop.py",
            "open('importing', 'w').close()\nopen('go').read()\n",
        )
        .file(
            "api.py",
            "open('importing').close()\nraise Exception('broken')\n",
        );
    folder
        .program("mkfifo", ["go", "importing"])
        .run()
        .success();
    let failed = folder.runner(["runIni", "app.ini"]).run();
    assert_eq!(failed.status, 1);
    assert!(failed.stderr.contains("Exception: broken"), "{failed:#?}");
}

#[test]
fn a_reload_that_fails_in_one_application_changes_none() {
    let folder = folder();
    let server = start(&folder);
    let folder = folder
        .file("shop.py", application("new"))
        .file("api.py", "raise Exception('broken')\n");
    server.signal(Signal::HUP);
    server.wait_for_log(|log| log.contains("Exception: broken"));
    assert_eq!(server.get("/x").ok(), "shop |/x");
    assert_eq!(server.get("/api/x").ok(), "api /api|/x");
    folder.file("api.py", application("newer"));
    server.signal(Signal::HUP);
    server.wait_for_log(|log| log.contains("runner: reloaded\n"));
    assert_eq!(server.get("/x").ok(), "new |/x");
    assert_eq!(server.get("/api/x").ok(), "newer /api|/x");
    assert_eq!(server.stop().status, 0);
}

/// All requests are answered while routes and applications change, each by one version as a whole.
#[test]
fn reloads_lose_nothing() {
    let folder = folder().file("shop.py", application("shop 0"));
    let server = start(&folder);
    let loads: Vec<_> = ["/x", "/api/x", "/static/style.css"]
        .into_iter()
        .map(|target| {
            let load = Load::new(server.address()).target(target);
            load.fresh(2).kept(2).start()
        })
        .collect();
    for version in 1..=4 {
        // In every second version, another application answers for `/api/`, in the same files.
        let api = match version % 2 {
            0 => "'/api/': 'api',",
            _ => "'/api/': ['WSGI', 'import:shop.application'],",
        };
        let _ = folder
            .clone()
            .file("shop.py", application(&format!("shop {version}")))
            .file("app.ini", SITE.replace("'/api/': 'api',", api));
        server.signal(Signal::HUP);
        let expected = match version % 2 {
            0 => "api /api|/x".to_owned(),
            _ => format!("shop {version} /api|/x"),
        };
        loads[0].until("the new version answers", |report| {
            report.bodies.contains_key(&format!("shop {version} |/x"))
        });
        loads[1].until("the new route answers", |report| {
            report.bodies.contains_key(&expected)
        });
        loads[2].more(50);
    }
    let reports: Vec<_> = loads
        .into_iter()
        .map(support::load::Running::stop)
        .collect();
    for report in &reports {
        report.is_whole();
    }
    let is_version = |body: &String| {
        body == "api /api|/x" || body.starts_with("shop ") && body.ends_with(" /api|/x")
    };
    assert!(reports[1].bodies.keys().all(is_version), "{reports:#?}");
    assert_eq!(server.stop().status, 0);
}

fn status(folder: &Folder) -> Json {
    let asked = folder.runner(["status", "--format", "json", "app.ini"]);
    serde_json::from_str(asked.run().success()).expect("JSON")
}

#[test]
fn the_status_shows_the_applications_apart() {
    let folder = folder();
    let server = start(&folder);
    for path in ["/x", "/api/x", "/api/y", "/static/style.css"] {
        server.get(path).ok();
    }
    let found = status(&folder);
    let of = |name: &str| {
        let applications = found["applications"].as_array().expect("several");
        let found = applications.iter().find(|one| one["name"] == name);
        found.unwrap_or_else(|| panic!("no {name}: {applications:#?}"))["totals"]["requests"]
            .clone()
    };
    // `/api/` and `*.example.org/` lead to one application.
    assert_eq!((of("/"), of("/api/")), (1.into(), 2.into()), "{found:#}");
    assert_eq!(found["totals"]["requests"], 3, "{found:#}");
    let workers = found["workers"].as_array().expect("workers");
    let names: Vec<&Json> = workers.iter().map(|one| &one["application"]).collect();
    assert_eq!(names, ["/", "/api/"], "{found:#}");
    let text = folder.runner(["status", "app.ini"]).run();
    let text = text.success();
    for line in ["/", "/api/", "2 requests so far", "3 requests so far"] {
        assert!(text.lines().any(|it| it == line), "{line}: {text}");
    }
    let pages = support::Address::Unix(folder.path("pages"));
    let metrics = get(&pages, "/metrics").ok();
    for line in [
        "runner_application_requests_total{application=\"/api/\"} 2.0",
        "runner_workers{state=\"idle\",application=\"/\"} 1.0",
        "runner_queue_requests{application=\"/\"} 0.0",
    ] {
        assert!(metrics.lines().any(|it| it == line), "{line}: {metrics}");
    }
    let page = get(&pages, "/").ok();
    assert!(
        page.contains("<td data-name=\"Application\">&#x2f;api&#x2f;</td>"),
        "{page}"
    );
    // A reload keeps what was counted.
    server.signal(Signal::HUP);
    server.wait_for_log(|log| log.contains("runner: reloaded\n"));
    let after = status(&folder);
    let totals = after["applications"][1]["totals"]["requests"].clone();
    assert_eq!(totals, 2, "{after:#}");
    assert_eq!(server.stop().status, 0);
}

/// One application needs no name, whatever is built in beside it.
#[test]
fn the_status_of_one_application_stays_as_it_is() {
    let folder = Folder::new().file("shop.py", application("shop")).file(
        "app.ini",
        "\
site = commands.Routes({'/': ['WSGI', 'import:shop.application'], '/x/': ['demo']})
app = commands.Alias(command=['serve', 'site'])
url = 'tcp://127.0.0.1:0'
runner.status.url = 'unix:control'
",
    );
    let server = start(&folder);
    server.get("/").ok();
    let found = status(&folder);
    assert_eq!(found["applications"], Json::Null, "{found:#}");
    assert_eq!(found["workers"][0]["application"], Json::Null, "{found:#}");
    assert_eq!(found["totals"]["requests"], 1, "{found:#}");
    assert_eq!(server.stop().status, 0);
}

#[test]
fn django_has_its_static_files_beside_it() {
    let folder = Folder::new().copy("examples/django");
    let project = folder.path("django");
    let manage = |words: &[&str]| {
        let program = folder.program(python(), ["manage.py"].iter().chain(words));
        program.current_folder(&project).run().success().to_owned()
    };
    manage(&["migrate", "--verbosity", "0"]);
    manage(&["collectstatic", "--noinput", "--verbosity", "0"]);
    let folder = folder.file(
        "django/site.ini",
        "\
site = commands.Routes({
    '/': ['WSGI', 'import:guestbook.wsgi.application'],
    '/static/': ['files', 'static'],
  })
app = commands.Alias(command=['serve', 'site'])
url = 'tcp://127.0.0.1:0'
",
    );
    let server = folder
        .runner(["runIni", "site.ini"])
        .current_folder(&project)
        .env("VIRTUAL_ENV", support::project("target/venv"))
        .start();
    let page = server.get("/admin/login/");
    assert!(page.ok().contains("/static/admin/css/base"), "{page:#?}");
    let style = server.get("/static/admin/css/base.css");
    assert_eq!(
        style.header("content-type"),
        Some("text/css; charset=utf-8")
    );
    assert!(style.ok().contains("--primary"), "{style:#?}");
    assert_eq!(server.get("/static/../guestbook/settings.py").status, 404);
    assert_eq!(server.stop().status, 0);
}

/// By CGI, a process answers one request: it imports the application that the request is for, and no other.
#[test]
fn one_request_starts_one_application() {
    let folder = folder()
        .file("api.py", "raise Exception('broken')\n")
        .file("cgi.ini", SITE.replace("'serve', 'site'", "'CGI', 'site'"));
    let ask = |path: &str| {
        let request = [
            ("REQUEST_METHOD", "GET"),
            ("SERVER_PROTOCOL", "HTTP/1.1"),
            ("SERVER_NAME", "localhost"),
            ("SCRIPT_NAME", ""),
            ("PATH_INFO", path),
        ];
        let program = folder.runner(["runIni", "cgi.ini"]);
        let program = request
            .into_iter()
            .fold(program, |program, (name, value)| program.env(name, value));
        program.run()
    };
    let answered = ask("/x");
    assert!(
        answered.success().ends_with("\r\n\r\nshop |/x"),
        "{answered:#?}"
    );
    let broken = ask("/api/x");
    assert!(broken.success().starts_with("Status: 500"), "{broken:#?}");
    assert!(broken.stderr.contains("Exception: broken"), "{broken:#?}");
}

/// Of several applications, a line about the workers of one names it: as text, and as an object, which what they write is, too.
#[test]
fn lines_about_workers_name_their_application() {
    let killed = "\
import os
def application(environ, start_response):
    print('about to end')
    os.kill(os.getpid(), 9)
";
    for format in ["plain", "json"] {
        let settings = format!("{SITE}[runner.log]\nformat = '{format}'\n");
        let settings = settings.replace("tcp://127.0.0.1:0", "unix:socket");
        let folder = folder().file("api.py", killed).file("app.ini", settings);
        let address = Address::Unix(folder.path("socket"));
        let server = folder.runner(["runIni", "app.ini"]).start_at(address);
        assert_eq!(server.get("/api/").status, 502);
        assert_eq!(server.get("/").status, 200);
        let log = server.wait_for_log(|log| log.contains("was killed by SIGKILL"));
        match format {
            "plain" => {
                let line = log.lines().find(|line| line.contains("was killed"));
                let line = line.expect("a line");
                assert!(line.starts_with("runner: /api/: worker "), "{line}");
            }
            _ => {
                for text in ["about to end", "was killed"] {
                    let line = log.lines().find(|line| line.contains(text));
                    let object: Json = serde_json::from_str(line.expect("a line")).expect("JSON");
                    assert_eq!(object["application"], "/api/", "{object}");
                }
            }
        }
        assert_eq!(server.stop().status, 0);
    }
}
