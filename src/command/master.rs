//! The master that a word means: one that runs somewhere, and takes orders on its control socket.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use anyhow::anyhow;
use serde_json::Value as Json;

use crate::command::arguments::Arguments;
use crate::command::failure::Failure;
use crate::command::line::{Origin, Scope};
use crate::command::{run_ini, supervise};
use crate::config::{self, Format, PID_FILE};
use crate::gateway::socket_url::{InvalidSocketUrl, SocketUrl};
use crate::supervisor::client::Client;
use crate::supervisor::control::{Answer, Order, beside};

/// The setting that names a control socket.
pub const STATUS_URL: &str = "runner.status.url";

/// A master, running or not.
#[derive(Clone, Debug)]
pub struct Master {
    /// As the user named it.
    shown: String,
    /// Its control socket.
    socket: PathBuf,
}

/// The master that the first word means, or, if there is none, the settings. Whether it runs is another question.
///
/// # Errors
/// There is no such file, it has mistakes, or says nothing of a master; wrong usage.
pub fn named(scope: Scope, mut arguments: Arguments) -> Result<Master, Failure> {
    if arguments.line.words.is_empty() {
        let Some(socket) = socket(&scope)? else {
            return Err(arguments.missing("FILE"));
        };
        let shown = socket.display().to_string();
        return Ok(Master { shown, socket });
    }
    let word = arguments.first("FILE")?;
    arguments.finish()?;
    let shown = word.text.clone();
    if let Some(path) = word.text.strip_prefix("unix:") {
        let socket = scope.folder(&word.origin).join(path);
        return Ok(Master { shown, socket });
    }
    let path = scope.path(&word);
    if let Some(socket) = at(&path) {
        return Ok(Master { shown, socket });
    }
    let scope = match config::format(&path) {
        Some(Format::Keys) => supervise::read(scope.clone(), run_ini::run_file(&scope, &word))?,
        Some(Format::Ini) | None => run_ini::read(scope, &word)?,
    };
    let supervised = scope.configuration.path(PID_FILE).map(|path| beside(&path));
    match supervised.map_or_else(|| socket(&scope), |socket| Ok(Some(socket)))? {
        Some(socket) => Ok(Master { shown, socket }),
        None => Err(Failure::mistake(
            format!("`{shown}` does not say how its master can be reached"),
            Some(format!("set `{STATUS_URL} = 'unix:PATH'`")),
        )),
    }
}

/// The control socket that settings name, if they name one.
///
/// # Errors
/// The setting makes no sense.
pub fn socket(scope: &Scope) -> Result<Option<PathBuf>, Failure> {
    let Some(text) = scope.configuration.text(STATUS_URL) else {
        return Ok(None);
    };
    let origin = Origin::Property(STATUS_URL.into());
    let url: SocketUrl = text.parse().map_err(|invalid: InvalidSocketUrl| {
        scope.mistake(&origin, invalid.message, invalid.hint)
    })?;
    match url.relative_to(&scope.folder(&origin)) {
        SocketUrl::Unix(path) => Ok(Some(path)),
        SocketUrl::Tcp { .. } | SocketUrl::Descriptor(_) | SocketUrl::Passed(_) => Err(scope
            .mistake(
                &origin,
                format!("`{text}` cannot be a control socket"),
                Some(format!("write `{STATUS_URL} = 'unix:PATH'`")),
            )),
    }
}

/// The control socket of a file that is one, or that is a pid file.
fn at(path: &Path) -> Option<PathBuf> {
    let pid_file = || Some(beside(path));
    let Ok(found) = std::fs::metadata(path) else {
        // That of a master that has ended is gone.
        return match path.extension().is_some_and(|ending| ending == "pid") {
            true => pid_file(),
            false => None,
        };
    };
    if found.file_type().is_socket() {
        return Some(path.to_owned());
    }
    if !found.is_file() {
        return None;
    }
    let mut text = String::new();
    // What is longer than a number is none.
    File::open(path)
        .and_then(|file| file.take(32).read_to_string(&mut text))
        .ok()?;
    let number = text.trim();
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    match is_number {
        true => pid_file(),
        false => None,
    }
}

impl Master {
    /// Connects to it.
    ///
    /// # Errors
    /// It does not run, or does not answer.
    pub fn connect(&self) -> anyhow::Result<Client> {
        Client::connect(&self.socket)?.ok_or_else(|| anyhow!("`{}` is not running", self.shown))
    }

    /// Gives an order and waits until it is obeyed; what there is to say then.
    ///
    /// # Errors
    /// It does not run, does not answer, or cannot obey.
    pub fn order(&self, order: Order) -> anyhow::Result<Json> {
        match self.connect()?.ask(order)? {
            Some(Answer::Done(done)) => Ok(done),
            Some(Answer::Refused(reason)) => Err(anyhow!(reason)),
            Some(Answer::Sockets(_)) => Err(anyhow!("the master's answer makes no sense")),
            None => Err(anyhow!("`{}` has ended", self.shown)),
        }
    }

    /// As the user named it.
    #[must_use]
    pub fn shown(&self) -> &str {
        &self.shown
    }
}
