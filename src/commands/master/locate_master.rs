//! Which master a word of the command line means, and where its control socket may be.

use std::fmt;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use anyhow::anyhow;
use serde_json::Value as Json;

use crate::commands::run::{run_ini, supervise};
use crate::config::{self, FileFormat, Layer, PID_FILE};
use crate::graph::entry::Arguments;
use crate::graph::node::Supervised;
use crate::line::failure::Failure;
use crate::line::scope::Scope;
use crate::line::word::Word;
use crate::plan::seating::{STATUS_URL, socket};
use crate::plan::user::user_number;
use crate::supervisor::control::beside;
use crate::supervisor::control::client::Client;
use crate::supervisor::control::order::{Answer, Order};
use crate::supervisor::seat::why_unreachable;
use crate::supervisor::trust::Trust;
use crate::syntax::{Diagnostic, Diagnostics, quoted};

/// A master, running or not.
#[derive(Clone, Debug)]
pub struct NamedMaster {
    /// Its name as the user wrote it.
    shown: String,
    /// Where its control socket may be: beside a pid file, or where `runner.status.url` says.
    sockets: Vec<SocketCandidate>,
    /// The pid file or socket that the user wrote, if that is what names the master.
    file: Option<PathBuf>,
}

/// The master does not run; the message.
#[derive(Debug)]
pub struct NotRunning(String);

impl fmt::Display for NotRunning {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for NotRunning {}

/// A possible place of a control socket.
#[derive(Clone, Debug)]
struct SocketCandidate {
    socket: PathBuf,
    /// Which users may listen there. Orders are sent to no others.
    trust: Trust,
}

impl SocketCandidate {
    /// The socket of a master that should run as the user with this ID, if one is set.
    fn new(socket: PathBuf, user: Option<u32>) -> Self {
        let trust = Trust::of_folder(&socket).and(user);
        Self { socket, trust }
    }
}

/// The master that the first word means, or the settings if there is no word. It need not run.
///
/// # Errors
/// Wrong usage, or a file that does not exist, has mistakes, or does not describe a master.
pub fn locate(scope: Scope, mut arguments: Arguments) -> Result<NamedMaster, Failure> {
    if arguments.line.words.is_empty() {
        let sockets = sockets(&scope)?;
        return match sockets.first() {
            Some(first) => Ok(NamedMaster {
                shown: first.socket.display().to_string(),
                sockets,
                file: None,
            }),
            None => Err(arguments.missing("FILE")),
        };
    }
    let word = arguments.first("FILE")?;
    arguments.finish()?;
    let shown = word.text.clone();
    if let Some((file, socket)) = named_file(&scope, &word) {
        return Ok(NamedMaster {
            shown,
            sockets: vec![SocketCandidate::new(socket, user_number(&scope))],
            file: Some(file),
        });
    }
    Ok(NamedMaster {
        shown,
        sockets: sockets_of(scope, word, arguments)?,
        file: None,
    })
}

/// The pid file or control socket that a word names, and the control socket that belongs to it.
fn named_file(scope: &Scope, word: &Word) -> Option<(PathBuf, PathBuf)> {
    if let Some(path) = word.text.strip_prefix("unix:") {
        let socket = scope.folder(&word.origin).join(path);
        return Some((socket.clone(), socket));
    }
    let path = scope.path(word);
    let socket = at(&path)?;
    Some((path, socket))
}

/// The possible control sockets of the master that a configuration file means.
fn sockets_of(
    scope: Scope,
    word: Word,
    mut arguments: Arguments,
) -> Result<Vec<SocketCandidate>, Failure> {
    let settings = supervise::read_settings(scope.clone(), &word);
    let settings = settings.map_err(|failure| match arguments.entry.name {
        // A reload reads the file, however it is named.
        "reload" => failure,
        command => unread(&scope, &word, command, failure),
    });
    let found = sockets(&settings?)?;
    if !found.is_empty() {
        return Ok(found);
    }
    let shown = word.text.clone();
    // The file may run another file that is supervised.
    arguments.line.words = vec![word];
    let found = run_ini::resolve(scope, arguments);
    match found.as_ref().map(|file| file.node.supervised()) {
        Ok(Some(Supervised {
            scope, supervision, ..
        })) => {
            let socket = beside(&supervision.seat.pid_file);
            Ok(vec![SocketCandidate::new(socket, user_number(scope))])
        }
        Ok(None) | Err(_) => Err(Failure::mistake(
            format!("`{shown}` does not say how its master can be reached"),
            Some(format!(
                "set `{STATUS_URL} = 'unix:PATH'`, or name a pid file"
            )),
        )),
    }
}

/// The mistakes in a file, and how its master is reached all the same. A name that is read among mistakes may not be the
/// last word, so the user decides.
fn unread(scope: &Scope, word: &Word, command: &str, failure: Failure) -> Failure {
    let path = scope.path(word);
    let Failure::Mistakes(Diagnostics(mut mistakes)) = failure else {
        return failure;
    };
    if path.is_file() {
        let mut layers = scope.layers.clone();
        layers.push(match config::format(&path) {
            Some(FileFormat::Keys) => Layer::Keys(path),
            Some(FileFormat::Ini) | None => Layer::File(path),
        });
        let read = Scope {
            configuration: Rc::new(config::inspect(&layers).configuration),
            layers,
            file: None,
            is_elsewhere: false,
        };
        let pid_file = read.configuration.path(PID_FILE);
        let known = pid_file.or_else(|| socket(&read).ok().flatten());
        let known = known.map_or_else(|| "PIDFILE".to_owned(), |path| path.display().to_string());
        let message = format!(
            "{} has mistakes; its pid file or control socket names the server, too",
            quoted(&word.text)
        );
        let hint = format!("write `runner {command} {known}`");
        mistakes.push(Diagnostic::new("command/line", message).with_hint(hint));
    }
    Failure::Mistakes(Diagnostics(mistakes))
}

/// The possible control sockets of a master with these settings.
fn sockets(scope: &Scope) -> Result<Vec<SocketCandidate>, Failure> {
    let pid_file = scope.configuration.path(PID_FILE);
    let beside_it = pid_file.map(|path| beside(&path));
    let user = user_number(scope);
    let all = beside_it.into_iter().chain(socket(scope)?);
    Ok(all
        .map(|socket| SocketCandidate::new(socket, user))
        .collect())
}

/// The control socket that a path means, if it is one or a pid file.
fn at(path: &Path) -> Option<PathBuf> {
    let Ok(found) = std::fs::metadata(path) else {
        // A master removes its pid file when it ends.
        let is_pid_file = path.extension().is_some_and(|ending| ending == "pid");
        return is_pid_file.then(|| beside(path));
    };
    if found.file_type().is_socket() {
        return Some(path.to_owned());
    }
    if !found.is_file() {
        return None;
    }
    let mut text = String::new();
    // A longer file holds no number.
    File::open(path)
        .and_then(|file| file.take(32).read_to_string(&mut text))
        .ok()?;
    let number = text.trim();
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| beside(path))
}

impl NamedMaster {
    /// Connects to its control socket.
    ///
    /// # Errors
    /// The master does not run ([`NotRunning`]), or does not answer.
    pub fn connect(&self) -> anyhow::Result<Client> {
        for place in &self.sockets {
            if let Some(client) = Client::connect(&place.socket, place.trust)? {
                return Ok(client);
            }
        }
        let mut sockets = self.sockets.iter().map(|place| &place.socket);
        let why = sockets.find_map(|socket| why_unreachable(socket));
        Err(why.unwrap_or_else(|| self.not_running().into()))
    }

    /// That it does not run. A path that leads nowhere may be a mistake.
    fn not_running(&self) -> NotRunning {
        let shown = &self.shown;
        let found = self.file.as_ref().map(|file| file.symlink_metadata());
        NotRunning(match found {
            Some(Err(error)) if error.kind() == ErrorKind::NotFound => {
                format!("there is no file `{shown}`\n = hint: a server has it as long as it runs")
            }
            Some(_) | None => format!("`{shown}` is not running"),
        })
    }

    /// An error with a hint, if it is that the master does not run where the settings have its control socket: they may
    /// name another one than at its start, which a reload does not move.
    fn with_former_place(&self, error: anyhow::Error) -> anyhow::Error {
        match error.downcast::<NotRunning>() {
            Ok(NotRunning(message)) if self.file.is_none() => NotRunning(format!(
                "{message}\n = hint: a server keeps the control socket that it was started with; if `{STATUS_URL}` has changed, \
                 write `runner reload unix:PATH` with the old one"
            ))
            .into(),
            Ok(not_running) => not_running.into(),
            Err(error) => error,
        }
    }

    /// Gives an order, waits until it is carried out, and returns the answer.
    ///
    /// # Errors
    /// The master does not run ([`NotRunning`]), does not answer, or cannot carry out the order.
    pub fn order(&self, order: Order) -> anyhow::Result<Json> {
        let client = self.connect();
        let client = client.map_err(|error| match matches!(order, Order::Reload) {
            true => self.with_former_place(error),
            false => error,
        });
        match client?.ask(order)? {
            Some(Answer::Done(done)) => Ok(done),
            Some(Answer::Refused(reason)) => Err(anyhow!(reason)),
            Some(Answer::Sockets(_)) => Err(anyhow!("the master's answer makes no sense")),
            None => Err(NotRunning(format!("`{}` has ended", self.shown)).into()),
        }
    }

    /// Its name as the user wrote it.
    #[must_use]
    pub fn shown(&self) -> &str {
        &self.shown
    }
}
