//! What is done with fuzzed bytes: by `cargo fuzz`, and by the suite, which replays the corpus (`tests/fuzz.rs`).
#![allow(dead_code, reason = "each target uses one of the functions")]

use std::sync::Arc;

use runner::syntax::file::Line;
use runner::syntax::{
    Diagnostic, Fragment, Source, expression as expressions, file as files, key_layout, keys,
    layout, render_all,
};

mod alone;

/// Bytes that a layout may have.
const LARGEST: usize = 1 << 24;

/// Draws mistakes, each of which must have a message.
fn shown(mistakes: &[Diagnostic]) {
    assert!(mistakes.iter().all(|mistake| !mistake.message.is_empty()));
    assert!(mistakes.is_empty() || !render_all(mistakes, false).trim().is_empty());
}

/// Frames a file and parses its values.
pub fn file(bytes: &[u8]) {
    let source = match files::decode("x.ini", bytes.to_vec()) {
        Ok(source) => source,
        Err(mistake) => return shown(&[mistake]),
    };
    let (lines, mut mistakes) = files::parse(&source);
    for line in lines {
        if let Line::Setting { value, .. } = line {
            mistakes.extend(expressions::parse(&source, &value).err());
        }
    }
    shown(&mistakes);
}

/// Puts a configuration file in its layout, which means the same and is its own layout.
pub fn format(bytes: &[u8]) {
    let Ok(source) = files::decode("x.ini", bytes.to_vec()) else {
        return;
    };
    let Ok(text) = layout(&source, LARGEST) else {
        return;
    };
    let name = "x.ini".to_owned();
    let again = Arc::new(Source { name, text });
    assert_eq!(meaning(&source), meaning(&again), "{}", source.text);
    assert_eq!(layout(&again, LARGEST).ok().as_ref(), Some(&again.text));
}

/// What a file without mistakes means: its sections and settings with the trees of their values, wherever they stand.
pub fn meaning(source: &Arc<Source>) -> Vec<String> {
    let (lines, mistakes) = files::parse(source);
    assert!(mistakes.is_empty(), "{mistakes:?} in\n{}", source.text);
    let meaning = |line| match line {
        Line::Section { name, .. } => format!("[{name}]"),
        Line::Setting { name, value, .. } => {
            let tree = expressions::parse(source, &value).expect("no mistakes");
            format!("{name} = {}", without_spans(&format!("{tree:?}")))
        }
    };
    lines.into_iter().map(meaning).collect()
}

fn without_spans(tree: &str) -> String {
    let mut parts = tree.split("Span {");
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        out.push_str(part.split_once('}').expect("the end of a span").1);
    }
    out
}

/// Frames a file for `supervise`, and puts it in its layout, which means the same.
pub fn supervise(bytes: &[u8]) {
    let Ok(source) = files::decode("x.conf", bytes.to_vec()) else {
        return;
    };
    let (lines, mistakes) = keys::parse(&source);
    shown(&mistakes);
    let Ok(text) = key_layout(&source, LARGEST) else {
        return assert!(!mistakes.is_empty());
    };
    let name = "x.conf".to_owned();
    let again = Arc::new(Source { name, text });
    let (same, mistakes) = keys::parse(&again);
    assert!(mistakes.is_empty());
    let meaning = |lines: &[keys::Line]| -> Vec<String> {
        let what = lines.iter().map(|line| format!("{:?}", line.what));
        what.map(|what| without_spans(&what)).collect()
    };
    assert_eq!(meaning(&lines), meaning(&same), "{}", source.text);
    assert_eq!(key_layout(&again, LARGEST).ok().as_ref(), Some(&again.text));
}

/// Parses an expression.
pub fn expression(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes).into_owned();
    let fragment = Fragment::new(&text, 0);
    let name = "x.ini".to_owned();
    let source = Arc::new(Source { name, text });
    shown(expressions::parse(&source, &fragment).err().as_slice());
}

/// Evaluates an expression and shows its value.
pub fn evaluator(bytes: &[u8]) {
    match alone::value(&String::from_utf8_lossy(bytes)) {
        Ok(value) => assert!(!value.repr().is_empty()),
        Err(mistake) => shown(&[mistake]),
    }
}
