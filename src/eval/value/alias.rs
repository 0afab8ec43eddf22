//! What `commands.Alias(…)` gives.

use std::sync::Arc;

/// Words that are put before the arguments of a command.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Alias {
    /// The words, at least one.
    pub words: Vec<String>,
    /// The prefix of the settings that the applications which they name have of their own, without a dot at its end.
    pub settings: Option<Arc<str>>,
}

impl Alias {
    /// Words whose applications have no settings of their own.
    #[must_use]
    pub fn of(words: Vec<String>) -> Arc<Self> {
        Arc::new(Self {
            words,
            settings: None,
        })
    }
}
