//! Whose processes and files are believed. In a folder that others can write to, anybody can put a socket, a lock or a
//! pid file where a master looks for its own.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::process::{Uid, geteuid};

/// The sticky bit, with which a folder's files can be removed by their owners only (`unlink(2)`).
const STICKY: u32 = 0o1000;

/// The right of everybody to write.
const OTHERS_WRITE: u32 = 0o002;

/// Whose processes and files are believed: root's, those of the user that this process acts as, and perhaps of others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trust {
    /// The owner of a folder.
    owner: Option<Uid>,
    /// Whom a server is to become.
    user: Option<Uid>,
}

impl Trust {
    /// Root's, and those of the user that this process acts as.
    #[must_use]
    pub fn own() -> Self {
        Self::default()
    }

    /// The same, and those of the owner of a file's folder, who can do there as he likes. Not for what is given anything
    /// away to.
    #[must_use]
    pub fn of_folder(file: &Path) -> Self {
        let found = std::fs::metadata(folder_of(file)).ok();
        Self {
            owner: found.map(|found| Uid::from_raw(found.uid())),
            user: None,
        }
    }

    /// The same, and those of the user with this number.
    #[must_use]
    pub fn and(self, user: Option<u32>) -> Self {
        Self {
            user: user.map(Uid::from_raw),
            ..self
        }
    }

    /// Whether what belongs to a user is believed.
    #[must_use]
    pub fn holds(self, user: Uid) -> bool {
        user.is_root() || user == geteuid() || [self.owner, self.user].contains(&Some(user))
    }

    /// Whether a file is believed.
    pub(crate) fn holds_file(self, file: &Metadata) -> bool {
        self.holds(Uid::from_raw(file.uid()))
    }
}

fn folder_of(file: &Path) -> &Path {
    let folder = file.parent().filter(|folder| *folder != Path::new(""));
    folder.unwrap_or(Path::new("."))
}

/// Says in the log if other users can remove or replace a file of ours in its folder.
pub(crate) fn warn_of_folder(file: &Path) {
    let folder = folder_of(file);
    let Ok(found) = std::fs::metadata(folder) else {
        return;
    };
    let shown = folder.display();
    if found.mode() & OTHERS_WRITE != 0 && found.mode() & STICKY == 0 {
        crate::log!(
            "everybody can write to the folder `{shown}`, and replace `{}` there",
            file.display()
        );
    } else if !Trust::own().holds_file(&found) {
        crate::log!(
            "the folder `{shown}` belongs to another user ({}), who can replace `{}` there",
            found.uid(),
            file.display()
        );
    }
}
