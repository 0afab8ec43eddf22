//! Splits a configuration file into sections and settings, each with its place. Values are not parsed here, so that a
//! mistake in one setting does not hide those in others.

use std::ops::Range;
use std::sync::Arc;

use pest::Parser;

use crate::syntax::diagnostic::{Diagnostic, INVISIBLE_HINT, invisible, quoted};
use crate::syntax::grammar::file::{Grammar, Rule};
use crate::syntax::source::{Fragment, Source, Span};

/// Mistakes in one file after which reading stops.
const MOST_MISTAKES: usize = 200;

/// A section or a setting: a line with the lines that continue it.
#[derive(Debug)]
pub enum IniLine {
    /// `[name]`
    Section {
        /// The text between the brackets, trimmed.
        name: String,
        /// The place of the brackets.
        span: Span,
    },
    /// `NAME = VALUE`
    Setting {
        /// The name as written.
        name: String,
        /// The place of the name.
        span: Span,
        /// The value's text.
        value: Fragment,
        /// The place of a doubled `= =`.
        doubled: Option<Span>,
    },
}

/// Decodes a file's bytes.
///
/// # Errors
/// The bytes are not UTF-8 text.
pub fn decode(name: &str, bytes: Vec<u8>) -> Result<Arc<Source>, Diagnostic> {
    let text = match String::from_utf8(bytes) {
        // UTF-8 needs no byte order mark, and it would shift the columns of the first line.
        Ok(text) => match text.strip_prefix('\u{feff}') {
            Some(behind) => behind.to_owned(),
            None => text,
        },
        Err(error) => {
            let good = error.utf8_error().valid_up_to();
            let byte = error.as_bytes().get(good).copied().unwrap_or_default();
            let utf16 = error.as_bytes().starts_with(b"\xff\xfe")
                || error.as_bytes().starts_with(b"\xfe\xff");
            let source = Arc::new(Source {
                name: name.to_owned(),
                text: String::from_utf8_lossy(error.as_bytes()).into_owned(),
            });
            let hint = if utf16 {
                "the file is UTF-16; save it as UTF-8"
            } else {
                "save the file as UTF-8"
            };
            let message = format!("byte 0x{byte:02x} is not UTF-8 text");
            return Err(Diagnostic::new("syntax/encoding", message)
                .at(&source, Span::new(good, good + 1))
                .with_hint(hint));
        }
    };
    let source = Arc::new(Source {
        name: name.to_owned(),
        text,
    });
    match source.text.find('\0') {
        None => Ok(source),
        Some(at) => Err(Diagnostic::new("syntax/encoding", "byte 0x00 is not text")
            .at(&source, Span::new(at, at + 1))
            .with_hint("this does not seem to be a configuration file")),
    }
}

/// Splits a file into its settings and sections.
#[must_use]
pub fn parse(source: &Arc<Source>) -> (Vec<IniLine>, Vec<Diagnostic>) {
    let mut reader = IniLineReader {
        source,
        lines: Vec::new(),
        mistakes: Vec::new(),
        state: Continues::Nothing,
    };
    let text = &source.text;
    let mut at = 0;
    while at < text.len() {
        let length = text[at..].find('\n').unwrap_or(text.len() - at);
        let line = text[at..at + length].trim_end_matches('\r');
        reader.read(line, at);
        at += length + 1;
        if reader.mistakes.len() >= MOST_MISTAKES {
            break;
        }
    }
    reader.finish();
    (reader.lines, reader.mistakes)
}

/// What an indented line continues.
enum Continues {
    /// Nothing: the line is a mistake.
    Nothing,
    /// The last setting.
    Value,
    /// A line that is a mistake itself.
    Mistake,
}

struct IniLineReader<'a> {
    source: &'a Arc<Source>,
    lines: Vec<IniLine>,
    mistakes: Vec<Diagnostic>,
    state: Continues,
}

impl IniLineReader<'_> {
    fn read(&mut self, line: &str, at: usize) {
        match Shape::simple(line).or_else(|| Shape::by_grammar(line)) {
            Some(Shape::Comment) => {}
            Some(Shape::Blank) => self.continue_value("", at),
            Some(Shape::Continuation(text)) => {
                let indent = line.len() - text.len();
                match self.state {
                    Continues::Value => self.continue_value(text, at + indent),
                    Continues::Mistake => {}
                    Continues::Nothing => {
                        let message =
                            "an indented line continues a value, but there is none before it";
                        let mistake = Diagnostic::new("syntax/line", message)
                            .at(self.source, Span::new(at, at + indent))
                            .with_hint("begin the line in column 1");
                        self.mistake(mistake);
                    }
                }
            }
            Some(Shape::Section(name)) => {
                self.finish();
                self.state = Continues::Nothing;
                self.lines.push(IniLine::Section {
                    name: name.trim().to_owned(),
                    span: Span::new(at, at + name.len() + 2),
                });
            }
            Some(Shape::Setting(setting)) => self.setting(line, at, &setting),
            None if matches!(self.state, Continues::Value) && only_closes(line) => {
                self.continue_value(line, at);
            }
            None => {
                self.finish();
                let mistake = self.explain(line, at);
                self.mistake(mistake);
            }
        }
    }

    fn mistake(&mut self, mistake: Diagnostic) {
        self.mistakes.push(mistake);
        self.state = Continues::Mistake;
    }

    fn setting(&mut self, line: &str, at: usize, setting: &SettingRanges) {
        self.finish();
        self.state = Continues::Value;
        let span = |range: &Range<usize>| Span::new(at + range.start, at + range.end);
        self.lines.push(IniLine::Setting {
            name: line[setting.name.clone()].to_owned(),
            span: span(&setting.name),
            doubled: setting.doubled.as_ref().map(span),
            value: Fragment::new(&line[setting.value.clone()], at + setting.value.start),
        });
    }

    fn continue_value(&mut self, text: &str, at: usize) {
        if let (Continues::Value, Some(IniLine::Setting { value, .. })) =
            (&self.state, self.lines.last_mut())
        {
            value.push_line(text, at);
        }
    }

    fn finish(&mut self) {
        if let (Continues::Value, Some(IniLine::Setting { value, .. })) =
            (&self.state, self.lines.last_mut())
        {
            value.trim_end();
        }
    }

    /// The mistake in a line that the grammar does not match.
    fn explain(&self, line: &str, at: usize) -> Diagnostic {
        let mark = |start: usize, end: usize, message: String| {
            Diagnostic::new("syntax/line", message).at(self.source, Span::new(at + start, at + end))
        };
        if line.starts_with('[') {
            return match line.find(']') {
                None => mark(0, 1, "`[` is never closed".to_owned()),
                Some(end) => {
                    let rest = &line[end + 1..];
                    let start = line.len() - rest.trim_start().len();
                    let message = format!(
                        "expected the end of the line after the section, found {}",
                        quoted(rest.trim())
                    );
                    mark(start, line.trim_end().len(), message)
                        .with_hint("begin a comment with `#`")
                }
            };
        }
        let delimiter = line.find(['=', ':']);
        let blanks = [' ', '\t', '\u{b}', '\u{c}', '\r'];
        let name = line[..delimiter.unwrap_or(line.len())].trim_end_matches(blanks);
        let allowed = |c: char| c.is_alphanumeric() || "_.-+*?!,(){}[]".contains(c);
        let wrong = name.char_indices().find(|(_, c)| !allowed(*c));
        match (wrong, delimiter) {
            (_, Some(0)) => mark(0, 1, "expected a name before the delimiter".to_owned()),
            (Some((start, c)), Some(_)) => {
                let (found, hint) = match invisible(c) {
                    _ if blanks.contains(&c) => ("a blank".to_owned(), None),
                    Some(found) => (found, Some(INVISIBLE_HINT.to_owned())),
                    None => (format!("`{c}`"), None),
                };
                let message = format!("the name of a setting cannot contain {found}");
                mark(start, start + c.len_utf8(), message).with_hint_if(hint)
            }
            _ => mark(
                0,
                line.trim_end().len(),
                format!("expected `NAME = VALUE`, found {}", quoted(line.trim_end())),
            )
            .with_hint("begin a comment with `#`, indent what continues a value"),
        }
    }
}

/// Whether a line has brackets that are closed and nothing else, but for a comment. It continues a value also without an
/// indent, as people write it: a name of a setting cannot be meant.
pub(super) fn only_closes(line: &str) -> bool {
    let (code, _) = line.split_once('#').unwrap_or((line, ""));
    let is_part = |c: char| matches!(c, ')' | ']' | '}' | ',' | ' ' | '\t' | '\r');
    line.starts_with([')', ']', '}']) && code.chars().all(is_part)
}

/// What a line is.
#[derive(Debug, PartialEq)]
enum Shape<'a> {
    /// `# text`
    Comment,
    Blank,
    /// An indented line, without its indent.
    Continuation(&'a str),
    /// `[name]`, without the brackets.
    Section(&'a str),
    /// `name = value`
    Setting(SettingRanges),
}

impl<'a> Shape<'a> {
    fn by_grammar(line: &'a str) -> Option<Self> {
        let pair = Grammar::parse(Rule::line, line).ok()?.next()?;
        let pair = pair.into_inner().next()?;
        Some(match pair.as_rule() {
            Rule::comment => Self::Comment,
            Rule::blank => Self::Blank,
            Rule::continuation => Self::Continuation(line.trim_start()),
            Rule::section => {
                let name = pair.into_inner().next();
                Self::Section(name.map_or("", |name| name.as_str()))
            }
            _ => {
                let mut setting = SettingRanges::default();
                for part in pair.into_inner() {
                    let range = part.as_span().start()..part.as_span().end();
                    match part.as_rule() {
                        Rule::name => setting.name = range,
                        Rule::doubled => setting.doubled = Some(range),
                        Rule::rest => setting.value = range,
                        _ => {}
                    }
                }
                Self::Setting(setting)
            }
        })
    }

    /// The same for simple lines, as nearly all are, without the grammar, which is slower; a test compares both.
    fn simple(line: &'a str) -> Option<Self> {
        match line.as_bytes().first() {
            Some(b'#' | b';') => return Some(Self::Comment),
            Some(b' ' | b'\t') => {
                let text = line.trim_start();
                return (!text.is_empty()).then_some(Self::Continuation(text));
            }
            Some(first) if first.is_ascii_alphabetic() || *first == b'_' => {}
            Some(_) | None => return None,
        }
        let named = |byte: &u8| byte.is_ascii_alphanumeric() || b"_.-+*?".contains(byte);
        let name = line.bytes().take_while(named).count();
        // `rem = text` is a comment.
        if line[..name].eq_ignore_ascii_case("rem") {
            return None;
        }
        let blanks = |from: usize| {
            line[from..]
                .bytes()
                .take_while(|byte| *byte == b' ')
                .count()
        };
        let delimiter = name + blanks(name);
        if !matches!(line.as_bytes().get(delimiter), Some(b'=' | b':')) {
            return None;
        }
        let value = delimiter + 1 + blanks(delimiter + 1);
        let first = line[value..].chars().next()?;
        if first == '=' || first.is_whitespace() {
            return None;
        }
        Some(Self::Setting(SettingRanges {
            name: 0..name,
            doubled: None,
            value: value..line.len(),
        }))
    }
}

/// Where the parts of a setting are in its line.
#[derive(Debug, Default, PartialEq)]
struct SettingRanges {
    name: Range<usize>,
    doubled: Option<Range<usize>>,
    value: Range<usize>,
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::proptest;
    use proptest::sample::select;

    use super::{Arc, IniLine, Shape, Source, parse};

    const PIECES: &[&str] = &[
        "a", "b.c", "_", "rem", "Rem", " ", "\t", "=", ":", "#", ";", "[", "]", "'x'", "*", "?",
        ",", "ä", "\u{3000}", "\r", "\u{b}", "1",
    ];

    proptest! {
        #[test]
        fn a_simple_line_is_what_the_grammar_says(pieces in vec(select(PIECES), 0..8)) {
            let line = pieces.concat();
            if let Some(simple) = Shape::simple(&line) {
                assert_eq!(Some(simple), Shape::by_grammar(&line), "{line:?}");
            }
        }
    }

    fn lines(text: &str) -> (Vec<String>, Vec<String>) {
        let source = Arc::new(Source {
            name: "x.ini".to_owned(),
            text: text.to_owned(),
        });
        let (lines, mistakes) = parse(&source);
        let shown = lines.iter().map(|line| match line {
            IniLine::Section { name, .. } => format!("[{name}]"),
            IniLine::Setting {
                name,
                value,
                doubled,
                ..
            } => {
                let delimiter = if doubled.is_some() { "==" } else { "=" };
                format!("{name}{delimiter}{}", value.text())
            }
        });
        let mistakes = mistakes.iter().map(ToString::to_string);
        (shown.collect(), mistakes.collect())
    }

    #[test]
    fn every_construct() {
        let text = "#!invoke runner runIni\n; c\nREM c\nrem\nrem = comment\nremark=1\r\n\
                    app = = x\na.b*?:y # z\n[Load Settings From]  ; c\n[a]\nlong = (1,\n  # part\n# dropped\n\n\t2,\r\n   [b])\n\n\n[c]\nempty =\n";
        let (lines, mistakes) = lines(text);
        assert_eq!(mistakes, Vec::<String>::new());
        assert_eq!(
            lines,
            [
                "remark=1",
                "app==x",
                "a.b*?=y # z",
                "[Load Settings From]",
                "[a]",
                "long=(1,\n# part\n\n2,\n[b])",
                "[c]",
                "empty=",
            ]
        );
    }

    #[test]
    fn what_only_closes_brackets_needs_no_indent() {
        let text = "a = f({\n  1,\n})  # b = c\n}\nb = [\n]\n) = 1\n[c]\n}\n";
        let (lines, mistakes) = lines(text);
        assert_eq!(lines, ["a=f({\n1,\n})  # b = c\n}", "b=[\n]", ")=1", "[c]"]);
        assert_eq!(mistakes, ["x.ini:9: expected `NAME = VALUE`, found `}`"]);
    }

    #[test]
    fn every_mistake() {
        let text = " x\n y\na = 1\n[b\n[c] d\nnonsense here\n  more\ne f = 1\n$ = 2\n= 3\nname\n";
        let (lines, mistakes) = lines(text);
        assert_eq!(lines, ["a=1"]);
        assert_eq!(
            mistakes,
            [
                "x.ini:1: an indented line continues a value, but there is none before it",
                "x.ini:4: `[` is never closed",
                "x.ini:5: expected the end of the line after the section, found `d`",
                "x.ini:6: expected `NAME = VALUE`, found `nonsense here`",
                "x.ini:8: the name of a setting cannot contain a blank",
                "x.ini:9: the name of a setting cannot contain `$`",
                "x.ini:10: expected a name before the delimiter",
                "x.ini:11: expected `NAME = VALUE`, found `name`",
            ]
        );
    }
}
