//! The words of a command line. Each knows where it was written: typed, or in the value of a property.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

use crate::config::Part;
use crate::syntax::Place;

/// Where a word was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// On the command line.
    CommandLine,
    /// On the command line, by the system: the file that is run, whose `#!` line has the words before it.
    Script,
    /// In a file, as a part of a command line that another process is to get: in the `#!` line of a file, or in the name of
    /// a program.
    Place(Place),
    /// In the value of this property.
    Property(Arc<str>),
    /// In the value of this property: the word of its alias, or the element of its list, with this number, counted from 0.
    Element(Arc<str>, usize),
    /// In the value of a property, which is `commands.Routes({…})`.
    Route {
        /// The property.
        property: Arc<str>,
        /// The route's key.
        key: Arc<str>,
        /// The number of its word, counted from 0.
        word: Option<usize>,
    },
}

impl Origin {
    /// The property whose value contains it; `None` for a word of a command line.
    #[must_use]
    pub fn property(&self) -> Option<&str> {
        match self {
            Self::CommandLine | Self::Script | Self::Place(_) => None,
            Self::Property(name) | Self::Element(name, _) | Self::Route { property: name, .. } => {
                Some(name)
            }
        }
    }

    /// The part of the property's value.
    #[must_use]
    pub fn part(&self) -> Option<Part<'_>> {
        match self {
            Self::Element(_, number) => Some(Part::Element(*number)),
            Self::Route { key, word, .. } => Some(Part::Route { key, word: *word }),
            Self::CommandLine | Self::Script | Self::Place(_) | Self::Property(_) => None,
        }
    }
}

/// One word of a command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// The word. Bytes that are not UTF-8 are replaced by U+FFFD, which no name contains.
    pub text: String,
    /// The word with its exact bytes, for files and Python programs.
    pub exact: OsString,
    /// Where it was written.
    pub origin: Origin,
}

/// Words that are still to be resolved, and the names that led to them.
#[derive(Clone, Debug, Default)]
pub struct Line {
    /// The words.
    pub words: Vec<Word>,
    /// The names and files that stand for these words, outermost first. An alias that leads back into this chain would
    /// never end.
    pub chain: Vec<Step>,
    /// The prefixes of the settings that aliases give to the applications of these words, outermost first.
    pub settings: Vec<SettingsPrefix>,
}

/// `settings='shop'` of an alias: where applications have settings of their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingsPrefix {
    /// The prefix, without a dot at its end.
    pub name: Arc<str>,
    /// Where the alias was written.
    pub origin: Origin,
}

/// One step of a chain of aliases.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A name that the settings of a file (or of no file) define.
    Name(String, Option<PathBuf>),
    /// A file.
    File(PathBuf),
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
            ..Self::default()
        }
    }

    /// Takes out the file that the system has added behind other words, which are complete without it.
    pub fn take_script(&mut self) -> Option<Word> {
        let is_script = |word: &Word| word.origin == Origin::Script;
        let place = self.words.iter().position(is_script)?;
        Some(self.words.remove(place))
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
    /// Its name in messages.
    #[must_use]
    pub fn name(&self) -> String {
        match self {
            Self::Name(name, _) => name.clone(),
            Self::File(path) => path.display().to_string(),
        }
    }
}
