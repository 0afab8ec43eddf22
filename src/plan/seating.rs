//! Whether a server is a master, which other processes can find and speak with.

use std::path::PathBuf;

use crate::gateway::socket::url::{InvalidSocketUrl, SocketUrl};
use crate::line::failure::Failure;
use crate::line::scope::Scope;
use crate::line::word::Origin;
use crate::supervisor::seat::SeatOptions;
use crate::supervisor::supervision::Supervision;

/// The setting that names a control socket.
pub const STATUS_URL: &str = "runner.status.url";

/// Whether a server is a master, as the settings say it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seating {
    /// It has no control socket.
    Nowhere,
    /// It has a control socket at this path.
    Reachable(PathBuf),
    /// There is one master at a time; a second one takes the place of the first.
    Supervised(SeatOptions),
}

impl Seating {
    /// Whether a server, which may be supervised, is a master.
    ///
    /// # Errors
    /// The setting is not valid.
    pub fn of(scope: &Scope, supervision: Option<&Supervision>) -> Result<Self, Failure> {
        match supervision {
            Some(supervision) => Ok(Self::Supervised(supervision.seat.clone())),
            None => Ok(socket(scope)?.map_or(Self::Nowhere, Self::Reachable)),
        }
    }
}

/// The path of the control socket that settings name, if they name one.
///
/// # Errors
/// The setting is not valid.
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
