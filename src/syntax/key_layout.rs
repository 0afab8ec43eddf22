//! The one canonical layout of a file for `supervise`: a blank between key and value, comments below one another, no
//! runs of blank lines. What is in values and comments is kept.

use std::sync::Arc;

use super::diagnostic::{Diagnostics, quoted};
use super::keys::{Line, What, numbered, parse};
use super::source::{Source, Span};
use super::{Diagnostic, Lines};

/// The column up to which comments are moved to stand below one another.
const WIDEST: usize = 60;

/// A file in its canonical layout, which has at most so many bytes.
///
/// # Errors
/// All mistakes in its syntax, since nobody knows what such a file means; or it would be too large.
pub fn key_layout(source: &Arc<Source>, largest: usize) -> Result<String, Diagnostics> {
    let (lines, mistakes) = parse(source);
    if !mistakes.is_empty() {
        return Err(Diagnostics(mistakes));
    }
    let mut places = Lines::default();
    let mut known = lines.iter().peekable();
    let mut text = String::new();
    let mut group: Vec<(String, &str)> = Vec::new();
    let mut blank = false;
    for (number, (_, line)) in numbered(&source.text).enumerate() {
        let line = line.trim();
        let is_here = |line: &&Line| places.position(source, start(line)).0 == number + 1;
        match known.next_if(is_here) {
            Some(meant) => {
                if blank && !text.is_empty() {
                    text.push('\n');
                }
                group.push(parts(source, meant));
                blank = false;
            }
            None => {
                write_group(&mut text, &mut group);
                if line.is_empty() {
                    blank = true;
                    continue;
                }
                if blank && !text.is_empty() {
                    text.push('\n');
                }
                text.push_str(line);
                text.push('\n');
                blank = false;
            }
        }
        if text.len() > largest {
            break;
        }
    }
    write_group(&mut text, &mut group);
    if text.len() > largest {
        let name = quoted(&source.name);
        let message = format!("the file {name} would have more than {} MiB", largest >> 20);
        return Err(Diagnostic::new("limit/file", message).into());
    }
    Ok(text)
}

/// The first byte of a line's first word.
fn start(line: &Line) -> u32 {
    match &line.what {
        What::Define { name, .. } => name.span.start,
        What::Include { file } => file.span.start,
        What::Key { key, .. } => key.span.start,
    }
}

/// What a line says, and the comment behind it.
fn parts<'a>(source: &'a Source, line: &Line) -> (String, &'a str) {
    let slice = |span: Span| {
        let range = span.start as usize..span.end as usize;
        source.text.get(range).unwrap_or_default()
    };
    let words = match &line.what {
        What::Define { name, value } => vec!["%define", &name.text, slice(value.span)],
        What::Include { file } => vec!["%include", slice(file.span)],
        What::Key { key, value } => vec![key.text.as_str(), slice(value.span)],
    };
    let code = words.join(" ").trim_end().to_owned();
    (code, line.comment.map_or("", slice).trim_end())
}

/// Writes lines that stand directly below one another.
fn write_group(text: &mut String, group: &mut Vec<(String, &str)>) {
    let width = |code: &str| code.chars().count();
    let commented = group.iter().filter(|(_, comment)| !comment.is_empty());
    let widths = commented.map(|(code, _)| width(code));
    let column = widths.filter(|width| *width <= WIDEST).max();
    for (code, comment) in group.drain(..) {
        text.push_str(&code);
        if !comment.is_empty() {
            let blanks = column.unwrap_or_default().saturating_sub(width(&code)) + 2;
            text.push_str(&" ".repeat(blanks));
            text.push_str(comment);
        }
        text.push('\n');
    }
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
