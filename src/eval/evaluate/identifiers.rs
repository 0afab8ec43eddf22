//! What a name means: variables of the rule, shortcuts of the file, modules, constants and functions.

use std::sync::Arc;

use crate::eval::budget::Fault;
use crate::eval::evaluate::{Evaluator, Home};
use crate::eval::functions;
use crate::eval::functions::FUNCTIONS;
use crate::eval::value::Value;
use crate::syntax::{meant_word, nearest, quoted};

/// A name that stands for a value.
#[derive(Debug)]
pub struct Constant {
    /// As it is written.
    pub name: &'static str,
    /// What it is.
    pub help: &'static str,
}

/// Every name that stands for a value, sorted.
pub const CONSTANTS: &[Constant] = &[
    Constant {
        name: "configKey",
        help: "The name of the property as it is looked up.",
    },
    Constant {
        name: "file_dir",
        help: "The folder of the file that the rule stands in, absolute.",
    },
    Constant {
        name: "file_name",
        help: "The name of the file that the rule stands in, without its folder.",
    },
    Constant {
        name: "os.environ",
        help: "The environment variables, a dict.",
    },
    Constant {
        name: "os.pathsep",
        help: "What separates the entries of `PATH`.",
    },
    Constant {
        name: "os.sep",
        help: "What separates the parts of a path.",
    },
    Constant {
        name: "propertyMap",
        help: "All properties, as `config.Namespace` shows them.",
    },
    Constant {
        name: "propertyName",
        help: "The name of the property as it is looked up.",
    },
    Constant {
        name: "ruleName",
        help: "The name of the rule as it is written.",
    },
    Constant {
        name: "rulePrefix",
        help: "The rule's name up to its last dot, with the dot.",
    },
    Constant {
        name: "ruleSuffix",
        help: "What the rule's `*` stands for in this lookup; empty for other rules.",
    },
    Constant {
        name: "sys.platform",
        help: "The operating system as Python calls it: `linux`, `darwin`, `win32`.",
    },
    Constant {
        name: "targetObj",
        help: "What the property is looked up for: here always `None`, to be handed to `config.lookup`.",
    },
];

/// As Python calls it.
const PLATFORM: &str = if cfg!(target_os = "macos") {
    "darwin"
} else if cfg!(target_os = "freebsd") {
    "freebsd"
} else if cfg!(target_os = "openbsd") {
    "openbsd"
} else if cfg!(target_os = "netbsd") {
    "netbsd"
} else if cfg!(windows) {
    "win32"
} else {
    "linux"
};

/// Names that hold others.
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
    constant(evaluator, name).or_else(|| functions::find(name).map(Value::Function))
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
        "os.pathsep" => Value::text(if cfg!(windows) { ";" } else { ":" }),
        "os.sep" => Value::text(std::path::MAIN_SEPARATOR_STR),
        "sys.platform" => Value::text(PLATFORM),
        _ => return None,
    })
}

/// A rule's name up to its last dot, with the dot.
fn prefix(rule: &str) -> &str {
    &rule[..rule.rfind('.').map_or(0, |dot| dot + 1)]
}

/// `module.name`
pub(crate) fn member(
    evaluator: &Evaluator<'_>,
    module: &'static str,
    name: &str,
) -> Result<Value, Fault> {
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

/// The mistake of asking a module for what it has not.
pub(crate) fn no_member(module: &str, name: &str) -> Fault {
    let members = all()
        .filter_map(|known| known.strip_prefix(module)?.strip_prefix('.'))
        .filter(|rest| !rest.contains('.'));
    let hint = nearest(name, members).map(|meant| format!("did you mean `{module}.{meant}`?"));
    let message = format!("`{module}` has no {}", quoted(name));
    Fault::new("name/unknown", message).with_hint_if(hint)
}

/// Every name of the language.
pub fn all() -> impl Iterator<Item = &'static str> {
    let constants = CONSTANTS.iter().map(|constant| constant.name);
    let functions = FUNCTIONS.iter().map(|function| function.name);
    constants.chain(functions).chain(MODULES.iter().copied())
}

/// The mistake of using a name that means nothing.
pub(crate) fn unknown(evaluator: &Evaluator<'_>, name: &str) -> Fault {
    if CONSTANTS.iter().any(|constant| constant.name == name) {
        let message = format!("there is no name {} here", quoted(name));
        let hint = "it says what is looked up, in the value of a setting".to_owned();
        return Fault::new("name/unknown", message).with_hint_if(Some(hint));
    }
    let locals = evaluator.locals.as_ref();
    let locals = locals.map(|scope| scope.names()).unwrap_or_default();
    no_name(&evaluator.home, &locals, name)
}

/// The same where a file and these lambdas and comprehensions bind names.
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
        "text stands in quotes: `'{name}'`; another setting is read by `config.lookup(targetObj, '{name}')`"
    )))
}
