//! The words of a command line, as a shell takes them apart, and the variables in them.

use crate::import::imported_text::{ImportedPiece, ImportedText};

/// A command: what is set before it, and its words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CommandWords {
    /// `NAME=VALUE` before the program.
    pub environment: Vec<(String, ImportedText)>,
    /// The program and its words.
    pub words: Vec<ImportedText>,
}

/// What a command line does that only a shell can.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NeedsShell {
    /// A quotation mark has no other.
    OpenQuote,
    /// `&&`, `|`, `;`, redirections, `$(…)` and the like.
    Operators,
}

impl CommandWords {
    /// Takes a line apart, as `sh` does.
    ///
    /// # Errors
    /// Only a shell can run it.
    pub fn parse(line: &str) -> Result<Self, NeedsShell> {
        let mut words = Vec::new();
        let mut word: Option<ImportedText> = None;
        let mut quote = None;
        let mut rest = line.char_indices().peekable();
        while let Some((at, character)) = rest.next() {
            let literal = |word: &mut Option<ImportedText>, text: &str| {
                let whole = word.get_or_insert_default();
                whole.push(ImportedPiece::Literal(text.to_owned()));
            };
            match (quote, character) {
                (Some(mark), character) if character == mark => quote = None,
                (Some('\''), character) => literal(&mut word, character.encode_utf8(&mut [0; 4])),
                (None, '\'' | '"') => {
                    quote = Some(character);
                    literal(&mut word, "");
                }
                (_, '\\') => {
                    if let Some((_, escaped)) = rest.next()
                        && escaped != '\n'
                    {
                        literal(&mut word, escaped.encode_utf8(&mut [0; 4]));
                    }
                }
                (_, '$') => {
                    let (piece, length) = variable(&line[at..])?;
                    word.get_or_insert_default().push(piece);
                    while rest.peek().is_some_and(|(next, _)| *next < at + length) {
                        rest.next();
                    }
                }
                (_, '`') => return Err(NeedsShell::Operators),
                (None, character) if character.is_whitespace() => words.extend(word.take()),
                (None, '|' | '&' | ';' | '<' | '>' | '(' | ')') => {
                    return Err(NeedsShell::Operators);
                }
                (None, '#') if word.is_none() => break,
                (_, character) => literal(&mut word, character.encode_utf8(&mut [0; 4])),
            }
        }
        if quote.is_some() {
            return Err(NeedsShell::OpenQuote);
        }
        words.extend(word);
        Ok(Self::of(words))
    }

    /// The words of a line, with the variables that are set before the program: `A=1 gunicorn`, `env A=1 gunicorn`.
    #[must_use]
    pub fn of(words: Vec<ImportedText>) -> Self {
        let mut command = Self::default();
        let mut words = words.into_iter().peekable();
        let is_env = |word: &ImportedText| {
            let name = word.literal().and_then(|word| word.rsplit('/').next());
            name == Some("env")
        };
        if let Some(exec) = words.next_if(|word| word.literal() == Some("exec")) {
            command.words.push(exec);
        }
        loop {
            if let Some((name, value)) = words.peek().and_then(assignment) {
                command.environment.push((name, value));
                words.next();
                continue;
            }
            // With an option it does something else, too.
            let mut ahead = words.clone();
            let is_env = ahead.next().as_ref().is_some_and(is_env);
            if !is_env
                || ahead
                    .peek()
                    .is_none_or(|it| it.beginning().starts_with('-'))
            {
                break;
            }
            words.next();
        }
        command.words.extend(words);
        command
    }

    /// The program, without its folder, and the number of the word that names it: launchers before it are left out.
    #[must_use]
    pub fn program(&self) -> Option<(usize, &str)> {
        let mut at = 0;
        loop {
            let word = self.words.get(at)?.literal()?;
            let name = word.rsplit('/').next().unwrap_or(word);
            let next = |at: usize| self.words.get(at).and_then(ImportedText::literal);
            at = match (name, next(at + 1)) {
                ("exec" | "env" | "sudo" | "nohup" | "newrelic-admin" | "ddtrace-run", _) => at + 1,
                ("run-program", _) => at + 1,
                ("poetry" | "pipenv" | "uv" | "pdm" | "hatch" | "rye", Some("run")) => at + 2,
                (name, Some("-m")) if name.starts_with("python") => at + 2,
                (name, _) => return Some((at, name)),
            };
        }
    }
}

fn assignment(word: &ImportedText) -> Option<(String, ImportedText)> {
    let (name, _) = word.beginning().split_once('=')?;
    let is_name = !name.is_empty()
        && name.chars().all(|c| c.is_alphanumeric() || c == '_')
        && !name.starts_with(char::is_numeric);
    let value = word.without_beginning(&format!("{name}="))?;
    is_name.then(|| (name.to_owned(), value))
}

/// The variable at the beginning of a text, and how many bytes it has.
fn variable(text: &str) -> Result<(ImportedPiece, usize), NeedsShell> {
    let name_of = |text: &str| {
        let end = text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        text[..end.unwrap_or(text.len())].to_owned()
    };
    let Some(inner) = text.strip_prefix("${") else {
        let name = name_of(&text[1..]);
        if name.is_empty() {
            return match text[1..].starts_with('(') {
                true => Err(NeedsShell::Operators),
                false => Ok((ImportedPiece::Literal("$".to_owned()), 1)),
            };
        }
        let length = 1 + name.len();
        return Ok((
            ImportedPiece::Variable {
                name,
                default: None,
            },
            length,
        ));
    };
    let (inner, _) = inner.split_once('}').ok_or(NeedsShell::OpenQuote)?;
    let name = name_of(inner);
    let default = match &inner[name.len()..] {
        "" => None,
        other => match other.strip_prefix(":-").or_else(|| other.strip_prefix('-')) {
            Some(default) => Some(default.trim_matches(['"', '\'']).to_owned()),
            None => return Err(NeedsShell::Operators),
        },
    };
    Ok((ImportedPiece::Variable { name, default }, inner.len() + 3))
}

#[cfg(test)]
mod tests {
    use super::{CommandWords, ImportedText, NeedsShell};

    #[test]
    fn words_and_variables_are_taken_apart() {
        let line =
            r#"A=1 B='x y' exec python3 -m gunicorn -b "0.0.0.0:${PORT:-80}" a\ b:app  # web"#;
        let command = CommandWords::parse(line).expect("no shell is needed");
        let words: Vec<String> = command.words.iter().map(ImportedText::expression).collect();
        assert_eq!(
            words,
            [
                "'exec'",
                "'python3'",
                "'-m'",
                "'gunicorn'",
                "'-b'",
                "'0.0.0.0:' + os.environ.get('PORT', '80')",
                "'a b:app'"
            ]
        );
        assert_eq!(command.program(), Some((3, "gunicorn")));
        let names: Vec<&str> = command
            .environment
            .iter()
            .map(|(name, _)| name.as_str())
            .collect();
        assert_eq!(names, ["A", "B"]);
    }

    #[test]
    fn variables_are_set_by_env_too() {
        let command = CommandWords::parse("exec /usr/bin/env A=1 B=2 gunicorn a:b");
        let command = command.expect("no shell is needed");
        assert_eq!(command.environment.len(), 2);
        assert_eq!(command.program(), Some((1, "gunicorn")));
        let command = CommandWords::parse("env -u A gunicorn a:b").expect("no shell is needed");
        assert_eq!(command.words.len(), 5);
    }

    #[test]
    fn what_needs_a_shell_is_told() {
        for (line, why) in [
            ("a && b", NeedsShell::Operators),
            ("a $(b)", NeedsShell::Operators),
            ("a > b", NeedsShell::Operators),
            ("a 'b", NeedsShell::OpenQuote),
            ("a ${b", NeedsShell::OpenQuote),
        ] {
            assert_eq!(CommandWords::parse(line), Err(why), "{line}");
        }
        assert!(CommandWords::parse("a '&&' \"|\" \\; $").is_ok());
    }
}
