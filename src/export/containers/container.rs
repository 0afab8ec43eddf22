//! What the image, Compose and Kubernetes have in common: the command in a container, where it is reached, its user, and
//! where it writes. The folder of the file is `/app` there.

use crate::export::export_remarks::ExportRemarks;
use crate::export::exported_server::{
    ExportedAddress, ExportedProtocol, ExportedServer, ExportedUrl, is_loopback, is_within,
};

/// The folder of the file in the image.
pub(super) const APP: &str = "/app";

/// The number of the user in the container, who has no rights on the machine.
pub(super) const USER: u32 = 10_001;

/// Programs that the image has from its beginning.
const PRESENT: [&str; 12] = [
    "bash", "cp", "env", "install", "mkdir", "perl", "pip", "python", "python3", "runner", "sh",
    "true",
];

/// Programs that packages of Debian have.
const DEBIAN: [(&str, &str); 8] = [
    ("bundle", "ruby-bundler"),
    ("java", "default-jre-headless"),
    ("lua", "lua5.4"),
    ("node", "nodejs"),
    ("nodejs", "nodejs"),
    ("php", "php-cli"),
    ("php-cgi", "php-cgi"),
    ("ruby", "ruby"),
];

/// The port of a server that has none of its own that is fit.
const PORT: u16 = 8000;

/// The setting of the address.
const URL: &str = "peak.tools.server.url";

/// A server in a container.
pub(super) struct Container {
    /// The words that run it.
    pub(super) command: Vec<String>,
    /// The ports that are reached from outside, that of requests first.
    pub(super) ports: Vec<u16>,
    /// The port of the master's pages, if they are reached from outside.
    pub(super) pages: Option<u16>,
    /// The name of the user, and its number.
    pub(super) user: (String, u32),
    /// Folders that it writes to, with `/tmp`.
    pub(super) written: Vec<String>,
    /// Whether it listens on a port below 1024.
    pub(super) has_low_port: bool,
    /// The packages of Debian that its programs are in.
    pub(super) debian: Vec<&'static str>,
    /// The words that say by their exit status whether it answers.
    pub(super) health: Vec<String>,
}

impl Container {
    /// A server in a container, and what is not expressed of it.
    pub(super) fn of(server: &ExportedServer, remarks: &mut ExportRemarks) -> Self {
        let (ports, options) = ports(server, remarks);
        let mut command = vec!["runner".to_owned()];
        command.extend(server.words.iter().map(|word| inside(server, word)));
        command.extend(options);
        let written = written(server, remarks);
        needed(server, remarks);
        let pages = pages(server);
        let user = match server.user.as_deref() {
            // Debian's number of this user.
            Some("www-data") => ("www-data".to_owned(), 33),
            Some(user) => (user.to_owned(), USER),
            None => ("app".to_owned(), USER),
        };
        let is_own_group = |group: &String| Some(group) == server.user.as_ref();
        if server.user.is_some() && !server.group.as_ref().is_none_or(is_own_group) {
            let what = "in the container its group is that of its user: leave out `runner.group`";
            remarks.essential(server, "runner.group", what);
        }
        if server
            .user
            .as_deref()
            .is_some_and(|user| user == "root" || user.parse::<u32>().is_ok())
        {
            let what = "in the container it is a user without rights: leave out `runner.user`";
            remarks.essential(server, "runner.user", what);
        }
        Self {
            debian: debian(server, remarks),
            health: health(server, &ports),
            has_low_port: ports.iter().any(|port| *port < 1024),
            command,
            ports,
            pages,
            user,
            written,
        }
    }
}

/// The same path in the image.
fn inside(server: &ExportedServer, path: &str) -> String {
    match is_within(path, &server.folder) {
        true => format!(
            "{APP}{}",
            &path[server.folder.trim_end_matches('/').len()..]
        ),
        false => path.to_owned(),
    }
}

/// The ports of requests, and the options that make the server listen there.
fn ports(server: &ExportedServer, remarks: &mut ExportRemarks) -> (Vec<u16>, Vec<String>) {
    let is_http = server.protocol == ExportedProtocol::Http;
    if let ([ExportedUrl { address, is_tls }], true) = (&server.urls[..], is_http) {
        let port = match address {
            ExportedAddress::Tcp(host, port) if *port >= 1024 && host == "*" => {
                return (vec![*port], Vec::new());
            }
            ExportedAddress::Tcp(_, port) if *port >= 1024 => *port,
            ExportedAddress::Tcp(..) | ExportedAddress::Unix(_) | ExportedAddress::Passed(_) => {
                PORT + if *is_tls { 443 } else { 0 }
            }
        };
        let what = format!(
            "in the container it listens on `tcp://*:{port}`: its command says `--host '*' -p {port}`"
        );
        remarks.note(server, URL, what);
        let options = ["--host", "*", "-p", &port.to_string()].map(str::to_owned);
        return (vec![port], options.to_vec());
    }
    let reached = server.urls.iter().filter_map(|url| match &url.address {
        ExportedAddress::Tcp(host, port) if !is_loopback(host) && *port > 0 => Some(*port),
        ExportedAddress::Tcp(..) | ExportedAddress::Unix(_) | ExportedAddress::Passed(_) => None,
    });
    let mut ports: Vec<u16> = reached.collect();
    ports.dedup();
    if ports.is_empty() && !server.urls.is_empty() {
        let port = match is_http {
            true => PORT,
            false => 9000,
        };
        let what = format!(
            "nothing outside of the container reaches its address: let it listen on `tcp://*:{port}`"
        );
        remarks.essential(server, URL, what);
    }
    (ports, Vec::new())
}

fn written(server: &ExportedServer, remarks: &mut ExportRemarks) -> Vec<String> {
    let mut all = vec!["/tmp".to_owned()];
    for folder in &server.written_folders {
        let path = inside(server, folder);
        if path == APP {
            let what = "it writes beside its code, which is read-only in the container: choose a folder such as \
                        /run/my_app";
            remarks.essential(server, "runner.supervise.pid_file", what);
        } else if !all.iter().any(|known| is_within(&path, known)) {
            all.push(path.clone());
        }
        if server.kept_folders.contains(folder) {
            let what = format!(
                "what it keeps in `{path}` is lost with the container: mount a volume there"
            );
            remarks.note(server, "runner.tls.acme_folder", what);
        }
    }
    all
}

/// Remarks about what the image does not have.
fn needed(server: &ExportedServer, remarks: &mut ExportRemarks) {
    for (setting, path) in &server.needed {
        if *setting == "runner.python" {
            let what = "the image has a Python of its own: leave out `runner.python`, or set it to `python3`";
            remarks.essential(server, setting, what);
        } else if !is_within(path, &server.folder) {
            let what = format!("`{path}` is not in the image: mount it, or copy it into the image");
            remarks.essential(server, setting, what);
        } else if is_ignored(path, &server.folder) {
            let what = format!(
                "`{}` is kept out of the image, which others get: mount it, or leave out the setting and give its variables \
                 to the container",
                inside(server, path)
            );
            remarks.essential(server, setting, what);
        } else if *setting == "runner.tls.key" {
            let what = format!(
                "`{}` is copied into the image, which others get: mount it (.dockerignore keeps it out)",
                inside(server, path)
            );
            remarks.note(server, setting, what);
        }
    }
}

/// Whether a path is one that the `.dockerignore` keeps out.
fn is_ignored(path: &str, folder: &str) -> bool {
    let parts = path[folder.len().min(path.len())..].split('/');
    let mut parts = parts.filter(|part| !part.is_empty());
    let top = parts.next().unwrap_or_default();
    [".git", ".venv", ".env"].contains(&top)
}

/// The packages of Debian with the programs that it starts, and remarks about programs of which no package is known.
fn debian(server: &ExportedServer, remarks: &mut ExportRemarks) -> Vec<&'static str> {
    let mut packages = Vec::new();
    for program in &server.programs {
        let package = DEBIAN.into_iter().find(|(name, _)| name == program);
        match package {
            Some((_, package)) if !packages.contains(&package) => packages.push(package),
            Some(_) => {}
            None if PRESENT.contains(&program.as_str()) || is_within(program, &server.folder) => {}
            // gunicorn, for example.
            None if server.packages.is_some() && !program.contains('/') => {
                let what = format!(
                    "`{program}` is in the image only if the Python packages of the application bring it"
                );
                remarks.note(server, "", what);
            }
            None => {
                let what = format!(
                    "the program `{program}` is not in the image: install it in the Dockerfile, and name it without its \
                     folder"
                );
                remarks.essential(server, "", what);
            }
        }
    }
    packages
}

fn pages(server: &ExportedServer) -> Option<u16> {
    match server.pages.as_ref().map(|url| &url.address) {
        Some(ExportedAddress::Tcp(host, port)) if !is_loopback(host) && *port > 0 => Some(*port),
        _ => None,
    }
}

/// What asks the server in its container: its control socket, its pages, or whether the port is open.
fn health(server: &ExportedServer, ports: &[u16]) -> Vec<String> {
    let python = |code: String| vec!["python3".to_owned(), "-c".to_owned(), code];
    if server.has_control {
        return vec![
            "runner".to_owned(),
            "status".to_owned(),
            inside(server, &server.file),
        ];
    }
    match (&server.pages, ports.first()) {
        (
            Some(ExportedUrl {
                address: ExportedAddress::Tcp(_, port),
                ..
            }),
            _,
        ) if *port > 0 => python(format!(
            "import urllib.request; urllib.request.urlopen('http://127.0.0.1:{port}/readyz', timeout=3)"
        )),
        (_, Some(port)) => python(format!(
            "import socket; socket.create_connection(('127.0.0.1', {port}), timeout=3).close()"
        )),
        (_, None) => Vec::new(),
    }
}
