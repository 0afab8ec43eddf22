//! Finds everything that is wrong with a configuration without running it.

use std::collections::HashSet;

use super::checked_value::check;
use super::validate::{own_settings, sort_by_place};
use crate::config::configuration::{Configuration, Layer};
use crate::eval::Properties;
use crate::syntax::{Diagnostic, quoted};

/// Errors after which the inspection stops.
const MOST_MISTAKES: usize = 1000;

/// The code of a setting that is read but set nowhere.
const NOT_SET: &str = "name/property";

/// A configuration and what is wrong with it.
#[derive(Debug)]
pub struct Inspection {
    /// The configuration, with defaults for what is wrong.
    pub configuration: Configuration,
    /// Errors and warnings, in the order of their places.
    pub problems: Vec<Diagnostic>,
}

/// Reads the layers and evaluates all properties: finds values that cannot be computed, unknown names also in expressions
/// that are never used, and what deserves a warning.
#[must_use]
pub fn inspect(layers: &[Layer]) -> Inspection {
    let (mut configuration, mut problems) = Configuration::read(layers, true);
    // The inspection goes on with the default of a setting whose value is wrong.
    for setting in own_settings() {
        let default = setting.default.value();
        let default = default.and_then(|value| check(setting, &value).ok());
        if let (Some(default), true) = (default, configuration.is_wrong(setting.name)) {
            configuration.settings.insert(setting.name, default);
        }
    }
    let rules = &configuration.rules;
    let mut mistakes = rules.mistakes_on_demand();
    let mut errors = problems.len() + mistakes.len();
    for name in rules.names("") {
        if errors >= MOST_MISTAKES {
            break;
        }
        match rules.get(&name) {
            Err(mistake) => {
                errors += usize::from(mistake.code != NOT_SET);
                mistakes.push(mistake);
            }
            Ok(_) => problems.extend(never_applies(&configuration, &name)),
        }
    }
    // Rules that are not evaluated for a property of their own name.
    let wildcards = rules.all().filter(|rule| rule.name.ends_with('*'));
    let unasked = wildcards
        .map(|rule| &**rule)
        .chain(&configuration.factories);
    mistakes.extend(unasked.filter_map(|rule| rules.mistake_for_any_name(rule)));
    problems.extend(mistakes.into_iter().map(|mistake| match mistake.code {
        // A file that includes this one may set it.
        NOT_SET => mistake.warning(),
        _ => mistake,
    }));
    problems.extend(configuration.warnings.iter().cloned());
    problems.extend(configuration.at_start.iter().cloned());
    let mut known = HashSet::new();
    problems.retain(|problem| known.insert(identity(problem)));
    sort_by_place(&mut problems);
    Inspection {
        configuration,
        problems,
    }
}

/// Two problems with the same identity are one problem that was found in two ways.
fn identity(problem: &Diagnostic) -> (&'static str, String, Option<(String, u32)>) {
    let place = problem.labels.first().map(|label| &label.place);
    let place = place.map(|place| (place.source.name.clone(), place.span.start));
    (problem.code, problem.message.clone(), place)
}

/// The warning that a default never applies, since another rule of the same file comes before it.
fn never_applies(configuration: &Configuration, name: &str) -> Option<Diagnostic> {
    let default = configuration.rules.rule(&format!("{name}?"))?;
    let used = configuration.rules.origin(name)?;
    if used.name == default.name {
        return None;
    }
    let message = format!("the default {} never applies", quoted(&default.name));
    default.without_effect("setting/default", message, &used)
}
