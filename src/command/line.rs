//! A command line while it is taken apart: words that know where they were written, and the settings
//! in whose light they are read.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use crate::command::failure::Failure;
use crate::config::{Configuration, Layer};
use crate::eval::Value;
use crate::here;
use crate::syntax::Diagnostic;

/// Where a word was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// On the command line.
    CommandLine,
    /// In the value of this property.
    Property(Arc<str>),
    /// In the alias that is the value of this property, its word with this number, counted from 0.
    Alias(Arc<str>, usize),
}

impl Origin {
    /// The property in whose value it was written; `None` for what was typed.
    #[must_use]
    pub fn property(&self) -> Option<&str> {
        match self {
            Self::CommandLine => None,
            Self::Property(name) | Self::Alias(name, _) => Some(name),
        }
    }
}

/// One word of a command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// The word. What is not UTF-8 in it is shown as U+FFFD, which no name has.
    pub text: String,
    /// The word with its own bytes, for files and Python programs.
    pub exact: OsString,
    /// Where it was written.
    pub origin: Origin,
}

/// The words that are not taken apart yet, and how we came to them.
#[derive(Clone, Debug, Default)]
pub struct Line {
    /// The words.
    pub words: Vec<Word>,
    /// The names and files that stand for these words, outermost first. An alias that leads back into
    /// this chain would never end.
    pub chain: Vec<Step>,
}

/// One step of a chain of aliases.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A name, as defined in the settings of a file (or of no file).
    Name(String, Option<PathBuf>),
    /// A file.
    File(PathBuf),
}

/// The settings that are in force, and which file brought the last of them.
#[derive(Clone, Debug)]
pub struct Scope {
    /// The layers, lowest first, with the file.
    pub layers: Vec<Layer>,
    /// All of them together.
    pub configuration: Rc<Configuration>,
    /// The file that is run, if it is one.
    pub file: Option<RunFile>,
}

/// The file that is run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunFile {
    /// As the user wrote it.
    pub written: String,
    /// The same with its own bytes, as Python programs see it.
    pub exact: OsString,
    /// Its path, perhaps relative to the current folder.
    pub path: PathBuf,
}

/// The folder that a file is in.
fn folder_of(file: &Path) -> &Path {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        Some(_) | None => Path::new("."),
    }
}

impl Line {
    /// The words of a command line.
    #[must_use]
    pub fn typed(words: Vec<OsString>) -> Self {
        let words = words.into_iter().map(|exact| Word {
            text: exact.to_string_lossy().into_owned(),
            exact,
            origin: Origin::CommandLine,
        });
        Self {
            words: words.collect(),
            chain: Vec::new(),
        }
    }

    /// Adds a step to the chain.
    ///
    /// # Errors
    /// The chain as a text, if it is there already.
    pub fn enter(&mut self, step: Step) -> Result<(), String> {
        let known = self.chain.iter().position(|known| *known == step);
        self.chain.push(step);
        match known {
            Some(start) => Err(self.chain[start..]
                .iter()
                .map(|step| format!("`{}`", step.name()))
                .collect::<Vec<_>>()
                .join(" → ")),
            None => Ok(()),
        }
    }
}

impl Step {
    /// As it is shown.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Name(name, _) => name.clone(),
            Self::File(path) => path.display().to_string(),
        }
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
        })
    }

    /// A mistake in a word: at the place where the word was written.
    #[must_use]
    pub fn mistake(&self, origin: &Origin, message: String, hint: Option<String>) -> Failure {
        self.diagnose(origin, message, hint).into()
    }

    /// The same, which has no place if the word was typed.
    #[must_use]
    pub fn diagnose(&self, origin: &Origin, message: String, hint: Option<String>) -> Diagnostic {
        match origin {
            Origin::CommandLine => Diagnostic::new("command/line", message).with_hint_if(hint),
            Origin::Property(name) => self.configuration.complain(name, message, hint),
            Origin::Alias(name, word) => {
                let mistake = self.configuration.complain_of_word(name, *word, message);
                mistake.with_hint_if(hint)
            }
        }
    }

    /// The folder to which a relative path is relative: that of the file in which it was written, or the
    /// current one.
    #[must_use]
    pub fn folder(&self, origin: &Origin) -> PathBuf {
        let folder = origin
            .property()
            .and_then(|name| self.configuration.folder(name));
        // A current directory that was removed: relative paths cannot be opened then, which is said where
        // that is tried.
        folder
            .map(Path::to_owned)
            .or_else(|| here::folder().map(Path::to_owned))
            .unwrap_or_default()
    }

    /// The file that a word names. One that was typed is shown in messages as it was typed.
    #[must_use]
    pub fn path(&self, word: &Word) -> PathBuf {
        match word.origin {
            Origin::CommandLine => PathBuf::from(&word.exact),
            Origin::Property(_) | Origin::Alias(..) => self.folder(&word.origin).join(&word.exact),
        }
    }

    /// The folders where the modules of an object, whose name was written somewhere, and virtual environments are looked
    /// for: that of the file that is run (and that of the file it is a symbolic link to); and the current one where no
    /// file is run, or the object was typed. Otherwise whoever can write to the folder that a file of another one is
    /// started in could have anything run.
    #[must_use]
    pub fn search_path(&self, origin: &Origin) -> Vec<PathBuf> {
        let mut folders: Vec<PathBuf> = Vec::new();
        let file = self.file.as_ref().map(|file| &file.path);
        let beside = file.and_then(|file| folder_of(file).canonicalize().ok());
        let target = file.and_then(|file| file.canonicalize().ok());
        let parents = beside
            .into_iter()
            .chain(target.map(|target| folder_of(&target).to_owned()));
        let was_asked_for = file.is_none() || *origin == Origin::CommandLine;
        let here = was_asked_for.then(here::folder).flatten();
        // Its name may mean another folder later on.
        let here = here.and_then(|folder| folder.canonicalize().ok());
        for folder in parents.chain(here) {
            if !folders.contains(&folder) {
                folders.push(folder);
            }
        }
        folders
    }

    /// The value of a property, `None` for Python's `None` too.
    ///
    /// # Errors
    /// What is wrong with its rule.
    pub fn get(&self, name: &str) -> Result<Option<Value>, Failure> {
        Ok(self
            .configuration
            .get(name)?
            .filter(|value| !matches!(value, Value::None)))
    }
}
