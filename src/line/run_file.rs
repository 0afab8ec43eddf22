//! Files that are run: the chain of files that run one another, and the layers that they add to the settings.

use crate::config::{Layer, SUPERVISED};
use crate::eval::Value;
use crate::line::failure::Failure;
use crate::line::scope::{RunFile, Scope};
use crate::line::word::{Line, Step, Word};

/// The command with defaults of its own, named as their origin.
const SUPERVISE: &str = "supervise";

/// How many files may run one another. Each is read over all those before it.
const DEEPEST: usize = 16;

/// Adds a file to the chain of files that run one another.
///
/// # Errors
/// The file is in the chain already, or the chain is too long.
pub fn enter(scope: &Scope, line: &mut Line, word: &Word, file: &RunFile) -> Result<(), Failure> {
    if let Err(chain) = line.enter(step(file)) {
        let message = format!("`{}` runs itself: {chain}", word.text);
        return Err(scope.mistake(&word.origin, message, None));
    }
    let files = line
        .chain
        .iter()
        .filter(|step| matches!(step, Step::File(_)));
    if files.count() > DEEPEST {
        let message = format!("files run one another more than {DEEPEST} deep");
        return Err(scope.mistake(&word.origin, message, None));
    }
    Ok(())
}

/// The file that a word names. Its path stays as it was written, for messages.
#[must_use]
pub fn run_file(scope: &Scope, word: &Word) -> RunFile {
    RunFile {
        written: word.text.clone(),
        exact: word.exact.clone(),
        path: scope.path(word),
    }
}

/// A file as a step of the chain.
fn step(file: &RunFile) -> Step {
    // A file that is missing keeps its name; reading it reports the error.
    let identity = file.path.canonicalize();
    Step::File(identity.unwrap_or_else(|_| file.path.clone()))
}

/// An empty line in the file of a scope.
#[must_use]
pub fn line(scope: &Scope) -> Line {
    Line {
        chain: scope.file.iter().map(step).collect(),
        ..Line::default()
    }
}

/// Adds the settings of a file above all layers but the keys of a file for `supervise`.
///
/// # Errors
/// There is no such file, or it has mistakes.
pub fn read(scope: Scope, word: &Word) -> Result<Scope, Failure> {
    let file = run_file(&scope, word);
    let mut layers = scope.layers.clone();
    let keys = layers.iter().rev();
    let keys = keys.take_while(|layer| matches!(layer, Layer::Keys(_)));
    let below = layers.len() - keys.count();
    layers.insert(below, Layer::File(file.path.clone()));
    scope.with_layers(layers, Some(file))
}

/// Adds the defaults of `supervise` below all layers.
pub fn with_defaults(scope: Scope) -> Result<Scope, Failure> {
    let layers = defaults(scope.layers.clone());
    match layers.len() == scope.layers.len() {
        true => Ok(scope),
        false => {
            let file = scope.file.clone();
            scope.with_layers(layers, file)
        }
    }
}

/// Puts the defaults of `supervise` below some layers, unless they are there already.
#[must_use]
pub fn defaults(mut layers: Vec<Layer>) -> Vec<Layer> {
    let known =
        |layer: &Layer| matches!(layer, Layer::Option { origin, .. } if origin == SUPERVISE);
    if !layers.iter().any(known) {
        let rows = SUPERVISED.iter().map(|(name, seconds)| Layer::Option {
            name: format!("{name}?"),
            value: Value::from(*seconds),
            origin: SUPERVISE.to_owned(),
        });
        layers.splice(0..0, rows);
    }
    layers
}
