//! The hint for a value of the wrong type that can be converted, such as a string from the environment where a number is
//! wanted: the expression to write instead.

use crate::config::rule::Rule;
use crate::config::setting::{DefaultValue, Setting, SettingKind};
use crate::eval::{Repr, Value};

/// Characters of an expression that a hint repeats at most.
const LONGEST: usize = 60;

/// Strings that mean a truth value, as other programs write them.
const TRUTHS: &[(&str, &str)] = &[("true", "false"), ("yes", "no"), ("on", "off"), ("1", "0")];

/// How an expression is written.
struct Written<'a> {
    /// Its text; `…` if that is long or unknown.
    text: &'a str,
    is_literal: bool,
}

/// What to write instead of a value that its setting does not take. The rule gives the value.
pub(super) fn hint(setting: &Setting, value: &Value, rule: &Rule) -> Option<String> {
    let written = Written::of(rule);
    if *value == Value::None {
        return written.or_default(setting);
    }
    let expression = match (setting.kind, value) {
        (SettingKind::Integer { .. }, Value::Str(text)) if text.trim().parse::<i128>().is_ok() => {
            if written.is_literal {
                return Some(format!("write `{}` without quotes", text.trim()));
            }
            written.called("int")
        }
        (SettingKind::Integer { .. } | SettingKind::Size, Value::Float(number)) => {
            match written.is_literal {
                true => format!("{:.0}", number.trunc()),
                false => written.called("int"),
            }
        }
        (
            SettingKind::Boolean | SettingKind::Automatic | SettingKind::BooleanOr(_),
            Value::Int(_),
        ) => match written.is_literal {
            true => truth(value.truth()).to_owned(),
            false => written.called("bool"),
        },
        (
            SettingKind::Boolean | SettingKind::Automatic | SettingKind::BooleanOr(_),
            Value::Str(text),
        ) => {
            let pair = TRUTHS
                .iter()
                .find(|(yes, no)| text.eq_ignore_ascii_case(yes) || text.eq_ignore_ascii_case(no));
            let (yes, _) = pair?;
            let is_true = text.eq_ignore_ascii_case(yes);
            match written.is_literal {
                true => truth(is_true).to_owned(),
                // `bool('false')` is true, as in Python.
                false => format!("str({}).lower() == '{yes}'", written.text),
            }
        }
        (
            SettingKind::Texts | SettingKind::Networks | SettingKind::Choices(_),
            Value::Str(text),
        ) => match (written.is_literal, text.contains(',')) {
            (true, _) => format!("[{}]", value.repr()),
            (false, true) => format!("{}.split(',')", written.operand()),
            (false, false) => format!("[{}]", written.text),
        },
        (
            SettingKind::Text
            | SettingKind::Path
            | SettingKind::Program
            | SettingKind::Account
            | SettingKind::Url
            | SettingKind::Urls
            | SettingKind::Paths,
            Value::Int(_) | Value::Float(_),
        ) => match written.is_literal {
            true => format!("'{}'", value.repr()),
            false => written.called("str"),
        },
        _ => return None,
    };
    Some(format!("write `{expression}`"))
}

fn truth(is_true: bool) -> &'static str {
    if is_true { "True" } else { "False" }
}

impl<'a> Written<'a> {
    fn of(rule: &'a Rule) -> Self {
        // For another name, the expression of a rule with a `*` gives another value.
        let text = rule.written().filter(|text| {
            !rule.name.ends_with('*') && !text.contains('\n') && text.chars().count() <= LONGEST
        });
        Self {
            text: text.unwrap_or("…"),
            is_literal: rule.is_literal(),
        }
    }

    /// `int(…)`
    fn called(&self, function: &str) -> String {
        format!("{function}({})", self.text)
    }

    /// The same as an operand.
    fn operand(&self) -> String {
        let is_one = !self.text.contains(" if ") && !self.text.contains(" or ");
        match is_one {
            true => self.text.to_owned(),
            false => format!("({})", self.text),
        }
    }

    /// The hint for `None` where the setting has a default.
    fn or_default(&self, setting: &Setting) -> Option<String> {
        if self.is_literal {
            let default = setting.default_text()?;
            return Some(format!("leave it out for the default, {default}"));
        }
        let default = match setting.default {
            DefaultValue::Unset => return None,
            DefaultValue::Number(number) => number.to_string(),
            // `or` would replace a `False`, too.
            DefaultValue::Boolean(_) => return None,
            DefaultValue::Text(text) => format!("'{text}'"),
        };
        let either = format!("{} or {default}", self.operand());
        Some(match setting.kind {
            SettingKind::Integer { .. } => format!("write `int({either})`"),
            _ => format!("write `{either}`"),
        })
    }
}
