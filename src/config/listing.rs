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
    /// Its name; that of a rule for several names ends with `*`.
    pub name: String,
    /// What it gives.
    pub gives: Gives,
    /// Where it comes from.
    pub from: Whence,
}

/// What a setting gives.
#[derive(Debug)]
pub enum Gives {
    /// Its value.
    Value(Value),
    /// The expression of a rule for several names, as it is written: its value depends on the name.
    Expression(String),
    /// No value, since something is wrong.
    Mistake(Diagnostic),
}

/// Where a setting comes from.
#[derive(Debug)]
pub enum Whence {
    /// A file.
    File {
        /// Where in the file.
        place: Place,
        /// The layer that read it, counted from 0.
        layer: usize,
    },
    /// A command-line option, as it was typed.
    Option(String),
    /// A variable of the environment.
    Environment,
    /// The built-in default.
    BuiltIn,
}

/// The settings below a prefix, and the one that is called so, sorted by name. The empty prefix lists all but the
/// environment, which is listed where the prefix names it.
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

/// A property; nothing where it has no value.
fn property(rules: &Rules, name: String) -> Option<Listed> {
    let gives = match rules.get(&name) {
        Ok(Some(value)) => Gives::Value(value),
        Ok(None) => return None,
        Err(mistake) => Gives::Mistake(mistake),
    };
    let from = match rules.origin(&name) {
        Some(rule) => from(rule),
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
    match (&rule.body, &rule.origin) {
        (RuleBody::Value(value), _) => Gives::Value(value.clone()),
        (RuleBody::Expression(expression), RuleOrigin::File(home, _)) => {
            let span = expression.span;
            let text = home.source.text.get(span.start as usize..span.end as usize);
            Gives::Expression(text.unwrap_or_default().to_owned())
        }
        (RuleBody::Expression(_), RuleOrigin::Option(_)) => Gives::Expression(String::new()),
    }
}
