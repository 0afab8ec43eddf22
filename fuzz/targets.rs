//! What is done with fuzzed bytes: by `cargo fuzz`, and by the suite, which replays the corpus (`tests/fuzz.rs`).
#![allow(dead_code, reason = "each target uses one of the functions")]

use std::collections::HashMap;
use std::sync::Arc;

use runner::eval::{Budget, Fault, Home, Properties, Value, evaluate};
use runner::syntax::file::Line;
use runner::syntax::{
    Diagnostic, Fragment, Source, expression as expressions, file as files, key_layout, keys,
    layout, render,
};

/// No settings, no environment.
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

/// Draws a mistake, which must have a message.
fn shown(mistake: Diagnostic) {
    assert!(!render(&[mistake], false).is_empty());
}

/// Frames a file and parses its values.
pub fn file(bytes: &[u8]) {
    let source = match files::decode("x.ini", bytes.to_vec()) {
        Ok(source) => source,
        Err(mistake) => return shown(mistake),
    };
    let (lines, mistakes) = files::parse(&source);
    mistakes.into_iter().for_each(shown);
    for line in lines {
        if let Line::Setting { value, .. } = line
            && let Err(mistake) = expressions::parse(&source, &value)
        {
            shown(mistake);
        }
    }
}

/// Puts a configuration file in its layout, which has the same settings and is its own layout.
pub fn format(bytes: &[u8]) {
    let Ok(source) = files::decode("x.ini", bytes.to_vec()) else {
        return;
    };
    let Ok(text) = layout(&source, 1 << 24) else {
        return;
    };
    let names = |source: &Arc<Source>| {
        let (lines, mistakes) = files::parse(source);
        assert!(mistakes.is_empty());
        let name = |line| match line {
            Line::Section { name, .. } => format!("[{name}]"),
            Line::Setting { name, .. } => name,
        };
        lines.into_iter().map(name).collect::<Vec<_>>()
    };
    let name = "x.ini".to_owned();
    let again = Arc::new(Source { name, text });
    assert_eq!(names(&source), names(&again));
    assert_eq!(layout(&again, 1 << 24).ok(), Some(again.text.clone()));
}

/// Frames a file for `supervise`, and puts it in its layout, which means the same.
pub fn supervise(bytes: &[u8]) {
    let Ok(source) = files::decode("x.conf", bytes.to_vec()) else {
        return;
    };
    let (lines, mistakes) = keys::parse(&source);
    let good = mistakes.is_empty();
    mistakes.into_iter().for_each(shown);
    let Ok(text) = key_layout(&source, 1 << 24) else {
        return assert!(!good);
    };
    let name = "x.conf".to_owned();
    let again = Arc::new(Source { name, text });
    let (same, mistakes) = keys::parse(&again);
    assert!(mistakes.is_empty() && same.len() == lines.len());
    assert_eq!(key_layout(&again, 1 << 24).ok(), Some(again.text.clone()));
}

/// Parses an expression.
pub fn expression(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes).into_owned();
    let fragment = Fragment::new(&text, 0);
    let name = "x.ini".to_owned();
    let source = Arc::new(Source { name, text });
    if let Err(mistake) = expressions::parse(&source, &fragment) {
        shown(mistake);
    }
}

/// Evaluates an expression and shows its value.
pub fn evaluator(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes).into_owned();
    let fragment = Fragment::new(&text, 0);
    let name = "x.ini".to_owned();
    let source = Arc::new(Source { name, text });
    let Ok(parsed) = expressions::parse(&source, &fragment) else {
        return;
    };
    let home = Arc::new(Home {
        source,
        folder: None,
        file_name: String::new(),
        shortcuts: HashMap::new(),
    });
    match evaluate(&Alone, &home, None, &parsed, &mut Budget::default()) {
        Ok(value) => assert!(!value.repr().is_empty()),
        Err(mistake) => shown(mistake),
    }
}
