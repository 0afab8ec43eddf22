//! Everything that can be known of a configuration without running it.

use std::collections::HashSet;
use std::sync::Arc;

use super::rules::{Body, Origin, Rule};
use crate::config::{Configuration, Layer, SETTINGS, setting, validate};
use crate::eval::{Properties, Value};
use crate::syntax::{Diagnostic, quoted};

/// Errors beyond which nothing more is computed.
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

impl Configuration {
    /// Whether a setting has a value that it cannot have.
    #[must_use]
    pub fn is_wrong(&self, setting: &str) -> bool {
        let is_set = !matches!(self.get(setting), Ok(None | Some(Value::None)));
        is_set && !self.settings.contains_key(setting)
    }

    /// Reads the layers, and everything in them that can be evaluated: values that cannot be computed, names that
    /// mean nothing also where nobody reads them, and what is worth a word without being a mistake.
    #[must_use]
    pub fn inspect(layers: &[Layer]) -> Inspection {
        let (mut configuration, mut problems) = Self::read(layers, true);
        // So that the rest can be looked at, what is wrong counts as what it is where nobody sets it.
        for setting in SETTINGS
            .iter()
            .filter(|setting| setting.name.starts_with(validate::OWN))
        {
            let default = setting.default.value();
            let default = default.and_then(|value| setting::check(setting, &value).ok());
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
        let several = rules.all().filter(|rule| rule.name.ends_with('*'));
        let nobodys = several.map(|rule| &**rule).chain(&configuration.factories);
        mistakes.extend(nobodys.filter_map(|rule| rules.mistake_for_any_name(rule)));
        problems.extend(mistakes.into_iter().map(|mistake| match mistake.code {
            // It may be set where the file is used.
            NOT_SET => mistake.warning(),
            _ => mistake,
        }));
        problems.extend(configuration.warnings.iter().cloned());
        let mut known = HashSet::new();
        problems.retain(|problem| known.insert(identity(problem)));
        validate::sort(&mut problems);
        Inspection {
            configuration,
            problems,
        }
    }
}

/// What makes two problems the same one, found in two ways.
fn identity(problem: &Diagnostic) -> (&'static str, String, Option<(String, u32)>) {
    let place = problem.labels.first().map(|label| &label.place);
    let place = place.map(|place| (place.source.name.clone(), place.span.start));
    (problem.code, problem.message.clone(), place)
}

/// The warning that a default has another rule of the same file before it. From another file it is what defaults
/// are for.
fn never_applies(configuration: &Configuration, name: &str) -> Option<Diagnostic> {
    let default = configuration.rules.rule(&format!("{name}?"))?;
    let used = configuration.rules.origin(name)?;
    if used.name == default.name {
        return None;
    }
    let message = format!("the default {} never applies", quoted(&default.name));
    in_one_file("setting/default", message, default, used)
}

/// The warning that a setting stands twice in one file. Over another file it is what layers are for.
pub(super) fn overridden(before: &Rule, after: &Rule) -> Option<Diagnostic> {
    let message = format!(
        "the setting {} is overridden further down",
        quoted(&before.name)
    );
    in_one_file("setting/overridden", message, before, after)
}

fn in_one_file(
    code: &'static str,
    message: String,
    unused: &Rule,
    used: &Rule,
) -> Option<Diagnostic> {
    let written = |rule: &Rule| matches!(rule.body, Body::Expression(_));
    match (&unused.origin, &used.origin) {
        (Origin::File(home, span), Origin::File(other, place))
            if Arc::ptr_eq(&home.source, &other.source) && written(unused) && written(used) =>
        {
            let warning = Diagnostic::new(code, message).warning();
            let warning = warning.at(&home.source, *span);
            Some(warning.with_label(&other.source, *place, "this one counts"))
        }
        _ => None,
    }
}
