//! The state that all files of all layers share while they are read: the rules and mistakes so far, the open files, and
//! the limits on the number, depth and size of files.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::read_bounded::read_source;
use crate::config::rule::Rule;
use crate::config::rules::Rules;
use crate::current_folder;
use crate::eval::Home;
use crate::syntax::{Diagnostic, Place, Source, quoted};

/// How deep includes may be nested.
const DEEPEST: usize = 16;

/// Files that may be read, and their bytes in all: if each file includes two others, the number grows exponentially.
const MOST_FILES: usize = 10_000;
const MOST_BYTES: u64 = 64 << 20;

/// Mistakes after which reading stops.
const MOST_MISTAKES: usize = 1000;

/// Collects rules from files, each over those before it.
#[derive(Default)]
pub(crate) struct Loader {
    /// The rules so far.
    pub rules: Rules,
    /// Errors so far.
    pub mistakes: Vec<Diagnostic>,
    /// Warnings so far.
    pub warnings: Vec<Diagnostic>,
    /// The layer that is read, counted from 0.
    pub layer: usize,
    /// Whether unknown names are reported also in expressions that may never be evaluated.
    pub thorough: bool,
    /// `[Component Factories]`.
    pub factories: Vec<Rule>,
    /// The names from files of other programs.
    pub foreign: Vec<ForeignNames>,
    /// The files that are being read, each included by the one before it: the real path, and the name in messages.
    open: Vec<(PathBuf, String)>,
    files: usize,
    bytes: u64,
}

/// The names that a file in another program's format gives.
pub(crate) struct ForeignNames {
    /// The expression that names the file.
    pub place: Place,
    /// Whether they are those of environment variables.
    pub are_variables: bool,
    /// In the file's order, with their prefix.
    pub names: Vec<String>,
}

/// How a file is included: the prefix of its names, and what it gets from the including file.
#[derive(Default)]
pub(crate) struct Inclusion<'a> {
    /// The prefix of every name: empty, or ending with a dot.
    pub prefix: String,
    /// The expression that names the file.
    pub place: Option<Place>,
    /// The including file.
    pub home: Option<&'a Home>,
}

impl Loader {
    /// A loader over existing rules.
    pub(crate) fn new(rules: Rules, thorough: bool) -> Self {
        Self {
            rules,
            thorough,
            ..Self::default()
        }
    }

    /// Reads a file's text and counts the file as open until [`Self::close`]. An error is added to the mistakes.
    pub(crate) fn open(&mut self, path: &Path, inclusion: &Inclusion<'_>) -> Option<Home> {
        let shown = path.display().to_string();
        let real = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let read = self
            .may_open(&real, &shown)
            .and_then(|()| self.read(path, &shown));
        let source = match read {
            Ok(source) => source,
            Err(mistake) => {
                self.mistakes.push(match &inclusion.place {
                    Some(place) => named_at(mistake, place, "included here"),
                    None => mistake,
                });
                return None;
            }
        };
        let absolute = current_folder::absolute(path);
        self.open.push((real, shown));
        Some(Home {
            source,
            folder: absolute.parent().map(Path::to_owned),
            file_name: absolute
                .file_name()
                .map(|name| name.to_string_lossy().into_owned())
                .unwrap_or_default(),
            shortcuts: inclusion
                .home
                .map(|home| home.shortcuts.clone())
                .unwrap_or_default(),
        })
    }

    /// Ends the reading of the file that was opened last.
    pub(crate) fn close(&mut self) {
        self.open.pop();
    }

    /// Whether so many mistakes were found that reading stops.
    pub(crate) fn is_full(&self) -> bool {
        self.mistakes.len() >= MOST_MISTAKES
    }

    fn may_open(&mut self, real: &Path, shown: &str) -> Result<(), Diagnostic> {
        if let Some(start) = self.open.iter().position(|(open, _)| open == real) {
            let mut chain: Vec<&str> = self.open[start..]
                .iter()
                .map(|(_, name)| name.as_str())
                .collect();
            chain.push(shown);
            let message = format!(
                "the file {} includes itself: {}",
                quoted(shown),
                chain.join(" → ")
            );
            return Err(Diagnostic::new("include/loop", message));
        }
        self.files += 1;
        if self.open.len() > DEEPEST {
            let message = format!("files include one another more than {DEEPEST} deep");
            return Err(Diagnostic::new("limit/include", message));
        }
        if self.files > MOST_FILES {
            let message = format!("more than {MOST_FILES} files are included");
            return Err(Diagnostic::new("limit/include", message));
        }
        Ok(())
    }

    fn read(&mut self, path: &Path, shown: &str) -> Result<Arc<Source>, Diagnostic> {
        let source = read_source(path, shown)?;
        self.bytes += source.text.len() as u64;
        if self.bytes > MOST_BYTES {
            let message = format!("the files have more than {} MiB in all", MOST_BYTES >> 20);
            return Err(Diagnostic::new("limit/file", message));
        }
        Ok(source)
    }

    /// Adds a rule over those before it; a rule for a value that has been read already is a mistake.
    pub(crate) fn insert(&mut self, rule: Rule) {
        let rule = Arc::new(rule);
        let before = match self.rules.insert(&rule) {
            Ok(None) => return,
            Ok(Some(before)) => {
                let message = format!(
                    "the setting {} is overridden further down",
                    quoted(&rule.name)
                );
                let warning = before.without_effect("setting/overridden", message, &rule);
                return self.warnings.extend(warning);
            }
            Err(before) => before,
        };
        let name = quoted(&rule.name);
        let message = format!("setting {name} was read before this line and can no longer change");
        let hint = "`[Load Settings From]` reads settings; move this line above it";
        let mistake = Diagnostic::new("setting/read", message).with_hint(hint);
        let mut mistake = rule.origin.label(mistake, "");
        if let Some(before) = before {
            mistake = before.origin.label(mistake, "this value was read");
        }
        self.mistakes.push(mistake);
    }
}

/// Adds the place that names a file to a mistake in or about that file.
pub(crate) fn named_at(mistake: Diagnostic, place: &Place, seen: &str) -> Diagnostic {
    let seen = if mistake.labels.is_empty() { "" } else { seen };
    mistake.with_label(&place.source, place.span, seen)
}

/// A path that is written in a file, relative to that file.
pub(crate) fn beside(file: &Path, written: &str) -> PathBuf {
    file.parent().unwrap_or(Path::new("")).join(written)
}
