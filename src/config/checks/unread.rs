//! Names that nothing reads and that are nearly names that something reads: typing mistakes, and settings in the wrong
//! section. Names of the user's own are free, so nearness alone is not enough.
//!
//! A name is compared part by part with the settings of `runner`, with [`nearest`], which allows one typing mistake in a
//! word, and one more for every four letters; the first letter must be right. It is reported if
//!
//! - at least two of its parts are those of a setting, and the others nearly (`peak.runing.app`, `runers.workers.min`);
//! - its first parts are nearly those of a section, and at least one is the same (`runers.workers.x`);
//! - fewer parts fit, or the first parts are missing (`ulr`, `workers.min`, `min`), and its value is one that the
//!   setting takes: `[server] port = 80` and `uri = 'https://…'` are the user's own, as is any string where the setting
//!   takes any (`name = 'shop'`).
//!
//! Nothing is reported that an expression may read: one that contains the name, its beginning or its end in a string or
//! behind a dot.

use std::collections::HashSet;
use std::sync::atomic::Ordering;

use super::checked_value::check;
use crate::config::files::ini_file::SHORT;
use crate::config::files::load::ForeignNames;
use crate::config::rule::{Rule, RuleBody, RuleOrigin};
use crate::config::rules::Rules;
use crate::config::setting::{Checked, Setting, SettingKind};
use crate::config::settings::SETTINGS;
use crate::eval::Value;
use crate::syntax::{Diagnostic, nearest, quoted};

/// What is set by name, with any names behind the prefix.
const OPEN: &[&str] = &["peak.running.shortcuts", "environ", "__main__"];

/// How the values of `peak.tools.server.url` begin.
const SCHEMES: &[&str] = &["tcp:", "unix:", "fd.socket:"];

/// Letters of a last part that may be misspelled where the first parts are missing. Shorter words are near to too many
/// others.
const LONG_ENOUGH: usize = 6;

/// The warnings about names that nothing reads. To be called before values are computed that no file asks for.
pub(in crate::config) fn unread(rules: &Rules, foreign: &[ForeignNames]) -> Vec<Diagnostic> {
    let known = KnownNames::new();
    let others: HashSet<&str> = foreign
        .iter()
        .flat_map(|file| file.names.iter().map(String::as_str))
        .collect();
    let all = rules.all().chain(rules.all_on_demand());
    let suspects: Vec<(&Rule, Suspicion)> = all
        .map(|rule| &**rule)
        .filter(|rule| !rule.read.load(Ordering::Relaxed) && !others.contains(&*rule.name))
        .filter(|rule| matches!(rule.origin, RuleOrigin::File(..)))
        .filter_map(|rule| Some((rule, known.suspicion(&rule.name)?)))
        .collect();
    let environments = foreign.iter().filter(|file| file.are_variables);
    let environments: Vec<&ForeignNames> = environments.collect();
    if suspects.is_empty() && environments.is_empty() {
        return Vec::new();
    }
    let texts = Mentions::of(rules);
    let mut warnings: Vec<Diagnostic> = suspects
        .into_iter()
        .filter(|(rule, _)| !texts.have(plain(&rule.name)))
        .filter_map(|(rule, suspicion)| suspicion.warning(rules, rule))
        .collect();
    let is_read = |name: &String| {
        let read = rules
            .rule(name)
            .map(|rule| rule.read.load(Ordering::Relaxed));
        read == Some(true) || texts.have(name)
    };
    warnings.extend(
        environments
            .into_iter()
            .filter(|file| !file.names.is_empty() && !file.names.iter().any(is_read))
            .map(no_environment),
    );
    warnings
}

/// The warning about a file of environment variables that has no effect.
fn no_environment(file: &ForeignNames) -> Diagnostic {
    let message = "`env` gives settings, and nothing reads those of this file";
    Diagnostic::new("setting/environment", message)
        .warning()
        .at(&file.place.source, file.place.span)
        .with_hint("`runner.environment_file` gives its variables to applications")
}

/// The name without the mark of a default or of a rule for several names.
fn plain(name: &str) -> &str {
    let name = name.strip_suffix('?').unwrap_or(name);
    name.strip_suffix(".*").unwrap_or(name)
}

/// What a name was probably meant to be.
#[derive(Debug, PartialEq)]
enum Suspicion {
    /// One of these settings; whatever the value is, if it is certain.
    Settings(Vec<&'static str>, bool),
    /// This section.
    Section(String),
    /// This short name, which is not one where it stands.
    Misplaced(&'static str),
}

impl Suspicion {
    fn warning(self, rules: &Rules, rule: &Rule) -> Option<Diagnostic> {
        let name = plain(&rule.name);
        let hint = match self {
            Self::Section(section) => format!("did you mean `{section}`?"),
            Self::Misplaced(long) => {
                let value = rules.get(name).ok().flatten()?;
                if !suits(long, &value) {
                    return None;
                }
                let short = quoted(name);
                format!("{short} is short for `{long}` only before the first section")
            }
            Self::Settings(mut meant, certain) => {
                if !certain {
                    let value = rules.get(name).ok().flatten()?;
                    meant.retain(|name| suits(name, &value));
                }
                if meant.is_empty() {
                    return None;
                }
                let short = SHORT.iter().find(|(_, long)| meant == [*long]);
                let meant = match short {
                    Some((short, _)) if !name.contains('.') => (*short).to_owned(),
                    Some(_) | None => meant.join("` or `"),
                };
                format!("did you mean `{meant}`?")
            }
        };
        let message = format!("nothing reads {}", quoted(name));
        let warning = Diagnostic::new("setting/unread", message).warning();
        Some(rule.origin.label(warning.with_hint(hint), ""))
    }
}

fn is_url(text: &str) -> bool {
    SCHEMES.iter().any(|scheme| text.starts_with(scheme))
}

/// Whether a value was probably meant for a setting.
fn suits(setting: &str, value: &Value) -> bool {
    let Some(setting) = SETTINGS.iter().find(|one| one.name == setting) else {
        return false;
    };
    match (setting.kind, value) {
        (SettingKind::Command, Value::Alias(_) | Value::Link(_) | Value::Import(_)) => true,
        (SettingKind::Url, Value::Str(url)) => is_url(url),
        (SettingKind::Urls, value) => match check(setting, value) {
            Ok(Checked::Texts(urls)) => !urls.is_empty() && urls.iter().all(|url| is_url(url)),
            _ => false,
        },
        // Any string would do, so it is no sign.
        (
            SettingKind::Text
            | SettingKind::Path
            | SettingKind::Paths
            | SettingKind::Programs
            | SettingKind::Program
            | SettingKind::Account,
            Value::Str(_),
        ) => false,
        (_, value) => check(setting, value).is_ok(),
    }
}

/// The names that something reads, by their parts.
struct KnownNames {
    settings: Vec<(&'static Setting, Vec<&'static str>)>,
    /// Those with at least two parts, the longest first.
    sections: Vec<Vec<&'static str>>,
    parts: HashSet<&'static str>,
}

impl KnownNames {
    fn new() -> Self {
        let settings = SETTINGS.iter();
        let settings: Vec<(_, Vec<&str>)> = settings
            .map(|setting| (setting, setting.name.split('.').collect()))
            .collect();
        let shortcuts: Vec<&str> = OPEN[0].split('.').collect();
        let mut sections = vec![shortcuts];
        for (_, parts) in &settings {
            for length in 2..parts.len() {
                let section = parts[..length].to_vec();
                if !sections.contains(&section) {
                    sections.push(section);
                }
            }
        }
        sections.sort_by_key(|section| std::cmp::Reverse(section.len()));
        Self {
            parts: settings
                .iter()
                .flat_map(|(_, parts)| parts.clone())
                .collect(),
            settings,
            sections,
        }
    }

    /// What the name of a rule was probably meant to be.
    fn suspicion(&self, name: &str) -> Option<Suspicion> {
        // Everything under `runner.` is checked elsewhere.
        let is_open = |prefix: &&str| {
            let rest = name.strip_prefix(prefix);
            rest.is_some_and(|rest| rest.starts_with('.'))
        };
        if name.starts_with("runner.") || OPEN.iter().any(is_open) {
            return None;
        }
        let name = name.strip_suffix('?').unwrap_or(name);
        let written: Vec<&str> = name.split('.').collect();
        match written[..] {
            [word] => self.word(word),
            // Most names have nothing to do with `runner`.
            _ if !written.iter().any(|part| self.parts.contains(part)) => None,
            _ => self.settings(&written).or_else(|| self.section(&written)),
        }
    }

    /// A name without dots.
    fn word(&self, word: &str) -> Option<Suspicion> {
        let short = SHORT.iter().find(|(short, _)| *short == word);
        if let Some((_, long)) = short {
            return Some(Suspicion::Misplaced(long));
        }
        if let Some((_, long)) = SHORT.iter().find(|(short, _)| is_misspelled(word, short)) {
            return Some(Suspicion::Settings(vec![long], false));
        }
        let ends = |(_, parts): &&(_, Vec<&str>)| is_last_part(&[word], parts);
        let meant: Vec<&Setting> = self.settings.iter().filter(ends).map(|one| one.0).collect();
        let is_same = |setting: &&&Setting| setting.name.ends_with(&format!(".{word}"));
        let same = meant.iter().any(|setting| is_same(&setting));
        let meant = meant.iter().filter(|setting| !same || is_same(setting));
        let meant: Vec<&str> = meant.map(|setting| setting.name).collect();
        (!meant.is_empty()).then_some(Suspicion::Settings(meant, false))
    }

    /// A name with the parts of a setting, or its last parts.
    fn settings(&self, written: &[&str]) -> Option<Suspicion> {
        let mut best: Option<(usize, bool)> = None;
        let mut meant = Vec::new();
        for (setting, parts) in &self.settings {
            let Some(from) = parts.len().checked_sub(written.len()) else {
                continue;
            };
            let same = same_parts(written, &parts[from..]).filter(|same| *same > 0);
            let Some(same) = same else { continue };
            if from > 0 && !is_last_part(written, parts) {
                continue;
            }
            let fit = (same, from == 0);
            if fit == (written.len(), true) {
                return None;
            }
            if best.is_none_or(|best| fit > best) {
                best = Some(fit);
                meant.clear();
            }
            if best == Some(fit) {
                meant.push(setting.name);
            }
        }
        let (same, is_whole) = best?;
        Some(Suspicion::Settings(meant, is_whole && same > 1))
    }

    /// A name in a section whose name is nearly that of a section.
    fn section(&self, written: &[&str]) -> Option<Suspicion> {
        let near = self.sections.iter().find(|section| {
            let beginning = written.get(..section.len());
            let same = beginning.and_then(|beginning| same_parts(beginning, section));
            written.len() > section.len() && same.is_some_and(|same| same > 0)
        });
        // The name of the section may be right, and the rest the user's own.
        let near = near.filter(|section| !written.starts_with(section))?;
        Some(Suspicion::Section(near.join(".")))
    }
}

/// How many parts are the same, if the others are nearly the same.
fn same_parts(written: &[&str], known: &[&str]) -> Option<usize> {
    let mut same = 0;
    for (part, known) in written.iter().zip(known) {
        if part == known {
            same += 1;
        } else if !is_misspelled(part, known) {
            return None;
        }
    }
    Some(same)
}

/// Whether a name ends as a known one does, or nearly so.
fn is_last_part(written: &[&str], known: &[&str]) -> bool {
    let (Some(written), Some(known)) = (written.last(), known.last()) else {
        return false;
    };
    written == known || written.chars().count() >= LONG_ENOUGH && is_misspelled(written, known)
}

/// Whether a word is nearly a known one, and begins like it: a mistake in the first letter is rare, and words that differ
/// there are often others (`winner`, `burner`).
fn is_misspelled(word: &str, known: &str) -> bool {
    let first = |text: &str| text.chars().next().map(|c| c.to_ascii_lowercase());
    // This is quick to see.
    first(word) == first(known) && nearest(word, [known]).is_some()
}

/// The names that expressions mention.
#[derive(Default)]
struct Mentions {
    /// What stands in strings, and names with dots.
    names: HashSet<String>,
    /// What names can end with: the same where an expression reads properties.
    ends: HashSet<String>,
    /// Whether an expression reads names that it does not mention.
    all: bool,
}

impl Mentions {
    fn of(rules: &Rules) -> Self {
        let mut mentions = Self::default();
        for rule in rules.all().chain(rules.all_on_demand()) {
            if let (RuleBody::Expression(..), Some(text)) = (&rule.body, rule.written()) {
                mentions.read(text);
            }
        }
        mentions
    }

    fn read(&mut self, text: &str) {
        let quotes = ['\'', '"'];
        let reads = ["lookup", "Namespace", "propertyMap"];
        let reads = reads.iter().any(|function| text.contains(function));
        let of_name = |c: char| c.is_alphanumeric() || "_.-+!?".contains(c);
        let mut rest = text;
        let mut before = ' ';
        while let Some(start) = rest.find(of_name) {
            before = rest[..start].chars().next_back().unwrap_or(before);
            let behind = &rest[start..];
            let end = behind.find(|c| !of_name(c)).unwrap_or(behind.len());
            let (run, after) = behind.split_at(end);
            // `propertyMap`, `config.Namespace('')` and computed names may read everything.
            let argument = after.trim_start_matches(['(', ' ']);
            self.all |= run == "propertyMap"
                || run.ends_with("Namespace") && !argument.starts_with(quotes)
                || run.ends_with("Namespace")
                    && argument.trim_start_matches(quotes).starts_with(')')
                || run.ends_with("lookup") && !text.contains(quotes);
            let name = run.trim_matches('.');
            if quotes.contains(&before) || run.contains('.') {
                if reads {
                    self.ends.extend(ends(name).map(str::to_owned));
                    self.ends.insert(name.to_owned());
                }
                self.names.insert(name.to_owned());
            }
            before = run.chars().next_back().unwrap_or(before);
            rest = after;
        }
    }

    /// Whether an expression mentions a name, its beginning or its end.
    fn have(&self, name: &str) -> bool {
        let mut beginnings = name.match_indices('.').map(|(dot, _)| &name[..dot]);
        self.all
            || self.names.contains(name)
            || self.ends.contains(name)
            || beginnings.any(|part| self.names.contains(part))
            || ends(name).any(|part| self.ends.contains(part))
    }
}

/// What follows each dot of a name.
fn ends(name: &str) -> impl Iterator<Item = &str> {
    name.match_indices('.').map(|(dot, _)| &name[dot + 1..])
}

#[cfg(test)]
mod tests {
    use super::{KnownNames, Mentions, Suspicion};

    #[test]
    fn names_that_are_nearly_known() {
        let known = KnownNames::new();
        let setting = |name, certain| Some(Suspicion::Settings(vec![name], certain));
        let section = |name: &str| Some(Suspicion::Section(name.to_owned()));
        let url = "peak.tools.server.url";
        for (name, expected) in [
            ("runers.workers.min", setting("runner.workers.min", true)),
            ("runner_.workers.min?", setting("runner.workers.min", true)),
            ("peak.runing.app", setting("peak.running.app", true)),
            ("Peak.Running.app", setting("peak.running.app", false)),
            ("peak.tool.server.url", setting(url, true)),
            ("runers.user", setting("runner.user", false)),
            ("workers.min", setting("runner.workers.min", false)),
            ("worker.min", setting("runner.workers.min", false)),
            ("worker.thread", None),
            ("workers.thread", setting("runner.workers.threads", false)),
            ("workers.mail", None),
            (
                "limits.memory",
                setting("runner.workers.limits.memory", false),
            ),
            ("min", setting("runner.workers.min", false)),
            ("thread", setting("runner.workers.threads", false)),
            ("ulr", setting(url, false)),
            ("URL", setting(url, false)),
            ("ap", setting("peak.running.app", false)),
            ("url", Some(Suspicion::Misplaced(url))),
            ("runers.workers.x", section("runner.workers")),
            ("runers.workers.*", section("runner.workers")),
            ("peak.runing.x", section("peak.running")),
            (
                "peak.running.shortcut.web",
                section("peak.running.shortcuts"),
            ),
            ("peak.running.app", None),
            ("peak.running.mainLoop", None),
            ("peak.running.shortcuts.web", None),
            ("runner.worker.min", None),
            ("environ.url", None),
            ("shop.title", None),
            ("shop.workers.title", None),
            ("title", None),
            ("*", None),
            ("a.*", None),
            ("", None),
        ] {
            assert_eq!(known.suspicion(name), expected, "{name}");
        }
    }

    #[test]
    fn expressions_mention_names() {
        let mentions = |text: &str, name: &str| {
            let mut mentions = Mentions::default();
            mentions.read(text);
            mentions.have(name)
        };
        for (text, name) in [
            ("config.lookup(targetObj, 'shop.min')", "shop.min"),
            ("config.lookup(targetObj, rulePrefix + 'min')", "shop.min"),
            ("config.lookup(targetObj, 'shop.' + ruleSuffix)", "shop.min"),
            (
                "config.lookup(targetObj, f'{rulePrefix}min', 'x')",
                "shop.other.x",
            ),
            ("config.lookup(targetObj, ruleSuffix)", "anything"),
            ("config.Namespace('shop')", "shop.min"),
            ("config.Namespace(\"shop.*\")", "shop.min"),
            ("config.Namespace(x)", "anything"),
            ("config.Namespace('')", "anything"),
            ("propertyMap", "anything"),
            ("propertyMap.shop.min", "shop.min"),
            ("'shop.%s' % 'a'", "shop.min"),
        ] {
            assert!(mentions(text, name), "{text}");
        }
        for text in [
            "commands.Alias(command=['serve', 'WSGI', 'import:workers.app'])",
            "min(1, 2)",
            "config.lookup(targetObj, 'shop.title')",
            "'tcp://localhost:8000'",
            "{'min': 4, 'workers_min': 5}",
        ] {
            assert!(!mentions(text, "workers.min"), "{text}");
        }
    }
}
