//! What a file of gunicorn's says, and who executes it.

use std::sync::Arc;

use crate::import::imported_text::ImportedText;
use crate::syntax::{Diagnostic, Place, Source};

/// A setting with its value.
#[derive(Clone, Debug)]
pub struct Said {
    /// Its name, as in a file: `worker_class`.
    pub name: String,
    /// Its value.
    pub value: SaidValue,
    /// Where it was said.
    pub place: Place,
}

/// The value of a setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SaidValue {
    /// Python's `None`.
    Nothing,
    /// True or false.
    Flag(bool),
    /// A text or a number.
    Text(ImportedText),
    /// Several texts.
    List(Vec<ImportedText>),
    /// A function, or another object of Python.
    Code,
    /// What is not known here: why.
    Lost(String),
}

impl SaidValue {
    pub(super) fn text(&self) -> Option<ImportedText> {
        match self {
            Self::Text(text) => Some(text.clone()),
            Self::List(texts) => texts.first().cloned(),
            Self::Nothing | Self::Flag(_) | Self::Code | Self::Lost(_) => None,
        }
    }

    pub(super) fn texts(&self) -> Vec<ImportedText> {
        match self {
            Self::Text(text) => vec![text.clone()],
            Self::List(texts) => texts.clone(),
            Self::Nothing | Self::Flag(_) | Self::Code | Self::Lost(_) => Vec::new(),
        }
    }

    pub(super) fn is_on(&self) -> bool {
        match self {
            Self::Flag(flag) => *flag,
            Self::Text(text) => !matches!(text.literal(), Some("" | "0" | "False" | "false")),
            Self::Nothing | Self::List(_) | Self::Code | Self::Lost(_) => false,
        }
    }
}

/// The settings of a file of gunicorn's; `None` if there is no such file.
pub type GunicornFile = Result<Option<Vec<Said>>, Diagnostic>;

/// Another file; `None` if it is not there.
pub type OtherFile = Result<Option<Arc<Source>>, Diagnostic>;

/// What a text alone does not say.
pub struct Facts<'a> {
    /// Executes a file of gunicorn's and returns its settings; `None` if there is no such file. The path is relative to the
    /// text's folder.
    pub gunicorn: &'a dyn Fn(&str) -> GunicornFile,
    /// Reads a file that the text names, by a path relative to the text's folder.
    pub file: &'a dyn Fn(&str) -> OtherFile,
}
