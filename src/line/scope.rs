//! The settings in force while a command line is read, and the folders for relative paths and modules.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use crate::config::{Configuration, Layer};
use crate::current_folder;
use crate::eval::Value;
use crate::line::failure::Failure;
use crate::line::usage::{INCOMPLETE, Usage};
use crate::line::word::{Origin, SettingsPrefix, Word};
use crate::syntax::{Diagnostic, quoted};

/// Shown in place of file and line for built-in values.
pub const DEFAULT: &str = "(the default)";

/// What the names of properties begin with that have a meaning of their own.
const TAKEN: &[&str] = &["runner", "peak", "environ", "__main__", "*"];

/// The settings in force, and the file that is run.
#[derive(Clone, Debug)]
pub struct Scope {
    /// The layers, lowest first; the file that is run is one of them.
    pub layers: Vec<Layer>,
    /// All layers together.
    pub configuration: Rc<Configuration>,
    /// The file that is run, if a file is run.
    pub file: Option<RunFile>,
    /// What is planned is to run on another machine: its users, certificates and folders for pid files need not be here.
    pub is_elsewhere: bool,
}

/// The file that is run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunFile {
    /// As the user wrote it.
    pub written: String,
    /// The same with its exact bytes, for Python programs.
    pub exact: OsString,
    /// Its path, which may be relative to the current folder.
    pub path: PathBuf,
}

/// Whether settings can stand below a name: parts with dots between them.
fn is_prefix(name: &str) -> bool {
    let is_part = |part: &str| {
        let is_letter = |letter: char| letter.is_alphanumeric() || matches!(letter, '_' | '-');
        !part.is_empty() && part.chars().all(is_letter)
    };
    name.split('.').all(is_part)
}

/// The folder that a file is in.
fn folder_of(file: &Path) -> &Path {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        Some(_) | None => Path::new("."),
    }
}

impl Scope {
    /// Reads the layers.
    ///
    /// # Errors
    /// Every mistake in them.
    pub fn load(layers: Vec<Layer>, file: Option<RunFile>) -> Result<Self, Failure> {
        let configuration = Rc::new(Configuration::load(&layers)?);
        Ok(Self {
            layers,
            configuration,
            file,
            is_elsewhere: false,
        })
    }

    /// The same with other layers and another file.
    ///
    /// # Errors
    /// Every mistake in them.
    pub fn with_layers(self, layers: Vec<Layer>, file: Option<RunFile>) -> Result<Self, Failure> {
        Ok(Self {
            is_elsewhere: self.is_elsewhere,
            ..Self::load(layers, file)?
        })
    }

    /// The same with the settings that an application has of its own: those below the first prefix come first.
    ///
    /// # Errors
    /// A prefix is not free for settings of applications, there is nothing below it, or there are mistakes in what is.
    pub fn of_application(&self, settings: &[SettingsPrefix]) -> Result<Self, Failure> {
        if settings.is_empty() {
            return Ok(self.clone());
        }
        for SettingsPrefix { name, origin } in settings {
            let (first, _) = name.split_once('.').unwrap_or((name, ""));
            let none = || {
                let shown = quoted(name);
                format!("{shown} is no prefix for the settings of one application")
            };
            let (message, hint) = if TAKEN.contains(&first) {
                (none(), format!("`{first}.*` has a meaning of its own"))
            } else if !is_prefix(name) {
                (none(), "write a name, as in `settings='shop'`".to_owned())
            } else if !self.configuration.has_below(name) {
                let message = format!("nothing is set below `{name}`");
                let hint = format!("set `{name}.workers.min`, for one, or leave out `settings`");
                (message, hint)
            } else {
                continue;
            };
            return Err(self.mistake(origin, message, Some(hint)));
        }
        let prefixes: Vec<_> = settings.iter().map(|one| Arc::clone(&one.name)).collect();
        Ok(Self {
            configuration: Rc::new(self.configuration.of_application(&prefixes)?),
            ..self.clone()
        })
    }

    /// A mistake in a word, reported at the place where the word was written.
    #[must_use]
    pub fn mistake(&self, origin: &Origin, message: String, hint: Option<String>) -> Failure {
        self.diagnose(origin, message, hint).into()
    }

    /// The same as a diagnostic; it has no place if the word was typed.
    #[must_use]
    pub fn diagnose(&self, origin: &Origin, message: String, hint: Option<String>) -> Diagnostic {
        match origin {
            Origin::CommandLine | Origin::Script => {
                Diagnostic::new("command/line", message).with_hint_if(hint)
            }
            Origin::Place(place) => Diagnostic::new("command/line", message)
                .at(&place.source, place.span)
                .with_hint_if(hint),
            Origin::Property(name) => self.configuration.complain(name, message, hint),
            Origin::Element(name, _) | Origin::Route { property: name, .. } => {
                let mistake = match origin.part() {
                    Some(part) => self.configuration.complain_of_part(name, part, message),
                    None => self.configuration.complain(name, message, None),
                };
                mistake.with_hint_if(hint)
            }
        }
    }

    /// The folder for relative paths in a word: that of the file where the word was written, or the current folder.
    #[must_use]
    pub fn folder(&self, origin: &Origin) -> PathBuf {
        let folder = origin
            .property()
            .and_then(|name| self.configuration.folder(name, origin.part()));
        // If the current folder was removed, opening the path fails later and reports it.
        folder
            .or_else(|| current_folder::folder().map(Path::to_owned))
            .unwrap_or_default()
    }

    /// The path that a word names. A typed path stays as it was typed, for messages.
    #[must_use]
    pub fn path(&self, word: &Word) -> PathBuf {
        match word.origin {
            Origin::CommandLine | Origin::Script | Origin::Place(_) => PathBuf::from(&word.exact),
            Origin::Property(_) | Origin::Element(..) | Origin::Route { .. } => {
                // `./` says nothing behind a folder.
                let path = self.folder(&word.origin).join(&word.exact);
                path.components().collect()
            }
        }
    }

    /// The same as an absolute path.
    #[must_use]
    pub fn absolute_path(&self, word: &Word) -> PathBuf {
        current_folder::absolute(&self.path(word))
    }

    /// The folders to search for modules and virtual environments: the folder of the file that is run (and that of the
    /// target, if the file is a symbolic link); and the current folder if no file is run or the name was typed.
    /// Otherwise a user who can write to the current folder could make the file of another user run their code.
    #[must_use]
    pub fn search_path(&self, origin: &Origin) -> Vec<PathBuf> {
        let mut folders: Vec<PathBuf> = Vec::new();
        let file = self.file.as_ref().map(|file| &file.path);
        let beside = file.and_then(|file| folder_of(file).canonicalize().ok());
        let target = file.and_then(|file| file.canonicalize().ok());
        let parents = beside
            .into_iter()
            .chain(target.map(|target| folder_of(&target).to_owned()));
        let is_typed = matches!(origin, Origin::CommandLine | Origin::Place(_));
        let was_asked_for = file.is_none() || is_typed;
        let here = was_asked_for.then(current_folder::folder).flatten();
        // The name of the current folder can mean another folder later.
        let here = here.and_then(|folder| folder.canonicalize().ok());
        for folder in parents.chain(here) {
            if !folders.contains(&folder) {
                folders.push(folder);
            }
        }
        folders
    }

    /// The value of a property; `None` if it is not set or is Python's `None`.
    ///
    /// # Errors
    /// The rule of the property has a mistake.
    pub fn get(&self, name: &str) -> Result<Option<Value>, Failure> {
        Ok(self
            .configuration
            .get(name)?
            .filter(|value| !matches!(value, Value::None)))
    }

    /// Wrong usage in the words of an alias is a mistake in the file that defines the alias: in the word at fault, or
    /// else in the word that names the command, which was written at `command`.
    #[must_use]
    pub fn in_alias(&self, failure: Failure, command: &Origin) -> Failure {
        let Failure::Usage(usage) = failure else {
            return failure;
        };
        let Usage { mistake, at, .. } = *usage;
        let at = at.as_ref().unwrap_or(command);
        let mut placed = self.diagnose(at, mistake.message, mistake.hint);
        placed.code = match mistake.code {
            // The user can type what an alias lacks behind its name.
            INCOMPLETE => INCOMPLETE,
            _ => "type/command",
        };
        placed.into()
    }

    /// The file and the line where something was written, for people.
    #[must_use]
    pub fn place(&self, origin: &Origin) -> String {
        match origin {
            Origin::CommandLine | Origin::Script => "(the command line)".to_owned(),
            Origin::Place(place) => format!("{}:{}", place.source.name, place.line()),
            Origin::Property(name)
            | Origin::Element(name, _)
            | Origin::Route { property: name, .. } => {
                let place = self.configuration.place(name, origin.part());
                place.unwrap_or_else(|| DEFAULT.to_owned())
            }
        }
    }
}
