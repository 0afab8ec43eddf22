//! Settings to the identity of a server: its user, its group, and the permissions of files that it creates.

use anyhow::anyhow;
use rustix::fs::{Mode, RawMode};

use crate::gateway::socket::listener::Listener;
use crate::gateway::socket::url::SocketUrl;
use crate::line::failure::Failure;
use crate::line::scope::Scope;
use crate::line::word::Origin;
use crate::supervisor::notify;
use crate::supervisor::privileges::{self, Account};

const USER: &str = "runner.user";
const GROUP: &str = "runner.group";
const UMASK: &str = "runner.umask";

/// The identity of a server.
#[derive(Clone, Debug)]
pub struct Identity {
    /// `None`: the user that started it.
    account: Option<Account>,
    /// Permission bits that are cleared on new files (umask).
    umask: Option<Mode>,
}

impl Identity {
    /// The identity that the settings give.
    ///
    /// # Errors
    /// There is no such user or group, or only root can become it.
    pub fn of(scope: &Scope) -> Result<Self, Failure> {
        let settings = &scope.configuration;
        let (user, group) = (settings.text(USER), settings.text(GROUP));
        let account = Account::find(user.as_deref(), group.as_deref()).map_err(|error| {
            let name = match error.of_group {
                true => GROUP,
                false => USER,
            };
            scope.mistake(&Origin::Property(name.into()), error.message, error.hint)
        })?;
        let umask = settings.optional_integer(UMASK);
        Ok(Self {
            account,
            umask: umask
                .and_then(|umask| RawMode::try_from(umask).ok())
                .map(Mode::from_raw_mode),
        })
    }

    /// The number of the user that the settings name.
    #[must_use]
    pub fn user(scope: &Scope) -> Option<u32> {
        let user = scope.configuration.text(USER)?;
        privileges::user_number(&user)
    }

    /// Listens, and becomes the user for good. A port below 1024 may need root, so it is bound first; the file of a
    /// Unix socket is made by the user that has to remove it.
    ///
    /// # Errors
    /// The address cannot be bound, or the system refuses the identity.
    pub fn listen(&self, url: &SocketUrl) -> anyhow::Result<Listener> {
        match url {
            SocketUrl::Tcp { .. } | SocketUrl::Descriptor(_) | SocketUrl::Passed(_) => {
                let listener = Listener::bind(url).map_err(|error| explained(error, url))?;
                self.assume()?;
                Ok(listener)
            }
            SocketUrl::Unix(_) | SocketUrl::Nowhere => {
                self.assume()?;
                Listener::bind(url)
            }
        }
    }

    /// Becomes the user for good.
    ///
    /// # Errors
    /// The system refuses.
    pub fn assume(&self) -> anyhow::Result<()> {
        self.limit_files();
        self.account.as_ref().map_or(Ok(()), Account::assume)
    }

    /// Runs a function as the user for a moment, before [`Identity::assume`]: files that must belong to the user, such
    /// as locks, are made so.
    ///
    /// # Errors
    /// The system refuses; or the error of the function.
    pub fn act<T>(&self, act: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
        match &self.account {
            Some(account) => account.act_as(act),
            None => act(),
        }
    }

    /// Sets the umask.
    pub fn limit_files(&self) {
        if let Some(umask) = self.umask {
            rustix::process::umask(umask);
        }
    }

    /// Changes to the environment of its processes: the account, and without the variables of a service manager, which
    /// are for the server alone.
    #[must_use]
    pub fn environment(&self) -> Vec<(String, Option<String>)> {
        let ours = notify::VARIABLES
            .iter()
            .map(|name| ((*name).to_owned(), None));
        let account = self.account.iter().flat_map(Account::environment);
        ours.chain(account).collect()
    }
}

/// The error, with a hint if the port may need the rights that were given up.
fn explained(error: anyhow::Error, url: &SocketUrl) -> anyhow::Error {
    match url {
        SocketUrl::Tcp { port: 1..1024, .. } if privileges::are_dropped() => anyhow!(
            "{error:#}\n = hint: it may need root's rights, which were given up (runner.user): start it again"
        ),
        SocketUrl::Tcp { .. }
        | SocketUrl::Unix(_)
        | SocketUrl::Descriptor(_)
        | SocketUrl::Passed(_)
        | SocketUrl::Nowhere => error,
    }
}
