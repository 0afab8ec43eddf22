//! Whether a file has been replaced or changed.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::own_file::FileId;

/// Tells a file from another one at its path, and from its earlier contents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileVersion {
    id: FileId,
    size: u64,
    modified: (i64, i64),
}

impl FileVersion {
    /// The version of the file at a path; links are followed.
    pub(super) fn at(path: &Path) -> io::Result<Self> {
        let found = std::fs::metadata(path)?;
        Ok(Self {
            id: FileId::of(&found),
            size: found.size(),
            modified: (found.mtime(), found.mtime_nsec()),
        })
    }
}
