//! `uwsgi.ini`: its sections, its variables, then its [options](option_settings).
//!
//! As uWSGI reads it (`core/ini.c`, `core/config.c`): a comment is a line that begins with `;` or `#`, and what stands behind
//! a value belongs to it. A key may stand alone, may repeat, and what is no option is a variable. `%(name)` is an option or
//! variable of this name, `$(NAME)` an environment variable, `%d` and others are parts of the file's path.

use std::collections::HashMap;
use std::sync::Arc;

use crate::import::imported_site::ImportedSite;
use crate::import::imported_text::{ImportedPiece, ImportedText};
use crate::import::section_lines::{
    FileSection, GoesOn, KeyValue, SectionSyntax, broken, sections, whole,
};
use crate::import::uwsgi_ini::why_left::UwsgiOption;
use crate::syntax::{Diagnostic, Place, Source, did_you_mean};

const SYNTAX: SectionSyntax = SectionSyntax {
    separators: &['='],
    has_comments_behind: false,
    goes_on: GoesOn::Never,
    has_flags: true,
};

mod listen_sockets;
mod named_parts;
pub(super) mod option_settings;
pub(super) mod why_left;

pub use why_left::{ALWAYS, known_options};

/// The section that uWSGI reads.
const SECTION: &str = "uwsgi";

/// How deep sections include one another.
const DEPTH: usize = 8;

/// What a section says.
#[derive(Debug)]
pub(super) struct SectionOptions {
    /// The options that always count.
    pub(super) options: Vec<UwsgiOption>,
    /// Where others stand, and why they are left.
    left: Vec<(Place, String)>,
}

/// Reads the section that is asked for, or `[uwsgi]`.
///
/// # Errors
/// The file is broken, or there is no such section.
pub fn read(source: &Arc<Source>, section: Option<&str>) -> Result<ImportedSite, Diagnostic> {
    let said = options(source, section)?;
    let mut site = option_settings::site(&said.options, source);
    said.leave(&mut site);
    Ok(site)
}

impl SectionOptions {
    /// Adds what is not taken over to a site.
    pub(super) fn leave(self, site: &mut ImportedSite) {
        for (place, why) in self.left {
            site.leave(&place, why);
        }
    }
}

/// The options of the section that is asked for, or of `[uwsgi]`.
///
/// # Errors
/// The file is broken, or there is no such section.
pub(super) fn options(
    source: &Arc<Source>,
    section: Option<&str>,
) -> Result<SectionOptions, Diagnostic> {
    if let Some(form) = other_form(&source.text) {
        return Err(no_ini(source, form));
    }
    let sections = sections(source, SYNTAX)?;
    let wanted = section.unwrap_or(SECTION);
    let mut lines = Vec::new();
    if !collect(&sections, wanted, DEPTH, &mut lines) {
        let names = sections.iter().map(|section| section.name.as_str());
        let hint = did_you_mean(wanted, names.clone());
        let others: Vec<String> = names.map(|name| format!("`{name}`")).collect();
        let hint = match others.is_empty() {
            true => hint,
            false => hint.or(Some(format!(
                "it has {}; `--section` says which one is meant",
                others.join(", ")
            ))),
        };
        let message = format!("there is no section `[{wanted}]`");
        return Err(broken(&whole(source), message).with_hint_if(hint));
    }
    let variables = variables(&lines);
    let expand = |text: &str| expanded(text, source, &variables, DEPTH);
    let (always, conditional) = without_blocks(&lines);
    let options = always.iter().map(|line| UwsgiOption {
        name: line.key.replace('_', "-"),
        value: line.value.as_deref().map(&expand),
        place: line.place.clone(),
        // It is a variable of the file if something uses it.
        is_used: is_used(&lines, &line.key),
    });
    let options = options.collect();
    let is_always = |line: &KeyValue| ALWAYS.contains(&line.key.replace('_', "-").as_str());
    let conditional = conditional.into_iter().filter(|(line, _)| !is_always(line));
    let left = conditional.map(|(line, block)| {
        let why = format!("it depends on `{block}`: write it as an expression, or leave it out");
        (line.place.clone(), why)
    });
    let left = left.collect();
    Ok(SectionOptions { options, left })
}

/// The lines that always count, and those of blocks such as `if-env` … `endif`, each with the option that begins its block.
fn without_blocks<'a>(lines: &[&'a KeyValue]) -> (Vec<&'a KeyValue>, Vec<(&'a KeyValue, &'a str)>) {
    let (mut always, mut conditional, mut block) = (Vec::new(), Vec::new(), None);
    for line in lines {
        let key = line.key.as_str();
        let is_beginning = key.starts_with("if-") || key == "for" || key.starts_with("for-");
        match (block, key) {
            (_, "endif" | "end-if" | "endfor" | "end-for") => block = None,
            (_, key)
                if is_beginning || ["ifenv", "ifexists", "ifdir", "ifplugin"].contains(&key) =>
            {
                block = Some(key);
                always.push(*line);
            }
            (Some(block), _) => conditional.push((*line, block)),
            (None, _) => always.push(*line),
        }
    }
    (always, conditional)
}

/// The language of a text that is no INI, among those that uWSGI reads.
fn other_form(text: &str) -> Option<&'static str> {
    let mut lines = text.lines().map(str::trim);
    let first = lines.find(|line| !line.is_empty() && !line.starts_with('#'))?;
    match first {
        // What merges leave is a mistake in an INI file.
        _ if first.starts_with('<') && !first.starts_with("<<") => Some("XML"),
        "---" | "uwsgi:" => Some("YAML"),
        _ if first.starts_with('{') => Some("JSON"),
        _ => None,
    }
}

/// The mistake that a file of uWSGI's is none that is read.
pub(super) fn no_ini(source: &Arc<Source>, form: &str) -> Diagnostic {
    let hint = "write its options below `[uwsgi]`, each as `name = value`";
    broken(&whole(source), format!("uWSGI's {form} is not read")).with_hint(hint)
}

/// The lines of a section, those of the sections that it includes in their places.
fn collect<'a>(
    sections: &'a [FileSection],
    name: &str,
    depth: usize,
    lines: &mut Vec<&'a KeyValue>,
) -> bool {
    let mut found = false;
    for section in sections.iter().filter(|section| section.name == name) {
        found = true;
        for line in &section.lines {
            let included = match (line.key.as_str(), line.value.as_deref()) {
                ("ini" | "include", Some(value)) => value.strip_prefix(':'),
                _ => None,
            };
            let is_here = included.is_some_and(|other| {
                depth > 0 && collect(sections, other.trim(), depth - 1, lines)
            });
            if !is_here {
                lines.push(line);
            }
        }
    }
    found
}

/// What each key stands for in `%(key)`: the value that was said last.
fn variables<'a>(lines: &[&'a KeyValue]) -> HashMap<&'a str, &'a str> {
    let mut variables = HashMap::new();
    for line in lines {
        let value = line.value.as_deref().unwrap_or("true");
        // `set = name=value`, `set-placeholder = name=value`.
        if matches!(line.key.as_str(), "set" | "set-placeholder" | "set-ph")
            && let Some((name, value)) = value.split_once('=')
        {
            variables.insert(name.trim(), value.trim());
        }
        variables.insert(line.key.as_str(), value);
    }
    variables
}

fn is_used(lines: &[&KeyValue], key: &str) -> bool {
    let reference = format!("%({key}");
    lines.iter().any(|line| {
        let value = line.value.as_deref().unwrap_or_default();
        value.contains(&reference)
    })
}

/// A value with what its variables stand for.
fn expanded(
    text: &str,
    source: &Source,
    variables: &HashMap<&str, &str>,
    depth: usize,
) -> ImportedText {
    let mut whole = ImportedText::default();
    let mut rest = text;
    while let Some(at) = rest.find(['%', '$']) {
        whole.push(ImportedPiece::Literal(rest[..at].to_owned()));
        let from = &rest[at..];
        let (known, behind) = reference(from, source, variables, depth);
        match known {
            Some(known) => whole = known.joined_after(&whole),
            None => whole.push(ImportedPiece::Literal(
                from[..from.len() - behind.len()].to_owned(),
            )),
        }
        rest = behind;
    }
    whole.push(ImportedPiece::Literal(rest.to_owned()));
    whole
}

/// The text before the bracket that closes what was opened before it, and the text behind.
fn closed(text: &str) -> Option<(&str, &str)> {
    let mut depth = 1;
    let end = text.find(|c: char| {
        depth += i32::from(c == '(') - i32::from(c == ')');
        depth == 0
    })?;
    Some((&text[..end], &text[end + 1..]))
}

/// What a text that begins with `%` or `$` refers to there, and the text behind it.
fn reference<'a>(
    text: &'a str,
    source: &Source,
    variables: &HashMap<&str, &str>,
    depth: usize,
) -> (Option<ImportedText>, &'a str) {
    if let Some((name, behind)) = text.strip_prefix("$(").and_then(|it| it.split_once(')')) {
        let mut variable = ImportedText::default();
        variable.push(ImportedPiece::Variable {
            name: name.to_owned(),
            // uWSGI leaves nothing where the variable is not set.
            default: Some(String::new()),
        });
        return (Some(variable), behind);
    }
    if let Some((name, behind)) = text.strip_prefix("%(").and_then(closed) {
        let is_of_sum = |c: char| "%k+-*/() 0123456789".contains(c);
        if name.contains("%k") && name.chars().all(is_of_sum) {
            let sum = name
                .trim()
                .replace('/', "//")
                .replace("%k", "os.cpu_count()");
            return (Some(ImportedText::of_expression(sum)), behind);
        }
        let value = variables.get(name).filter(|_| depth > 0);
        let known = value.map(|value| expanded(value, source, variables, depth - 1));
        return (known, behind);
    }
    let mut letters = text.chars();
    let _sign = letters.next();
    let letter = letters.next();
    let behind = letters.as_str();
    let file = source.name.rsplit('/').next().unwrap_or_default();
    let stem = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
    let known = match (text.starts_with('%'), letter) {
        (true, Some('%')) => ImportedText::known("%"),
        // The folder of the file, with a slash behind it: what we read is relative to it.
        (true, Some('d')) => ImportedText::known("./"),
        (true, Some('p' | 's')) => ImportedText::known(file),
        (true, Some('n')) => ImportedText::known(stem),
        (true, Some('k')) => ImportedText::of_expression("os.cpu_count()"),
        (true, Some('h')) => ImportedText::of_expression("socket.gethostname()"),
        _ => return (None, &text[1..]),
    };
    (Some(known), behind)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::{DEPTH, expanded};
    use crate::syntax::Source;

    #[test]
    fn variables_are_expanded() {
        let source = Source {
            name: "deploy/shop.ini".to_owned(),
            text: String::new(),
        };
        let variables =
            HashMap::from([("base", "/srv"), ("root", "%(base)/shop"), ("me", "%(me)")]);
        for (text, expression) in [
            ("%(root)/x", "'/srv/shop/x'"),
            ("%d%n.sock", "'./shop.sock'"),
            ("100%%", "'100%'"),
            (":$(PORT)", "':' + os.environ.get('PORT', '8000')"),
            ("%(%k * 2 + 1)", "str(os.cpu_count() * 2 + 1)"),
            ("%((%k * 2) + 1)", "str((os.cpu_count() * 2) + 1)"),
            ("%(%k", "'%(' + str(os.cpu_count())"),
            ("%(unknown) $", "'%(unknown) $'"),
            ("{{ a }}", "'{{ a }}'"),
        ] {
            let found = expanded(text, &source, &variables, DEPTH).expression();
            assert_eq!(found, expression, "{text}");
        }
        // It ends.
        expanded("%(me)", &source, &variables, DEPTH);
    }
}
