//! A server as the first process of a container, without a writable folder and without capabilities.
//!
//! These tests need namespaces (`unshare(1)`) and pass without a check where the system grants none.

mod support;

use std::fs;

use rustix::process::{Pid, Signal, kill_process};
use support::{Folder, Program, Server, Waits};

/// Answers with the length of the body and a list of what the process cannot do.
const LIMITED: &str = "\
import tempfile
def application(environ, start_response):
    start_response('200 OK', [])
    try:
        folder = tempfile.gettempdir()
    except FileNotFoundError:
        folder = None
    body = environ['wsgi.input'].read()
    return [repr((len(body), folder)).encode()]
";

/// Makes all file systems read-only and drops all capabilities.
const CONFINED: &str = "\
while read device folder rest; do
    mount -o remount,bind,ro \"$folder\" 2>/dev/null
done </proc/self/mounts
exec setpriv --no-new-privs --bounding-set=-all --inh-caps=-all \"$@\"
";

/// A program that runs as process 1 in namespaces of its own.
fn alone(folder: &Folder, script: &str) -> Program {
    let own = [
        "--user",
        "--map-root-user",
        "--mount",
        "--pid",
        "--mount-proc",
        "--fork",
    ];
    folder
        .program("unshare", own)
        .arguments(["sh", "-c", script, "sh"])
}

/// Whether the system grants namespaces.
fn is_possible() -> bool {
    let said = alone(&Folder::new(), "exit 0").run();
    assert!(
        said.status == 0 || said.stderr.contains("not permitted"),
        "{said:?}"
    );
    said.status == 0
}

/// The process that has the number 1 inside, by its number outside.
fn first(server: &Server) -> Pid {
    let is_first = |pid: &Pid| {
        fs::read_to_string(format!("/proc/{}/status", pid.as_raw_nonzero())).is_ok_and(|status| {
            let line = status.lines().find(|line| line.starts_with("NSpid:"));
            line.is_some_and(|line| line.ends_with("\t1"))
        })
    };
    let processes = server.processes().into_iter().map(|(pid, _)| pid);
    processes.into_iter().find(is_first).expect("process 1")
}

#[test]
fn it_serves_where_nothing_can_be_written() {
    if !is_possible() {
        return;
    }
    let folder = Folder::new().file("limited.py", LIMITED);
    let server = alone(&folder, CONFINED)
        .arguments(["runner", "serve", "tcp://127.0.0.1:0"])
        .arguments(["WSGI", "import:limited.application"])
        .start();
    assert_eq!(server.get("/").ok(), "(0, None)");
    let post = |size: usize| {
        let body = folder.path("body");
        fs::write(&body, vec![b'x'; size]).expect("our own folder");
        let at = format!("@{}", body.display());
        let quiet = [
            "--write-out",
            "%{http_code}",
            "--data-binary",
            &at,
            server.url(),
        ];
        folder.curl(quiet).stdout
    };
    // Bodies stay in memory here; larger ones would need a file.
    assert_eq!(post(500_000), "(500000, None)200");
    assert!(post(5_000_000).ends_with("500"));
    let reason = "cannot keep a request's body in `/tmp`: Read-only file system";
    assert!(server.log().contains(reason), "{}", server.log());
    kill_process(first(&server), Signal::TERM).expect("it runs");
    assert_eq!(server.wait().status, 0);
}

#[test]
fn process_1_obeys_sigterm_and_buries_what_others_leave() {
    if !is_possible() {
        return;
    }
    for proc in ["", "mount -t tmpfs none /proc &&"] {
        let folder = Folder::new();
        folder.program("mkfifo", ["end"]).run().success();
        // The shell starts the process, and the server adopts it when the shell ends.
        let script = format!("read line <end & {proc} exec runner serve demo");
        let server = alone(&folder, &script).start();
        let first = first(&server);
        let orphan = server
            .processes()
            .into_iter()
            .map(|(pid, _)| pid)
            .find(|pid| *pid != first && parent(*pid) == Some(first))
            .expect("the orphan");
        fs::write(folder.path("end"), "\n").expect("it reads");
        let mut waits = Waits::new();
        while fs::exists(format!("/proc/{}", orphan.as_raw_nonzero())).unwrap_or(false) {
            waits.wait(|| "the orphan is not buried".to_owned());
        }
        kill_process(first, Signal::TERM).expect("it runs");
        assert_eq!(server.wait().status, 0);
    }
}

/// The parent of a process.
fn parent(pid: Pid) -> Option<Pid> {
    let status = fs::read_to_string(format!("/proc/{}/status", pid.as_raw_nonzero())).ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("PPid:\t"))?;
    Pid::from_raw(line.parse().ok()?)
}
