//! Lambdas, and the names that they and comprehensions bind. Generic in the value, since a value can be a closure.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use crate::syntax::Source;
use crate::syntax::ast::Lambda;

/// The file that an expression stands in, as the expression sees it.
#[derive(Clone, Debug)]
pub struct Home {
    /// Its text.
    pub source: Arc<Source>,
    /// Its folder, absolute; `None` for an expression that stands in no file.
    pub folder: Option<PathBuf>,
    /// The last part of its path.
    pub file_name: String,
    /// The names that `[Import on Demand]` has defined so far.
    pub shortcuts: HashMap<Arc<str>, Arc<str>>,
}

/// What a rule's expression knows about the lookup that it serves.
#[derive(Debug)]
pub struct Variables {
    /// The rule's name as written.
    pub rule_name: Arc<str>,
    /// The property's name as looked up.
    pub property_name: Arc<str>,
}

/// A lambda, with the names that were visible where it stands.
#[derive(Debug)]
pub struct Closure<V> {
    pub(crate) lambda: Arc<Lambda>,
    /// The defaults of its parameters, in their order.
    pub(crate) defaults: Vec<Option<V>>,
    pub(crate) bindings: Option<Arc<Bindings<V>>>,
    pub(crate) home: Arc<Home>,
    pub(crate) variables: Option<Arc<Variables>>,
    /// How deeply the values in it are nested.
    pub(crate) depth: u16,
}

/// Names with their values.
pub(crate) type Names<V> = Vec<(Arc<str>, V)>;

/// The values that the names of a comprehension have at its end.
pub(crate) type Last<V> = Arc<OnceLock<Names<V>>>;

/// The names that a lambda or one turn of a comprehension binds, and those around it.
#[derive(Debug)]
pub(crate) struct Bindings<V> {
    pub(crate) names: Names<V>,
    /// How deeply the values here and around are nested.
    pub(crate) depth: u16,
    pub(crate) around: Option<Arc<Self>>,
    /// In a comprehension: the values at its end, once it has ended.
    pub(crate) last: Option<Last<V>>,
}

impl<V> Bindings<V> {
    /// From here outwards.
    fn outwards(&self) -> impl Iterator<Item = &Self> {
        std::iter::successors(Some(self), |bindings| bindings.around.as_deref())
    }

    /// The value of a name.
    pub(crate) fn get(&self, name: &str) -> Option<&V> {
        self.outwards().find_map(|bindings| {
            let last = bindings.last.as_ref().and_then(|last| last.get());
            let last = last.into_iter().flatten();
            let mut names = last.chain(bindings.names.iter().rev());
            names
                .find(|(own, _)| **own == *name)
                .map(|(_, value)| value)
        })
    }

    /// All names, from here outwards.
    pub(crate) fn visible(&self) -> Vec<&str> {
        let names = self.outwards().flat_map(|bindings| &bindings.names);
        names.map(|(name, _)| &**name).collect()
    }
}
