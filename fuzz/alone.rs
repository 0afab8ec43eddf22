//! Expressions without settings and environment, for tests that evaluate many.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use runner::eval::{Budget, Fault, FoundFile, Home, Properties, Value, evaluate};
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

    fn home_of(&self, _: Option<&str>) -> Option<String> {
        None
    }

    fn absolute(&self, path: &Path) -> PathBuf {
        Path::new("/").join(path)
    }

    fn found_at(&self, path: &Path) -> Option<FoundFile> {
        let found = fs::metadata(path).ok()?;
        Some(match (found.is_file(), found.is_dir()) {
            (true, _) => FoundFile::File,
            (false, true) => FoundFile::Folder,
            (false, false) => FoundFile::Other,
        })
    }

    fn without_links(&self, path: &Path) -> Option<PathBuf> {
        path.canonicalize().ok()
    }

    fn processors(&self) -> usize {
        1
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
