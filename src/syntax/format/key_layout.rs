//! The canonical layout of a file for `supervise`: one blank between key and value, comments aligned, no runs of blank
//! lines. The text of values and comments does not change.

use std::sync::Arc;

use crate::syntax::diagnostic::Diagnostics;
use crate::syntax::format::page::Page;
use crate::syntax::key_lines::{KeyLine, Statement, numbered, parse};
use crate::syntax::source::{Source, Span};

/// A file in its canonical layout.
///
/// # Errors
/// All mistakes in its syntax; or the layout has more bytes than `largest`.
pub fn key_layout(source: &Arc<Source>, largest: usize) -> Result<String, Diagnostics> {
    let (lines, mistakes) = parse(source);
    if !mistakes.is_empty() {
        return Err(Diagnostics(mistakes));
    }
    let mut known = lines.iter().peekable();
    let mut page = Page::new(largest);
    let mut blank = false;
    for (at, line) in numbered(&source.text) {
        let end = at + line.len();
        let line = line.trim();
        let meant = known.next_if(|line| start(line) as usize <= end);
        if meant.is_none() && line.is_empty() {
            blank = true;
            continue;
        }
        if std::mem::take(&mut blank) {
            page.gap();
        }
        match meant {
            Some(meant) => {
                let (code, comment) = parts(source, meant);
                page.row(code, comment);
            }
            None => page.line(line),
        }
        if page.is_full() {
            break;
        }
    }
    page.finish(&source.name)
}

/// Where a line's first word begins.
fn start(line: &KeyLine) -> u32 {
    match &line.statement {
        Statement::Define { name, .. } => name.span.start,
        Statement::Include { file } => file.span.start,
        Statement::Key { key, .. } => key.span.start,
    }
}

/// The statement of a line, and the comment after it.
fn parts<'a>(source: &'a Source, line: &KeyLine) -> (String, &'a str) {
    let slice = |span: Span| {
        let range = span.start as usize..span.end as usize;
        source.text.get(range).unwrap_or_default()
    };
    let mut words = match &line.statement {
        Statement::Define { name, value } => vec!["%define", &name.text, slice(value.span)],
        Statement::Include { file } => vec!["%include", slice(file.span)],
        Statement::Key { key, value } => vec![key.text.as_str(), slice(value.span)],
    };
    // An empty value must not leave a blank at the end.
    words.retain(|word| !word.is_empty());
    let code = words.join(" ");
    (code, line.comment.map_or("", slice).trim_end())
}

#[cfg(test)]
mod tests {
    use super::{Arc, Source, key_layout};

    fn laid_out(text: &str) -> String {
        let source = Arc::new(Source {
            name: "x.conf".to_owned(),
            text: text.to_owned(),
        });
        key_layout(&source, 1 << 20).expect("a file without mistakes")
    }

    #[test]
    fn blanks_that_mean_nothing_are_put_right() {
        let text = "\u{feff}#!invoke runner supervise\r\n\n\n  %define   home\t/srv \n\
                    Command   serve  '# x'   #  c \n pidfile $home/x.pid # d\n\nImport  a\n   # e\n\n\n";
        let expected = "#!invoke runner supervise\n\n%define home /srv\n\
                        Command serve  '# x'  #  c\npidfile $home/x.pid   # d\n\nImport a\n# e\n";
        assert_eq!(laid_out(text), expected);
        assert_eq!(laid_out(expected), expected);
    }

    #[test]
    fn escaped_blanks_are_kept_but_at_the_end_of_a_line() {
        for end in ["\n", "\r\n", " \r\n", "\t"] {
            assert_eq!(
                laid_out(&format!("Command a\\ b\\{end}")),
                "Command a\\ b\\\n"
            );
        }
    }

    #[test]
    fn far_comments_stay_far() {
        let long = format!("Command {}", "x".repeat(80));
        let text = format!("{long} # a\nPidFile x # b\nStopAfter 1 # c\n");
        let expected = format!("{long}  # a\nPidFile x    # b\nStopAfter 1  # c\n");
        assert_eq!(laid_out(&text), expected);
    }

    #[test]
    fn nothing_stays_nothing() {
        assert_eq!(laid_out(""), "");
        assert_eq!(laid_out("\n \n"), "");
    }
}
