//! Splits a file for `supervise` into keys with their values and directives, each with its place. Which keys exist and
//! what their values mean is decided elsewhere.

use std::ops::Range;
use std::sync::Arc;

use pest::Parser;
use pest::iterators::Pair;

use crate::syntax::diagnostic::{Diagnostic, did_you_mean, quoted};
use crate::syntax::grammar::supervise::{Grammar, Rule};
use crate::syntax::source::{Source, Span};

/// Mistakes in one file after which reading stops.
const MOST_MISTAKES: usize = 200;

/// Bytes of the longest line.
const LONGEST: usize = 1 << 16;

/// The directives of ZConfig that are supported.
const DIRECTIVES: &[&str] = &["define", "include"];

/// A line that is neither empty nor a comment.
#[derive(Debug)]
pub struct KeyLine {
    /// The statement.
    pub statement: Statement,
    /// The place of the comment after it.
    pub comment: Option<Span>,
}

/// A directive, or a key with its value.
#[derive(Debug)]
pub enum Statement {
    /// `%define NAME VALUE`
    Define {
        /// The name as written.
        name: Identifier,
        /// Empty if the line has no value.
        value: Text,
    },
    /// `%include FILE`
    Include {
        /// The file's name.
        file: Text,
    },
    /// `KEY VALUE`
    Key {
        /// The key as written.
        key: Identifier,
        /// Empty if the line has no value.
        value: Text,
    },
}

/// A name as written, and its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identifier {
    /// The name.
    pub text: String,
    /// The place.
    pub span: Span,
}

/// A value whose references are not yet replaced.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text {
    /// The parts, in order.
    pub pieces: Vec<TextPiece>,
    /// The place of the whole value.
    pub span: Span,
}

/// A piece of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TextPiece {
    /// Text that stands for itself.
    Plain(String),
    /// `$name`, `${name}`
    Name(Identifier),
    /// `$(NAME)`
    Environment(Identifier),
}

/// Splits a file into its lines.
#[must_use]
pub fn parse(source: &Arc<Source>) -> (Vec<KeyLine>, Vec<Diagnostic>) {
    let mut lines = Vec::new();
    let mut mistakes = Vec::new();
    let mut comment = false;
    for (at, text) in numbered(&source.text) {
        let reader = KeyLineReader { source, at };
        match reader.line(text) {
            Ok(line) => {
                comment = line.as_ref().is_some_and(|line| line.comment.is_some());
                lines.extend(line);
            }
            Err(mistake) if comment && mistake.hint.is_none() => {
                mistakes.push(mistake.with_hint(CONTINUED));
            }
            Err(mistake) => mistakes.push(mistake),
        }
        if mistakes.len() >= MOST_MISTAKES {
            break;
        }
    }
    (lines, mistakes)
}

/// The hint for a line that was probably meant to continue a comment.
pub const CONTINUED: &str = "begin each line of a comment with `#`";

/// The lines of a text, without line feeds, and where each begins; a byte order mark is skipped.
pub fn numbered(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut at = if text.starts_with('\u{feff}') { 3 } else { 0 };
    text[at..].split('\n').map(move |line| {
        let start = at;
        at += line.len() + 1;
        (start, line)
    })
}

struct KeyLineReader<'a> {
    source: &'a Arc<Source>,
    /// Where the line begins.
    at: usize,
}

impl KeyLineReader<'_> {
    /// Reads a line; `None` if it is empty or a comment.
    fn line(&self, text: &str) -> Result<Option<KeyLine>, Diagnostic> {
        if text.len() > LONGEST {
            let message = format!("the line has more than {} KiB", LONGEST >> 10);
            return Err(self.wrong("limit/line", 0..1, message));
        }
        let pair = Grammar::parse(Rule::line, text)
            .ok()
            .and_then(|mut pairs| pairs.next())
            .and_then(|pair| pair.into_inner().next());
        let Some(pair) = pair else {
            return Err(self.other(text, 0..text.len()));
        };
        let whole = range(&pair);
        let rule = pair.as_rule();
        let mut word = None;
        let mut value = Text::default();
        let mut comment = None;
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::comment => comment = Some(self.span(range(&part))),
                Rule::value | Rule::command_line => value = self.text(part)?,
                Rule::rest => {}
                _ => word = Some(self.word(&part)),
            }
        }
        let statement = match (rule, word) {
            (Rule::blank | Rule::comment, _) => return Ok(None),
            (Rule::define, Some(name)) => Statement::Define { name, value },
            (Rule::include, _) => Statement::Include { file: value },
            (Rule::command | Rule::setting, Some(key)) => {
                self.delimited(&key, &value)?;
                Statement::Key { key, value }
            }
            (Rule::section, _) => {
                let message = "a file for `supervise` has no sections";
                return Err(self
                    .wrong("syntax/section", whole, message.to_owned())
                    .with_hint("write each key with its value on a line of its own"));
            }
            (Rule::directive, Some(name)) => return Err(self.directive(&name)),
            _ => return Err(self.other(text, whole)),
        };
        Ok(Some(KeyLine { statement, comment }))
    }

    /// Checks that there is no delimiter between key and value.
    fn delimited(&self, key: &Identifier, value: &Text) -> Result<(), Diagnostic> {
        let Some(TextPiece::Plain(text)) = value.pieces.first() else {
            return Ok(());
        };
        let delimiter = text.split([' ', '\t']).next().unwrap_or_default();
        // No key has a dot, and that is the greater mistake.
        if !["=", ":", "=="].contains(&delimiter) || key.text.contains('.') {
            return Ok(());
        }
        let message = format!("there is no `{delimiter}` between a key and its value");
        let start = value.span.start as usize;
        let rest = quoted(text[delimiter.len()..].trim_start());
        let hint = format!("write `{} {}", key.text, rest.trim_start_matches('`'));
        Err(Diagnostic::new("syntax/delimiter", message)
            .at(self.source, Span::new(start, start + delimiter.len()))
            .with_hint(hint))
    }

    /// A value with its references.
    fn text(&self, value: Pair<'_, Rule>) -> Result<Text, Diagnostic> {
        let span = self.span(range(&value));
        let mut pieces = Vec::new();
        self.pieces(value, &mut pieces)?;
        Ok(Text { pieces, span })
    }

    fn pieces(&self, value: Pair<'_, Rule>, pieces: &mut Vec<TextPiece>) -> Result<(), Diagnostic> {
        for part in value.into_inner() {
            let plain = match part.as_rule() {
                Rule::single | Rule::double => {
                    self.pieces(part, pieces)?;
                    continue;
                }
                Rule::braced | Rule::plain | Rule::environment => {
                    let environment = part.as_rule() == Rule::environment;
                    let name = part.into_inner().next().map(|name| self.word(&name));
                    pieces.extend(name.map(|name| match environment {
                        true => TextPiece::Environment(name),
                        false => TextPiece::Name(name),
                    }));
                    continue;
                }
                Rule::lone => {
                    let message = "expected a name after `$`, as in `$name` or `${name}`";
                    return Err(self
                        .wrong("syntax/reference", range(&part), message.to_owned())
                        .with_hint("write `$$` for a dollar sign"));
                }
                Rule::unclosed => {
                    let message = format!("`{}` is never closed", part.as_str());
                    return Err(self.wrong("syntax/quote", range(&part), message));
                }
                Rule::dollar => "$",
                _ => part.as_str(),
            };
            match pieces.last_mut() {
                Some(TextPiece::Plain(last)) => last.push_str(plain),
                _ => pieces.push(TextPiece::Plain(plain.to_owned())),
            }
        }
        Ok(())
    }

    /// The mistake in a directive.
    fn directive(&self, name: &Identifier) -> Diagnostic {
        let known = DIRECTIVES.contains(&name.text.as_str());
        let message = match name.text.as_str() {
            "define" => {
                "expected `%define NAME VALUE`, the name of letters, digits and `_`".to_owned()
            }
            "include" => "expected `%include FILE`".to_owned(),
            "" => "expected the name of a directive after `%`".to_owned(),
            other => format!("there is no directive {}", quoted(&format!("%{other}"))),
        };
        let hint = match known {
            true => None,
            false => did_you_mean(&name.text.to_lowercase(), DIRECTIVES.iter().copied())
                .map(|hint| hint.replacen('`', "`%", 1))
                .or_else(|| Some("the directives are `%define` and `%include`".to_owned())),
        };
        let percent = Span::new(name.span.start as usize - 1, name.span.end as usize);
        Diagnostic::new("syntax/directive", message)
            .at(self.source, percent)
            .with_hint_if(hint)
    }

    /// The mistake in a line that is not a statement.
    fn other(&self, text: &str, whole: Range<usize>) -> Diagnostic {
        let line = text.get(whole.clone()).unwrap_or(text).trim();
        let message = format!("expected `KEY VALUE`, found {}", quoted(line));
        let delimiter = line.find(['=', ':']);
        let key = line[..delimiter.unwrap_or_default()].trim_end();
        let is_key = key.chars().all(char::is_alphanumeric) && !key.is_empty();
        let hint = is_key.then(|| format!("write a space between key and value: `{key} …`"));
        self.wrong(
            "syntax/line",
            whole.start..whole.start + line.len(),
            message,
        )
        .with_hint_if(hint)
    }

    fn wrong(&self, code: &'static str, range: Range<usize>, message: String) -> Diagnostic {
        Diagnostic::new(code, message).at(self.source, self.span(range))
    }

    fn word(&self, pair: &Pair<'_, Rule>) -> Identifier {
        Identifier {
            text: pair.as_str().to_owned(),
            span: self.span(range(pair)),
        }
    }

    fn span(&self, range: Range<usize>) -> Span {
        Span::new(self.at + range.start, self.at + range.end)
    }
}

fn range(pair: &Pair<'_, Rule>) -> Range<usize> {
    let span = pair.as_span();
    span.start()..span.end()
}
