//! The facts of a server that the files of other programs are made of.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// A server as its plan has it. All paths are absolute, and no text has control characters.
#[derive(Clone, Debug)]
pub struct ExportedServer {
    /// Its name: lower-case letters, digits and hyphens, at most 40, a letter first.
    pub identifier: String,
    /// The file as the user wrote it.
    pub written: String,
    /// The path of the file.
    pub file: String,
    /// The folder that the file is in.
    pub folder: String,
    /// The path of `runner`.
    pub program: String,
    /// The words behind `runner` that run the file.
    pub words: Vec<String>,
    /// What is spoken on its sockets.
    pub protocol: ExportedProtocol,
    /// Where it listens.
    pub urls: Vec<ExportedUrl>,
    /// Whether sockets of a service manager are served in place of these.
    pub takes_passed: bool,
    /// Where the master's pages are.
    pub pages: Option<ExportedUrl>,
    /// `runner.user` and `runner.group`.
    pub user: Option<String>,
    /// See `user`.
    pub group: Option<String>,
    /// The group and the mode (octal) of Unix sockets.
    pub socket_group: Option<String>,
    /// See `socket_group`.
    pub socket_mode: Option<u64>,
    /// Whether `runner reload`, `status` and `stop` reach it by the name of its file.
    pub has_control: bool,
    /// Whether there is one master at a time, which another one replaces.
    pub is_supervised: bool,
    /// How long running requests have to finish at the end.
    pub stop_timeout: Duration,
    /// How long a start may take with all commands before it; `None` for no limit.
    pub start_limit: Option<Duration>,
    /// How long a request may take with its time in the queue; `None` for no limit.
    pub request_limit: Option<Duration>,
    /// How long an idle connection of HTTP stays open.
    pub keep_alive: Duration,
    /// The largest request body, in bytes.
    pub max_body: u64,
    /// The largest number of connections of a client's address; 0 for no limit.
    pub max_per_address: u64,
    /// Whether HTTP/2 is spoken.
    pub has_http2: bool,
    /// Whether answers may go on for as long as they like: WebSockets and streams of events, by ASGI or other servers.
    pub has_streams: bool,
    /// The fields of proxies that are believed; empty if no proxy is trusted.
    pub believed: Vec<String>,
    /// Whether connections begin with a head of the PROXY protocol.
    pub proxy_protocol: bool,
    /// The hosts that all routes are for; empty for any host.
    pub hosts: Vec<String>,
    /// The certificate and key files of TLS.
    pub certificates: Vec<(String, String)>,
    /// What else is set of TLS.
    pub tls: ExportedTls,
    /// The names of all settings that are set.
    pub set: BTreeSet<String>,
    /// The programs that it starts: names, or absolute paths.
    pub programs: Vec<String>,
    /// Whether an application is one of Python.
    pub is_python: bool,
    /// What its user cannot read, where that user and the file are known.
    pub unread: Vec<ExportedUnread>,
    /// Folders that the server writes to.
    pub written_folders: Vec<String>,
    /// Folders among these whose content must not be lost.
    pub kept_folders: Vec<String>,
    /// Other files and folders that it needs, and the setting that names each.
    pub needed: Vec<(&'static str, String)>,
    /// The virtual environment of the shell that its Python is in, if no setting names that.
    pub shell_environment: Option<String>,
    /// The folder of its Python, if that was found on the shell's `PATH` and is not in a folder of the system.
    pub shell_python: Option<String>,
    /// The variables of the environment that its files read, and that the shell has.
    pub shell_variables: Vec<String>,
    /// Its workers.
    pub workers: ExportedWorkers,
    /// How the application's Python packages are listed in its folder.
    pub packages: Option<ExportedPackages>,
    /// Where settings are set.
    pub places: BTreeMap<String, String>,
}

/// Settings of TLS beside the certificates.
#[derive(Clone, Debug, Default)]
pub struct ExportedTls {
    /// The hosts to get a certificate for by ACME.
    pub acme: Vec<String>,
    /// The authority's directory, and the file that vouches for it, if these are set.
    pub acme_directory: Option<String>,
    /// See `acme_directory`.
    pub acme_ca: Option<String>,
    /// Files with the authorities of clients' certificates.
    pub client_ca: Vec<String>,
    /// Files with lists of revoked certificates.
    pub client_crl: Vec<String>,
    /// Whether clients may have none.
    pub is_optional: bool,
    /// Whether the application gets clients' certificates.
    pub exports_certificates: bool,
    /// Whether http requests are redirected, and to which port if that is set.
    pub redirects: bool,
    /// See `redirects`.
    pub redirect_port: Option<u64>,
}

/// A file or folder that the user of a server cannot read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportedUnread {
    /// The setting that names it; may be empty.
    pub setting: &'static str,
    /// Its path.
    pub path: String,
    /// What does not let the user in: it, or a folder above it.
    pub refused: String,
}

/// What is spoken on the sockets of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExportedProtocol {
    /// HTTP.
    Http,
    /// FastCGI.
    FastCgi,
    /// uwsgi.
    Uwsgi,
}

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportedUrl {
    /// The socket.
    pub address: ExportedAddress,
    /// Whether TLS is spoken there.
    pub is_tls: bool,
}

/// A socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExportedAddress {
    /// A host, `*` for all addresses, and a port.
    Tcp(String, u16),
    /// A file.
    Unix(String),
    /// One that a service manager passes, perhaps by a name.
    Passed(Option<String>),
}

/// How many workers all applications have together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExportedWorkers {
    /// The least number.
    pub min: u64,
    /// The largest number.
    pub max: u64,
    /// The memory of the least number of workers, in bytes, if each has a limit.
    pub min_memory: Option<u64>,
    /// The same for the largest number.
    pub max_memory: Option<u64>,
}

/// How the Python packages that an application needs are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExportedPackages {
    /// `requirements.txt`.
    Requirements,
    /// `pyproject.toml`, of a project that can be installed.
    Project,
}

impl ExportedServer {
    /// The Unix socket that a service manager listens on where the server does not say what is passed.
    #[must_use]
    pub fn passed_socket(&self) -> String {
        format!("/run/{}.socket", self.identifier)
    }

    /// Where a web server on the same machine connects to: a Unix socket if there is one, then a port without TLS.
    #[must_use]
    pub fn nearest_url(&self) -> Option<ExportedUrl> {
        let rank = |url: &&ExportedUrl| match (&url.address, url.is_tls) {
            (ExportedAddress::Tcp(_, 0), _) => 9,
            (ExportedAddress::Unix(_), false) => 0,
            (ExportedAddress::Passed(_), false) => 1,
            (ExportedAddress::Tcp(..), false) => 2,
            (
                ExportedAddress::Unix(_) | ExportedAddress::Passed(_) | ExportedAddress::Tcp(..),
                true,
            ) => 3,
        };
        let best = self.urls.iter().min_by_key(rank)?;
        let address = match &best.address {
            ExportedAddress::Tcp(_, 0) => return None,
            ExportedAddress::Tcp(host, port) => ExportedAddress::Tcp(near(host), *port),
            ExportedAddress::Unix(path) => ExportedAddress::Unix(path.clone()),
            ExportedAddress::Passed(_) => ExportedAddress::Unix(self.passed_socket()),
        };
        Some(ExportedUrl {
            address,
            is_tls: best.is_tls,
        })
    }

    /// The time after which a web server in front may give up: longer than the server's own, so that this one answers.
    #[must_use]
    pub fn patience_in_front(&self) -> Duration {
        const HOUR: Duration = Duration::from_secs(3600);
        match self.request_limit {
            Some(limit) if !self.has_streams => limit + Duration::from_secs(10),
            Some(limit) => HOUR.max(limit + Duration::from_secs(10)),
            None => HOUR,
        }
    }

    /// What it reads, each path with the setting that names it.
    pub fn placed_paths(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let needed = self.needed.iter();
        let needed = needed.map(|(setting, path)| (*setting, path.as_str()));
        let shell = self.shell_environment.iter().chain(&self.shell_python);
        let others = [&self.file, &self.program].into_iter().chain(shell);
        needed.chain(others.map(|path| ("", path.as_str())))
    }

    /// All paths that the server needs, to read or to write.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        let needed = self.needed.iter().map(|(_, path)| path);
        [&self.file, &self.program]
            .into_iter()
            .chain(needed)
            .chain(&self.written_folders)
            .chain(&self.shell_environment)
            .chain(&self.shell_python)
            .map(String::as_str)
    }
}

/// The host by which the same machine reaches one.
fn near(host: &str) -> String {
    match host {
        "*" | "localhost" | "0.0.0.0" | "[::]" => "127.0.0.1".to_owned(),
        _ => host.to_owned(),
    }
}

/// Whether only the same machine reaches a host.
#[must_use]
pub fn is_loopback(host: &str) -> bool {
    host == "localhost" || host == "[::1]" || host.starts_with("127.")
}

/// Whether a path is a folder or below it.
#[must_use]
pub fn is_within(path: &str, folder: &str) -> bool {
    let rest = path.strip_prefix(folder.trim_end_matches('/'));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Seconds, rounded up.
#[must_use]
pub fn whole_seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}
