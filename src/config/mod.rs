//! Tree to rules: the only reading of configuration files.
//!
//! Rules are read at once and all their mistakes with them; their values are computed when they are
//! first asked for, except those of the settings in [`SETTINGS`] under `runner.`, which are checked before
//! anything is run.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::eval::{Budget, Home, Properties, Value, evaluate};
use crate::here;
use crate::syntax::ini_lines::decode;
use crate::syntax::{Diagnostic, Diagnostics, Fragment, Place, Source, expression};

pub use crate::config::files::load::SHORT;
pub use crate::config::files::read_bounded::LARGEST;
pub use crate::config::files::section::{SPECIAL, Special};
pub use crate::config::validate::sort as sort_by_place;
pub use inspect::Inspection;
pub use keys::{COMMAND, Format, KEYS, Key, PID_FILE, SUPERVISED};
pub use listing::{Gives, Listed, Whence};
pub use setting::{Checked, Default, Kind, Setting};
pub use settings::SETTINGS;

use crate::config::files::load::{Inclusion, Loader};
use rules::{Body, Origin, Rule, Rules};

mod allowance;
mod files;
mod inspect;
mod keys;
mod listing;
mod name;
mod rules;
mod setting;
mod settings;
mod validate;

/// The text of a configuration file, as it is.
///
/// # Errors
/// It cannot be read, is too large, or is no text.
pub fn source(path: &Path) -> Result<Arc<Source>, Diagnostic> {
    let shown = path.display().to_string();
    decode(&shown, files::read_bounded::read_bounded(path, &shown)?)
}

/// How a file seems to be meant; `None` if it does not say so, or cannot be read, which is said where it is. What can
/// be read only once, a pipe, is left alone.
#[must_use]
pub fn format(path: &Path) -> Option<Format> {
    let is_file = path.metadata().is_ok_and(|found| found.is_file());
    is_file.then(|| format_of(&source(path).ok()?)).flatten()
}

/// The same of a file's text.
#[must_use]
pub fn format_of(source: &Arc<Source>) -> Option<Format> {
    keys::format(source)
}

/// One layer of configuration. A file must exist.
#[derive(Clone, Debug)]
pub enum Layer {
    /// The user's own file.
    Own(PathBuf),
    /// A file that the environment names.
    Listed(PathBuf),
    /// A file that is named beside the one that is run.
    Named(PathBuf),
    /// The file that is run.
    File(PathBuf),
    /// The file for `supervise` that is run.
    Keys(PathBuf),
    /// A property given by a command-line option.
    Option {
        /// The property's full name.
        name: String,
        /// Its value.
        value: Value,
        /// The option as it was typed, for messages (`--port`).
        origin: String,
    },
}

/// The rules in force: all layers over the built-in settings.
#[derive(Debug)]
pub struct Configuration {
    rules: Rules,
    settings: HashMap<&'static str, Checked>,
    warnings: Vec<Diagnostic>,
    /// `[Component Factories]`: kept, and evaluated by nobody but a check.
    factories: Vec<Rule>,
}

impl Configuration {
    /// Reads the layers, lowest first, over the built-in settings. Everything under `runner.*` is
    /// evaluated and checked here; everything else when it is read.
    ///
    /// # Errors
    /// Every mistake that was found.
    pub fn load(layers: &[Layer]) -> Result<Self, Diagnostics> {
        let (configuration, mut mistakes) = Self::read(layers, false);
        if mistakes.is_empty() {
            return Ok(configuration);
        }
        validate::sort(&mut mistakes);
        Err(Diagnostics(mistakes))
    }

    /// Reads the layers, with all mistakes in them; also in what may never be evaluated, if that is wanted.
    fn read(layers: &[Layer], thorough: bool) -> (Self, Vec<Diagnostic>) {
        let environment = std::env::vars_os().map(|(name, value)| {
            let text = |part: std::ffi::OsString| part.to_string_lossy().into_owned();
            (text(name), text(value))
        });
        let mut loader = Loader::new(Rules::new(environment.collect()));
        loader.thorough = thorough;
        for (number, layer) in layers.iter().enumerate() {
            loader.layer = number;
            match layer {
                Layer::Own(path) | Layer::Listed(path) | Layer::Named(path) | Layer::File(path) => {
                    loader.file(
                        path,
                        &Inclusion {
                            prefix: String::new(),
                            place: None,
                            home: None,
                        },
                    );
                }
                Layer::Keys(path) => loader.keys(path),
                Layer::Option {
                    name,
                    value,
                    origin,
                } => loader.insert(
                    name,
                    Body::Value(value.clone()),
                    Origin::Option(origin.clone()),
                ),
            }
        }
        let mut mistakes = loader.mistakes;
        let settings = validate::settings(&loader.rules, &mut mistakes);
        let configuration = Self {
            rules: loader.rules,
            settings,
            warnings: loader.warnings,
            factories: loader.factories,
        };
        (configuration, mistakes)
    }

    /// The value of a property, `None` where no rule gives one.
    ///
    /// # Errors
    /// What went wrong while its rule was evaluated.
    pub fn get(&self, name: &str) -> Result<Option<Value>, Diagnostic> {
        self.rules.get(name)
    }

    /// The value of an expression that stands in no file: paths in it are relative to the current directory.
    ///
    /// # Errors
    /// The first mistake in it.
    pub fn evaluate(&self, text: &str) -> Result<Value, Diagnostic> {
        let source = Arc::new(Source {
            name: "the expression".to_owned(),
            text: text.to_owned(),
        });
        let parsed = expression::parse(&source, &Fragment::new(text, 0))?;
        let home = Arc::new(Home {
            source,
            folder: here::folder().map(Path::to_owned),
            file_name: String::new(),
            shortcuts: HashMap::new(),
        });
        evaluate(&self.rules, &home, None, &parsed, &mut Budget::default())
    }

    /// Whether a property has a rule of its own, or a default.
    #[must_use]
    pub fn is_named(&self, name: &str) -> bool {
        self.rules.rule(name).is_some() || self.rules.rule(&format!("{name}?")).is_some()
    }

    /// Whether a wrong name may be compared with all others: not if that was done very often.
    #[must_use]
    pub fn may_suggest(&self) -> bool {
        self.rules.may_suggest()
    }

    /// The names of all properties below a prefix that have a rule of their own, sorted.
    #[must_use]
    pub fn names(&self, prefix: &str) -> Vec<String> {
        self.rules.names(prefix)
    }

    /// What is worth a word without being a mistake.
    #[must_use]
    pub fn warnings(&self) -> &[Diagnostic] {
        &self.warnings
    }

    /// A mistake about a property's value, at the place where its rule stands.
    #[must_use]
    pub fn complain(&self, name: &str, message: String, hint: Option<String>) -> Diagnostic {
        validate::complaint(&self.rules, name, "setting/value", message).with_hint_if(hint)
    }

    /// A mistake in a word of the alias that is a property's value, counted from 0: at that word, if the rule says
    /// `commands.Alias` itself, or else where the rule stands.
    #[must_use]
    pub fn complain_of_word(&self, name: &str, word: usize, message: String) -> Diagnostic {
        let mut mistake = self.complain(name, message, None);
        let rule = self.rules.origin(name);
        let written = rule.and_then(|rule| rule.word(word));
        if let (Some(span), Some(label)) = (written, mistake.labels.first_mut()) {
            label.place.span = span;
        }
        mistake
    }

    /// Where the rule of a property stands: `app.ini:3`. `None` for built-in rules, the environment and
    /// command-line options.
    #[must_use]
    pub fn place(&self, name: &str) -> Option<String> {
        let rule = self.rules.origin(name)?;
        let Origin::File(home, span) = &rule.origin else {
            return None;
        };
        let place = Place {
            source: home.source.clone(),
            span: *span,
        };
        Some(format!("{}:{}", place.source.name, place.line()))
    }

    /// The folder of the file in which a property's rule stands: what a relative path in its value is
    /// relative to. `None` for built-in rules, the environment and command-line options.
    #[must_use]
    pub fn folder(&self, name: &str) -> Option<&Path> {
        match &self.rules.origin(name)?.origin {
            Origin::File(home, _) => home.folder.as_deref(),
            Origin::Option(_) => None,
        }
    }

    /// A setting of the `SETTINGS` table that is a whole number or a size in bytes.
    #[must_use]
    pub fn integer(&self, name: &'static str) -> u64 {
        match self.settings.get(name) {
            Some(Checked::Integer(number)) => *number,
            other => wrong_accessor(name, other),
        }
    }

    /// A setting that is a truth value; `False` where it is not set.
    #[must_use]
    pub fn boolean(&self, name: &'static str) -> bool {
        self.optional_boolean(name).unwrap_or_default()
    }

    /// A setting that is a truth value; `None` where it is not set.
    #[must_use]
    pub fn optional_boolean(&self, name: &'static str) -> Option<bool> {
        match self.settings.get(name) {
            Some(Checked::Boolean(truth)) => Some(*truth),
            None => None,
            other => wrong_accessor(name, other),
        }
    }

    /// A setting that is a truth value, or `'auto'`: `None`.
    #[must_use]
    pub fn automatic(&self, name: &'static str) -> Option<bool> {
        match self.settings.get(name) {
            Some(Checked::Boolean(truth)) => Some(*truth),
            Some(Checked::Text(text)) if text == setting::AUTO => None,
            other => wrong_accessor(name, other),
        }
    }

    /// A setting that is a duration.
    #[must_use]
    pub fn duration(&self, name: &'static str) -> Duration {
        match self.settings.get(name) {
            Some(Checked::Duration(duration)) => *duration,
            other => wrong_accessor(name, other),
        }
    }

    /// A setting that is a whole number; `None` where it is not set.
    #[must_use]
    pub fn optional_integer(&self, name: &'static str) -> Option<u64> {
        self.settings.get(name).map(|_| self.integer(name))
    }

    /// A setting that is a size, in bytes.
    #[must_use]
    pub fn size(&self, name: &'static str) -> u64 {
        self.integer(name)
    }

    /// A setting that is a size, in bytes; `None` where it is not set.
    #[must_use]
    pub fn optional_size(&self, name: &'static str) -> Option<u64> {
        match self.settings.get(name) {
            Some(Checked::Integer(number)) => Some(*number),
            None => None,
            other => wrong_accessor(name, other),
        }
    }

    /// A setting that is a string; `None` where it is not set.
    #[must_use]
    pub fn text(&self, name: &'static str) -> Option<String> {
        match self.settings.get(name) {
            Some(Checked::Text(text)) => Some(text.clone()),
            None => None,
            other => wrong_accessor(name, other),
        }
    }

    /// A setting that is a list of strings; empty where it is not set.
    #[must_use]
    pub fn texts(&self, name: &'static str) -> Vec<String> {
        match self.settings.get(name) {
            Some(Checked::Texts(texts)) => texts.clone(),
            None => Vec::new(),
            other => wrong_accessor(name, other),
        }
    }

    /// A setting that is a path, made absolute; `None` where it is not set.
    #[must_use]
    pub fn path(&self, name: &'static str) -> Option<PathBuf> {
        let path = match self.settings.get(name) {
            Some(Checked::Path(path)) => path.as_path(),
            // The name of a program that has a `/` is a path.
            Some(Checked::Text(text)) => Path::new(text),
            None => return None,
            other => wrong_accessor(name, other),
        };
        let folder = self.folder(name).unwrap_or(Path::new(""));
        Some(here::absolute(&folder.join(path)))
    }
}

/// A setting that has no such accessor: our own mistake, which the test of all settings would show.
fn wrong_accessor(name: &str, found: Option<&Checked>) -> ! {
    panic!("setting {name} is read as what it is not: {found:?}")
}
