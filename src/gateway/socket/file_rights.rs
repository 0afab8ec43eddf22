//! Who may connect to a Unix socket: the group and the permissions of its file.

use std::fs::Permissions;
use std::io::ErrorKind;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;

use anyhow::{Context, anyhow};

use crate::gateway::socket::url::SocketUrl;

/// The group and the permissions of the file of a Unix socket. What is not set stays as the system made it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileRights {
    /// The group, as it was written, and its number.
    pub group: Option<(String, u32)>,
    /// The permissions. To connect, a process needs the permission to write.
    pub mode: Option<u32>,
}

impl FileRights {
    /// Gives the file of a socket its group and permissions; other kinds of sockets have none.
    ///
    /// # Errors
    /// The user of this process does not belong to the group, or does not own the file.
    pub fn apply(&self, url: &SocketUrl) -> anyhow::Result<()> {
        match url {
            SocketUrl::Unix(path) => self
                .apply_to(path)
                .with_context(|| format!("cannot listen on `{url}`")),
            SocketUrl::Tcp { .. } | SocketUrl::Descriptor(_) | SocketUrl::Passed(_) => Ok(()),
        }
    }

    fn apply_to(&self, path: &Path) -> anyhow::Result<()> {
        // The group comes first: others may not be let in by permissions that are meant for it.
        if let Some((group, number)) = &self.group {
            chown(path, None, Some(*number)).map_err(|error| match error.kind() {
                ErrorKind::PermissionDenied => anyhow!(
                    "the server's user is not in the group `{group}`\n = hint: add it to that group, \
                     and start the server again (a reload keeps the groups of the start); \
                     or let all users connect: `runner.socket.mode = '666'`"
                ),
                _ => error.into(),
            })?;
        }
        if let Some(mode) = self.mode {
            std::fs::set_permissions(path, Permissions::from_mode(mode))?;
        }
        Ok(())
    }
}
