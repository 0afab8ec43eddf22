//! Tree to rules: the only reading of configuration files.

use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::eval::Value;
use crate::syntax::{Diagnostic, Diagnostics};

/// One layer of configuration.
#[derive(Clone, Debug)]
pub enum Layer {
    /// A file, which must exist.
    File(PathBuf),
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
pub struct Configuration {}

impl Configuration {
    /// Reads the layers, lowest first, over the built-in settings. Everything under `runner.*` is
    /// evaluated and checked here; everything else when it is read.
    ///
    /// # Errors
    /// Every mistake that was found.
    pub fn load(layers: &[Layer]) -> Result<Self, Diagnostics> {
        let _ = layers;
        Ok(Self {})
    }

    /// The value of a property, `None` where no rule gives one.
    ///
    /// # Errors
    /// What went wrong while its rule was evaluated.
    pub fn get(&self, name: &str) -> Result<Option<Value>, Diagnostic> {
        let _ = name;
        Ok(None)
    }

    /// The names of all properties below a prefix that have a rule of their own, sorted.
    #[must_use]
    pub fn names(&self, prefix: &str) -> Vec<String> {
        let _ = prefix;
        Vec::new()
    }

    /// A mistake about a property's value, at the place where its rule stands.
    #[must_use]
    pub fn complain(&self, name: &str, message: String, hint: Option<String>) -> Diagnostic {
        let _ = (name, hint);
        Diagnostic { message }
    }

    /// Where the rule of a property stands: `app.ini:3`. `None` for built-in rules, the environment and
    /// command-line options.
    #[must_use]
    pub fn place(&self, name: &str) -> Option<String> {
        let _ = name;
        None
    }

    /// The folder of the file in which a property's rule stands: what a relative path in its value is
    /// relative to. `None` for built-in rules, the environment and command-line options.
    #[must_use]
    pub fn folder(&self, name: &str) -> Option<&Path> {
        let _ = name;
        None
    }

    /// A setting of the `SETTINGS` table that is a whole number.
    #[must_use]
    pub fn integer(&self, name: &'static str) -> u64 {
        let _ = name;
        0
    }

    /// A setting that is a truth value.
    #[must_use]
    pub fn boolean(&self, name: &'static str) -> bool {
        let _ = name;
        false
    }

    /// A setting that is a duration.
    #[must_use]
    pub fn duration(&self, name: &'static str) -> Duration {
        let _ = name;
        Duration::ZERO
    }

    /// A setting that is a path, made absolute; `None` where it is not set.
    #[must_use]
    pub fn path(&self, name: &'static str) -> Option<PathBuf> {
        let _ = name;
        None
    }
}
