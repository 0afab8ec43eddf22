//! Web servers in front of a supervisor: the supervisor is the only FastCGI process that Apache's mod_fcgid or lighttpd
//! starts, or has a socket of its own for Apache's mod_proxy_fcgi. It manages the workers, so that they need not.

mod support;

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;

use rustix::process::{Pid, Signal, kill_process};
use support::nginx::{nginx_keeping_connections, start_nginx};
use support::{Address, Folder, Load, Server, free_port};

/// Answers with its version.
const APPLICATION: &str = "\
VERSION = 'version 1'

def application(environ, start_response):
    start_response('200 OK', [('Content-Type', 'text/plain'), ('Content-Length', str(len(VERSION)))])
    return [VERSION.encode()]
";

const SUPERVISED: &str = "\
#!/usr/bin/env -S runner supervise
Command FastCGI WSGI import:app.application
PidFile run/app.pid
MinProcesses 2
MaxProcesses 2
";

/// The application and its file, in a folder that an unprivileged user can enter and write to.
fn installed() -> Folder {
    let folder = Folder::new()
        .file("app.py", APPLICATION)
        .executable("app.fcgi", SUPERVISED)
        .file("run/.keep", "")
        .file("bin/.keep", "");
    fs::copy(env!("CARGO_BIN_EXE_runner"), folder.path("bin/runner")).expect("a copy");
    for (name, mode) in [("", 0o755), ("run", 0o777)] {
        let mode = fs::Permissions::from_mode(mode);
        fs::set_permissions(folder.path(name), mode).expect("our own folder");
    }
    folder
}

/// The supervisor that a web server has started.
fn supervisor(folder: &Folder) -> Pid {
    let pid = folder.read("run/app.pid").trim().parse().expect("a pid");
    Pid::from_raw(pid).expect("no zero")
}

/// The supervisor takes the new version under load, and clients notice nothing but the new responses.
#[track_caller]
fn reloads(server: &Server, folder: &Folder) {
    let load = Load::new(server.address()).fresh(4).kept(4).start();
    load.until("it answers", |report| {
        report.bodies.contains_key("version 1")
    });
    let pid = supervisor(folder);
    let changed = APPLICATION.replace("version 1", "version 2");
    fs::write(folder.path("app.py"), changed).expect("our own file");
    kill_process(pid, Signal::HUP).expect("it runs");
    load.until("the new version answers", |report| {
        report.bodies.contains_key("version 2")
    });
    load.stop().is_whole();
    assert_eq!(supervisor(folder), pid);
}

/// Serves with the program that mod_fcgid starts.
fn mod_fcgid(folder: &Folder, processes: &str) -> Server {
    let here = folder.path("").display().to_string();
    let program = format!(
        "{processes}LoadModule fcgid_module /usr/lib/apache2/modules/mod_fcgid.so\n\
         FcgidInitialEnv PATH {here}/bin:/usr/local/bin:/usr/bin:/bin\n\
         FcgidIPCDir {here}/run\nFcgidProcessTableFile {here}/run/fcgid_shm\nFcgidMaxProcessesPerClass 1\n\
         <Directory {here}>\nOptions +ExecCGI\nRequire all granted\nSetHandler fcgid-script\n</Directory>\n\
         Alias / {here}/app.fcgi/\n"
    );
    apache(folder, &program)
}

#[test]
fn mod_fcgid_reloads_the_supervisor() {
    let folder = installed();
    let apache = mod_fcgid(&folder, MANY_AT_A_TIME);
    reloads(&apache, &folder);
    let outcome = apache.stop();
    assert_eq!(outcome.status, 0, "{outcome:#?}");
}

/// mod_fcgid sends a process one request at a time. With more clients, requests would wait for its process manager,
/// which ends at a graceful restart, and then for ever, whatever program it runs. Here they wait for Apache.
#[test]
fn mod_fcgid_restarts_gracefully_and_the_supervisor_with_it() {
    let folder = installed();
    let apache = mod_fcgid(&folder, ONE_AT_A_TIME);
    let load = Load::new(apache.address()).fresh(8).start();
    for _ in 0..3 {
        load.more(100);
        let before = supervisor(&folder);
        apache.signal(GRACEFUL);
        load.until("another supervisor serves", |_| is_another(&folder, before));
        load.more(100);
    }
    load.stop().is_whole();
    let outcome = apache.stop();
    assert_eq!(outcome.status, 0, "{outcome:#?}");
}

#[test]
fn mod_proxy_fcgi_reloads_itself_beside_a_supervisor_that_does_too() {
    let port = free_port();
    let own_socket = SUPERVISED.replace("FastCGI", &format!("FastCGI tcp://127.0.0.1:{port}"));
    let folder = installed().executable("app.conf", own_socket);
    let supervisor = folder
        .runner(["supervise", "app.conf"])
        .start_at(Address::port(port));
    let proxy = format!(
        "{MANY_AT_A_TIME}LoadModule proxy_module /usr/lib/apache2/modules/mod_proxy.so\n\
         LoadModule proxy_fcgi_module /usr/lib/apache2/modules/mod_proxy_fcgi.so\n\
         ProxyPass / fcgi://127.0.0.1:{port}/ enablereuse=on\n"
    );
    let apache = apache(&folder, &proxy);
    reloads(&apache, &folder);

    // Apache closes the kept connections of its own clients, whatever they are sending at that moment.
    let load = Load::new(apache.address()).fresh(8).start();
    for number in 1..=3 {
        load.more(100);
        apache.signal(GRACEFUL);
        let resumed = "resuming normal operations";
        apache.wait_for_log(|log| log.matches(resumed).count() > number);
        load.more(100);
        supervisor.signal(Signal::HUP);
    }
    load.stop().is_whole();
    assert_eq!(apache.stop().status, 0);
    assert_eq!(supervisor.stop().status, 0);
}

/// The signal that `apachectl graceful` sends, and that lighttpd understands in the same way.
const GRACEFUL: Signal = Signal::USR1;

/// Apache with its default number of processes.
const MANY_AT_A_TIME: &str =
    "LoadModule mpm_event_module /usr/lib/apache2/modules/mod_mpm_event.so\n";

/// Apache with one process for requests.
const ONE_AT_A_TIME: &str = "\
LoadModule mpm_prefork_module /usr/lib/apache2/modules/mod_mpm_prefork.so
StartServers 1
MinSpareServers 1
MaxSpareServers 1
MaxRequestWorkers 1
";

/// Whether another supervisor has taken its place.
fn is_another(folder: &Folder, before: Pid) -> bool {
    // Between the two there may be no pid file.
    let text = fs::read_to_string(folder.path("run/app.pid")).unwrap_or_default();
    let pid: Option<i32> = text.trim().parse().ok();
    pid.is_some_and(|pid| pid != before.as_raw_nonzero().get())
}

fn apache(folder: &Folder, rest: &str) -> Server {
    let here = folder.path("").display().to_string();
    let port = free_port();
    let modules: String = ["authz_core", "alias", "env"]
        .map(|name| format!("LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n"))
        .concat();
    let text = format!(
        "ServerRoot {here}\nDefaultRuntimeDir {here}/run\nPidFile {here}/run/apache.pid\n\
         Listen 127.0.0.1:{port}\nServerName localhost\nErrorLog /dev/stderr\nUser www-data\nGroup www-data\n\
         {modules}PassEnv RUNNER_TEST\n{rest}"
    );
    let folder = folder.clone().file("apache.conf", text);
    let configuration = folder.path("apache.conf");
    folder
        .program("apache2", ["-D", "FOREGROUND", "-f"])
        .arguments([configuration])
        .start_at(Address::port(port))
}

/// nginx does not repeat a POST whose connection turns out to be closed, so the server must not close it.
#[test]
fn nginx_that_keeps_its_connections_notices_no_warm_restart() {
    let own_socket = SUPERVISED.replace("FastCGI", "FastCGI unix:run/socket");
    let folder = installed().executable("app.conf", own_socket);
    let start = || folder.runner(["supervise", "app.conf"]);
    let mut master = start().start_at(Address::Unix(folder.path("run/socket")));
    let port = free_port();
    let nginx = start_nginx(&folder, nginx_keeping_connections(&folder, port), port);
    let load = Load::new(nginx.address())
        .fresh(4)
        .kept(4)
        .post(b"x")
        .start();
    for number in 2..=4 {
        load.more(100);
        let new = format!("version {number}");
        let text = APPLICATION.replace("version 1", &new);
        fs::write(folder.path("app.py"), text).expect("our own file");
        let next = start().start_with(nothing());
        let answers = format!("{new} answers");
        load.until(&answers, |report| report.bodies.contains_key(&new));
        assert_eq!(master.wait().status, 0);
        master = next;
    }
    load.more(100);
    load.stop().is_whole();
    nginx.stop();
    assert_eq!(master.stop().status, 0);
}

/// Standard input of a program that needs none.
fn nothing() -> OwnedFd {
    fs::File::open("/dev/null").expect("it is there").into()
}

#[test]
fn lighttpd_reloads_the_supervisor_and_itself() {
    let folder = installed();
    let port = free_port();
    let folder = folder
        .clone()
        .file("lighttpd.conf", lighttpd(&folder, port));
    let lighttpd = folder
        .program("lighttpd", ["-D", "-f", "lighttpd.conf"])
        .start_at(Address::port(port));
    reloads(&lighttpd, &folder);
    let load = Load::new(lighttpd.address()).fresh(8).start();
    for _ in 0..3 {
        load.more(100);
        let before = supervisor(&folder);
        lighttpd.signal(GRACEFUL);
        load.until("another supervisor serves", |_| is_another(&folder, before));
    }
    load.more(100);
    load.stop().is_whole();
    // Its exit status depends on whether it or its children end first.
    lighttpd.stop();
}

fn lighttpd(folder: &Folder, port: u16) -> String {
    let here = folder.path("").display().to_string();
    format!(
        "server.modules = (\"mod_fastcgi\")\n\
         server.bind = \"127.0.0.1\"\nserver.port = {port}\nserver.document-root = \"{here}\"\n\
         server.errorlog = \"/dev/stderr\"\n\
         fastcgi.server = (\"/\" => ((\n\
         \"bin-path\" => \"{here}/app.fcgi\", \"socket\" => \"{here}/run/socket\", \"max-procs\" => 1,\n\
         \"check-local\" => \"disable\", \"fix-root-scriptname\" => \"enable\",\n\
         )))\n"
    )
}
