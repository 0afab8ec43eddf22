//! Which users' processes and files a master trusts. In a folder to which other users can write, each of them can put a
//! socket, a lock or a pid file where a master looks for its own.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::process::{Uid, geteuid};

use crate::own_file::folder_of;
use crate::permission::user_shown;

/// The sticky bit: only their owners can remove the files of a folder (`unlink(2)`).
const STICKY: u32 = 0o1000;

/// The permission of all users to write.
const OTHERS_WRITE: u32 = 0o002;

/// The users whose processes and files are trusted: root, the effective user of this process, and perhaps others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trust {
    /// The owner of a folder.
    owner: Option<Uid>,
    /// The user that a server becomes.
    user: Option<Uid>,
}

impl Trust {
    /// Root and the effective user of this process.
    #[must_use]
    pub fn own() -> Self {
        Self::default()
    }

    /// These, and the owner of a file's folder, who can replace the file at any time. Not for a process to which anything
    /// is handed over.
    #[must_use]
    pub fn of_folder(file: &Path) -> Self {
        let found = std::fs::metadata(folder_of(file)).ok();
        Self {
            owner: found.map(|found| Uid::from_raw(found.uid())),
            user: None,
        }
    }

    /// The same users, and the one with this number.
    #[must_use]
    pub fn and(self, user: Option<u32>) -> Self {
        Self {
            user: user.map(Uid::from_raw),
            ..self
        }
    }

    /// Whether a user is trusted.
    #[must_use]
    pub fn holds(self, user: Uid) -> bool {
        user.is_root() || user == geteuid() || [self.owner, self.user].contains(&Some(user))
    }

    /// Whether the owner of a file is trusted.
    pub(super) fn holds_file(self, file: &Metadata) -> bool {
        self.holds(Uid::from_raw(file.uid()))
    }
}

/// Warns in the log if other users can remove or replace a file of ours.
pub(super) fn warn_of_folder(file: &Path) {
    let folder = folder_of(file);
    let Ok(found) = std::fs::metadata(folder) else {
        return;
    };
    let (folder, file) = (folder.display(), file.display());
    if found.mode() & OTHERS_WRITE != 0 && found.mode() & STICKY == 0 {
        crate::log_warning!(
            "every user can write to the folder `{folder}`, and replace `{file}` there\n \
             = hint: `chmod o-w {folder}`, or use a folder of the server's own"
        );
    } else if !Trust::own().holds_file(&found) {
        crate::log_warning!(
            "the folder `{folder}` belongs to another user ({}), who can replace `{file}` there\n \
             = hint: run the server as that user (`runner.user`), or `chown {} {folder}`",
            user_shown(found.uid()),
            geteuid()
        );
    }
}
