//! What a server is to the system: its user and group, and the permissions of files that it creates.

use rustix::fs::Mode;

use crate::supervisor::notify;
use crate::supervisor::privileges::Account;

/// The identity of a server.
#[derive(Clone, Debug)]
pub struct Identity {
    /// `None`: the user that started it.
    pub account: Option<Account>,
    /// Permission bits that are cleared on new files (umask).
    pub umask: Option<Mode>,
}

impl Identity {
    /// Sets the umask and becomes the user, for good.
    ///
    /// # Errors
    /// The system refuses.
    pub fn assume(&self) -> anyhow::Result<()> {
        if let Some(umask) = self.umask {
            rustix::process::umask(umask);
        }
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
