//! Checks the settings that `runner` itself reads.

use std::collections::HashMap;
use std::sync::Arc;

use crate::config::keys;
use crate::config::keys::{Format, KEYS};
use crate::config::rules::{Origin, Rule, Rules};
use crate::config::setting::{Checked, check};
use crate::config::settings::{SETTINGS, find};
use crate::eval::Value;
use crate::syntax::{Diagnostic, Place, Source, did_you_mean, quoted};

/// What every name begins with that is checked.
pub(super) const OWN: &str = "runner.";

/// The values of all settings under `runner.`; what is wrong with them is added to the mistakes.
pub(super) fn settings(
    rules: &Rules,
    mistakes: &mut Vec<Diagnostic>,
) -> HashMap<&'static str, Checked> {
    unknown(rules, mistakes);
    let mut checked = HashMap::new();
    for setting in SETTINGS
        .iter()
        .filter(|setting| setting.name.starts_with(OWN))
    {
        let value = match rules.get(setting.name) {
            Ok(Some(value)) => value,
            Ok(None) => continue,
            Err(mistake) => {
                mistakes.push(needed(rules, setting.name, mistake));
                continue;
            }
        };
        // `None` says that it is not set, where that means something.
        if value == Value::None && setting.default.value().is_none() {
            continue;
        }
        match check(setting, &value) {
            Ok(value) => {
                checked.insert(setting.name, value);
            }
            Err((code, message, hint)) => {
                mistakes.push(complaint(rules, setting.name, code, message).with_hint_if(hint));
            }
        }
    }
    order(rules, &checked, mistakes);
    checked
}

/// Puts mistakes in the order of their places, file by file in the order in which they were read.
pub fn sort(mistakes: &mut [Diagnostic]) {
    let mut files: Vec<*const Source> = Vec::new();
    for mistake in mistakes.iter() {
        let file = mistake
            .labels
            .first()
            .map(|label| Arc::as_ptr(&label.place.source));
        files.extend(file.filter(|file| !files.contains(file)));
    }
    mistakes.sort_by_key(|mistake| {
        let place = mistake.labels.first().map(|label| &label.place);
        let file = place.and_then(|place| {
            files
                .iter()
                .position(|file| *file == Arc::as_ptr(&place.source))
        });
        (
            file.unwrap_or(files.len()),
            place.map(|place| place.span.start),
        )
    });
}

/// A mistake about a property, at its rule.
pub(super) fn complaint(
    rules: &Rules,
    name: &str,
    code: &'static str,
    message: String,
) -> Diagnostic {
    match rules.origin(name).map(|rule| rule.origin.clone()) {
        Some(Origin::File(home, span)) => Diagnostic::new(code, message).at(&home.source, span),
        Some(Origin::Option(_)) | None => Diagnostic::new(code, message),
    }
}

/// A mistake in another setting than the one that needs it, with the place of that one.
fn needed(rules: &Rules, name: &str, mistake: Diagnostic) -> Diagnostic {
    let Some(Origin::File(home, span)) = rules.origin(name).map(|rule| rule.origin.clone()) else {
        return mistake;
    };
    let here = Place {
        source: Arc::clone(&home.source),
        span,
    };
    let elsewhere = mistake.labels.first().is_some_and(|label| {
        !Arc::ptr_eq(&label.place.source, &here.source) || label.place.line() != here.line()
    });
    if elsewhere {
        mistake.with_label(&home.source, span, "needs it")
    } else {
        mistake
    }
}

/// Rules under `runner.` that no setting reads.
fn unknown(rules: &Rules, mistakes: &mut Vec<Diagnostic>) {
    let mut wrong: Vec<&Rule> = rules
        .all()
        .map(|rule| &**rule)
        .filter(|rule| rule.name.starts_with(OWN) && !known(&rule.name))
        .collect();
    wrong.sort_by_key(|rule| match &rule.origin {
        Origin::File(home, span) => (home.source.name.clone(), span.start),
        Origin::Option(option) => (option.clone(), 0),
    });
    for rule in wrong {
        let name = rule.name.trim_end_matches('?');
        let own = SETTINGS
            .iter()
            .map(|setting| setting.name)
            .filter(|known| known.starts_with(OWN));
        // The last part alone may be right, and what is before it wrong.
        let last = name.rsplit('.').next();
        let mut same = own.clone().filter(|known| known.rsplit('.').next() == last);
        let hint = match (same.next(), same.next()) {
            (Some(only), None) => Some(format!("did you mean `{only}`?")),
            _ => did_you_mean(name, own),
        };
        let message = format!("there is no setting {}", quoted(name));
        let mut mistake = Diagnostic::new("setting/unknown", message);
        if let Origin::File(home, span) = &rule.origin {
            mistake = mistake.at(&home.source, *span);
        }
        mistakes.push(mistake.with_hint_if(hint));
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

/// The least number of workers is at most the largest.
fn order(rules: &Rules, checked: &HashMap<&'static str, Checked>, mistakes: &mut Vec<Diagnostic>) {
    const MIN: &str = "runner.workers.min";
    const MAX: &str = "runner.workers.max";
    let (Some(Checked::Integer(min)), Some(Checked::Integer(max))) =
        (checked.get(MIN), checked.get(MAX))
    else {
        return;
    };
    if min <= max {
        return;
    }
    let origin = |name| rules.origin(name).map(|rule| rule.origin.clone());
    let is_key = |name| match origin(name) {
        Some(Origin::File(home, _)) => keys::format(&home.source) == Some(Format::Keys),
        Some(Origin::Option(_)) | None => false,
    };
    // As whoever wrote one of them knows them.
    let by_keys = is_key(MIN) || is_key(MAX);
    let what = if by_keys { "key" } else { "setting" };
    let [least, most] = [MIN, MAX].map(|name| {
        let key = KEYS.iter().find(|key| by_keys && key.setting == name);
        key.map_or(name, |key| key.name)
    });
    let message = format!("{what} `{most}` is {max}, less than `{least}`, which is {min}");
    let mut mistake = Diagnostic::new("setting/order", message);
    for (name, value) in [(MAX, max), (MIN, min)] {
        if let Some(Origin::File(home, span)) = origin(name) {
            let seen = if mistake.labels.is_empty() {
                String::new()
            } else {
                format!("{value} here")
            };
            mistake = mistake.with_label(&home.source, span, seen);
        }
    }
    mistakes.push(mistake.with_hint(format!("set both; `{most}` is 4 unless it is set")));
}
