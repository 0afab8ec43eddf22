//! What a name means: variables of the rule, shortcuts of the file, modules, constants and functions.

use std::sync::Arc;

use crate::eval::budget::{Fault, Result};
use crate::eval::evaluator::Evaluator;
use crate::eval::functions::{self, FUNCTIONS};
use crate::eval::value::Value;
use crate::eval::value::closure::Home;
use crate::syntax::{meant_word, nearest, quoted};

/// A name that stands for a value.
#[derive(Debug)]
pub struct Constant {
    /// The name as it is written.
    pub name: &'static str,
    /// What it stands for, in at most 70 characters, without a full stop.
    pub summary: &'static str,
    /// The summary, and for some names what else there is to know.
    pub help: &'static str,
}

/// Makes the table from names, summaries and details.
macro_rules! constants {
    ($($name:literal: $summary:literal $($details:literal)?;)*) => {
        &[$(Constant {
            name: $name,
            summary: $summary,
            help: concat!($summary, '.' $(, ' ', $details)?),
        }),*]
    };
}

/// Every name that stands for a value, sorted.
pub const CONSTANTS: &[Constant] = constants! {
    "configKey": "The name of the property as it is looked up";
    "file_dir": "The folder of the file that the rule stands in, absolute";
    "file_name": "The name of the file that the rule stands in, without its folder";
    "os.environ": "The environment variables, a dict";
    "os.pathsep": "The separator between the entries of `PATH`";
    "os.sep": "The separator between the parts of a path";
    "propertyMap": "All properties, as `config.Namespace` shows them";
    "propertyName": "The name of the property as it is looked up";
    "ruleName": "The name of the rule as it is written";
    "rulePrefix": "The rule's name up to its last dot, with the dot";
    "ruleSuffix": "The part of the name that the rule's `*` matches" "Empty for other rules.";
    "sys.platform": "The operating system as Python calls it" "On Linux `linux`, on macOS `darwin`.";
    "targetObj": "The first argument of `config.lookup`; here always `None`" "In PEAK it is the object that the property is looked up for.";
};

/// Names that have others behind a dot.
const MODULES: &[&str] = &["commands", "config", "naming", "os", "os.path", "sys"];

/// The value of a name that no lambda or comprehension binds.
pub(crate) fn resolve(evaluator: &Evaluator<'_>, name: &str) -> Option<Value> {
    if let Some(target) = evaluator.home.shortcuts.get(name) {
        return Some(Value::Import(Arc::clone(target)));
    }
    dotted(evaluator, name)
}

/// The value of a name with its module.
fn dotted(evaluator: &Evaluator<'_>, name: &str) -> Option<Value> {
    if let Some(module) = MODULES.iter().find(|module| **module == name) {
        return Some(Value::Module(module));
    }
    constant(evaluator, name).or_else(|| functions::named(name))
}

fn constant(evaluator: &Evaluator<'_>, name: &str) -> Option<Value> {
    let variables = evaluator.variables.as_deref();
    Some(match name {
        "ruleName" => Value::Str(Arc::clone(&variables?.rule_name)),
        "propertyName" | "configKey" => Value::Str(Arc::clone(&variables?.property_name)),
        "rulePrefix" => Value::text(prefix(&variables?.rule_name)),
        "ruleSuffix" => {
            let variables = variables?;
            Value::text(if variables.rule_name.ends_with('*') {
                let prefix = prefix(&variables.rule_name);
                variables
                    .property_name
                    .get(prefix.len()..)
                    .unwrap_or_default()
            } else {
                ""
            })
        }
        "targetObj" => Value::None,
        "propertyMap" => Value::Namespace("".into()),
        "file_dir" => Value::from(
            evaluator
                .home
                .folder
                .as_ref()?
                .to_string_lossy()
                .into_owned(),
        ),
        "file_name" => Value::text(&evaluator.home.file_name),
        "os.environ" => evaluator.properties.environment(),
        "os.pathsep" => Value::text(":"),
        "os.sep" => Value::text("/"),
        "sys.platform" => Value::text(match std::env::consts::OS {
            "macos" => "darwin",
            other => other,
        }),
        _ => return None,
    })
}

/// A rule's name up to its last dot, with the dot.
fn prefix(rule: &str) -> &str {
    &rule[..rule.rfind('.').map_or(0, |dot| dot + 1)]
}

/// `module.name`
pub(crate) fn member(evaluator: &Evaluator<'_>, module: &'static str, name: &str) -> Result<Value> {
    let whole = format!("{module}.{name}");
    if let Some(value) = dotted(evaluator, &whole) {
        return Ok(value);
    }
    Err(no_member(module, name))
}

/// The module that a name stands for.
pub(crate) fn module(home: &Home, name: &str) -> Option<&'static str> {
    let shortcut = home.shortcuts.contains_key(name);
    let mut modules = MODULES.iter().copied();
    modules.find(|module| *module == name && !shortcut)
}

/// The error for a name that a module does not have.
pub(crate) fn no_member(module: &str, name: &str) -> Fault {
    let members = all()
        .filter_map(|known| known.strip_prefix(module)?.strip_prefix('.'))
        .filter(|rest| !rest.contains('.'));
    let hint = nearest(name, members).map(|meant| format!("did you mean `{module}.{meant}`?"));
    let message = format!("`{module}` has no {}", quoted(name));
    Fault::new("name/unknown", message).with_hint_if(hint)
}

/// Every name of the language.
pub(crate) fn all() -> impl Iterator<Item = &'static str> {
    let constants = CONSTANTS.iter().map(|constant| constant.name);
    let functions = FUNCTIONS.iter().map(|function| function.name);
    constants.chain(functions).chain(MODULES.iter().copied())
}

/// The error for a name without a meaning.
pub(crate) fn unknown(evaluator: &Evaluator<'_>, name: &str) -> Fault {
    if CONSTANTS.iter().any(|constant| constant.name == name) {
        let message = format!("there is no name {} here", quoted(name));
        let hint = "it is only known in the value of a setting".to_owned();
        return Fault::new("name/unknown", message).with_hint_if(Some(hint));
    }
    let locals = evaluator.bindings.as_ref();
    let locals = locals
        .map(|bindings| bindings.visible())
        .unwrap_or_default();
    no_name(&evaluator.home, &locals, name)
}

/// The same, where the file and these lambdas and comprehensions define names.
pub(crate) fn no_name(home: &Home, locals: &[&str], name: &str) -> Fault {
    let message = format!("there is no name {}", quoted(name));
    let fault = Fault::new("name/unknown", message);
    if let Some(meant) = meant_word(name) {
        return fault.with_hint_if(Some(format!("did you mean `{meant}`?")));
    }
    let mut known: Vec<&str> = locals.to_vec();
    known.extend(home.shortcuts.keys().map(|name| &**name));
    for name in all() {
        known.push(name);
    }
    if let Some(meant) = nearest(name, known) {
        return fault.with_hint_if(Some(format!("did you mean `{meant}`?")));
    }
    if let Some(meant) = all().find(|known| known.rsplit('.').next() == Some(name)) {
        return fault.with_hint_if(Some(format!("did you mean `{meant}`?")));
    }
    fault.with_hint_if(Some(format!(
        "put text in quotes: `'{name}'`; another setting is read by `config.lookup(targetObj, '{name}')`"
    )))
}
