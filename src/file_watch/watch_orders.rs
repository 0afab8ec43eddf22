//! What the thread that watches is told.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::mpsc;

/// What is watched.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WatchedFiles {
    /// Folders with all that is below them, as far as it is relevant.
    pub trees: BTreeSet<PathBuf>,
    /// Folders without those below them.
    pub folders: BTreeSet<PathBuf>,
    /// Files that count whatever their names are.
    pub files: BTreeSet<PathBuf>,
    /// Files that count each time that they are written or touched, though their contents stay the same.
    pub touched: BTreeSet<PathBuf>,
}

/// What the thread is told.
#[derive(Debug)]
pub(super) enum Told {
    /// To watch this, too.
    Watch(WatchedFiles),
    /// What the system reports.
    Reported(notify::Result<notify::Event>),
    /// To tell when all that was said before is done.
    Answer(mpsc::Sender<()>),
}
