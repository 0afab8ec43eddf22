//! Settings to what a server is in the eyes of the system: its user, its group, the rights of the files it makes.

use anyhow::anyhow;
use rustix::fs::{Mode, RawMode};

use crate::gateway::socket::listener::Listener;
use crate::gateway::socket::url::SocketUrl;
use crate::line::failure::Failure;
use crate::line::scope::Scope;
use crate::line::word::Origin;
use crate::supervisor::notify;
use crate::supervisor::privileges::{self, Account, AccountError};

const USER: &str = "runner.user";
const GROUP: &str = "runner.group";
const UMASK: &str = "runner.umask";

/// Who a server is to be.
#[derive(Clone, Debug)]
pub struct Identity {
    /// `None`: whoever started it.
    account: Option<Account>,
    /// The rights that files which it makes do not get.
    umask: Option<Mode>,
}

impl Identity {
    /// As the settings say.
    ///
    /// # Errors
    /// There is no such user or group, or only root could become it.
    pub fn of(scope: &Scope) -> Result<Self, Failure> {
        let settings = &scope.configuration;
        let (user, group) = (settings.text(USER), settings.text(GROUP));
        let account = Account::find(user.as_deref(), group.as_deref()).map_err(|refusal| {
            let (name, message, hint) = match refusal {
                AccountError::User { message, hint } => (USER, message, hint),
                AccountError::Group { message, hint } => (GROUP, message, hint),
            };
            scope.mistake(&Origin::Property(name.into()), message, hint)
        })?;
        let umask = settings.optional_integer(UMASK);
        Ok(Self {
            account,
            umask: umask
                .and_then(|umask| RawMode::try_from(umask).ok())
                .map(Mode::from_raw_mode),
        })
    }

    /// The number of the user that a server is to be, where the settings name one.
    #[must_use]
    pub fn user(scope: &Scope) -> Option<u32> {
        let user = scope.configuration.text(USER)?;
        privileges::user_number(&user)
    }

    /// Listens, and takes the identity on for good. A port may need root's rights; a file is made by its owner, who is
    /// to remove it, too.
    ///
    /// # Errors
    /// Nothing can listen there, or the system refuses the identity.
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

    /// Takes the identity on for good.
    ///
    /// # Errors
    /// The system refuses.
    pub fn assume(&self) -> anyhow::Result<()> {
        self.limit_files();
        self.account.as_ref().map_or(Ok(()), Account::assume)
    }

    /// Does something as the user for a moment: before the identity is taken on, files that are to be that user's own
    /// are made so (those of locks, say).
    ///
    /// # Errors
    /// The system refuses; else what is done returns.
    pub fn act<T>(&self, act: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
        match &self.account {
            Some(account) => account.act_as(act),
            None => act(),
        }
    }

    /// Has files that are made from now on get no other rights than they are to.
    pub fn limit_files(&self) {
        if let Some(umask) = self.umask {
            rustix::process::umask(umask);
        }
    }

    /// What its processes find in their environment other than we do: who they are; and nothing of what a service
    /// manager has told us, which is not for them.
    #[must_use]
    pub fn environment(&self) -> Vec<(String, Option<String>)> {
        let ours = notify::VARIABLES
            .iter()
            .map(|name| ((*name).to_owned(), None));
        let account = self.account.iter().flat_map(Account::environment);
        ours.chain(account).collect()
    }
}

/// Why nothing can listen there, with what follows from rights that were given up.
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
