//! An application in a folder of its own, controlled through named pipes.
#![allow(dead_code)] // each test program uses a part of it

use std::collections::BTreeMap;
use std::fs;
use std::future::Future;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use runner::application::python_application::PythonApplication;
use runner::interface::master_status::Status;
use runner::interface::{Application, Blocks, Request, Response, ResponseBody};
use runner::log::LineForm;
use runner::workers::options::Limits;
use runner::workers::options::Resources;
use runner::workers::options::RetireAfter;
use runner::workers::options::{Preload, WorkerOptions};
use rustix::event::{PollFd, PollFlags, Timespec};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe;

/// `open(2)`: opening does not block; reading and writing wait for events.
const O_NONBLOCK: i32 = rustix::fs::OFlags::NONBLOCK.bits() as i32;

/// The time that a stop gives to busy workers.
pub const GRACE: Duration = Duration::from_secs(30);

pub const APPLICATION: &str = include_str!("../apps/pool.py");

/// An application in a folder of its own.
pub struct Pool {
    pub wsgi: Arc<PythonApplication>,
    pipes: BTreeMap<&'static str, Pipe>,
    folder: tempfile::TempDir,
}

pub fn options(folder: &Path) -> WorkerOptions {
    WorkerOptions {
        names_requests: false,
        line_form: LineForm::default(),
        python: "python3".into(),
        python_origin: "runner.python".to_owned(),
        target: "app.application".to_owned(),
        search_path: vec![folder.to_owned()],
        arguments: vec!["test".into()],
        begins_in: None,
        imports: Vec::new(),
        environment: Vec::new(),
        min: 1,
        max: 1,
        retire_after: RetireAfter::default(),
        threads: 1,
        start_interval: Duration::ZERO,
        preload: Preload::Auto,
        run_once: false,
        only_imported: false,
        start_timeout: Duration::from_secs(60),
        stop_timeout: Duration::from_secs(30),
        limits: Limits {
            request_timeout: Duration::from_secs(60),
            request_slow: Duration::ZERO,
            queue_length: 1000,
            queue_timeout: Duration::from_secs(30),
        },
        resources: Resources::default(),
        folder: folder.to_owned(),
        max_buffer: 1 << 30,
        max_buffers: u64::MAX,
        asgi: None,
        development: None,
    }
}

pub async fn pool(change: impl FnOnce(&mut WorkerOptions)) -> Pool {
    pool_of(APPLICATION, change).await.expect("started")
}

pub async fn pool_of(
    source: &str,
    change: impl FnOnce(&mut WorkerOptions),
) -> anyhow::Result<Pool> {
    let folder = tempfile::tempdir()?;
    fs::write(folder.path().join("app.py"), source)?;
    let pipe = |name| (name, Pipe::new(&folder.path().join(name)));
    let pipes = ["waiting", "go", "closed"].map(pipe).into();
    let mut options = options(folder.path());
    change(&mut options);
    let wsgi = Arc::new(PythonApplication::start(options).await?);
    Ok(Pool {
        wsgi,
        pipes,
        folder,
    })
}

pub fn request(path: &str) -> Request {
    let path = Bytes::copy_from_slice(path.as_bytes());
    Request {
        target: path.clone(),
        path_info: path,
        ..Request::default()
    }
}

impl Pool {
    /// The folder with the application, `app.py`.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Waits until the status meets a condition.
    pub async fn status_is(&self, wanted: impl Fn(&Status) -> bool) -> Status {
        let reached = async {
            // The server and its workers need the processor to get there.
            let mut looks = tokio::time::interval(Duration::from_millis(2));
            loop {
                let status = self.wsgi.status();
                if wanted(&status) {
                    break status;
                }
                looks.tick().await;
            }
        };
        bounded(reached).await
    }

    pub async fn get(&self, path: &str) -> Response {
        self.wsgi.clone().respond(request(path)).await
    }

    pub async fn text(&self, path: &str) -> String {
        body(self.get(path).await).await.expect("whole")
    }

    /// Sends a request without waiting for the response.
    pub fn begin(&self, path: &str) -> tokio::task::JoinHandle<Response> {
        let wsgi = Arc::clone(&self.wsgi);
        let request = request(path);
        tokio::spawn(async move { wsgi.clone().respond(request).await })
    }

    /// Waits until the application has written a line.
    pub async fn noted(&self, name: &str) {
        let mut byte = [0];
        let mut pipe = self.pipes[name]
            .try_clone()
            .expect("a descriptor")
            .into_receiver();
        bounded(pipe.read_exact(&mut byte)).await.expect("read");
    }

    /// Lets one waiting request of the application continue.
    pub async fn allow(&self, name: &str) {
        let mut pipe = self.pipes[name]
            .try_clone()
            .expect("a descriptor")
            .into_sender();
        bounded(pipe.write_all(b".")).await.expect("written");
    }
}

/// A named pipe that is open at both ends, so that opening never blocks.
pub struct Pipe(fs::File);

impl Pipe {
    pub fn new(path: &Path) -> Self {
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, mode, 0)
            .expect("made");
        let file = fs::File::options()
            .read(true)
            .write(true)
            .custom_flags(O_NONBLOCK)
            .open(path);
        Self(file.expect("opened"))
    }

    pub fn try_clone(&self) -> std::io::Result<Self> {
        self.0.try_clone().map(Self)
    }

    pub fn into_receiver(self) -> pipe::Receiver {
        pipe::Receiver::from_file_unchecked(self.0).expect("registered")
    }

    pub fn into_sender(self) -> pipe::Sender {
        pipe::Sender::from_file_unchecked(self.0).expect("registered")
    }
}

/// Nothing here takes a minute unless it never happens.
pub async fn bounded<T>(future: impl Future<Output = T>) -> T {
    let limit = Duration::from_secs(60);
    tokio::time::timeout(limit, future)
        .await
        .expect("it happened")
}

/// A process that is observed from before its end.
pub struct Watched(OwnedFd);

pub fn watch(pid: &str) -> Watched {
    let handle = rustix::process::pidfd_open(process(pid), rustix::process::PidfdFlags::empty());
    Watched(handle.expect("it runs"))
}

impl Watched {
    /// Waits until the process has ended.
    pub async fn ended(self) {
        let waiting = tokio::task::spawn_blocking(move || self.ends_within(30));
        assert!(waiting.await.expect("waited"), "it ended");
    }

    pub fn has_ended(&self) -> bool {
        self.ends_within(0)
    }

    fn ends_within(&self, seconds: i64) -> bool {
        let limit = Timespec {
            tv_sec: seconds,
            tv_nsec: 0,
        };
        let mut polled = [PollFd::new(&self.0, PollFlags::IN)];
        rustix::event::poll(&mut polled, Some(&limit)).expect("polled") == 1
    }
}

pub fn process(pid: &str) -> rustix::process::Pid {
    rustix::process::Pid::from_raw(pid.parse().expect("a number")).expect("a process id")
}

pub async fn body(response: Response) -> Result<String, String> {
    let mut bytes = Vec::new();
    match response.body {
        ResponseBody::Bytes(body) => bytes.extend_from_slice(&body),
        ResponseBody::Stream(mut blocks) => {
            while let Some(block) = blocks.next().await {
                match block {
                    Ok(block) => bytes.extend_from_slice(&block),
                    Err(error) => return Err(error.to_string()),
                }
            }
        }
        ResponseBody::File {
            file,
            offset,
            length,
        } => bytes.extend_from_slice(&file.read(offset, length).await.expect("read")),
        ResponseBody::WebSocket(_) => return Err("a WebSocket".to_owned()),
    }
    Ok(String::from_utf8(bytes).expect("UTF-8"))
}

pub fn blocks(response: Response) -> Blocks {
    match response.body {
        ResponseBody::Stream(blocks) => blocks,
        other => panic!("not a stream: {other:?}"),
    }
}

pub fn kill(pid: &str) {
    rustix::process::kill_process(process(pid), rustix::process::Signal::KILL).expect("killed");
}
