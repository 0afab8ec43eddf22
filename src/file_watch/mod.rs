//! Which files of an application have changed: a thread watches folders, and reports each burst of changes once.
//!
//! Folders are watched rather than files, since editors replace files by new ones. Each folder is watched by itself and not
//! with all that is below it, since what is below `node_modules`, `.git` or a virtual environment would use up the system's
//! watches; [`relevance`] says which folders are passed over, and which files count. Where the system does not report
//! changes (network file systems, folders of another machine in a container) or has no watches left, the folders are
//! looked at each second.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc as reports;

pub use file_changes::FileChanges;
use folder_watch::FolderWatch;
use watch_orders::Told;
pub use watch_orders::WatchedFiles;

mod file_changes;
mod folder_watch;
mod relevance;
mod watch_orders;

/// A burst of changes is over when nothing has changed for so long: an editor writes a file in several steps.
const QUIET: Duration = Duration::from_millis(100);

/// A burst that lasts longer is reported nevertheless: `git checkout` of many files does not.
const LONGEST_BURST: Duration = Duration::from_secs(2);

/// The start may be held up for so long, until all folders are watched.
const PATIENCE: Duration = Duration::from_secs(5);

/// A watch that goes on until it is dropped.
#[derive(Debug)]
pub struct FileWatch {
    tells: mpsc::Sender<Told>,
    changes: reports::UnboundedReceiver<FileChanges>,
}

impl FileWatch {
    /// Begins to watch. From the return on, no change is missed. Blocks for some milliseconds.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn start(files: WatchedFiles) -> std::io::Result<Self> {
        Self::start_with(files, FolderWatch::new)
    }

    /// The same without waiting: what changes in the first milliseconds may be missed.
    ///
    /// # Errors
    /// No thread can be started.
    pub fn begin(files: WatchedFiles) -> std::io::Result<Self> {
        Self::begin_with(files, FolderWatch::new)
    }

    fn start_with(
        files: WatchedFiles,
        new: fn(mpsc::Sender<Told>) -> FolderWatch,
    ) -> std::io::Result<Self> {
        let watch = Self::begin_with(files, new)?;
        let (answer, answered) = mpsc::channel();
        let _ = watch.tells.send(Told::Answer(answer));
        let _ = answered.recv_timeout(PATIENCE);
        Ok(watch)
    }

    fn begin_with(
        files: WatchedFiles,
        new: fn(mpsc::Sender<Told>) -> FolderWatch,
    ) -> std::io::Result<Self> {
        let (tells, told) = mpsc::channel();
        let (reports, changes) = reports::unbounded_channel();
        let events = tells.clone();
        let thread = std::thread::Builder::new().name("files".to_owned());
        thread.spawn(move || watch(new(events), &told, &reports))?;
        let watch = Self { tells, changes };
        watch.add(files);
        Ok(watch)
    }

    /// Watches more. What has changed there since the start is reported as well.
    pub fn add(&self, files: WatchedFiles) {
        // The thread ends only when this is dropped.
        let _ = self.tells.send(Told::Watch(files));
    }

    /// Waits for the next changes. Cancel-safe.
    pub async fn changed(&mut self) -> FileChanges {
        match self.changes.recv().await {
            Some(changes) => changes,
            None => std::future::pending().await,
        }
    }
}

impl Drop for FileWatch {
    fn drop(&mut self) {
        // The system's side of the channel stays open as long as the thread: it is told by a closed channel of reports.
        self.changes.close();
        let (answer, _) = mpsc::channel();
        let _ = self.tells.send(Told::Answer(answer));
    }
}

/// The thread: collects changes until nothing changes for a moment, then reports them.
fn watch(
    mut folders: FolderWatch,
    told: &mpsc::Receiver<Told>,
    reports: &reports::UnboundedSender<FileChanges>,
) {
    while let Ok(first) = told.recv() {
        let begun = Instant::now();
        let mut changes = FileChanges::default();
        let mut next = Some(first);
        while let Some(one) = next {
            match one {
                Told::Watch(files) => changes.extend(folders.add(files)),
                Told::Reported(event) => changes.extend(folders.meaning(event)),
                Told::Answer(answer) => drop(answer.send(())),
            }
            let over = changes.is_empty() || begun.elapsed() >= LONGEST_BURST;
            next = match over {
                true => None,
                false => told.recv_timeout(QUIET).ok(),
            };
        }
        if reports.is_closed() {
            return;
        }
        changes.retain(|file| folders.has_new_content(file));
        if !changes.is_empty() {
            let _ = reports.send(changes);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::{Path, PathBuf};
    use std::sync::mpsc;

    use notify::event::{CreateKind, Event, EventKind};
    use tokio::sync::mpsc as reports;

    use super::{FileChanges, FileWatch, FolderWatch, Told, WatchedFiles, watch};

    fn changes<'a>(files: impl IntoIterator<Item = &'a Path>) -> FileChanges {
        let mut changes = FileChanges::default();
        changes.extend(files.into_iter().map(Path::to_owned));
        changes
    }

    fn tree(folder: &Path) -> WatchedFiles {
        WatchedFiles {
            trees: BTreeSet::from([folder.to_owned()]),
            ..WatchedFiles::default()
        }
    }

    fn folder() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().canonicalize().expect("it exists");
        (folder, path)
    }

    #[test]
    fn what_changes_together_is_reported_once() {
        let (_kept, folder) = folder();
        let (tells, told) = mpsc::channel();
        let (reports, mut changed) = reports::unbounded_channel();
        let files: Vec<PathBuf> = (0..50).map(|n| folder.join(format!("m{n}.py"))).collect();
        tells.send(Told::Watch(tree(&folder))).expect("a reader");
        for file in &files {
            let event = Event::new(EventKind::Create(CreateKind::File)).add_path(file.clone());
            tells.send(Told::Reported(Ok(event))).expect("a reader");
        }
        let mut folders = FolderWatch::new(mpsc::channel().0);
        // Where the system has dropped events, each time counts.
        assert!(folders.has_new_content(&folder) && folders.has_new_content(&folder));
        // Nothing is told any more, so that the thread ends.
        drop(tells);
        watch(folders, &told, &reports);
        drop(reports);
        let all = changes(files.iter().map(PathBuf::as_path));
        assert_eq!(changed.blocking_recv(), Some(all));
        assert_eq!(changed.blocking_recv(), None);
    }

    #[tokio::test]
    async fn changes_are_seen_where_the_system_reports_none() {
        let (_kept, folder) = folder();
        fs::create_dir(folder.join("pages")).expect("a folder");
        let watch = FileWatch::start_with(tree(&folder), FolderWatch::polling);
        let mut watch = watch.expect("a thread");
        for file in ["view.py", "pages/view.py"].map(|name| folder.join(name)) {
            fs::write(&file, "a").expect("a file");
            assert_eq!(watch.changed().await, changes([&*file]));
        }
    }

    /// Otherwise an application that writes one of its files when it is imported would be reloaded for ever.
    #[tokio::test]
    async fn a_file_that_is_written_again_has_not_changed() {
        let (_kept, folder) = folder();
        let (one, other) = (folder.join("one.css"), folder.join("other.css"));
        let mut watch = FileWatch::start(tree(&folder)).expect("a thread");
        fs::write(&one, "a").expect("a file");
        assert_eq!(watch.changed().await, changes([&*one]));
        fs::write(&one, "a").expect("a file");
        fs::write(&other, "b").expect("a file");
        assert_eq!(watch.changed().await, changes([&*other]));
        fs::remove_file(&one).expect("a file");
        assert_eq!(watch.changed().await, changes([&*one]));
    }

    #[tokio::test]
    async fn files_that_may_be_touched_count_though_they_say_the_same() {
        let (_kept, folder) = folder();
        let file = folder.join("reload.txt");
        let touched = WatchedFiles {
            touched: BTreeSet::from([file.clone()]),
            ..WatchedFiles::default()
        };
        let polling = FileWatch::start_with(touched.clone(), FolderWatch::polling);
        let mut watches =
            [FileWatch::start(touched), polling].map(|watch| watch.expect("a thread"));
        let written = || fs::write(&file, "").expect("a file");
        let dated = |seconds| {
            let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
            let opened = fs::File::open(&file).expect("a file");
            opened.set_modified(time).expect("a file of ours");
        };
        let changed: [&dyn Fn(); 3] =
            [&written, &|| dated(4_000_000_000), &|| dated(4_000_000_001)];
        for change in changed {
            change();
            for watch in &mut watches {
                assert_eq!(watch.changed().await, changes([&*file]));
            }
        }
    }

    #[tokio::test]
    async fn a_folder_that_takes_the_place_of_another_is_watched() {
        let (_kept, folder) = folder();
        let file = |name: &str| folder.join(name).join("view.py");
        for name in ["pages", "new"] {
            fs::create_dir(folder.join(name)).expect("a folder");
            fs::write(file(name), name).expect("a file");
        }
        let mut watch = FileWatch::start(tree(&folder)).expect("a thread");
        fs::rename(folder.join("pages"), folder.join("old")).expect("a folder");
        fs::rename(folder.join("new"), folder.join("pages")).expect("a folder");
        let mut seen = FileChanges::default();
        while !seen.contains(&file("pages")) {
            seen.merge(watch.changed().await);
        }
        fs::write(file("pages"), "another text").expect("a file");
        assert_eq!(watch.changed().await, changes([&*file("pages")]));
    }

    #[tokio::test]
    async fn a_watched_folder_that_comes_back_is_watched_again() {
        let (_kept, folder) = folder();
        let tree_of = folder.join("deep/app");
        let file = tree_of.join("pages/view.py");
        fs::create_dir_all(tree_of.join("pages")).expect("a folder");
        fs::write(&file, "a").expect("a file");
        let mut watch = FileWatch::start(tree(&tree_of)).expect("a thread");
        for (number, gone) in ["deep/app", "deep", "deep/app"].iter().enumerate() {
            let (gone, away) = (folder.join(gone), folder.join("away"));
            fs::rename(&gone, &away).expect("a folder");
            fs::rename(&away, &gone).expect("a folder");
            fs::write(&file, format!("b{number}")).expect("a file");
            let mut seen = FileChanges::default();
            while !seen.contains(&file) {
                seen.merge(watch.changed().await);
            }
            // It is watched, and not only found.
            fs::write(&file, format!("c{number}")).expect("a file");
            assert_eq!(watch.changed().await, changes([&*file]));
        }
    }

    #[tokio::test]
    async fn changes_are_seen_in_new_folders_and_in_named_files_but_not_in_folders_of_tools() {
        let (_kept, folder) = folder();
        for name in [".git", "node_modules", "pages"] {
            fs::create_dir(folder.join(name)).expect("a folder");
        }
        let named = folder.join("settings.data");
        fs::write(&named, "").expect("a file");
        let mut watch = FileWatch::start(WatchedFiles {
            files: BTreeSet::from([named.clone()]),
            ..tree(&folder)
        })
        .expect("a thread");
        let mut expected = FileChanges::default();
        let mut seen = FileChanges::default();
        for (file, counts) in [
            (".git/hook.py", false),
            ("node_modules/a.js", false),
            ("data.sqlite3", false),
            ("pages/view.py", true),
            ("settings.data", true),
            ("new/deep/view.py", true),
        ] {
            let file = folder.join(file);
            fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
            fs::write(&file, "a").expect("a file");
            if counts {
                expected.extend([file]);
                while seen != expected {
                    seen.merge(watch.changed().await);
                }
            }
        }
        // What is watched later has changed since the beginning, too.
        let (_kept, other) = self::folder();
        fs::write(other.join("lib.py"), "").expect("a file");
        watch.add(tree(&other));
        assert_eq!(watch.changed().await, changes([&*other.join("lib.py")]));
    }
}
