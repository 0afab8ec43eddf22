//! The configuration in force: the layers over the built-in settings.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::checks::checked_value::AUTO;
use super::checks::contradictions;
use super::checks::unread::unread;
use super::checks::validate;
use super::files::file_format::{FileFormat, format_of};
use super::files::load::{Inclusion, Loader};
use super::files::{ini_file, key_file};
use super::keys::KEYS;
use super::prefixes::SettingsPrefixes;
use super::rule::{Part, Rule, RuleBody, RuleOrigin};
use super::rules::Rules;
use super::setting::{BooleanOrText, Checked};
use crate::current_folder;
use crate::eval::{Budget, Home, Properties, Value};
use crate::syntax::{Diagnostic, Diagnostics, Fragment, Place, Source, expression};

/// One layer of configuration. Its file must exist.
#[derive(Clone, Debug)]
pub enum Layer {
    /// The user's own file.
    Own(PathBuf),
    /// A file that the environment names.
    Listed(PathBuf),
    /// A file that an option names (`-c`).
    Named(PathBuf),
    /// The file that is run.
    File(PathBuf),
    /// The file for `supervise` that is run.
    Keys(PathBuf),
    /// A property that a command-line option sets.
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
    pub(super) rules: Arc<Rules>,
    /// Where settings are looked for before `runner.*`.
    prefixes: SettingsPrefixes,
    /// The values of the settings under `runner.`.
    pub(super) settings: HashMap<&'static str, Checked>,
    pub(super) warnings: Vec<Diagnostic>,
    pub(super) at_start: Vec<Diagnostic>,
    /// `[Component Factories]`, which only `check` evaluates.
    pub(super) factories: Vec<Rule>,
}

impl Configuration {
    /// Reads the layers, lowest first, over the built-in settings. The settings under `runner.` are evaluated and
    /// checked here, every other property when it is first asked for.
    ///
    /// # Errors
    /// Every mistake that was found.
    pub fn load(layers: &[Layer]) -> Result<Self, Diagnostics> {
        let (configuration, mut mistakes) = Self::read(layers, false);
        if mistakes.is_empty() {
            return Ok(configuration);
        }
        validate::sort_by_place(&mut mistakes);
        Err(Diagnostics(mistakes))
    }

    /// Reads the layers, and gives all mistakes in them; if `thorough`, also those in what may never be evaluated.
    pub(super) fn read(layers: &[Layer], thorough: bool) -> (Self, Vec<Diagnostic>) {
        let environment = std::env::vars_os().map(|(name, value)| {
            let text = |part: std::ffi::OsString| part.to_string_lossy().into_owned();
            (text(name), text(value))
        });
        let mut loader = Loader::new(Rules::new(environment.collect()), thorough);
        for (number, layer) in layers.iter().enumerate() {
            loader.layer = number;
            match layer {
                Layer::Own(path) | Layer::Listed(path) | Layer::Named(path) | Layer::File(path) => {
                    ini_file::read(&mut loader, path, &Inclusion::default());
                }
                Layer::Keys(path) => key_file::read(&mut loader, path),
                Layer::Option {
                    name,
                    value,
                    origin,
                } => {
                    let body = RuleBody::Value(value.clone());
                    let origin = RuleOrigin::Option(origin.clone());
                    loader.insert(Rule::new(name, body, origin, number));
                }
            }
        }
        let mut mistakes = loader.mistakes;
        let mut at_start = unread(&loader.rules, &loader.foreign);
        let settings = validate::settings(&loader.rules, &mut mistakes);
        at_start.extend(contradictions::doubts(&loader.rules, &settings));
        validate::sort_by_place(&mut at_start);
        let configuration = Self {
            rules: Arc::new(loader.rules),
            prefixes: SettingsPrefixes::default(),
            settings,
            warnings: loader.warnings,
            at_start,
            factories: loader.factories,
        };
        (configuration, mistakes)
    }

    /// The settings as an application has them: those below each prefix, which has no dot at its end, come before those
    /// of `self`; below the first prefix before those below the second.
    ///
    /// # Errors
    /// Every mistake below the prefixes.
    pub fn of_application(&self, prefixes: &[Arc<str>]) -> Result<Self, Diagnostics> {
        let prefixes = SettingsPrefixes([prefixes, &self.prefixes.0].concat());
        let mut mistakes = Vec::new();
        let base = &self.settings;
        let settings = validate::of_application(&self.rules, &prefixes, base, &mut mistakes);
        if !mistakes.is_empty() {
            validate::sort_by_place(&mut mistakes);
            return Err(Diagnostics(mistakes));
        }
        Ok(Self {
            rules: Arc::clone(&self.rules),
            prefixes,
            settings,
            warnings: Vec::new(),
            at_start: Vec::new(),
            factories: Vec::new(),
        })
    }

    /// Whether there is a setting below a prefix.
    #[must_use]
    pub fn has_below(&self, prefix: &str) -> bool {
        let all = self.rules.all().chain(self.rules.all_on_demand());
        let below = |name: &str| {
            let rest = name.strip_prefix(prefix);
            rest.is_some_and(|rest| rest.starts_with('.'))
        };
        all.map(|rule| &*rule.name).any(below)
    }

    /// The value of a property; `None` if no rule gives one.
    ///
    /// # Errors
    /// Its rule cannot be evaluated.
    pub fn get(&self, name: &str) -> Result<Option<Value>, Diagnostic> {
        self.rules.get(&self.source(name))
    }

    /// The property that gives a setting its value here.
    fn source<'a>(&self, name: &'a str) -> Cow<'a, str> {
        self.prefixes.source(&self.rules, name)
    }

    /// The value of an expression that is in no file: paths in it are relative to the current directory.
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
            folder: current_folder::folder().map(Path::to_owned),
            file_name: String::new(),
            shortcuts: HashMap::new(),
        });
        crate::eval::evaluate(&*self.rules, &home, None, &parsed, &mut Budget::default())
    }

    /// Whether a setting has an invalid value.
    #[must_use]
    pub fn is_wrong(&self, setting: &str) -> bool {
        let is_set = !matches!(self.get(setting), Ok(None | Some(Value::None)));
        is_set && !self.settings.contains_key(setting)
    }

    /// Whether a property has a rule of its own or a default.
    #[must_use]
    pub fn is_named(&self, name: &str) -> bool {
        self.rules.rule(name).is_some() || self.rules.rule(&format!("{name}?")).is_some()
    }

    /// Whether a wrong name may be compared with all others, to suggest one. Such comparisons are limited in number.
    #[must_use]
    pub fn may_suggest(&self) -> bool {
        self.rules.may_suggest()
    }

    /// The names of all properties below a prefix that have rules of their own, sorted.
    #[must_use]
    pub fn names(&self, prefix: &str) -> Vec<String> {
        self.rules.names(prefix)
    }

    /// Warnings that were found while the layers were read.
    #[must_use]
    pub fn warnings(&self) -> &[Diagnostic] {
        &self.warnings
    }

    /// Warnings that a server shows when it starts, too: about names that nothing reads and that are nearly names that
    /// something reads, and settings that contradict each other.
    #[must_use]
    pub fn warnings_at_start(&self) -> &[Diagnostic] {
        &self.at_start
    }

    /// An error about a property's value, at the place of its rule.
    #[must_use]
    pub fn complain(&self, name: &str, message: String, hint: Option<String>) -> Diagnostic {
        let mistake = Diagnostic::new("setting/value", message).with_hint_if(hint);
        self.rules.label(mistake, &self.source(name))
    }

    /// An error in an element of a property's value, counted from 0: at that element, if its place is known, or else at the
    /// place of the rule.
    #[must_use]
    pub fn complain_of_element(&self, name: &str, number: usize, message: String) -> Diagnostic {
        self.complain_of_part(name, Part::Element(number), message)
    }

    /// An error in a part of a property's value: there, if its place is known, or else at the place of the rule.
    #[must_use]
    pub fn complain_of_part(&self, name: &str, part: Part<'_>, message: String) -> Diagnostic {
        let mut mistake = self.complain(name, message, None);
        let rule = self.rules.origin(&self.source(name));
        let written = rule.and_then(|rule| rule.part(part));
        if let (Some(place), Some(label)) = (
            written.and_then(|it| it.place()),
            mistake.labels.first_mut(),
        ) {
            label.place = place;
        }
        mistake
    }

    /// How many times a route is written in a property's value. Only the last one counts.
    #[must_use]
    pub fn times_of_route(&self, name: &str, key: &str) -> usize {
        let rule = self.rules.origin(name);
        rule.map_or(0, |rule| rule.times_of_route(key))
    }

    /// Where the rule of a property was written, or a part of its value.
    fn origin(&self, name: &str, part: Option<Part<'_>>) -> Option<RuleOrigin> {
        let rule = self.rules.origin(&self.source(name))?;
        let part = part.and_then(|part| rule.part(part));
        Some(part.unwrap_or_else(|| rule.origin.clone()))
    }

    /// The place of a property's rule, or of a part of its value: `app.ini:3`. `None` for built-in rules, the environment and
    /// command-line options.
    #[must_use]
    pub fn place(&self, name: &str, part: Option<Part<'_>>) -> Option<String> {
        let place = self.origin(name, part)?.place()?;
        Some(format!("{}:{}", place.source.name, place.line()))
    }

    /// Keys that the application whose settings these are does not obey: warnings.
    #[must_use]
    pub fn keys_without_effect(&self) -> Vec<Diagnostic> {
        contradictions::keys_without_effect(&self.rules, &self.prefixes)
    }

    /// The name by which a property is set: that of a key, if a file for `supervise` sets it, one with the prefix of an
    /// application, or else its own.
    #[must_use]
    pub fn written_name<'a>(&self, name: &'a str) -> Cow<'a, str> {
        let source = self.source(name);
        let rule = self.rules.origin(&source);
        let place = rule.and_then(|rule| rule.origin.place());
        let of_keys = |place: Place| format_of(&place.source) == Some(FileFormat::Keys);
        let by_key = place.is_some_and(of_keys);
        let key = KEYS.iter().find(|key| by_key && key.setting == source);
        key.map_or(source, |key| Cow::Borrowed(key.name))
    }

    /// The folder of the file with a property's rule, or with a part of its value: relative paths in it start there. `None`
    /// for built-in rules, the environment and command-line options.
    #[must_use]
    pub fn folder(&self, name: &str, part: Option<Part<'_>>) -> Option<PathBuf> {
        match self.origin(name, part)? {
            RuleOrigin::File(home, _) => home.folder.clone(),
            RuleOrigin::Option(_) => None,
        }
    }

    /// The value of a setting under `runner.`, as `take` converts it; `None` if it is not set.
    fn setting<'a, T>(
        &'a self,
        name: &'static str,
        take: impl FnOnce(&'a Checked) -> Option<T>,
    ) -> Option<T> {
        let found = self.settings.get(name)?;
        Some(take(found).unwrap_or_else(|| wrong_accessor(name, Some(found))))
    }

    /// A setting that is a whole number, or a size in bytes.
    #[must_use]
    pub fn integer(&self, name: &'static str) -> u64 {
        self.optional_integer(name)
            .unwrap_or_else(|| wrong_accessor(name, None))
    }

    /// A setting that is a whole number, or a size in bytes; `None` if it is not set.
    #[must_use]
    pub fn optional_integer(&self, name: &'static str) -> Option<u64> {
        self.setting(name, |value| match value {
            Checked::Integer(number) => Some(*number),
            _ => None,
        })
    }

    /// A setting that is a truth value; `False` if it is not set.
    #[must_use]
    pub fn boolean(&self, name: &'static str) -> bool {
        self.optional_boolean(name).unwrap_or_default()
    }

    /// A setting that is a truth value; `None` if it is not set, or `'auto'`.
    #[must_use]
    pub fn optional_boolean(&self, name: &'static str) -> Option<bool> {
        self.setting(name, |value| match value {
            Checked::Boolean(truth) => Some(Some(*truth)),
            Checked::Text(text) if text == AUTO => Some(None),
            _ => None,
        })?
    }

    /// A setting that is a truth value or one of some strings; `None` if it is not set.
    #[must_use]
    pub fn boolean_or_text(&self, name: &'static str) -> Option<BooleanOrText> {
        self.setting(name, |value| match value {
            Checked::Boolean(truth) => Some(BooleanOrText::Boolean(*truth)),
            Checked::Text(text) => Some(BooleanOrText::Text(text.clone())),
            _ => None,
        })
    }

    /// A setting that is a duration.
    #[must_use]
    pub fn duration(&self, name: &'static str) -> Duration {
        let duration = self.optional_duration(name);
        duration.unwrap_or_else(|| wrong_accessor(name, None))
    }

    /// A setting that is a duration; `None` if it is not set.
    #[must_use]
    pub fn optional_duration(&self, name: &'static str) -> Option<Duration> {
        self.setting(name, |value| match value {
            Checked::Duration(duration) => Some(*duration),
            _ => None,
        })
    }

    /// A setting that is a string; `None` if it is not set.
    #[must_use]
    pub fn text(&self, name: &'static str) -> Option<String> {
        self.setting(name, |value| match value {
            Checked::Text(text) => Some(text.clone()),
            _ => None,
        })
    }

    /// A setting that is a list of strings; empty if it is not set.
    #[must_use]
    pub fn texts(&self, name: &'static str) -> Vec<String> {
        self.optional_texts(name).unwrap_or_default()
    }

    /// A setting that is a list of strings, of networks with the lengths of their prefixes (`10.0.0.0/8`), or of choices;
    /// `None` if it is not set.
    #[must_use]
    pub fn optional_texts(&self, name: &'static str) -> Option<Vec<String>> {
        self.setting(name, |value| match value {
            Checked::Texts(texts) => Some(texts.clone()),
            _ => None,
        })
    }

    /// A setting that is a dict of environment variables: names, and values or `None` for those that are removed. Empty if it
    /// is not set.
    #[must_use]
    pub fn variables(&self, name: &'static str) -> Vec<(String, Option<String>)> {
        let variables = self.setting(name, |value| match value {
            Checked::Variables(variables) => Some(variables.clone()),
            _ => None,
        });
        variables.unwrap_or_default()
    }

    /// A setting that is a dict of folders, made absolute; empty if it is not set.
    #[must_use]
    pub fn folders(&self, name: &'static str) -> Vec<(String, PathBuf)> {
        let folders = self.setting(name, |value| match value {
            Checked::Folders(folders) => Some(&folders[..]),
            _ => None,
        });
        let beside = self.folder(name, None).unwrap_or_default();
        let folders = folders.unwrap_or_default().iter();
        let absolute = |path| current_folder::absolute(&beside.join::<&PathBuf>(path));
        folders
            .map(|(prefix, path)| (prefix.clone(), absolute(path)))
            .collect()
    }

    /// A setting that is a list of paths, made absolute; empty if it is not set.
    #[must_use]
    pub fn paths(&self, name: &'static str) -> Vec<PathBuf> {
        let texts = self.texts(name).into_iter().enumerate();
        let path = |(number, text)| {
            let folder = self
                .folder(name, Some(Part::Element(number)))
                .unwrap_or_default();
            current_folder::absolute(&folder.join::<String>(text))
        };
        texts.map(path).collect()
    }

    /// A setting that is a path, made absolute; `None` if it is not set.
    #[must_use]
    pub fn path(&self, name: &'static str) -> Option<PathBuf> {
        let path = self.setting(name, |value| match value {
            Checked::Path(path) => Some(path.as_path()),
            // The name of a program that has a `/` is a path.
            Checked::Text(text) => Some(Path::new(text)),
            _ => None,
        })?;
        let folder = self.folder(name, None).unwrap_or_default();
        Some(current_folder::absolute(&folder.join(path)))
    }
}

/// A setting is read by an accessor for another type: a bug, which the test of all settings finds.
fn wrong_accessor(name: &str, found: Option<&Checked>) -> ! {
    panic!("setting {name} is read as what it is not: {found:?}")
}
