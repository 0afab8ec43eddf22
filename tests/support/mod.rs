//! The builder that tests use: a temporary folder of files, programs that run in it, and their output.
//!
//! ```ignore
//! Folder::new()
//!     .file("hello.ini", "app = commands.Alias(command=['true'])\n")
//!     .runner(["runIni", "hello.ini"])
//!     .run()
//!     .is(0, "", "");
//!
//! let server = folder.runner(["serve", "demo"]).start();
//! assert_eq!(server.get("/").status, 200);
//! server.stop().is(0, "", "…");
//! ```
//!
//! Each program gets an environment of its own, without the settings of the user who runs the tests. It must end within
//! [`DEADLINE`] and leave no process behind, or the test fails.

#![allow(
    dead_code,
    unused_imports,
    reason = "each test file uses a part of this"
)]

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use tempfile::TempDir;

pub use http::{Address, Reply, Waits};
pub use load::{Load, Report};
pub use output::without_times;
pub use process::{Outcome, Program, Server};

pub mod gateways;
pub mod http;
pub mod load;
pub mod markdown;
pub mod nginx;
pub mod output;
pub mod php;
pub mod process;
pub mod scripted;
pub mod scripts;
pub mod usage;
pub mod walkthrough;

/// How long anything may take before the test fails: far longer than it ever needs, so that only a defect reaches it.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// A temporary folder, removed with its last reference.
#[derive(Clone)]
pub struct Folder(Arc<TempDir>);

impl Folder {
    /// An empty folder.
    pub fn new() -> Self {
        Self(Arc::new(
            tempfile::Builder::new()
                .prefix("runner-test-")
                .tempdir()
                .expect("a temporary folder"),
        ))
    }

    /// Its path, or the path of a file in it (`""` for the folder itself).
    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        let folder = fs::canonicalize(self.0.path()).expect("the folder exists");
        match name.as_ref().as_os_str().is_empty() {
            true => folder,
            false => folder.join(name),
        }
    }

    /// Writes a file, and creates its folders.
    pub fn file(self, name: impl AsRef<Path>, contents: impl AsRef<[u8]>) -> Self {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a file stands in a folder")).expect("a folder");
        fs::write(&path, contents).expect("a file");
        self
    }

    /// Writes an executable file.
    pub fn executable(self, name: impl AsRef<Path>, contents: impl AsRef<[u8]>) -> Self {
        let path = self.path(name.as_ref());
        let folder = self.file(name, contents);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("an owned file");
        folder
    }

    /// Copies a file or folder of this project (`examples/flask`) to the top of this folder.
    pub fn copy(self, of_project: &str) -> Self {
        let from = project(of_project);
        let name = from.file_name().expect("a named file").to_owned();
        copy(&from, &self.path(name));
        self
    }

    /// The text of a file.
    pub fn read(&self, name: impl AsRef<Path>) -> String {
        let path = self.path(name);
        let bytes = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// `runner`, the program under test.
    pub fn runner<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Program {
        self.program(env!("CARGO_BIN_EXE_runner"), arguments)
    }

    /// `runner` serving `tests/apps/gated.py`, which waits for [`Folder::open_gate`].
    pub fn gated<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Program {
        let gate = self.path("gate");
        self.program("mkfifo", [&gate]).run().is(0, "", "");
        self.runner(arguments).env("GATE", gate)
    }

    /// Lets one application that waits at the gate continue.
    pub fn open_gate(&self) {
        // Opened for reading and writing, a named pipe does not block (fifo(7)).
        let flags = OFlags::RDWR | OFlags::CLOEXEC;
        let gate = rustix::fs::open(self.path("gate"), flags, Mode::empty()).expect("a FIFO");
        rustix::io::write(&gate, b"!").expect("room for a byte");
    }

    /// `invoke`, the program under test.
    pub fn invoke<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Program {
        self.program(env!("CARGO_BIN_EXE_invoke"), arguments)
    }

    /// Any program; it runs in this folder, with `runner` and `invoke` on its `PATH`.
    pub fn program<A: AsRef<OsStr>>(
        &self,
        program: impl AsRef<OsStr>,
        arguments: impl IntoIterator<Item = A>,
    ) -> Program {
        Program::new(self.clone(), program.as_ref(), arguments)
    }

    /// `curl`, silent except for errors, and without a proxy.
    pub fn curl<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Outcome {
        let quiet = ["--silent", "--show-error", "--noproxy", "*"];
        self.program("curl", quiet).arguments(arguments).run()
    }
}

impl Default for Folder {
    fn default() -> Self {
        Self::new()
    }
}

fn copy(from: &Path, to: &Path) {
    if from.is_file() {
        fs::copy(from, to).expect("a copied file");
        return;
    }
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder of the project") {
        let entry = entry.expect("an entry");
        if entry.file_name() != "__pycache__" {
            copy(&entry.path(), &to.join(entry.file_name()));
        }
    }
}

/// The words by which `runner` serves `MODULE.application` with `settings.ini`.
pub fn serve(module: &str) -> [String; 5] {
    let application = format!("import:{module}.application");
    ["-c", "settings.ini", "serve", "WSGI", &application].map(str::to_owned)
}

/// An application that answers with its version.
pub fn version(number: u32) -> String {
    format!(
        "\
def application(environ, start_response):
    start_response('200 OK', [('Content-Type', 'text/plain')])
    return [b'version {number}']
"
    )
}

/// The path of a file of this project.
pub fn project(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// A Python with the packages of `tests/requirements.txt`.
pub fn python() -> PathBuf {
    let python = project("target/venv/bin/python");
    assert!(
        python.exists(),
        "{} is missing: `make test` makes it",
        python.display()
    );
    python
}

/// A port of the loopback interface that is free now.
pub fn free_port() -> u16 {
    std::net::TcpListener::bind(("127.0.0.1", 0))
        .and_then(|listener| listener.local_addr())
        .expect("a free port")
        .port()
}
