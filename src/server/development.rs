//! What `launch` adds to a server: files are watched, a change is a reload, and browsers are told of it. For `serve`
//! nothing is watched but the files of `runner.touch_reload`, and this reports reloads.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::application::development::{DevelopmentPages, ReloadEvents};
use crate::application::replaceable::Replaceable;
use crate::current_folder;
use crate::file_watch::{FileChanges, FileWatch, WatchedFiles};
use crate::interface::Application;
use crate::plan::Plan;
use crate::plan::development::{Development, ReloadMode, configuration_files};
use crate::supervisor::lifecycle::Trigger;

/// Folders beside a module's file whose files belong to it.
const BESIDE_MODULES: [&str; 3] = ["templates", "static", "jinja2"];

/// A change that comes so soon after a reload was hardly made by a person.
const SOON: Duration = Duration::from_secs(1);

/// A reload that has taken so long is given up for a change: the code that it imports is not the latest any more, and may never
/// end.
const LONG: Duration = Duration::from_secs(2);

/// So many reloads in a row, each for such a change, are explained in the log.
const ROW: u32 = 5;

/// The reloads of a server, and the files whose changes cause them.
pub struct CodeReloads {
    /// What pages in browsers are told.
    pub events: ReloadEvents,
    /// What is to be watched when the watch begins; `None` if nothing is.
    wanted: Option<WatchedFiles>,
    /// Whether the files of the application are watched.
    is_development: bool,
    watch: Option<FileWatch>,
    /// What has changed since the reload that is running has begun.
    changed: FileChanges,
    /// What the reload that is running is for, and when it has begun.
    reload: (FileChanges, Instant),
    /// When the last reload was over, and how many were in a row, each [`SOON`] after the one before.
    row: (Instant, u32),
}

/// How a reload went.
#[derive(Clone, Copy, Debug)]
pub enum ReloadResult<'a> {
    /// A new version answers.
    Reloaded,
    /// The application of the new version cannot be started, for this reason, which is what the version answers.
    Down(&'a str),
    /// Nothing has changed, for this reason.
    Kept(&'a str),
}

impl CodeReloads {
    /// Those of a server with this plan. Watches nothing yet.
    #[must_use]
    pub fn of(plan: &Plan) -> Self {
        let is_watched = |it: &&Development| it.reload != ReloadMode::Off;
        let development = plan.development.as_ref().filter(is_watched);
        Self {
            events: ReloadEvents::default(),
            wanted: (development.is_some() || !plan.touch_reload.is_empty())
                .then(|| watched_files(plan, development)),
            is_development: development.is_some(),
            watch: None,
            changed: FileChanges::default(),
            reload: (FileChanges::default(), Instant::now()),
            row: (Instant::now(), 0),
        }
    }

    /// Begins to watch. Blocks until no change is missed any more.
    pub fn watch(&mut self) {
        if let Some(files) = self.wanted.take() {
            match FileWatch::start(files) {
                Ok(watch) => self.watch = Some(watch),
                Err(error) => crate::log_warning!("cannot watch files: {error}"),
            }
        }
    }

    /// Watches what a version has read and imported, too, and the files whose change is to reload it.
    pub fn follow(&mut self, plan: Option<&Plan>) {
        let files = match plan {
            Some(plan) => watched_files(plan, plan.development.as_ref()),
            None if self.is_development => WatchedFiles {
                files: configuration_files(),
                ..WatchedFiles::default()
            },
            None => return,
        };
        match &self.watch {
            Some(watch) => watch.add(files),
            None if files.touched.is_empty() => {}
            None => match FileWatch::begin(files) {
                Ok(watch) => self.watch = Some(watch),
                Err(error) => crate::log_warning!("cannot watch files: {error}"),
            },
        }
    }

    /// Waits for a change, which is to be followed by a reload; for ever, if nothing is watched. Cancel-safe.
    pub async fn changed(&mut self) {
        match &mut self.watch {
            Some(watch) => self.changed.merge(watch.changed().await),
            None => std::future::pending().await,
        }
    }

    /// What follows from a change.
    pub fn trigger(&mut self) -> Trigger {
        let (_, begun) = self.reload;
        let (over, row) = self.row;
        // An application that changes what is watched while it is imported would never be.
        if begun > over && begun.elapsed() >= LONG && row < ROW {
            self.row.0 = Instant::now();
            return Trigger::Overtaken;
        }
        Trigger::ReloadWanted
    }

    /// A reload begins.
    pub fn begin(&mut self) {
        self.reload = (std::mem::take(&mut self.changed), Instant::now());
        self.events.begin();
        let (changes, (over, row)) = (&self.reload.0, self.row);
        self.row.1 = match !changes.is_empty() && over.elapsed() < SOON {
            true => row + 1,
            false => 0,
        };
        if self.row.1 == ROW && self.is_development {
            crate::log_warning!(
                "{ROW} reloads in a row, each as soon as the one before was over: the application itself seems to write a file that is watched ({}); `--no-reload` switches reloads off",
                changes.shown(current_folder::folder())
            );
        }
    }

    /// A reload is over: the log and browsers are told.
    pub fn report(&mut self, result: ReloadResult<'_>) {
        self.row.0 = Instant::now();
        let (changes, begun) = &self.reload;
        let seconds = begun.elapsed().as_secs_f64();
        let changes = (!changes.is_empty()).then(|| changes.shown(current_folder::folder()));
        let cause = changes.as_ref().map(|changes| format!("{changes}: "));
        let cause = cause.unwrap_or_default();
        match result {
            ReloadResult::Reloaded => {
                self.events.reloaded();
                match changes {
                    Some(changes) => crate::log!("reloaded in {seconds:.2} s: {changes}"),
                    None => crate::log!("reloaded"),
                }
            }
            ReloadResult::Down(why) => {
                self.events.reloaded();
                report_down(&cause, why);
            }
            ReloadResult::Kept(why) => {
                self.events.failed(why);
                crate::log_error!(
                    "{cause}the reload failed; everything that is not named here goes on:\n{why}"
                );
            }
        }
    }
}

/// Logs that the application cannot be started, and why.
pub fn report_down(cause: &str, why: &str) {
    let why = why.strip_prefix("error: ").unwrap_or(why);
    crate::log_error!(
        "{cause}requests are answered 503 until the code has changed:\n{}",
        why.trim_end()
    );
}

/// An application as a gateway gets it: in development, with pages that reload themselves.
#[must_use]
pub fn front(
    application: &Arc<Replaceable>,
    development: Option<&Development>,
    events: &ReloadEvents,
) -> Arc<dyn Application> {
    let application = Arc::clone(application);
    match development {
        Some(development) => Arc::new(DevelopmentPages::new(
            application,
            (development.reload != ReloadMode::Off).then(|| events.clone()),
            development.reload == ReloadMode::Browser,
        )),
        None => application,
    }
}

fn watched_files(plan: &Plan, development: Option<&Development>) -> WatchedFiles {
    let touched = plan.touch_reload.clone();
    let Some(development) = development else {
        return WatchedFiles {
            touched,
            ..WatchedFiles::default()
        };
    };
    let folders = development.imported.all();
    let beside = folders
        .iter()
        .flat_map(|folder| BESIDE_MODULES.map(|name| folder.join(name)));
    let beside: Vec<PathBuf> = beside.filter(|folder| folder.is_dir()).collect();
    let trees: BTreeSet<PathBuf> = development.trees.iter().cloned().chain(beside).collect();
    let mut files = configuration_files();
    files.extend(development.files.iter().cloned());
    WatchedFiles {
        trees,
        folders,
        files,
        touched,
    }
}
