//! Names that nothing reads: `check` and servers warn about those that are nearly names of settings, and leave the
//! user's own in peace.

mod support;

use rustix::process::Signal;
use support::{Folder, project};

/// A file whose port is not the one that its author wanted.
const MISSPELLED: &str = "\
app = commands.Alias(command=['serve', 'demo'])
ulr = 'tcp://localhost:8000'
[worker]
min = 2
";

const WARNINGS: &str = "\
warning: nothing reads `ulr`
  ┌─ app.ini:2:1
  │
2 │ ulr = 'tcp://localhost:8000'
  │ ^^^
  │
  = hint: did you mean `url`?

warning: nothing reads `worker.min`
  ┌─ app.ini:4:1
  │
4 │ min = 2
  │ ^^^
  │
  = hint: did you mean `runner.workers.min`?
";

#[test]
fn each_server_warns_when_it_starts_and_when_it_reloads() {
    let folder = Folder::new().file("app.ini", MISSPELLED);
    let server = folder.runner(["runIni", "app.ini"]).start();
    let serving = format!("runner: serving {}\n", server.url());
    assert_eq!(server.log(), format!("{WARNINGS}{serving}"));
    server.signal(Signal::HUP);
    let log = server.wait_for_log(|log| log.matches(WARNINGS).count() == 2);
    assert!(log.starts_with(&format!("{WARNINGS}{serving}")), "{log}");
    assert_eq!(server.stop().status, 0);

    let folder = folder.file(
        "app.conf",
        "Command ./app.ini\nPidFile app.pid\nMinProcesses 1\n",
    );
    let supervised = folder.runner(["supervise", "app.conf"]).start();
    let log = supervised.log();
    assert!(log.contains("nothing reads `worker.min`"), "{log}");
    assert_eq!(supervised.stop().status, 0);

    let check = folder.runner(["check", "app.ini"]).run();
    check.is(
        0,
        &format!("{WARNINGS}\n1 file: 0 errors, 2 warnings\n"),
        "",
    );
}

/// Other commands are not the place for warnings.
#[test]
fn commands_that_end_by_themselves_do_not_warn() {
    let folder = Folder::new().file("app.ini", MISSPELLED);
    let show = folder.runner(["show", "app.ini", "ulr"]).run();
    show.is(
        0,
        "ulr = 'tcp://localhost:8000'  # app.ini:2, the file\n",
        "",
    );
    let graph = folder.runner(["graph", "app.ini"]).run();
    assert_eq!((graph.status, graph.stderr.as_str()), (0, ""));
}

/// Settings as applications have them, with names that stand near those of `runner`.
const OWN: &[&str] = &[
    "[shop]\ntitle = 'A'\ncurrency = 'EUR'\nmin = 8\nmax = 10\nurl = 'https://shop.example'\n",
    "title = 'A'\nname = 'b'\ndebug = True\nlevel = 'INFO'\nport = 80\nhost = 'localhost'\n",
    "uri = 'https://api.example'\napi = 'https://api.example'\napps = ['shop', 'blog']\nmap = {}\nurls = []\n",
    "[server]\nhost = 'localhost'\nport = 80\nurl = 'https://example.com/'\n",
    "[db]\nurl = 'postgres://localhost/db'\nuser = 'me'\nname = 'db'\nport = 5432\ntimeout = 'never'\n",
    "[log]\nlevel = 'DEBUG'\nfile = 'my_app.log'\naccess = 'access.log'\n",
    "[request]\nlimit = 100\ntimeout = (3, 10)\n[response]\nheaders = {}\n[status]\nurl = '/status'\n",
    "[logging.handlers.console]\nlevel = 'INFO'\nclass = 'logging.StreamHandler'\n",
    "[workers]\nmail = 4\nnames = ['a', 'b']\n[worker.mail]\nqueue = 'mail'\n",
    "[users]\nadmin = 'root'\n[groups]\nadmin = ['a']\n[processes]\nweb = 2\n[limits]\ncpus = 2\n",
    "[runner_up]\nprize = 5\n[running]\nshoes = 'blue'\n[burner]\ntemperature = 200\n[winner]\nuser = 5\n",
    "[peak.running]\nmainLoop = 'x'\n[peak.events]\nx = 1\n[peak.naming.schemes]\nftp = 'x'\n",
    "[*]\napp = 2\nurl = 'https://x'\n[apple]\napp = 'cider'\n[app]\nurl = 'https://x'\nname = 'y'\n",
    "[http]\nproxy = 'http://proxy:3128'\ntimeout = 5\n[supervise]\nnothing = 1\n",
    // What an expression reads.
    "min = 2\n[runner.workers]\nmin = config.lookup(targetObj, 'min')\n",
    "[workers]\nmin = 2\n[runner]\nworkers.min = config.Namespace('workers').min\n",
    "[workers]\nmin = 2\n[runner.workers]\n* = config.Namespace('workers.*')\n",
    "[workers]\nmin = 2\n[a]\nall = {k: v for k, v in config.Namespace('workers').items()}\n",
    "[workers]\nmin = 2\nmost = config.lookup(targetObj, rulePrefix + 'min')\n",
    "[Load Settings From]\nmapping = {'workers.min': 2}\nmapping = config.Namespace('workers'), 'mine.*'\n",
    "timeout = 3\nx = propertyMap\n",
    "[Load Settings From]\nini = 'other.ini'\nenv = '.env'\n[a]\nb = config.lookup(targetObj, 'SECRET')\n",
];

#[test]
fn the_names_of_the_user_are_free() {
    for text in OWN {
        let folder = Folder::new()
            .file("app.ini", text)
            .file("other.ini", "min = 4\n[workers]\nmin = 3\n")
            .file(".env", "SECRET=a\nOTHER=b\n");
        let check = folder.runner(["check", "app.ini"]).run();
        assert_eq!(check.stdout, "1 file: no problems\n", "{text}");
    }
}

#[test]
fn the_examples_have_no_names_that_nothing_reads() {
    let files = [
        "examples/hello/hello.ini",
        "examples/flask/pages.ini",
        "examples/django/guestbook.ini",
        "examples/myserver.conf",
        "examples/supervise/clock.conf",
    ];
    let folder = Folder::new();
    let check = folder.runner(["check"]).arguments(files.map(project)).run();
    let none = "5 files: no problems; 4 applications not imported (--import)\n";
    assert_eq!(check.stdout, none);
}
