//! Files that are run: the chain of those that run one another, and the layers that they add to the settings.

use crate::config::{Layer, SUPERVISED};
use crate::eval::Value;
use crate::line::failure::Failure;
use crate::line::scope::{RunFile, Scope};
use crate::line::word::{Line, Step, Word};

/// The command that has defaults of its own, as the place where they come from.
const SUPERVISE: &str = "supervise";

/// How many files may run one another: each is read over all those before it.
const DEEPEST: usize = 16;

/// Adds a file to the chain of those that run one another.
///
/// # Errors
/// It is there already, or there are too many.
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

/// The file that a word names, its path as it was written where that is possible: so it is shown in messages.
#[must_use]
pub fn run_file(scope: &Scope, word: &Word) -> RunFile {
    RunFile {
        written: word.text.clone(),
        exact: word.exact.clone(),
        path: scope.path(word),
    }
}

/// A file as a step of a chain.
fn step(file: &RunFile) -> Step {
    // What cannot be found has no other name; reading it will say what is wrong.
    let identity = file.path.canonicalize();
    Step::File(identity.unwrap_or_else(|_| file.path.clone()))
}

/// No words yet, behind the file of a scope.
#[must_use]
pub fn line(scope: &Scope) -> Line {
    Line {
        chain: scope.file.iter().map(step).collect(),
        ..Line::default()
    }
}

/// The settings of a file over those that are in force, but for the keys of a file for `supervise`.
///
/// # Errors
/// There is no such file, or it has mistakes.
pub fn read(scope: Scope, word: &Word) -> Result<Scope, Failure> {
    let file = run_file(&scope, word);
    let mut layers = scope.layers;
    let keys = layers.iter().rev();
    let keys = keys.take_while(|layer| matches!(layer, Layer::Keys(_)));
    let below = layers.len() - keys.count();
    layers.insert(below, Layer::File(file.path.clone()));
    Scope::load(layers, Some(file))
}

/// The same settings, over what is different in `supervise` where they say nothing.
pub fn with_defaults(scope: Scope) -> Result<Scope, Failure> {
    let layers = defaults(scope.layers.clone());
    match layers.len() == scope.layers.len() {
        true => Ok(scope),
        false => Scope::load(layers, scope.file),
    }
}

/// Layers over the defaults of `supervise`, which they may stand over already.
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
