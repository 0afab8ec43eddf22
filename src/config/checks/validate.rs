//! Checks the settings under `runner.`: names, values, and the order of `runner.workers.min` and `max`.

use std::collections::HashMap;
use std::sync::Arc;

use super::checked_value::check_as;
use super::contradictions;
use super::conversion;
use super::trusted_networks;
use crate::config::files::ini_file::SHORT;
use crate::config::prefixes::{OWN, SettingsPrefixes, is_of_applications};
use crate::config::rule::{Rule, RuleOrigin};
use crate::config::rules::Rules;
use crate::config::setting::{Checked, Setting};
use crate::config::settings::{SETTINGS, find};
use crate::eval::Value;
use crate::syntax::{Diagnostic, Source, did_you_mean, nearest, quoted};

/// The settings that are checked.
pub(in crate::config) fn own_settings() -> impl Iterator<Item = &'static Setting> + Clone {
    SETTINGS
        .iter()
        .filter(|setting| setting.name.starts_with(OWN))
}

/// The values of all settings under `runner.`; errors are added to the mistakes.
pub(in crate::config) fn settings(
    rules: &Rules,
    mistakes: &mut Vec<Diagnostic>,
) -> HashMap<&'static str, Checked> {
    unknown(rules, mistakes);
    let mut checked = HashMap::new();
    for setting in own_settings() {
        if let Some(value) = value_of(rules, setting, setting.name, mistakes) {
            checked.insert(setting.name, value);
        }
    }
    let prefixes = SettingsPrefixes::default();
    mistakes.extend(contradictions::order(rules, &prefixes, &checked));
    mistakes.extend(trusted_networks::contradictions(rules, &checked));
    checked
}

/// The values that settings have for an application, over those that hold for all; errors are added to the mistakes.
pub(in crate::config) fn of_application(
    rules: &Rules,
    prefixes: &SettingsPrefixes,
    all: &HashMap<&'static str, Checked>,
    mistakes: &mut Vec<Diagnostic>,
) -> HashMap<&'static str, Checked> {
    for prefix in &prefixes.0 {
        mistakes.extend(unknown_below(rules, prefix));
    }
    let mut checked = all.clone();
    for setting in own_settings() {
        let source = prefixes.source(rules, setting.name);
        if source == setting.name {
            continue;
        }
        match value_of(rules, setting, &source, mistakes) {
            Some(value) => checked.insert(setting.name, value),
            None => checked.remove(setting.name),
        };
    }
    mistakes.extend(contradictions::order(rules, prefixes, &checked));
    checked
}

/// The value that a property gives to a setting; `None` if it gives none, or a wrong one.
fn value_of(
    rules: &Rules,
    setting: &'static Setting,
    property: &str,
    mistakes: &mut Vec<Diagnostic>,
) -> Option<Checked> {
    let value = match rules.get(property) {
        Ok(value) => value?,
        Err(mistake) => {
            mistakes.push(needed(rules, property, mistake));
            return None;
        }
    };
    // For a setting without a fixed default, `None` means "not set".
    if value == Value::None && setting.default.value().is_none() {
        return None;
    }
    match check_as(setting, property, &value) {
        Ok(value) => Some(value),
        Err(mistake) => {
            let rule = rules.origin(property);
            let hint = rule.and_then(|rule| conversion::hint(setting, &value, &rule));
            mistakes.push(rules.label(mistake.with_hint_if(hint), property));
            None
        }
    }
}

/// Sorts mistakes by their places, file by file in the order in which the files were read.
pub fn sort_by_place(mistakes: &mut [Diagnostic]) {
    let place = |mistake: &Diagnostic| {
        let place = &mistake.labels.first()?.place;
        // A file may have been read more than once.
        Some((Arc::clone(&place.source), place.span.start))
    };
    let mut files: Vec<Arc<Source>> = Vec::new();
    let is =
        |one: &Arc<Source>, file: &Arc<Source>| Arc::ptr_eq(one, file) || one.name == file.name;
    for (file, _) in mistakes.iter().filter_map(place) {
        if !files.iter().any(|one| is(one, &file)) {
            files.push(file);
        }
    }
    mistakes.sort_by_cached_key(|mistake| match place(mistake) {
        Some((file, start)) => (files.iter().position(|one| is(one, &file)), start),
        // After all files.
        None => (Some(files.len()), 0),
    });
}

/// An error in another setting, with the place of the one that needs it.
fn needed(rules: &Rules, name: &str, mistake: Diagnostic) -> Diagnostic {
    let Some(rule) = rules.origin(name) else {
        return mistake;
    };
    let elsewhere = rule.origin.place().is_some_and(|here| {
        mistake.labels.first().is_some_and(|label| {
            !Arc::ptr_eq(&label.place.source, &here.source) || label.place.line() != here.line()
        })
    });
    match elsewhere {
        true => rule.origin.label(mistake, "needs it"),
        false => mistake,
    }
}

/// Rules under `runner.` that no setting reads.
fn unknown(rules: &Rules, mistakes: &mut Vec<Diagnostic>) {
    let mut wrong: Vec<&Rule> = rules
        .all()
        .map(|rule| &**rule)
        .filter(|rule| rule.name.starts_with(OWN) && !known(&rule.name))
        .collect();
    wrong.sort_by_key(|rule| in_file(rule));
    for rule in wrong {
        let name = rule.name.trim_end_matches('?');
        let own = own_settings().map(|setting| setting.name);
        // Perhaps only the part before the last dot is wrong.
        let last = name.rsplit('.').next();
        let mut same = own.clone().filter(|known| known.rsplit('.').next() == last);
        let hint = misplaced(name).or_else(|| match (same.next(), same.next()) {
            (Some(only), None) => Some(format!("did you mean `{only}`?")),
            _ => within_section(name).or_else(|| did_you_mean(name, own)),
        });
        let message = format!("there is no setting {}", quoted(name));
        let mistake = Diagnostic::new("setting/unknown", message).with_hint_if(hint);
        mistakes.push(rule.origin.label(mistake, ""));
    }
}

/// The place of a rule, for sorting.
fn in_file(rule: &Rule) -> (String, u32) {
    match &rule.origin {
        RuleOrigin::File(home, span) => (home.source.name.clone(), span.start),
        RuleOrigin::Option(option) => (option.clone(), 0),
    }
}

/// Rules below the prefix of an application that it does not read.
fn unknown_below(rules: &Rules, prefix: &str) -> Vec<Diagnostic> {
    let beginning = format!("{prefix}.");
    let mut wrong: Vec<(&Rule, String)> = rules
        .all()
        .filter_map(|rule| Some((&**rule, rule.name.strip_prefix(&beginning)?)))
        .map(|(rule, rest)| (rule, format!("{OWN}{}", rest.trim_end_matches('?'))))
        .filter(|(_, name)| !(known(name) && may_be_of_application(name)))
        .collect();
    wrong.sort_by_key(|(rule, _)| in_file(rule));
    let mistake = |(rule, general): (&Rule, String)| {
        let name = quoted(rule.name.trim_end_matches('?'));
        let mistake = if known(&general) {
            let message = format!("{name} cannot be set for one application: it is the server's");
            Diagnostic::new("setting/server", message).with_hint(format!("write `{general}`"))
        } else {
            let message = format!("there is no setting {name} for an application");
            let hint = hint_below(prefix, &general);
            Diagnostic::new("setting/unknown", message).with_hint_if(hint)
        };
        rule.origin.label(mistake, "")
    };
    wrong.into_iter().map(mistake).collect()
}

/// Whether a setting, or one of those that a `*` at the end stands for, can be that of an application.
fn may_be_of_application(general: &str) -> bool {
    match general.strip_suffix('*') {
        Some(beginning) => own_settings()
            .any(|one| one.name.starts_with(beginning) && is_of_applications(one.name)),
        None => is_of_applications(general),
    }
}

/// What was probably meant by the name of a setting of an application: that with the same last part, or a similar one.
fn hint_below(prefix: &str, general: &str) -> Option<String> {
    let short = general.strip_prefix(OWN)?;
    if let Some((short, long)) = SHORT.iter().find(|(one, _)| *one == short) {
        return Some(format!(
            "`{short}` stands before the first section; it is short for `{long}`, which is the server's"
        ));
    }
    let known: Vec<&str> = own_settings()
        .map(|setting| setting.name)
        .filter(|name| is_of_applications(name))
        .collect();
    let last = |name: &str| name.rsplit('.').next().map(str::to_owned);
    let mut same = known.iter().filter(|name| last(name) == last(general));
    let meant = match (same.next(), same.next()) {
        (Some(only), None) => *only,
        _ => nearest(general, known.iter().copied())?,
    };
    let meant = meant.strip_prefix(OWN)?;
    Some(format!("did you mean `{prefix}.{meant}`?"))
}

/// The hint for a short name that stands in a section of `runner`.
fn misplaced(name: &str) -> Option<String> {
    let (section, last) = name.rsplit_once('.')?;
    let (short, long) = SHORT.iter().find(|(short, _)| *short == last)?;
    let is_below = |setting: &Setting| {
        let rest = setting.name.strip_prefix(section);
        rest.is_some_and(|rest| rest.starts_with('.'))
    };
    let exists = own_settings().any(is_below);
    exists.then(|| {
        format!("move it before the first section; only there, `{short}` is short for `{long}`")
    })
}

/// The hint for a name in a section that exists: the nearest of its settings, or all of them if they are few.
fn within_section(name: &str) -> Option<String> {
    /// The settings that a hint can name.
    const FEW: usize = 6;
    let (section, last) = name.rsplit_once('.')?;
    if !section.starts_with(OWN) {
        return None;
    }
    let rest = |setting: &Setting| setting.name.strip_prefix(section)?.strip_prefix('.');
    let inside: Vec<&'static str> = own_settings().filter_map(rest).collect();
    if inside.is_empty() {
        return None;
    }
    if let Some(near) = nearest(last, inside.iter().copied()) {
        return Some(format!("did you mean `{section}.{near}`?"));
    }
    match inside.len() {
        ..=FEW => Some(format!("`{section}` has `{}`", inside.join("`, `"))),
        _ => {
            let names = own_settings().map(|setting| setting.name);
            did_you_mean(name, names.filter(|known| known.starts_with(section)))
        }
    }
}

fn known(rule: &str) -> bool {
    match rule.strip_suffix('*') {
        Some(prefix) => SETTINGS
            .iter()
            .any(|setting| setting.name.starts_with(prefix)),
        None => find(rule.strip_suffix('?').unwrap_or(rule)).is_some(),
    }
}
