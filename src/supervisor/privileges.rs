//! The user that a server becomes once it listens: one with few rights, and for good.

use std::ffi::CString;
use std::io;
use std::os::fd::BorrowedFd;

use anyhow::{Context, bail};
use nix::unistd::{self, Gid, Group, Uid, User};

use crate::permission;

/// A user and a group that this process can become.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    uid: Uid,
    gid: Gid,
    /// The user's name, if there is one.
    name: Option<String>,
    /// The user's home folder, if there is one.
    home: Option<String>,
}

/// The reason why this process cannot become a user or a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountError {
    /// Whether the group is at fault, and not the user.
    pub of_group: bool,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl AccountError {
    fn user(message: String) -> Self {
        Self {
            of_group: false,
            message,
            hint: None,
        }
    }

    fn group(message: String) -> Self {
        Self {
            of_group: true,
            ..Self::user(message)
        }
    }

    fn refused(of_group: bool) -> AccountError {
        let present = match User::from_uid(Uid::effective()) {
            Ok(Some(present)) => format!("`{}`", present.name),
            Ok(None) | Err(_) => format!("user {}", Uid::effective()),
        };
        AccountError {
            of_group,
            message: "only root can become another user or group".to_owned(),
            hint: Some(format!(
                "this is {present}: start it as root, or do without it"
            )),
        }
    }
}

impl Account {
    /// The account of a user and a group (names or numbers): without a group, the user's own; without a user, the
    /// present one; without both, none.
    ///
    /// # Errors
    /// There is no such user or group, or only root can become it.
    pub fn find(user: Option<&str>, group: Option<&str>) -> Result<Option<Self>, AccountError> {
        let account = Self::look_up(user, group)?;
        let is_refused = |account: &Self| !account.is_present() && !Uid::effective().is_root();
        match account {
            Some(account) if is_refused(&account) => {
                let of_group = user.is_none() || account.uid == Uid::current();
                Err(AccountError::refused(of_group))
            }
            account => Ok(account),
        }
    }

    /// The same, whether this process can become it or not.
    ///
    /// # Errors
    /// There is no such user or group.
    pub fn look_up(user: Option<&str>, group: Option<&str>) -> Result<Option<Self>, AccountError> {
        let found = user.map(find_user).transpose()?;
        let (uid, entry) = found.unwrap_or((Uid::current(), None));
        let own = entry.as_ref().map(|entry| entry.gid);
        let gid = match (group.map(find_group).transpose()?.or(own), user) {
            (Some(gid), _) => gid,
            (None, None) => return Ok(None),
            (None, Some(user)) => {
                let message = format!("there is no user {user}, and so no group of its own");
                return Err(AccountError {
                    hint: Some("set `runner.group`, too".to_owned()),
                    ..AccountError::user(message)
                });
            }
        };
        let home = entry.as_ref().map(|entry| entry.dir.to_string_lossy());
        Ok(Some(Self {
            uid,
            gid,
            home: home.map(std::borrow::Cow::into_owned),
            name: entry.map(|entry| entry.name),
        }))
    }

    /// Whether this process has this account already.
    fn is_present(&self) -> bool {
        [Uid::current(), Uid::effective()] == [self.uid; 2]
            && [Gid::current(), Gid::effective()] == [self.gid; 2]
    }

    /// Becomes the user, with the user's supplementary groups, and makes sure that there is no way back.
    ///
    /// # Errors
    /// The system refuses. The process must then do nothing with the rights that it has left.
    pub fn assume(&self) -> anyhow::Result<()> {
        if self.is_present() {
            return Ok(());
        }
        self.take_on()
            .with_context(|| format!("cannot become {self}"))?;
        permission::note_change();
        Ok(())
    }

    fn take_on(&self) -> anyhow::Result<()> {
        self.join_groups().context("its groups cannot be joined")?;
        // For root these set the real, the effective and the saved id, in all threads (setuid(2)). The group comes first,
        // since only root can change it.
        unistd::setgid(self.gid)?;
        unistd::setuid(self.uid)?;
        if !self.is_complete()? {
            bail!("a part of this process still has another user or group");
        }
        if !self.uid.is_root() && unistd::setuid(Uid::from_raw(0)).is_ok() {
            bail!("root's rights could be had back");
        }
        Ok(())
    }

    /// Calls a function as the user, and returns to root's rights: files that it makes belong to the user, and lie in
    /// folders to which the user may write. For the time before this process does anything else.
    ///
    /// # Errors
    /// The system refuses, or those of the function.
    pub fn act_as<T>(&self, act: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
        if self.is_present() {
            return act();
        }
        let before = Credentials {
            uid: Uid::effective(),
            gid: Gid::effective(),
            #[cfg(not(target_vendor = "apple"))]
            groups: unistd::getgroups()?,
        };
        let acted = self
            .join_groups()
            .and_then(|()| Ok(unistd::setegid(self.gid)?))
            .and_then(|()| Ok(unistd::seteuid(self.uid)?))
            .with_context(|| format!("cannot act as {self}"))
            .and_then(|()| act());
        before.restore().context("cannot be root again")?;
        acted
    }

    /// Gives a file of root to the user.
    ///
    /// # Errors
    /// The system refuses.
    pub fn give(&self, file: BorrowedFd<'_>) -> io::Result<()> {
        let (uid, gid) = (self.uid.as_raw(), self.gid.as_raw());
        let (uid, gid) = (
            rustix::fs::Uid::from_raw(uid),
            rustix::fs::Gid::from_raw(gid),
        );
        Ok(rustix::fs::fchown(file, Some(uid), Some(gid))?)
    }

    #[cfg(not(target_vendor = "apple"))]
    fn join_groups(&self) -> anyhow::Result<()> {
        match &self.name {
            Some(name) => unistd::initgroups(&CString::new(name.as_str())?, self.gid)?,
            None => unistd::setgroups(&[self.gid])?,
        }
        Ok(())
    }

    /// This system looks up a user's groups whenever they matter.
    #[cfg(target_vendor = "apple")]
    fn join_groups(&self) -> anyhow::Result<()> {
        Ok(())
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    fn is_complete(&self) -> anyhow::Result<bool> {
        let (users, groups) = (unistd::getresuid()?, unistd::getresgid()?);
        Ok([users.real, users.effective, users.saved] == [self.uid; 3]
            && [groups.real, groups.effective, groups.saved] == [self.gid; 3])
    }

    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    fn is_complete(&self) -> anyhow::Result<bool> {
        Ok(self.is_present())
    }

    /// The variables of its processes: `HOME`, `USER` and `LOGNAME`, or `None` to remove one.
    pub fn environment(&self) -> impl Iterator<Item = (String, Option<String>)> {
        let variables = [
            ("HOME", &self.home),
            ("USER", &self.name),
            ("LOGNAME", &self.name),
        ];
        variables
            .map(|(variable, value)| (variable.to_owned(), value.clone()))
            .into_iter()
    }
}

/// The user and groups of this process before it acted as another user.
struct Credentials {
    uid: Uid,
    gid: Gid,
    #[cfg(not(target_vendor = "apple"))]
    groups: Vec<Gid>,
}

impl Credentials {
    fn restore(self) -> anyhow::Result<()> {
        unistd::seteuid(self.uid)?;
        unistd::setegid(self.gid)?;
        #[cfg(not(target_vendor = "apple"))]
        unistd::setgroups(&self.groups)?;
        Ok(())
    }
}

impl std::fmt::Display for Account {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.name {
            Some(name) => write!(formatter, "user `{name}`")?,
            None => write!(formatter, "user {}", self.uid)?,
        }
        write!(formatter, " with group {}", self.gid)
    }
}

/// A user by its name, or by its number, which need not have a name.
fn find_user(text: &str) -> Result<(Uid, Option<User>), AccountError> {
    let unknown =
        |error| AccountError::user(format!("the user `{text}` cannot be looked up: {error}"));
    if let Some(user) = User::from_name(text).map_err(unknown)? {
        return Ok((user.uid, Some(user)));
    }
    match number(text).map(Uid::from_raw) {
        Some(uid) => Ok((uid, User::from_uid(uid).map_err(unknown)?)),
        None => Err(AccountError::user(format!("there is no user `{text}`"))),
    }
}

/// The number of a user, by its name or number; `None` if there is no such user.
#[must_use]
pub fn user_number(text: &str) -> Option<u32> {
    find_user(text).ok().map(|(uid, _)| uid.as_raw())
}

/// The number of a group, by its name or number.
///
/// # Errors
/// There is no such group.
pub fn group_number(text: &str) -> Result<u32, AccountError> {
    find_group(text).map(Gid::as_raw)
}

/// A group by its name or number.
fn find_group(text: &str) -> Result<Gid, AccountError> {
    let found = Group::from_name(text).map_err(|error| {
        AccountError::group(format!("the group `{text}` cannot be looked up: {error}"))
    })?;
    found
        .map(|group| group.gid)
        .or_else(|| number(text).map(Gid::from_raw))
        .ok_or_else(|| AccountError::group(format!("there is no group `{text}`")))
}

/// The number of a user or group. To the system, the largest one means *no change*.
fn number(text: &str) -> Option<u32> {
    text.parse().ok().filter(|number| *number != u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::Account;

    #[test]
    fn names_and_numbers_are_looked_up() {
        let message = |user, group| match Account::find(user, group) {
            Ok(account) => account.map_or("nobody".to_owned(), |account| account.to_string()),
            Err(error) if error.of_group => format!("group: {}", error.message),
            Err(error) => format!("user: {}", error.message),
        };
        assert_eq!(message(None, None), "nobody");
        for (user, group, expected) in [
            (
                Some("no such user"),
                None,
                "user: there is no user `no such user`",
            ),
            (Some("-1"), None, "user: there is no user `-1`"),
            (
                Some("4294967295"),
                None,
                "user: there is no user `4294967295`",
            ),
            (
                Some("3999999999"),
                None,
                "user: there is no user 3999999999, and so no group of its own",
            ),
            (
                None,
                Some("no such group"),
                "group: there is no group `no such group`",
            ),
        ] {
            assert_eq!(message(user, group), expected);
        }
        let root = nix::unistd::Uid::effective().is_root();
        let expected = match root {
            true => "user 3999999999 with group 4",
            false => "user: only root can become another user or group",
        };
        assert_eq!(message(Some("3999999999"), Some("4")), expected);
    }

    #[test]
    fn the_present_account_needs_no_root() {
        let present = nix::unistd::Uid::current().to_string();
        let group = nix::unistd::Gid::current().to_string();
        let account = Account::find(Some(&present), Some(&group)).expect("oneself");
        account
            .expect("what was asked for")
            .assume()
            .expect("nothing to do");
    }
}
