//! The facts of a server for `export`, from its plan and the settings that it is made of.

use std::collections::BTreeMap;
use std::env;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::application::routes::route_key::RouteHost;
use crate::commands::edit::exported_settings::{exported_tls, programs, set, text, texts, unread};
use crate::commands::edit::exported_shell::{shell_environment, shell_python, shell_variables};
use crate::config::{Layer, SETTINGS};
use crate::current_folder;
use crate::export::exported_server::{
    ExportedAddress, ExportedPackages, ExportedProtocol, ExportedServer, ExportedUrl,
    ExportedWorkers,
};
use crate::gateway::socket::server_url::ServerUrl;
use crate::gateway::socket::url::{Host, SocketUrl};
use crate::graph::node::Served;
use crate::interface::Scheme;
use crate::line::failure::Failure;
use crate::line::scope::Scope;
use crate::line::word::Origin;
use crate::plan::Plan;
use crate::plan::application::{ApplicationName, BuiltIn};
use crate::plan::gateway::Protocol;
use crate::plan::python::python;
use crate::plan::seating::Seating;
use crate::plan::temporary::Temporary;
use crate::supervisor::seat::lock::LockUrl;
use crate::syntax::quoted;

/// The fields of proxies that are believed where the settings do not say which.
const USUAL_FIELDS: [&str; 2] = ["X-Forwarded-For", "X-Forwarded-Proto"];

/// Settings with files and folders that are read.
const READ: [&str; 7] = [
    "runner.environment_file",
    "runner.path",
    "runner.tls.cert",
    "runner.tls.key",
    "runner.tls.client_ca",
    "runner.tls.client_crl",
    "runner.touch_reload",
];

/// The same for settings with one.
const READ_ONE: [&str; 2] = ["runner.tls.acme_ca", "runner.workers.directory"];

/// What a file runs.
pub(super) struct Exported<'a> {
    /// Its settings.
    pub(super) scope: &'a Scope,
    /// What it is to do.
    pub(super) plan: &'a Plan,
    /// The application, unless it only keeps programs running.
    pub(super) served: Option<&'a Served>,
    /// The file as the user wrote it, and its path.
    pub(super) written: &'a str,
    /// See `written`.
    pub(super) file: &'a Path,
    /// The words behind `runner` that run it.
    pub(super) words: Vec<String>,
    /// Whether these are those of its first line.
    pub(super) is_script: bool,
}

impl Exported<'_> {
    /// The facts.
    ///
    /// # Errors
    /// A path cannot stand in files of other programs, or there is a mistake in the settings of an application.
    pub(super) fn facts(self) -> Result<ExportedServer, Failure> {
        let Self { scope, plan, .. } = self;
        let settings = &scope.configuration;
        let applications = self.applications()?;
        let folder = self.file.parent().unwrap_or(Path::new("/")).to_owned();
        let (written_folders, kept_folders) = self.written_folders();
        let is_supervised = matches!(plan.seating, Seating::Supervised(_));
        let urls = plan.urls.iter().map(exported_url);
        let urls = urls.collect::<Result<Vec<_>, Failure>>()?;
        let is_tls = urls.iter().any(|url| url.is_tls);
        let certificates = match is_tls {
            true => texts(&settings.paths("runner.tls.cert"))?
                .into_iter()
                .zip(texts(&settings.paths("runner.tls.key"))?)
                .collect(),
            false => Vec::new(),
        };
        let starts = u32::try_from(plan.before_start.len()).unwrap_or(u32::MAX);
        let start = settings.duration("runner.start_timeout");
        let mut server = ExportedServer {
            identifier: identifier(self.file),
            written: self.written.to_owned(),
            file: text(self.file)?,
            program: program()?,
            protocol: match plan.gateway.protocol() {
                Protocol::Http => ExportedProtocol::Http,
                Protocol::FastCgi => ExportedProtocol::FastCgi,
                Protocol::Uwsgi => ExportedProtocol::Uwsgi,
            },
            takes_passed: self.served.is_some_and(|served| served.takes_passed),
            pages: plan.pages.as_ref().map(exported_url).transpose()?,
            user: settings.text("runner.user"),
            group: settings.text("runner.group"),
            socket_group: settings.text("runner.socket.group"),
            socket_mode: settings.optional_integer("runner.socket.mode"),
            has_control: plan.seating != Seating::Nowhere && !self.is_script,
            is_supervised,
            stop_timeout: plan.patience,
            start_limit: (!start.is_zero()).then(|| start.saturating_mul(starts.saturating_add(1))),
            request_limit: request_limit(&applications),
            keep_alive: settings.duration("runner.http.keep_alive"),
            max_body: settings.integer("runner.request.max_body"),
            max_per_address: settings.integer("runner.http.max_per_address"),
            has_http2: settings.boolean("runner.http.http2"),
            has_streams: self.has_streams(),
            believed: believed(scope),
            proxy_protocol: settings.boolean("runner.http.proxy_protocol"),
            hosts: self.hosts(),
            certificates,
            tls: exported_tls(settings)?,
            set: set(settings),
            programs: programs(&applications, plan)?,
            is_python: applications
                .iter()
                .any(|(application, _)| matches!(application, ApplicationName::Python { .. })),
            unread: Vec::new(),
            written_folders: texts(&written_folders)?,
            kept_folders: texts(&kept_folders)?,
            needed: self.needed(&applications)?,
            shell_environment: shell_environment(&applications)
                .map(|path| text(&path))
                .transpose()?,
            shell_python: shell_python(&applications)?
                .map(|path| text(&path))
                .transpose()?,
            shell_variables: shell_variables(&scope.layers),
            workers: workers(&applications),
            packages: packages(&folder),
            places: places(scope),
            folder: text(&folder)?,
            words: self.words,
            urls,
        };
        check(&server)?;
        server.unread = unread(settings, server.placed_paths());
        Ok(server)
    }

    /// All applications, each with the settings as it has them.
    fn applications(&self) -> Result<Vec<(&ApplicationName, Scope)>, Failure> {
        let Some(served) = self.served else {
            return Ok(Vec::new());
        };
        let all = served.application.all().into_iter();
        all.map(|application| Ok((application, application.scope(&served.scope)?)))
            .collect()
    }

    fn has_streams(&self) -> bool {
        self.served.is_some_and(|served| {
            served
                .application
                .all()
                .into_iter()
                .any(|application| match application {
                    ApplicationName::BuiltIn { what, .. } => {
                        matches!(what, BuiltIn::Upstream(_) | BuiltIn::Demo)
                    }
                    // By WSGI, too, a response may be a stream of events, but holds a worker for its time.
                    ApplicationName::Python { interface, .. } => interface.word() == "ASGI",
                })
        })
    }

    /// The hosts that the routes are for, if each is for some.
    fn hosts(&self) -> Vec<String> {
        let Some(ApplicationName::BuiltIn {
            what: BuiltIn::Routes(routes),
            ..
        }) = self.served.map(|served| &served.application)
        else {
            return Vec::new();
        };
        let mut hosts = Vec::new();
        for route in routes {
            let host = match &route.key.host {
                RouteHost::Any => return Vec::new(),
                RouteHost::Exact(name) => name.clone(),
                RouteHost::Below(domain) => format!("*.{domain}"),
            };
            if !hosts.contains(&host) {
                hosts.push(host);
            }
        }
        hosts
    }

    /// The folders that it writes to, and those whose content must not be lost.
    fn written_folders(&self) -> (Vec<PathBuf>, Vec<PathBuf>) {
        let Self { scope, plan, .. } = self;
        let mut files: Vec<PathBuf> = Vec::new();
        match &plan.seating {
            Seating::Nowhere => {}
            Seating::Reachable(path) => files.push(path.clone()),
            Seating::Supervised(seat) => {
                files.push(seat.pid_file.clone());
                for lock in [&seat.startup_lock, &seat.pid_lock] {
                    match lock {
                        LockUrl::Flock(path) | LockUrl::Exclusive(path) | LockUrl::Pid(path) => {
                            files.push(path.clone());
                        }
                        LockUrl::Null => {}
                    }
                }
            }
        }
        let takes_passed = self.served.is_some_and(|served| served.takes_passed);
        let opened = plan.urls.iter().filter(|_| !takes_passed);
        for url in opened.chain(&plan.pages) {
            if let SocketUrl::Unix(path) = &url.socket {
                files.push(path.clone());
            }
        }
        files.extend(plan.access.file.iter().map(|file| file.path().to_owned()));
        let absolute = |path: &Path| current_folder::normal(path);
        let folders = files
            .iter()
            .filter_map(|file| Some(absolute(file).parent()?.to_owned()));
        let mut folders: Vec<PathBuf> = folders.collect();
        if let Temporary::Named(folder) = &plan.temporary {
            folders.push(absolute(folder));
        }
        let kept = scope.configuration.path("runner.tls.acme_folder");
        let kept: Vec<PathBuf> = kept.iter().map(|folder| absolute(folder)).collect();
        folders.extend(kept.clone());
        let mut known: Vec<PathBuf> = Vec::new();
        for folder in folders {
            if !known.contains(&folder) {
                known.push(folder);
            }
        }
        (known, kept)
    }

    /// What else it reads, and the setting that names it.
    fn needed(
        &self,
        applications: &[(&ApplicationName, Scope)],
    ) -> Result<Vec<(&'static str, String)>, Failure> {
        let mut needed: Vec<(&'static str, PathBuf)> = Vec::new();
        let scopes = [self.scope].into_iter();
        for scope in scopes.chain(applications.iter().map(|(_, scope)| scope)) {
            let settings = &scope.configuration;
            for name in READ {
                let paths = settings.paths(name).into_iter();
                needed.extend(paths.map(|path| (name, path)));
            }
            for name in READ_ONE {
                needed.extend(settings.path(name).map(|path| (name, path)));
            }
            let sent = settings.folders("runner.response.send_files").into_iter();
            needed.extend(sent.map(|(_, folder)| ("runner.response.send_files", folder)));
            if settings.text("runner.python").is_some() {
                let path = python(scope, &Origin::Property("runner.python".into()))?;
                needed.push(("runner.python", path));
            }
        }
        for layer in &self.scope.layers {
            if let Layer::Own(path) | Layer::Listed(path) | Layer::Named(path) = layer {
                needed.extend(path.is_file().then(|| ("", path.clone())));
            }
        }
        for (application, _) in applications {
            needed.extend(application.file().map(|file| ("", file.to_owned())));
            if let ApplicationName::BuiltIn { what, .. } = application {
                match what {
                    BuiltIn::Files(options, _) => needed.push(("", options.folder.clone())),
                    BuiltIn::CgiBin(options) => {
                        needed.push(("", options.place.path().to_owned()));
                    }
                    BuiltIn::Demo
                    | BuiltIn::Fixed(_)
                    | BuiltIn::Upstream(_)
                    | BuiltIn::Routes(_) => {}
                }
            }
        }
        let mut known: Vec<(&'static str, String)> = Vec::new();
        for (name, path) in needed {
            let one = (name, text(&current_folder::normal(&path))?);
            if !known.contains(&one) {
                known.push(one);
            }
        }
        Ok(known)
    }
}

/// The name of a file as other programs can name a service: a label of DNS (RFC 1123 §2.1).
fn identifier(file: &Path) -> String {
    const LONGEST: usize = 40;
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    let mut name = String::new();
    for c in stem.to_lowercase().chars() {
        match c.is_ascii_alphanumeric() {
            true => name.push(c),
            false if name.ends_with('-') || name.is_empty() => {}
            false => name.push('-'),
        }
    }
    if !name.starts_with(|c: char| c.is_ascii_alphabetic()) {
        name.insert_str(0, if name.is_empty() { "app" } else { "app-" });
    }
    name.truncate(LONGEST);
    name.trim_end_matches('-').to_owned()
}

/// This program, by a name that stays when it is replaced by a new version.
fn program() -> Result<String, Failure> {
    let path = env::current_exe().unwrap_or_else(|_| "/usr/local/bin/runner".into());
    text(&path)
}

fn exported_url(url: &ServerUrl) -> Result<ExportedUrl, Failure> {
    let address = match &url.socket {
        SocketUrl::Tcp { host, port } => {
            let host = match host {
                Host::Any => "*".to_owned(),
                Host::Name(name) => name.clone(),
                Host::Ipv6(address) => format!("[{address}]"),
            };
            ExportedAddress::Tcp(host, *port)
        }
        SocketUrl::Unix(path) => ExportedAddress::Unix(text(&current_folder::normal(path))?),
        SocketUrl::Descriptor(_) => ExportedAddress::Passed(None),
        SocketUrl::Passed(passed) => ExportedAddress::Passed(passed.name.clone()),
    };
    Ok(ExportedUrl {
        address,
        is_tls: url.scheme == Scheme::Https,
    })
}

/// The longest time that a request may take with its time in the queue.
fn request_limit(applications: &[(&ApplicationName, Scope)]) -> Option<Duration> {
    let limits = applications.iter().map(|(_, scope)| {
        let settings = &scope.configuration;
        let limit = settings.duration("runner.request.timeout");
        (!limit.is_zero()).then(|| limit + settings.duration("runner.request.queue_timeout"))
    });
    let limits: Option<Vec<Duration>> = limits.collect();
    limits?.into_iter().max()
}

fn believed(scope: &Scope) -> Vec<String> {
    let settings = &scope.configuration;
    if settings.texts("runner.http.trusted_proxies").is_empty() {
        return Vec::new();
    }
    let fields = settings.optional_texts("runner.http.forwarded");
    fields.unwrap_or_else(|| USUAL_FIELDS.map(str::to_owned).to_vec())
}

/// The workers of all Python applications together, each application counted once.
fn workers(applications: &[(&ApplicationName, Scope)]) -> ExportedWorkers {
    let mut seen = Vec::new();
    let mut all = ExportedWorkers {
        min_memory: Some(0),
        max_memory: Some(0),
        ..ExportedWorkers::default()
    };
    for (application, scope) in applications {
        let ApplicationName::Python { target, .. } = application else {
            continue;
        };
        if seen.contains(&target.as_str()) {
            continue;
        }
        seen.push(target.as_str());
        let settings = &scope.configuration;
        let min = settings.integer("runner.workers.min");
        let max = settings.integer("runner.workers.max").max(min);
        let memory = settings.integer("runner.workers.max_memory");
        let memory = (memory > 0).then_some(memory);
        // The process of the import has about the memory of a worker, and one that is replaced works on for a while.
        let sum = |sum: Option<u64>, count: u64| {
            let more = memory?.saturating_mul(count.saturating_add(1));
            Some(sum?.saturating_add(more))
        };
        all.min += min;
        all.max += max;
        all.min_memory = sum(all.min_memory, min);
        all.max_memory = sum(all.max_memory, max.saturating_add(1));
    }
    if seen.is_empty() {
        (all.min_memory, all.max_memory) = (None, None);
    }
    all
}

fn packages(folder: &Path) -> Option<ExportedPackages> {
    if folder.join("requirements.txt").is_file() {
        return Some(ExportedPackages::Requirements);
    }
    let project = std::fs::read_to_string(folder.join("pyproject.toml")).ok()?;
    let is_table = |line: &str| matches!(line.trim(), "[project]" | "[build-system]");
    project
        .lines()
        .any(is_table)
        .then_some(ExportedPackages::Project)
}

/// Where each setting is set that is.
fn places(scope: &Scope) -> BTreeMap<String, String> {
    let names = SETTINGS.iter().map(|setting| setting.name);
    names
        .filter_map(|name| Some((name.to_owned(), scope.configuration.place(name, None)?)))
        .collect()
}

/// Checks that no text has a character that ends a line in the files of other programs.
fn check(server: &ExportedServer) -> Result<(), Failure> {
    let urls = server.urls.iter().chain(&server.pages);
    let sockets = urls.filter_map(|url| match &url.address {
        ExportedAddress::Unix(path) => Some(path.as_str()),
        ExportedAddress::Tcp(..) | ExportedAddress::Passed(_) => None,
    });
    let names = server
        .user
        .iter()
        .chain(&server.group)
        .chain(&server.socket_group);
    let words = server.words.iter().chain(names).map(String::as_str);
    let mut all = server
        .paths()
        .chain(words)
        .chain(sockets)
        .chain([&*server.written]);
    match all.find(|text| text.contains(char::is_control)) {
        None => Ok(()),
        Some(text) => {
            let message = format!("{} has control characters", quoted(text));
            let hint = "no file of another program can have them: choose another name".to_owned();
            Err(Failure::mistake(message, Some(hint)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_gives_a_name_that_is_a_label_of_dns() {
        for (file, expected) in [
            ("/srv/hello.ini", "hello"),
            ("/srv/My Shop_2.conf", "my-shop-2"),
            ("/srv/2.ini", "app-2"),
            ("/srv/été.ini", "t"),
            ("/srv/--.ini", "app"),
            ("/srv/a-.ini", "a"),
        ] {
            assert_eq!(identifier(Path::new(file)), expected);
        }
        let long = identifier(Path::new(&"a-".repeat(100)));
        assert!(long.len() <= 40 && !long.ends_with('-'), "{long}");
    }
}
