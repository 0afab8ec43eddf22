//! Settings to what `launch` does for a developer: what it watches, and what happens in browsers when that changes.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::{self, BooleanOrText, Configuration};
use crate::line::failure::Failure;
use crate::line::scope::Scope;
use crate::plan::application::start::Readiness;
use crate::plan::application::{ApplicationName, BuiltIn};
use crate::plan::surroundings::module_folders;
use crate::workers::python::imported_folders::ImportedFolders;

/// The setting that decides what a change of a file does.
pub const RELOAD: &str = "runner.launch.reload";

/// What a change of a file does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReloadMode {
    /// Nothing.
    Off,
    /// The application is reloaded, and pages of runner's own that say what was wrong.
    Application,
    /// All pages in browsers are reloaded, too.
    Browser,
}

/// What `launch` does for a developer.
#[derive(Clone, Debug)]
pub struct Development {
    /// What a change of a file does.
    pub reload: ReloadMode,
    /// The folders of the application, which are watched with all below them.
    pub trees: Vec<PathBuf>,
    /// Files of the application, whatever their names are.
    pub files: BTreeSet<PathBuf>,
    /// The folders of the modules that this version has imported.
    pub imported: Arc<ImportedFolders>,
}

impl Development {
    /// As the command line or else the setting has it.
    #[must_use]
    pub fn of(scope: &Scope, application: &ApplicationName, typed: Option<ReloadMode>) -> Self {
        let of_python = |python: &ApplicationName| {
            // Mistakes in its own settings are found when it is started.
            let own = python.scope(scope).unwrap_or_else(|_| scope.clone());
            module_folders(&own, python.origin())
        };
        let mut trees: Vec<PathBuf> = application.python().flat_map(of_python).collect();
        let python = application.python().filter_map(ApplicationName::file);
        let mut files: BTreeSet<PathBuf> = python.map(Path::to_owned).collect();
        for what in application.built_in() {
            match what {
                BuiltIn::Files(options, _) => trees.push(options.folder.clone()),
                BuiltIn::Upstream(name) => {
                    if let Some(program) = name.program() {
                        trees.push(program.begins_in.clone());
                        files.extend(program.files());
                    }
                }
                BuiltIn::Demo | BuiltIn::Fixed(_) | BuiltIn::CgiBin(_) | BuiltIn::Routes(_) => {}
            }
        }
        trees.sort();
        trees.dedup();
        Self {
            reload: typed.unwrap_or_else(|| configured(&scope.configuration)),
            trees,
            files,
            imported: Arc::default(),
        }
    }

    /// Whether the address stays alive though the application cannot be started: the user mends the code then. What can
    /// only be mended by another command line ends the first start.
    #[must_use]
    pub fn outlives(&self, failure: &Failure, readiness: Readiness) -> bool {
        let is_first = readiness == Readiness::First;
        let is_of_code = matches!(failure, Failure::World(_));
        self.reload != ReloadMode::Off && (is_of_code || !is_first)
    }
}

/// The files that configurations were read from, those with mistakes as well.
#[must_use]
pub fn configuration_files() -> BTreeSet<PathBuf> {
    config::files_read()
}

fn configured(settings: &Configuration) -> ReloadMode {
    match settings.boolean_or_text(RELOAD) {
        Some(BooleanOrText::Boolean(false)) => ReloadMode::Off,
        Some(BooleanOrText::Text(_)) => ReloadMode::Browser,
        Some(BooleanOrText::Boolean(true)) | None => ReloadMode::Application,
    }
}
