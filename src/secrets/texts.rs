//! Secrets within a text, which may be a value, a command line, an expression or a line of a file: what stands behind
//! the name of a secret, passwords in URLs, and private keys.

use std::ops::Range;

use super::names::is_secret;

/// Replaces a secret.
pub const HIDDEN: &str = "********";

/// Words before credentials in a header field (RFC 9110 §11.4).
const SCHEMES: &[&str] = &["basic", "bearer", "digest", "negotiate", "token"];

/// What ends a value that is not quoted.
const ENDS: &[char] = &['&', ';', ',', '\'', '"', '`', ')', ']', '}', '<', '>'];

/// A text with its secrets replaced.
#[must_use]
pub fn hidden(text: &str) -> String {
    replaced(text, |shown, _| shown.push_str(HIDDEN))
}

/// Words of a command with its secrets replaced.
pub fn hidden_words<'a>(words: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let mut is_next = false;
    let hide = |word: &'a str| match std::mem::replace(&mut is_next, is_option(word)) {
        true => HIDDEN.to_owned(),
        false => hidden(word),
    };
    words.into_iter().map(hide).collect()
}

/// Whether the next word of a command is a secret: `--password`.
#[must_use]
pub fn is_option(word: &str) -> bool {
    word.starts_with('-')
        && !word.contains(|c: char| c == '=' || c.is_whitespace())
        && is_secret(word)
}

/// The same in as many characters and bytes, for places in the text.
#[must_use]
pub fn masked(text: &str) -> String {
    replaced(text, mask)
}

/// A text that is a secret but for some ranges, in order, masked in as many characters, bytes and lines.
#[must_use]
pub fn masked_except(text: &str, shown: &[Range<usize>]) -> String {
    let mut masked = String::with_capacity(text.len());
    let mut end = 0;
    for range in shown {
        mask(&mut masked, &text[end..range.start]);
        masked.push_str(&text[range.clone()]);
        end = range.end;
    }
    mask(&mut masked, &text[end..]);
    masked
}

/// Adds as many characters, bytes and lines as a secret has.
fn mask(shown: &mut String, secret: &str) {
    shown.extend(secret.chars().map(|character| match character.len_utf8() {
        1 if matches!(character, '\n' | '\r') => character,
        1 => '*',
        2 => '·',
        3 => '•',
        _ => '🞄',
    }));
}

fn replaced(text: &str, replace: impl Fn(&mut String, &str)) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut end = 0;
    for span in spans(text) {
        shown.push_str(&text[end..span.start]);
        replace(&mut shown, &text[span.clone()]);
        end = span.end;
    }
    shown.push_str(&text[end..]);
    shown
}

/// Where the secrets of a text are: in order, and none within another.
#[must_use]
pub fn spans(text: &str) -> Vec<Range<usize>> {
    spans_below("", text)
}

/// The same of lines of a file that stand below the head of a section: `key` below `[runner.tls]` is `runner.tls.key`.
#[must_use]
pub fn spans_below(section: &str, text: &str) -> Vec<Range<usize>> {
    let mut spans: Vec<Range<usize>> = Vec::new();
    let mut found = url_passwords(text);
    found.extend(private_keys(text));
    found.extend(named(section, text));
    found.retain(|span| !span.is_empty() && &text[span.clone()] != HIDDEN);
    found.sort_by_key(|span| (span.start, span.end));
    for span in found {
        match spans.last_mut() {
            Some(last) if span.start < last.end => last.end = last.end.max(span.end),
            Some(_) | None => spans.push(span),
        }
    }
    spans
}

/// Whether an expression mentions something whose name is that of a secret.
#[must_use]
pub fn mentions(expression: &str) -> bool {
    let is_of_name = |c: char| c.is_alphanumeric() || "_-.".contains(c);
    // `sorted(…, key=…)`
    let names = expression
        .split(|c| !is_of_name(c))
        .filter(|name| *name != "key");
    names.into_iter().any(is_secret)
}

/// The passwords of `scheme://user:password@host`.
fn url_passwords(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(start) = text[at..].find("://").map(|mark| at + mark + 3) {
        let rest = &text[start..];
        let word = &rest[..end_of(rest, |c| c.is_whitespace() || "'\"<>`".contains(c))];
        let authority = &word[..end_of(word, |c| "/?#".contains(c))];
        at = start + authority.len();
        // A password may contain `@`, and `/` where it should be encoded; a port is a number.
        let (user, end) = match (authority.split_once(':'), authority.rfind('@')) {
            (Some((user, _)), Some(end)) if user.len() < end => (user, end),
            (Some((user, port)), None) if !port.bytes().all(|byte| byte.is_ascii_digit()) => {
                let Some(end) = word.find('@') else {
                    at = start + word.len();
                    continue;
                };
                at = start + end;
                (user, end)
            }
            _ => continue,
        };
        found.push(start + user.len() + 1..start + end);
    }
    found
}

/// What stands between the first and the last line of a private key (RFC 7468), or behind the first.
fn private_keys(text: &str) -> Vec<Range<usize>> {
    const MARK: &str = "PRIVATE KEY-----";
    let marks: Vec<usize> = text
        .match_indices(MARK)
        .map(|(at, _)| at + MARK.len())
        .collect();
    let span = |pair: &[usize]| {
        let start = pair[0];
        let end = pair.get(1).map_or(text.len(), |end| {
            text[start..*end]
                .rfind("-----END")
                .map_or(*end, |at| start + at)
        });
        start..end
    };
    marks.chunks(2).map(span).collect()
}

/// What stands behind names of secrets: `password=…`, `'password': '…'`, `--password …`, `Authorization: Bearer …`. A name at
/// the beginning of a line belongs to its section.
fn named<'a>(mut section: &'a str, text: &'a str) -> Vec<Range<usize>> {
    let is_of_name = |c: char| c.is_alphanumeric() || "_-.".contains(c);
    let mut found = Vec::new();
    let mut at = 0;
    let (mut line, mut seen) = (0, 0);
    while let Some(start) = text[at..].find(is_of_name).map(|start| at + start) {
        let end = start + end_of(&text[start..], |c| !is_of_name(c));
        at = end;
        let name = &text[start..end];
        line = text[seen..start]
            .rfind('\n')
            .map_or(line, |end| seen + end + 1);
        seen = start;
        if &text[line..start] == "[" {
            let head = &text[start..];
            section = &head[..end_of(head, |c| c == ']' || c == '\n')];
        }
        let is_secret = match start == line && !section.is_empty() {
            true => is_secret(&format!("{section}.{name}")),
            false => is_secret(name),
        };
        let is_named = is_secret && !is_order(text, start..end);
        let is_scheme = SCHEMES
            .iter()
            .any(|scheme| scheme.eq_ignore_ascii_case(name));
        let value = is_named.then(|| value(text, start, end)).flatten();
        let value = value.or_else(|| is_scheme.then(|| credentials(text, end)).flatten());
        if let Some(value) = value {
            at = value.end.max(end);
            found.push(value);
        }
    }
    found
}

/// Whether a name is the argument of `sorted`, `min` or `max` that says what to compare, or the key of `key: value`.
fn is_order(text: &str, name: Range<usize>) -> bool {
    let behind = &text[name.end..];
    let Some(value) = behind.strip_prefix('=').or(behind.strip_prefix(": ")) else {
        return false;
    };
    let end = end_of(value, |c| !(c.is_alphabetic() || c == '_' || c == '.'));
    let is_function = &value[..end] == "lambda" || value[end..].starts_with([')', ',', '`']);
    &text[name] == "key" && is_function
}

/// The value behind a name that ends here.
fn value(text: &str, start: usize, end: usize) -> Option<Range<usize>> {
    let rest = &text[end..];
    let unquoted = rest.trim_start_matches(['\'', '"']);
    let behind = unquoted.trim_start_matches([' ', '\t']);
    let is_spaced = behind.len() < unquoted.len();
    // Comparisons give no value, and `:` stands in slices and in `scheme://`, too.
    let sign = ["=", ":"].into_iter().find(|sign| behind.starts_with(sign));
    let value = match sign {
        Some(sign) => {
            let value = &behind[sign.len()..];
            if value.starts_with('=') || value.starts_with("//") {
                return None;
            }
            let trimmed = value.trim_start_matches([' ', '\t']);
            // In `name = other`, as a file of settings has it, the value is another name.
            if sign == "=" && (is_spaced || trimmed.len() < value.len()) && is_name(trimmed) {
                return None;
            }
            trimmed
        }
        // An option and its value, in one text or in a list of words.
        None if text[start..].starts_with('-') => {
            let value = unquoted.trim_start_matches([',', ' ', '\t']);
            if value.len() == unquoted.len() || value.starts_with('-') {
                return None;
            }
            value
        }
        None => return None,
    };
    let from = text.len() - value.len();
    if sign == Some("=") && start == 0 && text.starts_with('-') {
        // One word of a command, which may have blanks.
        return Some(from..text.len());
    }
    let scheme = &value[..end_of(value, |c| !c.is_alphanumeric())];
    if SCHEMES.iter().any(|it| it.eq_ignore_ascii_case(scheme))
        && let Some(credentials) = credentials(text, from + scheme.len())
    {
        return Some(credentials);
    }
    Some(literal(text, from))
}

/// Whether a text begins with a name of the language, and not with a string or number.
fn is_name(text: &str) -> bool {
    let end = end_of(text, |c| !(c.is_alphanumeric() || c == '_' || c == '.'));
    let begins = text.starts_with(|c: char| c.is_alphabetic() || c == '_');
    begins && !text[end..].starts_with(['\'', '"'])
}

/// What stands behind `Bearer` or `Basic`.
fn credentials(text: &str, end: usize) -> Option<Range<usize>> {
    let rest = &text[end..];
    let value = rest.trim_start_matches([' ', '\t']);
    let length = end_of(value, |c| c.is_whitespace() || ENDS.contains(&c));
    // Prose has no digit in the next word.
    let looks_so = value[..length].bytes().any(|byte| byte.is_ascii_digit()) || length >= 16;
    let from = text.len() - value.len();
    (value.len() < rest.len() && looks_so).then(|| from..from + length)
}

/// A value that begins here: a string without its quotes, a word, or nothing, where an expression stands.
fn literal(text: &str, from: usize) -> Range<usize> {
    let rest = &text[from..];
    let prefix = end_of(rest, |c| !"bBrRuUfF".contains(c));
    let quoted = rest[prefix..].starts_with(['\'', '"']);
    let start = if quoted { from + prefix } else { from };
    let rest = &text[start..];
    let quote = ["'''", "\"\"\"", "'", "\""]
        .into_iter()
        .find(|quote| rest.starts_with(quote));
    if let Some(quote) = quote {
        let inner = start + quote.len();
        return inner..inner + end_of_string(&text[inner..], quote);
    }
    let word = &rest[..end_of(rest, |c| {
        c.is_whitespace() || ENDS.contains(&c) || "([{".contains(c)
    })];
    // A call, a list or a name is an expression whose strings are judged by themselves; so is what is no secret.
    let goes_on = rest[word.len()..].starts_with(['(', '[', '{']);
    let plain = ["", "True", "False", "None", "true", "false", "null"].contains(&word);
    match goes_on || plain {
        true => start..start,
        false => start..start + word.len(),
    }
}

/// The length of a string up to its closing quote, or to the end of its line.
fn end_of_string(text: &str, quote: &str) -> usize {
    let mut escaped = false;
    for (at, character) in text.char_indices() {
        if escaped {
            escaped = false;
        } else if character == '\\' {
            escaped = true;
        } else if text[at..].starts_with(quote) || character == '\n' && quote.len() == 1 {
            return at;
        }
    }
    text.len()
}

fn end_of(text: &str, ends: impl Fn(char) -> bool) -> usize {
    text.find(ends).unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{HIDDEN, hidden, hidden_words, masked, spans};

    #[test]
    fn secrets_in_texts() {
        for (text, shown) in [
            // URLs.
            ("postgres://me:pw@host/db", "postgres://me:*@host/db"),
            ("redis://:pw@host/0", "redis://:*@host/0"),
            ("a://b:c@d@e f://g:h@i", "a://b:*@e f://g:*@i"),
            ("db://me:p/w#x@host/db", "db://me:*@host/db"),
            ("url = 'amqp://me:pw@host//'", "url = 'amqp://me:*@host//'"),
            // Options, in a line and as a list of words.
            ("run --password=pw --user me", "run --password=* --user me"),
            ("run --password pw --user me", "run --password * --user me"),
            ("run --db-pass 'p w' x", "run --db-pass '*' x"),
            (
                "['run', '--token', 'pw', 'x']",
                "['run', '--token', '*', 'x']",
            ),
            ("PGPASSWORD=pw psql", "PGPASSWORD=* psql"),
            // Queries and connection strings.
            ("/page?token=pw&page=2", "/page?token=*&page=2"),
            ("host=db password=pw user=me", "host=db password=* user=me"),
            (
                "Server=db;Password=pw;User=me",
                "Server=db;Password=*;User=me",
            ),
            // Lines of files and expressions.
            ("db.password = 'p w'", "db.password = '*'"),
            ("db.password = b'p\\'w'  # x", "db.password = b'*'  # x"),
            (
                "{'user': 'me', 'password': 'pw'}",
                "{'user': 'me', 'password': '*'}",
            ),
            (
                "connect(password=\"pw\", user='me')",
                "connect(password=\"*\", user='me')",
            ),
            ("secret = '''a\nb'''", "secret = '''*'''"),
            ("secret = 'a\nb = 'c'", "secret = '*\nb = 'c'"),
            (
                "[tls]\nkey = 'a'\n[x]\nkey = 'b'",
                "[tls]\nkey = 'a'\n[x]\nkey = '*'",
            ),
            ("[db.password]\nmain = 'a'", "[db.password]\nmain = '*'"),
            ("[tls]\na = {'key': 'b'}", "[tls]\na = {'key': '*'}"),
            ("pin.token: 1234", "pin.token: *"),
            ("pin.token = 1234", "pin.token = *"),
            ("/maps?key=AIza1&zoom=2", "/maps?key=*&zoom=2"),
            // Header fields.
            ("Authorization: Bearer abc123", "Authorization: Bearer *"),
            (
                "Authorization: Basic abcdefghijklmnop",
                "Authorization: Basic *",
            ),
            ("use bearer abc123", "use bearer *"),
            ("X-API-Key: abc", "X-API-Key: *"),
            (
                "-----BEGIN RSA PRIVATE KEY-----\nMII\n-----END RSA PRIVATE KEY-----\nx",
                "-----BEGIN RSA PRIVATE KEY-----*-----END RSA PRIVATE KEY-----\nx",
            ),
        ] {
            assert_eq!(hidden(text), shown.replace('*', HIDDEN), "{text}");
        }
    }

    #[test]
    fn words_of_a_command() {
        for (words, shown) in [
            (&["run", "--password", "p w", "x"][..], "run|--password|*|x"),
            (&["run", "--password=p w", "x"], "run|--password=*|x"),
            (&["--token", "--token", "pw"], "--token|*|*"),
            (&["run", "a://b:pw@c"], "run|a://b:*@c"),
            (&["run", "--monkey", "George"], "run|--monkey|George"),
        ] {
            let hidden = hidden_words(words.iter().copied());
            assert_eq!(hidden.join("|"), shown.replace('*', HIDDEN));
        }
    }

    #[test]
    fn texts_without_secrets() {
        for text in [
            "",
            "://",
            "tcp://localhost:80",
            "http://localhost:80/a@b",
            "http://me@host:1/x:y@z",
            "monkey = 'George'",
            "keyboard = 'de'",
            "the password is wrong",
            "token == other",
            "password = environ['DB']",
            "password = db.password",
            "sorted(names, key=len)",
            "a dict has `key: value`",
            "max(names, key=lambda name: name[1], default=None)",
            "password = os.getenv('DB')",
            "debug_token = True",
            "--no-password --user me",
            "a basic example",
            "a bearer of news",
            "sorted(names, author=1)",
        ] {
            assert_eq!(hidden(text), text);
        }
    }

    #[test]
    fn a_mask_has_the_length_of_the_secret() {
        assert_eq!(masked("a://b:cß日😀@c"), "a://b:*·•🞄@c");
        assert_eq!(masked("key = '''a\nb'''"), "key = '''*\n*'''");
    }

    proptest! {
        #[test]
        fn any_text_keeps_its_length_and_lines(
            text in "((password|token|://|Bearer|--key|PRIVATE KEY-----)|[ =:@'\"a1ß,\n\\\\(/-])*"
        ) {
            let masked = masked(&text);
            prop_assert_eq!(masked.len(), text.len());
            prop_assert_eq!(masked.matches('\n').count(), text.matches('\n').count());
            let mut end = 0;
            for span in spans(&text) {
                prop_assert!(end <= span.start && span.start < span.end);
                end = span.end;
            }
        }
    }
}
