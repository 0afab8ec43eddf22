//! What stands at a path below the folder.

use std::fs::File;
use std::path::Path;
use std::time::SystemTime;

use rustix::io::Errno;

use crate::application::files::beneath::{DiskWait, Root};

/// A regular file, open for reading.
#[derive(Debug)]
pub(in crate::application) struct OpenFile {
    /// The file.
    pub file: File,
    /// In bytes.
    pub length: u64,
    /// When it was changed last.
    pub modified: SystemTime,
}

/// What stands at a path.
#[derive(Debug)]
pub(in crate::application) enum PathContent {
    /// A regular file.
    File(OpenFile),
    /// A folder.
    Folder,
    /// A FIFO, a device or a socket, which have no end.
    Other,
}

impl PathContent {
    /// Opens it.
    ///
    /// # Errors
    /// Those of [`Root::open`].
    pub(in crate::application) fn open(
        root: &Root,
        path: &Path,
        wait: DiskWait,
    ) -> Result<Self, Errno> {
        let file = File::from(root.open(path, wait)?);
        let about = file.metadata();
        let about = about.map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
        Ok(match (about.is_file(), about.is_dir()) {
            (true, _) => Self::File(OpenFile {
                length: about.len(),
                modified: about.modified().unwrap_or(SystemTime::UNIX_EPOCH),
                file,
            }),
            (false, true) => Self::Folder,
            (false, false) => Self::Other,
        })
    }
}
