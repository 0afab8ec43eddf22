//! Settings to the identity of a server (`runner.user`, `runner.group`, `runner.umask`), and to the rights of its socket
//! (`runner.socket.*`).

use rustix::fs::{Mode, RawMode};

use crate::gateway::socket::file_rights::FileRights;
use crate::line::failure::Failure;
use crate::line::scope::Scope;
use crate::line::word::Origin;
use crate::supervisor::identity::Identity;
use crate::supervisor::privileges::{self, Account};
use crate::syntax::Diagnostic;

pub(super) const USER: &str = "runner.user";
const GROUP: &str = "runner.group";
const UMASK: &str = "runner.umask";
const SOCKET_GROUP: &str = "runner.socket.group";
const SOCKET_MODE: &str = "runner.socket.mode";

/// The identity that the settings give.
///
/// # Errors
/// There is no such user or group, or only root can become it.
pub fn identity(scope: &Scope) -> Result<Identity, Failure> {
    let settings = &scope.configuration;
    let (user, group) = match scope.is_elsewhere {
        true => (None, None),
        false => (settings.text(USER), settings.text(GROUP)),
    };
    let account = Account::find(user.as_deref(), group.as_deref()).map_err(|error| {
        let name = match error.of_group {
            true => GROUP,
            false => USER,
        };
        scope.mistake(&Origin::Property(name.into()), error.message, error.hint)
    })?;
    let umask = settings
        .optional_integer(UMASK)
        .and_then(|umask| RawMode::try_from(umask).ok());
    Ok(Identity {
        account,
        umask: umask.map(Mode::from_raw_mode),
    })
}

/// Users and groups in the settings that this machine does not have: warnings, since the server may run on another one.
#[must_use]
pub fn unknown_accounts(scope: &Scope) -> Vec<Diagnostic> {
    let settings = &scope.configuration;
    let (user, group) = (settings.text(USER), settings.text(GROUP));
    let account = Account::look_up(user.as_deref(), group.as_deref()).err();
    let account = account.map(|error| match error.of_group {
        true => (GROUP, error),
        false => (USER, error),
    });
    let socket_group = settings.text(SOCKET_GROUP);
    let socket_group = socket_group.and_then(|name| privileges::group_number(&name).err());
    let unknown = account
        .into_iter()
        .chain(socket_group.map(|error| (SOCKET_GROUP, error)));
    unknown
        .map(|(name, error)| {
            let mut problem = settings.complain(name, error.message, error.hint);
            problem.code = "setting/missing";
            problem.warning()
        })
        .collect()
}

/// Who may connect to the Unix socket of a server.
///
/// # Errors
/// There is no such group.
pub fn socket_rights(scope: &Scope) -> Result<FileRights, Failure> {
    let settings = &scope.configuration;
    let group = settings.text(SOCKET_GROUP);
    let group = group.filter(|_| !scope.is_elsewhere).map(|name| {
        let number = privileges::group_number(&name).map_err(|error| {
            let origin = Origin::Property(SOCKET_GROUP.into());
            scope.mistake(&origin, error.message, error.hint)
        });
        Ok::<_, Failure>((name, number?))
    });
    let mode = settings.optional_integer(SOCKET_MODE);
    Ok(FileRights {
        group: group.transpose()?,
        mode: mode.and_then(|mode| u32::try_from(mode).ok()),
    })
}

/// The number of the user that the settings name.
#[must_use]
pub fn user_number(scope: &Scope) -> Option<u32> {
    let user = scope.configuration.text(USER)?;
    privileges::user_number(&user)
}
