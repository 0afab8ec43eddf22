//! `import --check`: the imported site is started once, and asked for `/`.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::commands::edit::init::{PROGRAM, write_new};
use crate::import::imported_site::{ImportedSite, ListenAddress, ListenProtocol, Placed};
use crate::import::imported_text::ImportedText;
use crate::import::written_site::written;
use crate::line::failure::Failure;
use crate::log::{self, Level};
use crate::supervisor::stop_flag::StopFlag;

/// Why there is no answer of the trial.
const STOPPED: &str = "the trial was stopped by a signal";

/// Any free port of this machine.
const ADDRESS: &str = "tcp://127.0.0.1:0";

/// What the server says once it answers, before its address.
const SERVING: &str = "serving http://";

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// How often it is looked whether a signal has come.
const LOOK: Duration = Duration::from_millis(100);

/// The text of a file that serves the same application for a trial: by HTTP, at a free port, as the present user, and
/// without the programs beside it.
pub(super) fn text(site: &ImportedSite, first_line: &str, name: &str) -> String {
    let mut trial = site.clone();
    let places = trial.addresses.first().map(|it| it.places.clone());
    trial.addresses = vec![Placed {
        value: ListenAddress {
            protocol: ListenProtocol::Http,
            url: ImportedText::known(ADDRESS),
        },
        places: places.unwrap_or_default(),
    }];
    trial.programs.clear();
    trial.settings.retain(|name, _| {
        let elsewhere = [
            "runner.user",
            "runner.group",
            "runner.tls.",
            "runner.socket.",
            "runner.supervise.",
            "runner.status.",
            "runner.log.",
        ];
        !elsewhere.iter().any(|it| name.starts_with(it))
    });
    written(&mut trial, first_line, name)
}

/// A file that is removed in the end.
struct TrialFile<'a>(&'a Path);

impl Drop for TrialFile<'_> {
    fn drop(&mut self) {
        // It is of no use to anybody, whether it can be removed or not.
        let _ = std::fs::remove_file(self.0);
    }
}

/// A server that is stopped in the end.
struct TrialServer {
    child: Child,
    /// What it writes to its log. Its end is that of the server and all that it has started.
    written: Receiver<String>,
}

impl TrialServer {
    /// Starts a file.
    fn start(path: &Path) -> anyhow::Result<Self> {
        let mut child = this_program()?
            .arg("runIni")
            .arg(path)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot start the file")?;
        let output = child.stderr.take().context("its log is not there")?;
        let (lines, written) = mpsc::channel();
        // A pipe that nobody reads would stop it.
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                // Nobody asks for what is said at the end.
                let _ = lines.send(line);
            }
        });
        Ok(Self { child, written })
    }

    /// Waits until it answers. Returns its address.
    fn address(&self, stop: &StopFlag) -> anyhow::Result<String> {
        let mut said = String::new();
        let mut since = Instant::now();
        loop {
            let line = match self.written.recv_timeout(LOOK) {
                Ok(line) => line,
                Err(_) if stop.is_set() => bail!(STOPPED),
                Err(RecvTimeoutError::Timeout) if since.elapsed() < PATIENCE => continue,
                Err(RecvTimeoutError::Timeout) => {
                    bail!("what was written does not start in time:\n{said}")
                }
                Err(RecvTimeoutError::Disconnected) => {
                    bail!("what was written does not start:\n{said}")
                }
            };
            if let Some((_, rest)) = line.split_once(SERVING) {
                return Ok(rest.split('/').next().unwrap_or_default().to_owned());
            }
            said.push_str(&line);
            said.push('\n');
            since = Instant::now();
        }
    }
}

impl Drop for TrialServer {
    fn drop(&mut self) {
        // It has ended already if this fails.
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process(pid, Signal::TERM);
        }
        // Until it ends, or says nothing for so long.
        while self.written.recv_timeout(PATIENCE).is_ok() {}
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Checks the file that was written, or without one its text; then starts the text of a trial, and asks it for `/`. Both texts
/// are files of a folder meanwhile, for relative paths are relative to it.
///
/// # Errors
/// There are mistakes in it, or it does not start, or does not answer.
pub(super) fn try_out(
    folder: &Path,
    output: Option<&Path>,
    text: &str,
    trial: &str,
) -> Result<(), Failure> {
    let path = folder.join(format!(".import-{}.ini", std::process::id()));
    // From before the file is there until after it is removed.
    let stop = StopFlag::listen_to_all().context("cannot listen to signals")?;
    match output {
        Some(path) => check(path)?,
        None => {
            write_new(&path, text, PROGRAM)?;
            let _file = TrialFile(&path);
            check(&path)?;
        }
    }
    write_new(&path, trial, PROGRAM)?;
    let _file = TrialFile(&path);
    Ok(asked(&path, &stop)?)
}

/// This program, by the name that it was called by, which says in which virtual environment.
fn this_program() -> anyhow::Result<Command> {
    let program = std::env::current_exe().context("this program's own file is not known")?;
    let mut command = Command::new(program);
    if let Some(name) = std::env::args_os().next() {
        command.arg0(name);
    }
    Ok(command)
}

/// Has `check` look at a file, and shows its warnings.
fn check(path: &Path) -> anyhow::Result<()> {
    let checked = this_program()?.arg("check").arg(path).output();
    let checked = checked.context("cannot check the file")?;
    let text = String::from_utf8_lossy(&checked.stdout);
    if !checked.status.success() {
        bail!("what was written has mistakes:\n{text}");
    }
    if text.starts_with("warning: ") {
        log::drawn(Level::Warning, &text);
    }
    Ok(())
}

fn asked(path: &Path, stop: &StopFlag) -> anyhow::Result<()> {
    let server = TrialServer::start(path)?;
    let status = status(&server.address(stop)?, stop)?;
    if status.starts_with('5') {
        bail!("what was written starts, but answers `GET /` with {status}");
    }
    let said = format!("it starts, and answers `GET /` with {status}\n");
    log::drawn(Level::Info, &said);
    Ok(())
}

/// Whether nothing has come yet.
fn is_early(error: &io::Error) -> bool {
    let kinds = [
        ErrorKind::WouldBlock,
        ErrorKind::TimedOut,
        ErrorKind::Interrupted,
    ];
    kinds.contains(&error.kind())
}

/// The status of the answer to `GET /`.
fn status(address: &str, stop: &StopFlag) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect(address).context("it does not accept connections")?;
    stream.set_read_timeout(Some(LOOK))?;
    write!(stream, "GET / HTTP/1.0\r\nHost: {address}\r\n\r\n")?;
    let since = Instant::now();
    let mut head = Vec::new();
    let mut part = [0; 4096];
    // The first line is enough.
    while !head.contains(&b'\n') && head.len() < part.len() {
        match stream.read(&mut part) {
            Ok(0) => break,
            Ok(length) => head.extend_from_slice(&part[..length]),
            Err(_) if stop.is_set() => bail!(STOPPED),
            Err(error) if is_early(&error) && since.elapsed() < PATIENCE => {}
            Err(error) => return Err(error).context("it does not answer"),
        }
    }
    let head = String::from_utf8_lossy(&head);
    let line = head.lines().next().unwrap_or_default();
    let status = line.split_once(' ').map(|(_, status)| status.to_owned());
    status.ok_or_else(|| anyhow!("it answers something else than HTTP: `{line}`"))
}
