//! All settings in force, with their values and where they come from.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::configuration::Configuration;
use super::rule::{Rule, RuleBody, RuleOrigin};
use super::rules::Rules;
use super::settings::SETTINGS;
use crate::eval::{Properties, Value};
use crate::syntax::{Diagnostic, Place};

/// A setting in force.
#[derive(Debug)]
pub struct Listed {
    /// Its name; the name of a rule for several properties ends with `*`.
    pub name: String,
    /// Its value.
    pub gives: Gives,
    /// Where it comes from.
    pub from: Whence,
}

/// The value of a setting, or what there is instead.
#[derive(Debug)]
pub enum Gives {
    /// The value.
    Value(Value),
    /// The expression, as written, of a rule for several properties: the value depends on the property.
    Expression(String),
    /// The error that prevents the value.
    Mistake(Diagnostic),
}

/// Where a setting comes from.
#[derive(Debug)]
pub enum Whence {
    /// A file.
    File {
        /// The place in the file.
        place: Place,
        /// The layer of the file, counted from 0.
        layer: usize,
    },
    /// A command-line option, as it was typed.
    Option(String),
    /// A variable of the environment.
    Environment,
    /// The built-in default.
    BuiltIn,
}

/// The setting with a name and all settings below it, sorted. The empty prefix lists all settings, but not variables of the
/// environment: these are listed if the prefix begins with `environ`.
#[must_use]
pub fn list(configuration: &Configuration, prefix: &str) -> Vec<Listed> {
    let rules = &configuration.rules;
    let below = |name: &str| {
        let rest = name.strip_prefix(prefix);
        prefix.is_empty() || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    let mut names: BTreeSet<String> = rules.names("").into_iter().collect();
    names.extend(SETTINGS.iter().map(|setting| setting.name.to_owned()));
    if prefix == "environ" || prefix.starts_with("environ.") {
        names.extend(rules.names("environ."));
    }
    let mut listed: Vec<Listed> = names
        .into_iter()
        .filter(|name| below(name))
        .filter_map(|name| property(rules, name))
        .collect();
    let wildcards = rules.all().filter(|rule| rule.name.ends_with('*'));
    let wildcards = wildcards.chain(rules.all_on_demand());
    listed.extend(
        wildcards
            .filter(|rule| below(&rule.name))
            .map(|rule| Listed {
                name: rule.name.as_ref().to_owned(),
                gives: as_written(rule),
                from: from(rule),
            }),
    );
    listed.sort_by(|one, other| one.name.cmp(&other.name));
    listed
}

/// A property, if it has a value.
fn property(rules: &Rules, name: String) -> Option<Listed> {
    let gives = match rules.get(&name) {
        Ok(Some(value)) => Gives::Value(value),
        Ok(None) => return None,
        Err(mistake) => Gives::Mistake(mistake),
    };
    let from = match rules.origin(&name) {
        Some(rule) => from(&rule),
        None if name.starts_with("environ.") => Whence::Environment,
        None => Whence::BuiltIn,
    };
    Some(Listed { name, gives, from })
}

fn from(rule: &Rule) -> Whence {
    match &rule.origin {
        RuleOrigin::File(home, span) => Whence::File {
            place: Place {
                source: Arc::clone(&home.source),
                span: *span,
            },
            layer: rule.layer,
        },
        RuleOrigin::Option(option) => Whence::Option(option.clone()),
    }
}

fn as_written(rule: &Rule) -> Gives {
    match &rule.body {
        RuleBody::Value(value) => Gives::Value(value.clone()),
        RuleBody::Expression(..) => {
            Gives::Expression(rule.written().unwrap_or_default().to_owned())
        }
    }
}
