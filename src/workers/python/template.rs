//! A template: a Python process that imports an application once and forks workers from it, or becomes one.
//!
//! Its standard input is a socket over which runner sends messages, each behind its length as 32 bits, in the format of
//! `marshal`: first the sources of the modules that run there, then the options, with a descriptor to which
//! `faulthandler` writes, on a signal, where the import is, and one that takes the lines of a log that has objects. Then follow orders, which are tuples:
//!
//! | order | means |
//! |---|---|
//! | `("descriptors", 0, 0)` | descriptors are attached |
//! | `("fork", worker, count)` | fork this worker, with the first `count` descriptors |
//! | `("serve", worker, count)` | become this worker |
//! | `("end", 0, 0)` | end; workers that were forked go on |
//!
//! In development, the template sends `("imported", paths, 0)` before anything else, the folders of the modules that it has
//! imported with zero bytes between them. It sends `("loaded", version, hindrances)`, `("failed", reason, (traceback, hint, import))` or
//! `("outdated", version, 0)` after the import, where the hindrances keep it from being forked, then `("forked", worker, pid)`, `("unforked", worker, reason)`
//! and `("died", pid, status)`.

use std::fs::File;
use std::io::{Seek, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::process::Stdio;

use anyhow::Context;
use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;
use tokio::net::unix::OwnedReadHalf;
use tokio::process::{Child, Command};

use crate::children::mark::Mark;
use crate::children::{self, Awaited};
use crate::descriptor_limit;
use crate::log;
use crate::permission;
use crate::protocol::cgi::environ;
use crate::protocol::worker::marshal::{Malformed, MarshalReader, Writer};
use crate::unix;
use crate::workers::id::WorkerId;
use crate::workers::options::WorkerOptions;
use crate::workers::python::import_failure::ImportFailure;
use crate::workers::python::loop_description;
use crate::workers::wire::link::FarEnd;

/// The signal that ends a Python process when runner is gone, until the process watches for that itself. As with
/// [`unix::STACK_SIGNAL`], nothing else uses it; 0 where the system sends none.
const ORPHAN_SIGNAL: i32 = if cfg!(target_os = "linux") { 53 } else { 0 };

/// The code that is sent first; it reads the rest from the socket.
const BOOTSTRAP: &str = concat!(include_str!("start.py"), include_str!("bootstrap.py"));

/// A module: its name, its file name in tracebacks, its source.
macro_rules! module {
    ($name:literal) => {
        (
            concat!("runner_", $name),
            concat!("runner/", $name, ".py"),
            include_str!(concat!($name, ".py")),
        )
    };
    ($folder:literal, $name:literal) => {
        (
            concat!("runner_", $name),
            concat!("runner/", $folder, "/", $name, ".py"),
            include_str!(concat!($folder, "/", $name, ".py")),
        )
    };
}

/// A module's name, its file name in tracebacks, and its source.
type Module = (&'static str, &'static str, &'static str);

/// The modules that run in every template, in the order in which they import each other.
const MODULES: [Module; 15] = [
    module!("kept"),
    module!("json_lines"),
    module!("output"),
    module!("title"),
    module!("resolve"),
    module!("call_shape"),
    module!("examine"),
    module!("development"),
    module!("exchange"),
    module!("body_stream"),
    module!("control"),
    module!("descriptors"),
    module!("sharing"),
    module!("forked"),
    module!("template"),
];

/// The modules of WSGI workers, behind those.
const WSGI_MODULES: [Module; 1] = [module!("worker")];

/// The modules of ASGI workers, behind those.
const ASGI_MODULES: [Module; 10] = [
    module!("asgi", "asgi_loop"),
    module!("asgi", "asgi_outbox"),
    module!("asgi", "asgi_notes"),
    module!("asgi", "asgi_message"),
    module!("asgi", "asgi_response"),
    module!("asgi", "asgi_http"),
    module!("asgi", "asgi_websocket"),
    module!("asgi", "asgi_lane"),
    module!("asgi", "asgi_lifespan"),
    module!("asgi", "asgi_worker"),
];

/// Whether a file in a stack is one of runner's modules.
pub(crate) fn is_ours(file: &str) -> bool {
    let all = [&MODULES[..], &WSGI_MODULES, &ASGI_MODULES];
    all.into_iter().flatten().any(|&(_, ours, _)| ours == file)
}

/// Runner's end of a template's socket.
#[derive(Debug)]
pub(crate) struct Template {
    socket: OwnedFd,
    /// While the template imports the application, it can be asked to write its stack here.
    pub(crate) stacks: Option<UnixStream>,
}

/// A message from a template.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum TemplateMessage {
    /// The application is imported.
    Loaded {
        /// What the template has that two processes cannot share, in words. Empty if it has no such thing, or becomes a
        /// worker itself.
        hindrances: String,
    },
    /// The folders of imported modules, with zero bytes between them.
    Imported {
        /// Their paths.
        folders: Vec<u8>,
    },
    /// The application cannot be imported, or is none.
    Failed(ImportFailure),
    /// This Python is too old.
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
    /// Starts a template, to fork workers or to become one. The processes that the application starts are known by the
    /// mark. The template's messages are to be read from the inbox. It ends when its socket is dropped.
    ///
    /// # Errors
    /// If the interpreter cannot be run.
    pub(crate) fn start(
        options: &WorkerOptions,
        mark: &Mark,
        becomes: Option<WorkerId>,
    ) -> anyhow::Result<(Self, Inbox, (Child, Option<Awaited>))> {
        let (ours, theirs) = StdUnixStream::pair().context("cannot make a socket")?;
        ours.set_nonblocking(true)?;
        let (stacks, told) = StdUnixStream::pair().context("cannot make a socket")?;
        stacks.set_nonblocking(true)?;
        let log = log::application_output(options.line_form.style).context("cannot use the log")?;
        let mut command = Command::new(&options.python);
        for (name, value) in &options.environment {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command
            .env(Mark::VARIABLE, mark.of(becomes))
            // The processes that it starts are known by their group, too.
            .process_group(0);
        if let Some(folder) = &options.begins_in {
            unix::begin_in(command.as_std_mut(), folder.as_fd())
                .context("cannot hold the current folder")?;
        }
        // It may hang in an import, or hold the interpreter's lock, and not notice that runner is gone.
        unix::signal_as_orphan(command.as_std_mut(), ORPHAN_SIGNAL);
        command
            .arg("-c")
            .arg(format!("import os; exec(os.read(0, {}))", BOOTSTRAP.len()))
            // Shown in lists of processes.
            .arg(&options.target)
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            // Output of the application is its log, never an answer.
            .stdout(Stdio::from(log.output))
            .stderr(Stdio::from(log.errors))
            // However runner ends, it does not stay behind.
            .kill_on_drop(true);
        let modules = file_of(&modules(options)).context("cannot make a file in memory")?;
        let child = children::start(|| command.spawn(), Child::id).map_err(|error| {
            let shown = format!("`{}` ({})", options.python.display(), options.python_origin);
            permission::cannot_run(&shown, &options.python, error)
        })?;
        // It has the other end of the socket: from now on this process sees that Python has ended.
        drop(command);
        let socket = OwnedFd::from(ours.try_clone().context("cannot duplicate a socket")?);
        let template = Self {
            socket,
            stacks: Some(UnixStream::from_std(stacks)?),
        };
        // Python may take long to begin, or never read: what goes over the socket is so little that there is room for it. If
        // it has ended already, how it ended says more than an error here.
        let _ = template
            .send_bytes(BOOTSTRAP.as_bytes(), &[])
            .and_then(|()| template.send_bytes(b"M", &[modules.as_fd()]))
            .and_then(|()| {
                let description = description(options, mark, becomes);
                let mut descriptors = vec![told.as_fd()];
                descriptors.extend(log.objects.as_ref().map(AsFd::as_fd));
                template.send(&description, &descriptors)
            });
        let (reader, writer) = UnixStream::from_std(ours)?.into_split();
        // Messages are written through a duplicate; the socket itself is not to be shut down when this half is dropped.
        writer.forget();
        Ok((template, Inbox::new(reader), child))
    }

    /// Orders a worker: a fork, or the template itself.
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
        self.send(
            &message(kind, worker, 1 + FarEnd::DESCRIPTORS * lanes.len()),
            &[],
        )
    }

    /// Tells it to end in good order: exit handlers run. Workers that it has forked go on.
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

    /// Sends bytes; waits for the template to read if it must, which takes it no time. A template that does not read is
    /// stopped or stuck: after an error it can only be killed.
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

/// A file in memory with these bytes.
fn file_of(bytes: &[u8]) -> std::io::Result<File> {
    let mut file = unix::anonymous_file("runner-modules")?;
    file.write_all(bytes)?;
    file.rewind()?;
    Ok(file)
}

fn modules(options: &WorkerOptions) -> Vec<u8> {
    let own = match options.asgi {
        None => &WSGI_MODULES[..],
        Some(_) => &ASGI_MODULES,
    };
    let mut writer = Writer::default();
    writer.list(MODULES.len() + own.len());
    for (name, file, source) in MODULES.iter().chain(own) {
        writer.tuple(3);
        writer.string(name);
        writer.string(file);
        writer.string(source);
    }
    writer.into_bytes()
}

fn description(options: &WorkerOptions, mark: &Mark, becomes: Option<WorkerId>) -> Vec<u8> {
    let mut writer = Writer::default();
    writer.dict();
    writer.string("role");
    match becomes {
        None => writer.string("template"),
        Some(_) if options.run_once => writer.string("CGI"),
        Some(worker) => writer.string(&format!("worker {worker}")),
    }
    writer.string("application");
    writer.string(&options.target);
    writer.string("arguments");
    writer.list(options.arguments.len());
    for argument in &options.arguments {
        // The template decodes them as Python decodes its own arguments.
        writer.bytes(argument.as_bytes());
    }
    writer.string("path");
    writer.list(options.search_path.len());
    for folder in &options.search_path {
        // The template decodes them as file names.
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
    writer.string("only_imported");
    writer.boolean(options.only_imported);
    writer.string("descriptors");
    // Each lane needs some, besides those of the application.
    let wanted = descriptor_limit::at_start().map(|limit| limit.max(8 * options.threads as u64));
    match wanted.and_then(|limit| i32::try_from(limit).ok()) {
        Some(limit) => writer.integer(limit),
        None => writer.none(),
    }
    writer.string("mark");
    writer.string(&mark.of(None));
    writer.string("log");
    writer.tuple(4);
    writer.string(options.line_form.style.name());
    writer.string(options.line_form.name.as_deref().unwrap_or_default());
    writer.string(options.line_form.application.as_deref().unwrap_or_default());
    writer.boolean(options.names_requests);
    writer.string("development");
    writer.boolean(options.development.is_some());
    writer.string("forks");
    writer.boolean(becomes.is_none());
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
    writer.string("asgi");
    loop_description::describe(options, &mut writer);
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

    /// The next message; `None` when the template is gone, or its message cannot be read.
    pub(crate) async fn next(&mut self) -> Option<TemplateMessage> {
        let length = self.socket.read_u32_le().await.ok()?;
        // The longest message is a traceback; none has 16 MiB.
        if length > 16 << 20 {
            return None;
        }
        let mut bytes = vec![0; usize::try_from(length).ok()?];
        self.socket.read_exact(&mut bytes).await.ok()?;
        parse(&bytes).ok()
    }
}

fn parse(bytes: &[u8]) -> Result<TemplateMessage, Malformed> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut reader = MarshalReader::new(bytes);
    reader.tuple(3)?;
    let number = |reader: &mut MarshalReader<'_>| {
        let value = reader.integer()?;
        i32::try_from(value).map_err(|_| Malformed)
    };
    let worker = |reader: &mut MarshalReader<'_>| {
        let value = reader.integer()?;
        WorkerId::try_from(value).map_err(|_| Malformed)
    };
    match reader.string()? {
        b"loaded" => {
            reader.string()?;
            Ok(TemplateMessage::Loaded {
                hindrances: text(reader.string()?),
            })
        }
        b"imported" => Ok(TemplateMessage::Imported {
            folders: reader.string()?.to_vec(),
        }),
        b"failed" => {
            let reason = text(reader.string()?);
            reader.tuple(3)?;
            Ok(TemplateMessage::Failed(ImportFailure {
                reason,
                traceback: text(reader.string()?),
                hint: Some(text(reader.string()?)).filter(|hint| !hint.is_empty()),
                import: usize::try_from(reader.integer()?).ok(),
            }))
        }
        b"outdated" => Ok(TemplateMessage::Outdated {
            version: text(reader.string()?),
        }),
        b"forked" => Ok(TemplateMessage::Forked {
            worker: worker(&mut reader)?,
            pid: number(&mut reader)?,
        }),
        b"unforked" => Ok(TemplateMessage::Unforked {
            worker: worker(&mut reader)?,
            reason: text(reader.string()?),
        }),
        b"died" => Ok(TemplateMessage::Died {
            pid: number(&mut reader)?,
            status: number(&mut reader)?,
        }),
        _ => Err(Malformed),
    }
}
