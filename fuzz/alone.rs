//! Expressions without settings and environment, for tests that evaluate many.

use std::collections::HashMap;
use std::sync::Arc;

use runner::eval::{Budget, Fault, Home, Properties, Value, evaluate};
use runner::syntax::{Diagnostic, Fragment, Source, expression};

struct Alone;

impl Properties for Alone {
    fn lookup(&self, _: &str, _: &mut Budget) -> Result<Option<Value>, Fault> {
        Ok(None)
    }

    fn names(&self, _: &str) -> Vec<String> {
        Vec::new()
    }

    fn environment(&self) -> Value {
        Value::None
    }

    fn home_of(&self, _: &str) -> Option<String> {
        None
    }
}

/// The value of an expression.
///
/// # Errors
/// A mistake in it.
pub fn value(text: &str) -> Result<Value, Diagnostic> {
    let source = Arc::new(Source {
        name: "expression".to_owned(),
        text: text.to_owned(),
    });
    let parsed = expression::parse(&source, &Fragment::new(text, 0))?;
    let home = Arc::new(Home {
        source,
        folder: None,
        file_name: String::new(),
        shortcuts: HashMap::new(),
    });
    evaluate(&Alone, &home, None, &parsed, &mut Budget::default())
}
