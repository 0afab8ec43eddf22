//! The folders that are watched, and what the events of the system mean.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::hash::{BuildHasher, RandomState};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::{Duration, SystemTime};

use notify::event::{AccessKind, AccessMode, EventKind, ModifyKind};
use notify::{Config, ErrorKind, Event, PollWatcher, RecommendedWatcher, RecursiveMode, Watcher};

use super::relevance::{is_looked_into, is_relevant};
use super::watch_orders::{Told, WatchedFiles};

/// The most folders that are watched. A tree that has more is hardly an application: it may be the user's home.
const MOST_FOLDERS: usize = 4000;

/// How often folders are looked at whose changes the system does not report.
const POLL: Duration = Duration::from_secs(1);

/// Bytes of a file that are compared with those at its last change.
const COMPARED: u64 = 4 << 20;

/// What an application's folders are watched with.
pub(super) struct FolderWatch {
    events: mpsc::Sender<Told>,
    /// Told by the system; `None` if it cannot be, or has no watches left.
    reported: Option<RecommendedWatcher>,
    /// Looks each second; `None` while it is not needed.
    polled: Option<PollWatcher>,
    watched: WatchedFiles,
    /// The folders that are watched, for whatever reason.
    all: BTreeSet<PathBuf>,
    /// When the files that may be touched were last modified; `None` for a file that is not there.
    times: BTreeMap<PathBuf, Option<SystemTime>>,
    /// Folders that are wanted and are gone. What comes back is watched again.
    missing: BTreeSet<PathBuf>,
    /// The contents of files at their last change, as hashes; `None` for a file that was gone then.
    contents: BTreeMap<PathBuf, Option<u64>>,
    hasher: RandomState,
    /// When the watch began.
    begun: SystemTime,
    /// The log says that there are too many folders.
    is_full: bool,
}

impl FolderWatch {
    /// Watches nothing yet. Events are sent to the thread that calls this.
    pub(super) fn new(events: mpsc::Sender<Told>) -> Self {
        let handler = handler(&events);
        let reported = notify::recommended_watcher(handler)
            .inspect_err(|error| say_polled(&error.to_string()));
        Self {
            events,
            reported: reported.ok(),
            polled: None,
            watched: WatchedFiles::default(),
            all: BTreeSet::new(),
            times: BTreeMap::new(),
            missing: BTreeSet::new(),
            contents: BTreeMap::new(),
            hasher: RandomState::new(),
            begun: SystemTime::now(),
            is_full: false,
        }
    }

    /// The same where the system reports nothing.
    #[cfg(test)]
    pub(super) fn polling(events: mpsc::Sender<Told>) -> Self {
        Self {
            reported: None,
            ..Self::new(events)
        }
    }

    /// Whether a file has another content than at its last change. A folder stands for unknown files below it.
    pub(super) fn has_new_content(&mut self, file: &Path) -> bool {
        if let Some(time) = self.times.get_mut(file) {
            // One that is gone has nothing to say.
            let now = modified(file);
            return std::mem::replace(time, now) != now && now.is_some();
        }
        if file.is_dir() {
            return true;
        }
        let mut bytes = Vec::new();
        let read = File::open(file).and_then(|it| it.take(COMPARED).read_to_end(&mut bytes));
        let content = read.ok().map(|_| self.hasher.hash_one(&bytes));
        self.contents.insert(file.to_owned(), content) != Some(content)
    }

    /// Watches more. Returns the files there that have changed since the watch began.
    pub(super) fn add(&mut self, files: WatchedFiles) -> Vec<PathBuf> {
        let mut changed = Vec::new();
        for file in files.files {
            // The file may be a symbolic link: either end of it can be replaced.
            for path in [canonical(&file), file] {
                let folder = path.parent().map(canonical);
                self.watched
                    .files
                    .extend(in_folder(folder.as_deref(), &path));
                self.watch_all(folder, false, &mut changed);
            }
        }
        for file in files.touched {
            for path in [canonical(&file), file] {
                let folder = path.parent().map(canonical);
                if let Some(path) = in_folder(folder.as_deref(), &path) {
                    let time = modified(&path);
                    self.times.entry(path).or_insert(time);
                }
                self.watch_all(folder, false, &mut changed);
            }
        }
        for folder in files.folders.into_iter().map(|folder| canonical(&folder)) {
            self.watched.folders.insert(folder.clone());
            self.watch_all([folder], false, &mut changed);
        }
        for tree in files.trees.into_iter().map(|tree| canonical(&tree)) {
            if self.watched.trees.insert(tree.clone()) {
                self.watch_all([tree], true, &mut changed);
            }
        }
        let begun = self.begun;
        changed.retain(|file| modified(file).is_some_and(|at| at > begun));
        changed
    }

    /// The relevant files that an event is about.
    pub(super) fn meaning(&mut self, event: notify::Result<Event>) -> Vec<PathBuf> {
        let event = match event {
            Ok(event) => event,
            Err(error) => {
                crate::log_warning!("cannot watch files: {error}");
                return Vec::new();
            }
        };
        if event.need_rescan() {
            // The system has dropped events. Which files they were about is not known.
            let unknown = self.watched.trees.iter().chain(self.times.keys());
            return unknown.cloned().collect();
        }
        if !is_change(event.kind) {
            let touched = event.paths.into_iter();
            return touched
                .filter(|path| self.times.contains_key(path))
                .collect();
        }
        // A look each second finds a new time of each folder in which a file was made.
        let is_named_anew = !matches!(event.kind, EventKind::Modify(ModifyKind::Metadata(_)));
        let mut changed = Vec::new();
        for path in event.paths {
            let is_folder = path.is_dir();
            if self.all.contains(&path) && (is_named_anew || !is_folder) {
                // What has its name now is another one.
                self.forget(&path);
            }
            if is_folder {
                if is_named_anew && self.is_in_tree(&path) && is_looked_into(&path) {
                    // Its files may have been written before it could be watched.
                    self.watch_all([path], true, &mut changed);
                }
            } else if self.counts(&path) {
                changed.push(path);
            }
        }
        self.find_missing(&mut changed);
        changed
    }

    fn counts(&self, path: &Path) -> bool {
        let is_in_folder = || {
            let folder = path.parent();
            folder.is_some_and(|folder| self.watched.folders.contains(folder))
        };
        self.watched.files.contains(path)
            || self.times.contains_key(path)
            || is_relevant(path) && (is_in_folder() || self.is_in_tree(path))
    }

    fn is_in_tree(&self, path: &Path) -> bool {
        let parent = path.parent();
        self.watched.trees.iter().any(|tree| path.starts_with(tree))
            // Below a folder that is passed over nothing is watched, except for other reasons.
            && parent.is_some_and(|parent| self.all.contains(parent))
    }

    /// A folder is gone, with those below it.
    fn forget(&mut self, gone: &Path) {
        let (lost, kept): (BTreeSet<PathBuf>, _) = std::mem::take(&mut self.all)
            .into_iter()
            .partition(|folder| folder.starts_with(gone));
        self.all = kept;
        for folder in lost {
            if self.is_wanted(&folder) {
                self.missing.insert(folder.clone());
            }
            // Where the system has seen that it is gone, it is watched no more.
            if let Some(watcher) = &mut self.reported {
                let _ = watcher.unwatch(&folder);
            }
            if let Some(watcher) = &mut self.polled {
                let _ = watcher.unwatch(&folder);
            }
        }
    }

    /// Whether a folder is watched for its own sake, and not for that of another one above it.
    fn is_wanted(&self, folder: &Path) -> bool {
        let WatchedFiles {
            trees,
            folders,
            files,
            touched,
        } = &self.watched;
        let mut files = files.iter().chain(touched);
        trees.contains(folder)
            || folders.contains(folder)
            || files.any(|file| file.parent() == Some(folder))
    }

    /// Watches folders that have come back, with those that are not there yet the nearest one above. Adds the relevant files in
    /// them.
    fn find_missing(&mut self, files: &mut Vec<PathBuf>) {
        for folder in std::mem::take(&mut self.missing) {
            let above = folder.ancestors().skip(1).find(|above| above.is_dir());
            if let Some(above) = above
                && self.all.insert(above.to_owned())
            {
                self.watch(above);
            }
            // Only now: it may have come back before that.
            match folder.is_dir() {
                true => {
                    let is_tree = self.watched.trees.contains(&folder);
                    self.watch_all([folder], is_tree, files);
                }
                false => drop(self.missing.insert(folder)),
            }
        }
    }

    /// Watches folders, perhaps with all below them, the nearest first. Adds the relevant files in those that were not
    /// watched yet.
    fn watch_all(
        &mut self,
        folders: impl IntoIterator<Item = PathBuf>,
        with_those_below: bool,
        files: &mut Vec<PathBuf>,
    ) {
        let mut level: Vec<PathBuf> = folders.into_iter().collect();
        while !level.is_empty() {
            let mut below = Vec::new();
            for folder in level {
                if self.all.len() >= MOST_FOLDERS {
                    self.say_full();
                    return;
                }
                let is_new = self.all.insert(folder.clone());
                if is_new {
                    self.watch(&folder);
                }
                for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
                    let path = entry.path();
                    // Links to folders are not followed: they may lead round in a circle.
                    let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
                    if is_folder && with_those_below && is_looked_into(&path) {
                        below.push(path);
                    } else if !is_folder && is_new && self.counts(&path) {
                        files.push(path);
                    }
                }
            }
            level = below;
        }
    }

    fn watch(&mut self, folder: &Path) {
        if let Some(watcher) = self.reported.as_mut().filter(|_| reports_changes(folder)) {
            match watcher.watch(folder, RecursiveMode::NonRecursive) {
                Ok(()) => return,
                // It has been removed.
                Err(error) if !folder.is_dir() => return drop(error),
                Err(error) => match error.kind {
                    ErrorKind::MaxFilesWatch => {
                        self.reported = None;
                        say_polled("the system has no watches left (fs.inotify.max_user_watches)");
                        for folder in self.all.clone() {
                            self.poll(&folder);
                        }
                        return;
                    }
                    ErrorKind::Generic(_)
                    | ErrorKind::Io(_)
                    | ErrorKind::PathNotFound
                    | ErrorKind::WatchNotFound
                    | ErrorKind::InvalidConfig(_) => {}
                },
            }
        }
        self.poll(folder);
    }

    /// Looks at a folder each second.
    fn poll(&mut self, folder: &Path) {
        if self.polled.is_none() {
            let every = Config::default().with_poll_interval(POLL);
            self.polled = PollWatcher::new(handler(&self.events), every).ok();
        }
        if let Some(watcher) = &mut self.polled {
            // The folder may be gone by now.
            let _ = watcher.watch(folder, RecursiveMode::NonRecursive);
        }
    }

    fn say_full(&mut self) {
        if !std::mem::replace(&mut self.is_full, true) {
            crate::log_warning!(
                "there are more than {MOST_FOLDERS} folders: changes in those that are deepest are not noticed"
            );
        }
    }
}

/// A path without symbolic links, as far as it exists.
fn canonical(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

/// What passes events on to the thread.
fn handler(events: &mpsc::Sender<Told>) -> impl Fn(notify::Result<Event>) + Send + use<> {
    let events = events.clone();
    move |event| {
        let is_news = event.as_ref().map_or(true, |event| {
            event.need_rescan() || is_change(event.kind) || is_dating(event.kind)
        });
        if is_news {
            // The thread has ended, and the watcher ends with it.
            let _ = events.send(Told::Reported(event));
        }
    }
}

/// Whether an event can mean that a file has another content: not that it was read, nor that its permissions have changed.
fn is_change(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write))
        | EventKind::Any
        | EventKind::Other
        | EventKind::Create(_)
        | EventKind::Remove(_) => true,
        // A look each second finds a new time of modification.
        EventKind::Modify(ModifyKind::Metadata(what)) => {
            what == notify::event::MetadataKind::WriteTime
        }
        EventKind::Modify(_) => true,
        EventKind::Access(_) => false,
    }
}

/// Whether an event can mean that a file has another time of modification, and nothing else.
fn is_dating(kind: EventKind) -> bool {
    matches!(kind, EventKind::Modify(ModifyKind::Metadata(_)))
}

fn in_folder(folder: Option<&Path>, path: &Path) -> Option<PathBuf> {
    Some(folder?.join(path.file_name()?))
}

fn modified(file: &Path) -> Option<SystemTime> {
    fs::metadata(file).and_then(|found| found.modified()).ok()
}

fn say_polled(why: &str) {
    crate::log_warning!("files are looked at each second: {why}");
}

/// Whether the system reports changes in a folder: changes by other machines it does not (statfs(2)).
#[cfg(target_os = "linux")]
fn reports_changes(folder: &Path) -> bool {
    const NFS: i64 = 0x6969;
    const SMB: i64 = 0x517b;
    const CIFS: i64 = 0xff53_4d42;
    const SMB2: i64 = 0xfe53_4d42;
    const PLAN9: i64 = 0x0102_1997;
    const FUSE: i64 = 0x6573_5546;
    const VBOX: i64 = 0x786f_4256;
    let Ok(found) = rustix::fs::statfs(folder) else {
        return true;
    };
    #[allow(clippy::unnecessary_cast, reason = "its type depends on the machine")]
    let kind = found.f_type as i64;
    ![NFS, SMB, CIFS, SMB2, PLAN9, FUSE, VBOX].contains(&(kind & 0xffff_ffff))
}

#[cfg(not(target_os = "linux"))]
fn reports_changes(_: &Path) -> bool {
    true
}
