//! Programs that a test runs: their arguments, environment and output, and the check that none of their processes is
//! left.

use std::ffi::OsStr;
use std::io::{ErrorKind, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use rustix::process::{
    Pid, Resource, Signal, geteuid, getrlimit, kill_process, kill_process_group, setrlimit,
};

use super::Folder;
use super::http::{self, Address, Reply, Waits};
use super::output::Output;

/// The variable that identifies the processes of one program.
const MARK: &str = "RUNNER_TEST";

/// A program to run.
pub struct Program {
    folder: Folder,
    command: Command,
    mark: String,
    stdin: Vec<u8>,
}

impl Program {
    pub(super) fn new<A: AsRef<OsStr>>(
        folder: Folder,
        program: &OsStr,
        arguments: impl IntoIterator<Item = A>,
    ) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        allow_looking();
        let mark = format!("{}-{count}", std::process::id());
        let mut command = Command::new(program);
        command
            .args(arguments)
            .current_dir(folder.path(""))
            .env_clear()
            .env("PATH", search_path())
            .env("HOME", folder.path(""))
            .env("LANG", "C.UTF-8")
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env(MARK, &mark)
            .process_group(0);
        Self {
            folder,
            command,
            mark,
            stdin: Vec::new(),
        }
    }

    /// Appends arguments.
    pub fn arguments<A: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.command.args(arguments);
        self
    }

    /// Sets an environment variable.
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Sets the folder that it runs in, if that is not the folder of its files.
    pub fn current_folder(mut self, path: impl AsRef<Path>) -> Self {
        self.command.current_dir(path);
        self
    }

    /// Sets its standard input, which is empty otherwise.
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = bytes.into();
        self
    }

    /// Runs it until it ends.
    #[track_caller]
    pub fn run(mut self) -> Outcome {
        let bytes = std::mem::take(&mut self.stdin);
        let mut running = self.spawn(Stdio::piped());
        let mut input = running.child.stdin.take().expect("a pipe");
        // The program may end without reading its input.
        let writer = thread::spawn(move || drop(input.write_all(&bytes)));
        let outcome = running.wait();
        writer.join().expect("the writer does not panic");
        outcome
    }

    /// Starts `runner serve` and waits until it announces its address.
    #[track_caller]
    pub fn start(self) -> Server {
        self.start_on(Stdio::null()).serving()
    }

    /// Starts a server without waiting.
    #[track_caller]
    pub fn begin(self) -> Server {
        self.start_on(Stdio::null())
    }

    /// Starts a server with a descriptor (a listening socket) as its standard input, without waiting.
    #[track_caller]
    pub fn start_with(self, descriptor: OwnedFd) -> Server {
        self.start_on(Stdio::from(descriptor))
    }

    /// Starts a server that announces nothing, and waits until it accepts connections.
    #[track_caller]
    pub fn start_at(self, address: Address) -> Server {
        let mut server = self.start_on(Stdio::null());
        let mut waits = Waits::new();
        while !address.accepts() {
            server.must_run();
            waits.wait(|| format!("no connection to {address}; it said:\n{}", server.log()));
        }
        server.address = Some(address);
        server
    }

    fn start_on(mut self, stdin: Stdio) -> Server {
        Server {
            folder: self.folder.clone(),
            running: Some(self.spawn(stdin)),
            address: None,
            url: String::new(),
        }
    }

    #[track_caller]
    fn spawn(&mut self, stdin: Stdio) -> Running {
        let name = self.command.get_program().to_string_lossy().into_owned();
        let command = self
            .command
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        // A process that another test is forking may hold a file that was just written, for a moment (ETXTBSY).
        let until = Instant::now() + Duration::from_secs(10);
        let mut child = loop {
            match command.spawn() {
                Err(error)
                    if error.kind() == ErrorKind::ExecutableFileBusy && Instant::now() < until =>
                {
                    thread::yield_now();
                }
                child => break child.unwrap_or_else(|error| panic!("{name}: {error}")),
            }
        };
        let stdout = Output::read(child.stdout.take().expect("a pipe"));
        let stderr = Output::read(child.stderr.take().expect("a pipe"));
        Running {
            name,
            child,
            stdout,
            stderr,
            mark: self.mark.clone(),
            folder: self.folder.path("").to_string_lossy().into_owned(),
        }
    }
}

/// Allows core files, so that tests of an ordinary user can look at its processes: otherwise a server does not let them
/// read its descriptors and environment.
fn allow_looking() {
    let mut limit = getrlimit(Resource::Core);
    if !geteuid().is_root() && limit.current == Some(0) {
        limit.current = Some(1);
        let _ = setrlimit(Resource::Core, limit);
    }
}

/// The programs under test come first.
fn search_path() -> std::ffi::OsString {
    let binaries = Path::new(env!("CARGO_BIN_EXE_runner"))
        .parent()
        .expect("a folder")
        .to_path_buf();
    let given = env::var_os("PATH").unwrap_or_default();
    // Debian installs web servers in folders that are only on root's PATH.
    let system = ["/usr/sbin", "/sbin"].map(std::path::PathBuf::from);
    let folders = [binaries]
        .into_iter()
        .chain(env::split_paths(&given))
        .chain(system);
    env::join_paths(folders).expect("folders without a colon")
}

/// A program's complete output. The test's folder is replaced by `[folder]`.
#[derive(Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Its exit status, or minus the number of the signal that ended it.
    pub status: i32,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl Outcome {
    /// Compares all three.
    #[track_caller]
    pub fn is(&self, status: i32, stdout: &str, stderr: &str) {
        let wanted = (status, stdout, stderr);
        let found = (self.status, self.stdout.as_str(), self.stderr.as_str());
        assert!(
            found == wanted,
            "found status {}\n--- stdout\n{}--- stderr\n{}\nwanted status {status}\n--- stdout\n{stdout}--- stderr\n{stderr}",
            self.status,
            self.stdout,
            self.stderr,
        );
    }

    /// Asserts success, and returns its standard output.
    #[track_caller]
    pub fn success(&self) -> &str {
        assert!(self.status == 0, "it failed: {self:#?}");
        &self.stdout
    }
}

struct Running {
    name: String,
    child: Child,
    stdout: Output,
    stderr: Output,
    mark: String,
    folder: String,
}

impl Running {
    /// Waits for its end and asserts that it leaves no process.
    #[track_caller]
    fn wait(&mut self) -> Outcome {
        let mut waits = Waits::new();
        let status = loop {
            match self.child.try_wait().expect("our own child") {
                Some(status) => break status,
                None => waits.wait(|| format!("{} does not end\n{}", self.name, self.said())),
            }
        };
        let mut waits = Waits::short();
        while let left @ [_, ..] = marked(&self.mark).as_slice() {
            waits.wait(|| format!("{} left {left:?} running\n{}", self.name, self.said()));
        }
        let outcome = Outcome {
            status: number(status),
            stdout: self.stdout.whole(),
            stderr: self.stderr.whole(),
        };
        Outcome {
            stdout: outcome.stdout.replace(&self.folder, "[folder]"),
            stderr: outcome.stderr.replace(&self.folder, "[folder]"),
            ..outcome
        }
    }

    fn said(&self) -> String {
        let (stdout, stderr) = (self.stdout.so_far(), self.stderr.so_far());
        format!("--- stdout\n{stdout}--- stderr\n{stderr}")
    }
}

impl Drop for Running {
    /// After a failed test: ends the remaining processes of the program.
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
            let _ = self.child.wait();
        }
        for (pid, _) in marked(&self.mark) {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

fn number(status: ExitStatus) -> i32 {
    status
        .code()
        .or_else(|| status.signal().map(|signal| -signal))
        .expect("it ended")
}

/// The child processes of this process, including zombies.
pub fn children(process: Pid) -> Vec<Pid> {
    let pid = process.as_raw_nonzero();
    let list = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let pids = list.split_whitespace().map(|pid| pid.parse().ok());
    pids.filter_map(|pid| Pid::from_raw(pid?)).collect()
}

/// The processes that inherited a mark, with their command lines.
fn marked(mark: &str) -> Vec<(Pid, String)> {
    let entry = format!("{MARK}={mark}");
    fs::read_dir("/proc")
        .expect("/proc")
        .filter_map(|process| {
            let process = process.ok()?;
            let pid = Pid::from_raw(process.file_name().to_str()?.parse().ok()?)?;
            // Empty for a process that is ending, an error for one that is gone.
            let environment = fs::read(process.path().join("environ")).ok()?;
            environment
                .split(|&byte| byte == 0)
                .any(|variable| variable == entry.as_bytes())
                .then(|| {
                    let line = fs::read(process.path().join("cmdline")).unwrap_or_default();
                    (pid, String::from_utf8_lossy(&line).replace('\0', " "))
                })
        })
        .collect()
}

/// A server that runs until it ends or the test ends it.
pub struct Server {
    folder: Folder,
    running: Option<Running>,
    address: Option<Address>,
    url: String,
}

impl Server {
    fn running(&self) -> &Running {
        self.running.as_ref().expect("it was not stopped")
    }

    /// Waits for the line that announces the address, and remembers the address.
    #[track_caller]
    pub fn serving(mut self) -> Self {
        const SAYS: &str = "runner: serving ";
        // Programs that share a log have their names before that.
        let said = |line: &str| match line.split_once(SAYS) {
            Some((name, url)) if name.is_empty() || name.ends_with(": ") => Some(url.to_owned()),
            Some(_) | None => None,
        };
        let is_whole = |log: &str, line: &str| log.contains(&format!("{line}\n"));
        let is_said = |log: &str, line: &str| said(line).is_some() && is_whole(log, line);
        let log = self.wait_for_log(|log| log.lines().any(|line| is_said(log, line)));
        let url = log.lines().find_map(said);
        self.url = url.expect("just seen").trim().to_owned();
        self.address = Address::of_url(&self.url);
        self
    }

    /// Remembers the address of a socket that the test made for it.
    pub fn at(mut self, address: Address) -> Self {
        self.address = Some(address);
        self
    }

    /// Its address.
    #[track_caller]
    pub fn address(&self) -> &Address {
        self.address.as_ref().expect("an address to connect to")
    }

    /// The URL that it announced (`http://localhost:43121/`).
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The folder that it was started in.
    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    /// Its process number.
    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.running().child)
    }

    /// All of its processes with their command lines, the server included.
    pub fn processes(&self) -> Vec<(Pid, String)> {
        marked(&self.running().mark)
    }

    /// Its standard error so far.
    pub fn log(&self) -> String {
        self.running().stderr.so_far()
    }

    /// Waits until its standard error meets a condition, and returns it.
    #[track_caller]
    pub fn wait_for_log(&self, until: impl Fn(&str) -> bool) -> String {
        self.running()
            .stderr
            .wait(until)
            .unwrap_or_else(|log| panic!("it never wrote what was awaited, but\n{log}"))
    }

    /// Fetches a page.
    #[track_caller]
    pub fn get(&self, target: &str) -> Reply {
        http::get(self.address(), target)
    }

    /// Sends a signal to the main process.
    #[track_caller]
    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("our own process");
    }

    /// Ends it with SIGTERM; asserts that it leaves no process.
    #[track_caller]
    pub fn stop(self) -> Outcome {
        self.signal(Signal::TERM);
        self.wait()
    }

    /// Waits until it ends by itself; asserts that it leaves no process.
    #[track_caller]
    pub fn wait(mut self) -> Outcome {
        self.running.take().expect("it was not stopped").wait()
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        let running = self.running.as_mut().expect("it was not stopped");
        running.child.try_wait().expect("our own child").is_some()
    }

    #[track_caller]
    fn must_run(&mut self) {
        let running = self.running.as_mut().expect("it was not stopped");
        if let Some(status) = running.child.try_wait().expect("our own child") {
            panic!("{} ended: {status}\n{}", running.name, running.said());
        }
    }
}
