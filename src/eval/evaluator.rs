//! The state of one evaluation, and what functions can have evaluated.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::budget::{Budget, Result};
use super::call_arguments::CallArguments;
use super::value::closure::{Bindings, Home, Last, Names, Variables};
use super::value::elements::elements;
use super::value::properties::Properties;
use super::value::{Table, Value, depth_above, namespace};
use crate::syntax::ast::Expression;

/// One evaluation at one place.
pub(crate) struct Evaluator<'a> {
    pub(crate) properties: &'a dyn Properties,
    pub(crate) budget: &'a mut Budget,
    pub(crate) home: Arc<Home>,
    pub(crate) variables: Option<Arc<Variables>>,
    pub(crate) bindings: Option<Arc<Bindings<Value>>>,
}

/// What an [`Evaluator`] does. The trait stands below its implementation, so that functions, comprehensions and formats
/// can evaluate what they are given.
pub(crate) trait Evaluate {
    /// The value of an expression; an error is placed at the innermost expression that it occurs in.
    fn eval(&mut self, expression: &Expression) -> Result<Value>;

    /// Calls a function, method or lambda.
    fn call(&mut self, callee: &Value, arguments: CallArguments) -> Result<Value>;
}

impl Evaluator<'_> {
    /// The elements of a value.
    ///
    /// # Errors
    /// The value has none, or more than the budget allows.
    pub(crate) fn elements(&mut self, value: &Value) -> Result<Vec<Value>> {
        elements(value, self.properties, self.budget)
    }

    /// The elements of `*value`.
    pub(crate) fn spread(&mut self, value: &Expression) -> Result<Vec<Value>> {
        let several = self.eval(value)?;
        let elements = self.elements(&several);
        elements.map_err(|fault| fault.at(&self.home.source, value.span))
    }

    /// The entries of `**value`.
    pub(crate) fn spread_mapping(&mut self, value: &Expression) -> Result<Arc<Table>> {
        let several = self.eval(value)?;
        let table = namespace::mapping(&several, self.properties, self.budget);
        table.map_err(|fault| fault.at(&self.home.source, value.span))
    }

    /// The path relative to the folder of the file that the expression stands in, or else to the current folder.
    pub(crate) fn located(&self, path: &str) -> PathBuf {
        match &self.home.folder {
            Some(folder) => folder.join(path),
            None => self.properties.absolute(Path::new(path)),
        }
    }
}

/// Names for a lambda or for one turn of a comprehension, inside of others.
///
/// # Errors
/// Values that are nested too deeply.
pub(crate) fn bind_names(
    names: Names<Value>,
    around: Option<Arc<Bindings<Value>>>,
    last: Option<Last<Value>>,
) -> Result<Arc<Bindings<Value>>> {
    let inside = depth_above(names.iter().map(|(_, value)| value))?;
    let depth = around
        .as_ref()
        .map_or(inside, |outer| outer.depth.max(inside));
    Ok(Arc::new(Bindings {
        names,
        depth,
        around,
        last,
    }))
}
