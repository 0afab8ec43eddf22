//! Variables in the commands of a unit of systemd, which puts in what its `Environment=` says.

use crate::import::imported_site::ImportedSite;
use crate::import::section_lines::KeyValue;
use crate::import::servers::command_words::CommandWords;
use crate::syntax::Place;

/// The keys that an empty value takes back what was said before of.
const LISTS: &[&str] = &[
    "Environment",
    "EnvironmentFile",
    "ExecStart",
    "ExecStartPre",
];

/// Options before a word of its own, which is no value of them.
const FLAGS: &[&str] = &[
    "factory",
    "preload",
    "proxy-headers",
    "proxy-protocol",
    "reload",
    "reuse-port",
];

/// The lines that count: an empty value takes back the earlier ones of its key.
#[must_use]
pub fn counting<'a>(lines: &[&'a KeyValue]) -> Vec<&'a KeyValue> {
    let is_reset = |line: &KeyValue| {
        let is_empty = line.value.as_deref().unwrap_or_default().is_empty();
        is_empty && LISTS.contains(&line.key.as_str())
    };
    let kept = lines.iter().enumerate().filter(|(number, line)| {
        let mut later = lines[*number..].iter();
        !later.any(|it| it.key == line.key && is_reset(it))
    });
    kept.map(|(_, line)| *line).collect()
}

/// The variables that lines set to a known value.
#[must_use]
pub fn variables(lines: &[&KeyValue]) -> Vec<(String, String)> {
    let said = lines.iter().filter(|line| line.key == "Environment");
    let values = said.filter_map(|line| line.value.as_deref());
    let pairs = values.flat_map(|value| {
        let words = CommandWords::parse(value).unwrap_or_default();
        words.environment
    });
    pairs
        .filter_map(|(name, value)| Some((name, value.literal()?.to_owned())))
        .collect()
}

/// A command with its variables put in: a word `$NAME` becomes several, `${NAME}` becomes a part of one. A word whose value
/// is not known is left out and told, unless it is the value of an option.
pub fn with_variables(
    command: &str,
    variables: &[(String, String)],
    place: &Place,
    site: &mut ImportedSite,
) -> String {
    let value = |wanted: &str| {
        let found = variables.iter().rev().find(|(name, _)| name == wanted);
        found.map(|(_, value)| value.as_str())
    };
    let mut written: Vec<String> = Vec::new();
    for word in command.split(' ') {
        let name = word.strip_prefix('$').filter(|name| is_name(name));
        match name.map(|name| (name, value(name))) {
            Some((_, Some(value))) => written.push(value.to_owned()),
            Some((name, None)) if !written.last().is_some_and(|it| takes_value(it)) => {
                site.leave(
                    place,
                    format!(
                        "no `Environment=` says what `${name}` is: write its words into the file"
                    ),
                );
            }
            Some(_) | None => written.push(braced(word, &value)),
        }
    }
    written.join(" ")
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Whether a word is an option that is followed by its value.
fn takes_value(word: &str) -> bool {
    let name = word.trim_start_matches('-');
    name != word && !word.contains('=') && !FLAGS.contains(&name) && !name.starts_with("no-")
}

/// A word with `${NAME}` put in, where it is known and plain.
fn braced<'a>(word: &str, value: &dyn Fn(&str) -> Option<&'a str>) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "-_./:=@,+%".contains(c);
    let mut whole = String::new();
    let mut rest = word;
    while let Some((before, behind)) = rest.split_once("${") {
        let found = behind.split_once('}').and_then(|(name, after)| {
            let value = value(name).filter(|value| value.chars().all(is_plain));
            value.map(|value| (value, after))
        });
        whole.push_str(before);
        match found.filter(|_| !before.ends_with(['\\', '$'])) {
            Some((value, after)) => {
                whole.push_str(value);
                rest = after;
            }
            None => {
                whole.push_str("${");
                rest = behind;
            }
        }
    }
    whole + rest
}
