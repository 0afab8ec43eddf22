//! The figures of the benchmark: each one that is published comes from one whole run of it, by way of
//! `benches/figures.py`.

mod support;

use std::process::Command;

use serde_json::{Value, json};
use support::{Folder, Outcome, project};

const README: &str = "\
before
<!-- The figures: benches/figures.py writes them. -->
<!-- The end of the figures. -->
after
";

fn figures(folder: &Folder, arguments: &[&str]) -> Outcome {
    let program = project("benches/figures.py");
    let program = program.to_str().expect("UTF-8");
    folder
        .program("python3", ["-B", program, "--project", "."])
        .arguments(arguments)
        .run()
}

/// The rounds of a server: its rate, and what is a function of it.
fn rounds(server: &str, rates: [f64; 5]) -> Value {
    let rounds: Vec<Value> = rates
        .iter()
        .map(|rate| {
            json!({
                "rate": rate, "cpu": 1e6 / rate, "p50": 1e3 / rate, "p99": 2e3 / rate,
                "errors": 0, "memory": 20 << 20, "load": 0.5, "beside": null,
            })
        })
        .collect();
    json!({"server": server, "options": "", "rounds": rounds})
}

/// A whole run, in which `runner` has twice the rate of Granian in each round, while the machine's speed changes.
fn run() -> Value {
    let names = "hello-1 hello-4 hello-16 hello-64 hello-256 hello-1024 hello-3000 busy-100 busy-1000 mixed stream flask";
    let mut workloads = json!({});
    for name in names.split(' ') {
        workloads[name] = json!({"title": name, "connections": 64, "mebibytes": null, "servers": {
            "runner": rounds("runner", [2000.0, 6000.0, 4000.0, 2200.0, 5000.0]),
            "Granian": rounds("Granian", [1000.0, 3000.0, 2000.0, 1000.0, 2500.0]),
            "Granian, default": rounds("Granian", [900.0, 1000.0, 1000.0, 1000.0, 1000.0]),
            "bjoern": rounds("bjoern", [1500.0; 5]),
            "uWSGI": rounds("uWSGI", [1000.0; 5]),
            "gunicorn": rounds("gunicorn", [500.0; 5]),
        }});
    }
    for name in "asgi-64 asgi-512 fastapi-64 fastapi-512 websocket asgi-stream".split(' ') {
        workloads[name] = json!({"title": name, "connections": 64, "mebibytes": null, "servers": {
            "runner": rounds("runner", [3000.0; 5]),
            "Granian": rounds("Granian", [2000.0; 5]),
            "uvicorn": rounds("uvicorn", [1000.0; 5]),
            "Hypercorn": rounds("Hypercorn", [100.0; 5]),
            "gunicorn": rounds("gunicorn", [500.0; 5]),
        }});
    }
    let counts = json!({"seconds": 12, "answered": 40000, "lost": 7, "how": {"503": 7}});
    let rates = json!({"without": [1000.0, 2000.0, 1000.0], "with": [900.0, 1600.0, 1000.0]});
    let losses = json!({
        "slow": {"runner": rates, "Granian": rates},
        "reload": {"runner": counts, "Granian": counts},
        "kill": {"runner": counts, "Granian": counts},
    });
    let machine = json!({
        "processor": "a processor", "cores": 2, "kernel": "Linux 6", "python": "CPython 3.11",
        "servers": {"runner": "1", "Granian": "2"},
    });
    json!({
        "machine": machine,
        "options": {"seconds": 3, "rounds": 5, "quick": false, "one_session": false},
        "workloads": workloads, "losses": losses,
    })
}

fn with(run: &Value) -> Folder {
    Folder::new()
        .file("README.md", README)
        .file("benches/.empty", "")
        .file("run.json", run.to_string())
}

#[test]
fn a_ratio_is_that_of_two_servers_in_one_round() {
    let folder = with(&run());
    figures(&folder, &["run.json"]).is(0, "", "");
    let readme = folder.read("README.md");
    assert!(readme.starts_with("before\n") && readme.ends_with("after\n"));
    // The median of each, but the ratio round by round: 2 4 times, and 2.2.
    let row = "| hello-64 | **4 000** | 2 000 | 1 500 | 1 000 | 500 | 2.00 [2.00–2.20] |";
    assert!(readme.contains(row), "{readme}");
    let head = "| answers per second | runner | Granian | uvicorn | Hypercorn | gunicorn | runner ÷ Granian |\n";
    assert!(readme.contains(head), "{readme}");
    let row = "| websocket | **3 000** | 2 000 | 1 000 | 100 | 500 | 1.50 [1.50–1.50] |";
    assert!(readme.contains(row), "{readme}");
    let row = "÷ without them | 0.90 [0.80–1.00] | 0.90 [0.80–1.00] |\n";
    assert!(readme.contains(row), "{readme}");
    assert!(readme.contains("No other server is ahead"), "{readme}");
    assert!(readme.contains("a processor, 2 cores"), "{readme}");
    figures(&folder, &["--check"]).is(0, "", "");
    let svg = folder.read("benches/results.svg");
    assert_eq!(svg.matches("<polyline").count(), 5);
}

/// What is not Python has other peers, and may be from a run of its own.
#[test]
fn figures_of_a_later_run_take_the_place_of_those_that_are_kept() {
    let mut whole = run();
    whole["workloads"]["cgi-16"] = json!({"title": "CGI", "connections": 16, "mebibytes": null, "servers": {
        "runner": rounds("runner", [3000.0; 5]),
        "lighttpd": rounds("lighttpd", [2000.0; 5]),
    }});
    let mut later = run();
    later["machine"]["servers"] = json!({"runner": "1", "nginx": "3"});
    later["workloads"] = json!({"file-1k": {"title": "a file", "connections": 64, "mebibytes": null, "servers": {
        "runner": rounds("runner", [900.0, 1800.0, 900.0, 900.0, 900.0]),
        "nginx": rounds("nginx", [1000.0; 5]),
        "lighttpd": rounds("lighttpd", [5000.0; 5]),
    }}});
    let mut short = later.clone();
    short["options"]["rounds"] = json!(3);
    let folder = with(&whole)
        .file("later.json", later.to_string())
        .file("short.json", short.to_string());
    figures(&folder, &["run.json"]).is(0, "", "");
    let readme = folder.read("README.md");
    let row = "| CGI (lighttpd) | 3 000 | 2 000 | 1.50 [1.50–1.50] | 333 | 500 | 0.67 [0.67–0.67] | 0.67 | 1.00 |\n";
    assert!(readme.contains(row), "{readme}");
    let refused = figures(&folder, &["--others", "short.json"]);
    assert_eq!(refused.status, 1);
    assert!(
        refused.stderr.contains("fewer than five rounds"),
        "{}",
        refused.stderr
    );
    figures(&folder, &["--others", "later.json"]).is(0, "", "");
    let readme = folder.read("README.md");
    assert!(!readme.contains("| CGI"), "{readme}");
    let row = "| a file (nginx) | 900 | 1 000 | 0.90 [0.90–1.80] |";
    assert!(readme.contains(row), "{readme}");
    assert!(
        readme.contains("in another run on the same machine"),
        "{readme}"
    );
    assert!(readme.contains("| hello-64 | **4 000** |"), "{readme}");
    figures(&folder, &["--check"]).is(0, "", "");
}

#[test]
fn the_rows_in_which_another_server_is_ahead_are_named() {
    let mut run = run();
    run["workloads"]["stream"]["servers"]["bjoern"] = rounds("bjoern", [8000.0; 5]);
    run["workloads"]["flask"]["servers"]["uWSGI"]["rounds"][1]["errors"] = json!(1234);
    run["workloads"]["websocket"]["servers"]["uvicorn"] = rounds("uvicorn", [6000.0; 5]);
    let folder = with(&run);
    figures(&folder, &["run.json"]).is(0, "", "");
    let readme = folder.read("README.md");
    let lines = "Ahead of `runner` are:\n\n- websocket: uvicorn (2.00 × the rate, 0.50 × the CPU time, 0.50 × the p99)\n\n";
    assert!(readme.contains(lines), "{readme}");
    let lines = "Ahead of `runner` are:\n\n- stream: bjoern (2.00 × the rate, 0.50 × the CPU time, 0.50 × the p99)\n\n";
    assert!(readme.contains(lines), "{readme}");
    let errors = "Errors in all rounds: uWSGI 1 234 (flask).\n";
    assert!(readme.contains(errors), "{readme}");
}

#[test]
fn a_run_that_lacks_something_is_not_published() {
    let mut short = run();
    short["options"]["rounds"] = json!(3);
    let mut partial = run();
    let workloads = partial["workloads"].as_object_mut().expect("an object");
    workloads.remove("mixed");
    let mut wsgi = run();
    let workloads = wsgi["workloads"].as_object_mut().expect("an object");
    workloads.remove("websocket");
    let mut alone = run();
    let servers = alone["workloads"]["flask"]["servers"].as_object_mut();
    servers.expect("an object").remove("bjoern");
    for (run, why) in [
        (short, "the run had fewer than five rounds"),
        (partial, "the run lacks mixed"),
        (wsgi, "the run lacks websocket"),
        (alone, "the run lacks bjoern in `flask`"),
    ] {
        let folder = with(&run);
        figures(&folder, &["run.json"]).is(1, "", &format!("run.json: {why}\n"));
        assert_eq!(folder.read("README.md"), README);
    }
}

#[test]
fn a_figure_that_was_changed_by_hand_is_found() {
    let folder = with(&run());
    figures(&folder, &["run.json"]).is(0, "", "");
    let changed = folder.read("README.md").replace("4 000", "5 000");
    let folder = folder.file("README.md", changed);
    let wrong = "README.md: is not what benches/figures.py writes from benches/results.json\n";
    figures(&folder, &["--check"]).is(1, "", wrong);
}

/// What `wrk --latency` prints. Behind a unit of one letter it leaves a blank.
const WRK: &str = "\
Running 1s test @ http://127.0.0.1:8000/
  Latency Distribution
     50%  500.00us
     75%    1.51ms
     90%    1.02s \x20
     99%    1.11s \x20
  36626 requests in 2.00s, 4.05MB read
  Socket errors: connect 1, read 2, write 3, timeout 4
  Non-2xx or 3xx responses: 626
Requests/sec:  18266.74
";

/// What callgrind writes: a name stands once, an inlined function has its own file, and the line after a call is what the
/// callee took.
const CALLGRIND: &str = "\
events: Ir
fl=(1) src/main.rs
fn=(1) main
10 5
fi=(2) src/inlined.rs
+2 7
fe=(1)
cfi=(3) src/other.rs
cfn=(2) other
calls=3 +4
* 100
fl=(3)
fn=(2)
1 100
";

/// What a part of the benchmark's Python prints.
fn python(program: &str, input: &str) -> String {
    let folder = Folder::new().file("input", input);
    let program = format!(
        "import sys; sys.path.insert(0, {:?}); from pathlib import Path; {program}",
        project("benches")
    );
    let outcome = folder.program("python3", ["-B", "-c", &program]).run();
    outcome.success().to_owned()
}

#[test]
fn what_wrk_prints_is_read() {
    let program = "import load; print(load.read(Path('input').read_text()))";
    assert_eq!(
        python(program, WRK),
        "{'good': 36000, 'seconds': 2.0, 'p50': 0.5, 'p99': 1110.0, 'errors': 636}\n"
    );
}

#[test]
fn what_callgrind_writes_is_read() {
    let program = "import instructions; counts = instructions.Counts(Path('input')); \
        print(counts.total, dict(counts.functions), dict(counts.inclusive), dict(counts.files))";
    assert_eq!(
        python(program, CALLGRIND),
        "112 {'main': 12, 'other': 100} {'main': 112, 'other': 100} \
         {'src/main.rs': 5, 'src/inlined.rs': 7, 'src/other.rs': 100}\n"
    );
}

#[test]
fn the_published_figures_are_those_of_the_run() {
    let outcome = Command::new("python3")
        .args(["-B", "benches/figures.py", "--check"])
        .current_dir(project("."))
        .status();
    assert!(outcome.expect("Python").success());
}
