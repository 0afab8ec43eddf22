//! A template: a Python process that imports an application once and forks workers from it, or becomes one.
//!
//! Its standard input is the socket over which we send it, each behind its length as 32 bits: the
//! sources of its modules, its options with a descriptor to which `faulthandler` writes, on a signal, where the import
//! is, then orders: `("descriptors", 0, 0)` with descriptors attached,
//! `("fork", worker, count)` and `("serve", worker, count)`, which use up the first `count` of them, or `("end", 0, 0)`. It
//! sends `("loaded", version, hindrances)`, which keep it from being forked, or `("failed", reason, 0)` or `("outdated", version, 0)`, then `("forked", worker, pid)`,
//! `("unforked", worker, reason)` and `("died", pid, status)`. All are `marshal` tuples.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::process::Stdio;

use anyhow::Context;
use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;
use tokio::net::unix::OwnedReadHalf;
use tokio::process::{Child, Command};

use crate::children::{self, Awaited};
use crate::descriptor_limit;
use crate::protocol::cgi::environ;
use crate::protocol::worker::marshal::{Malformed, Reader, Writer};
use crate::unix;
use crate::workers::id::WorkerId;
use crate::workers::options::WorkerOptions;
use crate::workers::python::mark::Mark;
use crate::workers::wire::link::FarEnd;

/// The signal that ends a process of Python when this one is gone, unless it has said that it sees to that itself. As
/// [`unix::STACK_SIGNAL`], it is nobody else's; 0 where the system sends none.
const ORPHAN_SIGNAL: i32 = if cfg!(target_os = "linux") { 53 } else { 0 };

/// Sent before everything else; takes the rest from the socket.
const BOOTSTRAP: &str = concat!(include_str!("start.py"), include_str!("bootstrap.py"));

/// The modules that run there: name, file name in tracebacks, source.
const MODULES: [(&str, &str, &str); 9] = [
    ("runner_kept", "runner/kept.py", include_str!("kept.py")),
    (
        "runner_output",
        "runner/output.py",
        include_str!("output.py"),
    ),
    (
        "runner_resolve",
        "runner/resolve.py",
        include_str!("resolve.py"),
    ),
    (
        "runner_exchange",
        "runner/exchange.py",
        include_str!("exchange.py"),
    ),
    (
        "runner_control",
        "runner/control.py",
        include_str!("control.py"),
    ),
    (
        "runner_worker",
        "runner/worker.py",
        include_str!("worker.py"),
    ),
    (
        "runner_sharing",
        "runner/sharing.py",
        include_str!("sharing.py"),
    ),
    (
        "runner_forked",
        "runner/forked.py",
        include_str!("forked.py"),
    ),
    (
        "runner_template",
        "runner/template.py",
        include_str!("template.py"),
    ),
];

/// Whether a stack's file is one of ours.
pub(crate) fn is_ours(file: &str) -> bool {
    MODULES.iter().any(|&(_, ours, _)| ours == file)
}

/// Our side of a template, through which it is given orders.
#[derive(Debug)]
pub(crate) struct Template {
    socket: OwnedFd,
    /// Where it writes, while it imports the application, where it is; until that is asked for or done.
    pub(crate) stacks: Option<UnixStream>,
}

/// What a template says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Message {
    /// The application is imported.
    Loaded {
        /// What the template has that two processes cannot share, in words; nothing if it has none, or is to become a
        /// worker itself.
        hindrances: String,
    },
    /// The application cannot be imported.
    Failed {
        /// Why, with a traceback where there is one.
        reason: String,
    },
    /// This Python is too old for us.
    Outdated {
        /// Its version.
        version: String,
    },
    /// A worker was made.
    Forked {
        /// Which.
        worker: WorkerId,
        /// Its process id.
        pid: i32,
    },
    /// A worker could not be made.
    Unforked {
        /// Which.
        worker: WorkerId,
        /// Why.
        reason: String,
    },
    /// A worker died.
    Died {
        /// Its process id.
        pid: i32,
        /// Its status, as of `wait(2)`.
        status: i32,
    },
}

impl Template {
    /// Starts one, to fork workers or to become one. Processes that these start are known by the mark. Its messages are
    /// to be read from the inbox; it ends when it, or rather its socket, is dropped.
    ///
    /// # Errors
    /// If the interpreter cannot be run.
    pub(crate) fn start(
        options: &WorkerOptions,
        mark: &Mark,
        becomes: Option<WorkerId>,
    ) -> anyhow::Result<(Self, Inbox, (Child, Option<Awaited>))> {
        let (ours, theirs) = StdUnixStream::pair().context("cannot make a socket")?;
        let (stacks, told) = StdUnixStream::pair().context("cannot make a socket")?;
        stacks.set_nonblocking(true)?;
        let errors = std::io::stderr()
            .as_fd()
            .try_clone_to_owned()
            .context("cannot use standard error")?;
        let mut command = Command::new(&options.python);
        for (name, value) in &options.environment {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command
            .env(Mark::VARIABLE, mark.of(becomes))
            // What it starts is known by its group, too.
            .process_group(0);
        if let Some(folder) = &options.begins_in {
            unix::begin_in(command.as_std_mut(), folder.as_fd())
                .context("cannot hold the current folder")?;
        }
        // It may hang in an import, or hold the interpreter's lock, and not see that we are gone.
        unix::signal_as_orphan(command.as_std_mut(), ORPHAN_SIGNAL);
        command
            .arg("-c")
            .arg(format!("import os; exec(os.read(0, {}))", BOOTSTRAP.len()))
            // Says in a list of processes what this one is.
            .arg(&options.target)
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            // What the application prints is its log, never an answer.
            .stdout(Stdio::from(errors))
            .stderr(Stdio::inherit())
            // However we end, it does not stay behind.
            .kill_on_drop(true);
        let child = children::start(|| command.spawn(), Child::id).with_context(|| {
            format!("cannot run `{}` (runner.python)", options.python.display())
        })?;
        let socket = OwnedFd::from(ours.try_clone().context("cannot duplicate a socket")?);
        let template = Self {
            socket,
            stacks: Some(UnixStream::from_std(stacks)?),
        };
        // If it has ended already, how it did says more than that we could not write to it.
        let _ = template
            .send_bytes(BOOTSTRAP.as_bytes(), &[])
            .and_then(|()| template.send(&modules(), &[]))
            .and_then(|()| {
                let description = description(options, mark, becomes.is_none());
                template.send(&description, &[told.as_fd()])
            });
        ours.set_nonblocking(true)?;
        let (reader, writer) = UnixStream::from_std(ours)?.into_split();
        // We write through our duplicate; the socket itself is not to be shut down for that.
        writer.forget();
        Ok((template, Inbox::new(reader), child))
    }

    /// Orders a worker: a fork, or that the template itself becomes it.
    ///
    /// # Errors
    /// If the template is gone.
    pub(crate) fn order(
        &self,
        worker: WorkerId,
        fork: bool,
        watch: BorrowedFd<'_>,
        lanes: &[FarEnd],
    ) -> anyhow::Result<()> {
        self.send(&message("descriptors", 0, 0), &[watch])?;
        for lane in lanes {
            self.send(&message("descriptors", 0, 0), &lane.descriptors())?;
        }
        let kind = if fork { "fork" } else { "serve" };
        self.send(&message(kind, worker, 1 + 4 * lanes.len()), &[])
    }

    /// Tells it to end in good order: what the application does at its exit is done. What it has forked goes on.
    ///
    /// # Errors
    /// If the template is gone, or does not read.
    pub(crate) fn end(&self) -> anyhow::Result<()> {
        self.send(&message("end", 0, 0), &[])
    }

    /// Sends a message behind its length.
    fn send(&self, message: &[u8], descriptors: &[BorrowedFd<'_>]) -> anyhow::Result<()> {
        let length = u32::try_from(message.len()).context("a message is too long")?;
        let frame = [&length.to_le_bytes()[..], message].concat();
        self.send_bytes(&frame, descriptors)
    }

    /// Sends all of what is given; waits for the template to read if it must, which takes it no time. One that does not
    /// is stopped, or stuck: after an error it can only be ended.
    fn send_bytes(&self, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> anyhow::Result<()> {
        let mut rest = bytes;
        let mut descriptors = descriptors;
        while !rest.is_empty() {
            match unix::send_descriptors(self.socket.as_fd(), rest, descriptors) {
                Ok(sent) => {
                    rest = &rest[sent..];
                    descriptors = &[];
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                    let mut poll = [rustix::event::PollFd::new(
                        &self.socket,
                        rustix::event::PollFlags::OUT,
                    )];
                    let patience = rustix::event::Timespec {
                        tv_sec: 0,
                        tv_nsec: 100_000_000,
                    };
                    let room = rustix::event::poll(&mut poll, Some(&patience));
                    if room.context("cannot wait")? == 0 {
                        return Err(anyhow::anyhow!("the template does not read"));
                    }
                }
                Err(error) => return Err(error).context("the template is gone"),
            }
        }
        Ok(())
    }
}

fn message(kind: &str, worker: WorkerId, count: usize) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.tuple(3);
    writer.string(kind);
    writer.integer(i32::try_from(worker).unwrap_or(i32::MAX));
    writer.integer(i32::try_from(count).unwrap_or(i32::MAX));
    writer.into_bytes()
}

fn modules() -> Vec<u8> {
    let mut writer = Writer::default();
    writer.list(MODULES.len());
    for (name, file, source) in MODULES {
        writer.tuple(3);
        writer.string(name);
        writer.string(file);
        writer.string(source);
    }
    writer.into_bytes()
}

fn description(options: &WorkerOptions, mark: &Mark, forks: bool) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.dict();
    writer.string("application");
    writer.string(&options.target);
    writer.string("arguments");
    writer.list(options.arguments.len());
    for argument in &options.arguments {
        // Decoded there as Python decodes its own.
        writer.bytes(argument.as_bytes());
    }
    writer.string("path");
    writer.list(options.search_path.len());
    for folder in &options.search_path {
        // Decoded there as file names are.
        writer.bytes(folder.as_os_str().as_bytes());
    }
    writer.string("imports");
    writer.list(options.imports.len());
    for module in &options.imports {
        writer.string(module);
    }
    writer.string("variables");
    writer.dict();
    for (name, value) in environ::CONSTANTS {
        writer.string(name);
        writer.string(value);
    }
    writer.end_dict();
    writer.string("multiprocess");
    writer.boolean(!options.run_once && options.max > 1);
    writer.string("run_once");
    writer.boolean(options.run_once);
    writer.string("descriptors");
    // Each lane needs a few of its own, besides those of the application.
    let wanted = descriptor_limit::at_start().map(|limit| limit.max(8 * options.threads as u64));
    match wanted.and_then(|limit| i32::try_from(limit).ok()) {
        Some(limit) => writer.integer(limit),
        None => writer.none(),
    }
    writer.string("mark");
    writer.string(&mark.of(None));
    writer.string("forks");
    writer.boolean(forks);
    writer.string("stop_timeout");
    writer.float(options.stop_timeout.as_secs_f64());
    writer.string("stack_signal");
    writer.integer(unix::STACK_SIGNAL);
    writer.string("orphan_signal");
    writer.integer(ORPHAN_SIGNAL);
    writer.string("limits");
    writer.dict();
    for (name, limit) in options.resources.rows() {
        writer.string(name);
        writer.float(limit);
    }
    writer.end_dict();
    writer.end_dict();
    writer.into_bytes()
}

/// The messages of a template.
#[derive(Debug)]
pub(crate) struct Inbox {
    socket: OwnedReadHalf,
}

impl Inbox {
    fn new(socket: OwnedReadHalf) -> Self {
        Self { socket }
    }

    /// The next message; `None` when the template is gone, or talks nonsense.
    pub(crate) async fn next(&mut self) -> Option<Message> {
        let length = self.socket.read_u32_le().await.ok()?;
        // A traceback is the longest that it says; one of 16 MiB is none.
        if length > 16 << 20 {
            return None;
        }
        let mut bytes = vec![0; usize::try_from(length).ok()?];
        self.socket.read_exact(&mut bytes).await.ok()?;
        parse(&bytes).ok()
    }
}

fn parse(bytes: &[u8]) -> Result<Message, Malformed> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut reader = Reader::new(bytes);
    reader.tuple(3)?;
    let number = |reader: &mut Reader<'_>| {
        let value = reader.integer()?;
        i32::try_from(value).map_err(|_| Malformed)
    };
    let worker = |reader: &mut Reader<'_>| {
        let value = reader.integer()?;
        WorkerId::try_from(value).map_err(|_| Malformed)
    };
    match reader.string()? {
        b"loaded" => {
            reader.string()?;
            Ok(Message::Loaded {
                hindrances: text(reader.string()?),
            })
        }
        b"failed" => Ok(Message::Failed {
            reason: text(reader.string()?),
        }),
        b"outdated" => Ok(Message::Outdated {
            version: text(reader.string()?),
        }),
        b"forked" => Ok(Message::Forked {
            worker: worker(&mut reader)?,
            pid: number(&mut reader)?,
        }),
        b"unforked" => Ok(Message::Unforked {
            worker: worker(&mut reader)?,
            reason: text(reader.string()?),
        }),
        b"died" => Ok(Message::Died {
            pid: number(&mut reader)?,
            status: number(&mut reader)?,
        }),
        _ => Err(Malformed),
    }
}
