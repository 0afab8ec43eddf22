//! The check of a setting's value.

use std::path::PathBuf;
use std::time::Duration;

use num_traits::ToPrimitive;

use super::quantities::{DURATION_FORMS, DURATIONS, SIZE_FORMS, SIZES, with_unit};
use super::trusted_networks::networks;
use crate::config::setting::{Checked, Setting, SettingKind};
use crate::eval::{Repr, Table, Value};
use crate::syntax::{Diagnostic, did_you_mean};

/// The text that leaves the choice of a truth value to `runner`.
pub(in crate::config) const AUTO: &str = "auto";

/// The longest duration in seconds: 100 years, so that no sum of times overflows.
const LONGEST: f64 = 100.0 * 365.25 * 86_400.0;

/// The largest size, 2^53: up to there a float holds every whole number.
const LARGEST: f64 = 9_007_199_254_740_992.0;

/// Checks a setting's value.
///
/// # Errors
/// What is wrong with it; the caller adds the place.
pub(in crate::config) fn check(setting: &Setting, value: &Value) -> Result<Checked, Diagnostic> {
    check_as(setting, setting.name, value)
}

/// The same for a property with another name, which messages use.
///
/// # Errors
/// As of [`check`].
pub(super) fn check_as(
    setting: &Setting,
    name: &str,
    value: &Value,
) -> Result<Checked, Diagnostic> {
    let wrong_type = |hint: Option<String>| {
        let (wanted, kind) = (setting.kind.wanted(), value.kind_shown());
        let shown = value.shown();
        let message = format!("setting `{name}` takes {wanted} but got {shown} ({kind})");
        Err(Diagnostic::new("type/setting", message).with_hint_if(hint))
    };
    let out_of_range = |wanted: &str| {
        let message = format!("setting `{name}` takes {wanted} but got {}", value.shown());
        Err(Diagnostic::new("setting/value", message))
    };
    match (setting.kind, value) {
        (SettingKind::Integer { min, max }, Value::Int(number)) => match number.to_u64() {
            Some(number) if (min..=max).contains(&number) => Ok(Checked::Integer(number)),
            _ => out_of_range(&setting.kind.wanted()),
        },
        (
            SettingKind::Boolean | SettingKind::Automatic | SettingKind::BooleanOr(_),
            Value::Bool(truth),
        ) => Ok(Checked::Boolean(*truth)),
        (SettingKind::BooleanOr(texts), Value::Str(text)) if texts.contains(&text.as_ref()) => {
            Ok(Checked::Text(text.as_ref().to_owned()))
        }
        (SettingKind::BooleanOr(texts), Value::Str(text)) => {
            wrong_type(did_you_mean(text, texts.iter().copied()))
        }
        (SettingKind::Automatic, Value::Str(text)) if text.as_ref() == AUTO => {
            Ok(Checked::Text(AUTO.to_owned()))
        }
        (SettingKind::Choice(texts), Value::Str(text)) => match texts.contains(&text.as_ref()) {
            true => Ok(Checked::Text(text.as_ref().to_owned())),
            false => out_of_range(&setting.kind.wanted())
                .map_err(|mistake| mistake.with_hint_if(did_you_mean(text, texts.iter().copied()))),
        },
        (SettingKind::ChoiceOrFunction(texts), Value::Str(text)) => {
            match texts.contains(&text.as_ref()) || is_function(text) {
                true => Ok(Checked::Text(text.as_ref().to_owned())),
                false => out_of_range(&setting.kind.wanted()).map_err(|mistake| {
                    mistake.with_hint_if(did_you_mean(text, texts.iter().copied()))
                }),
            }
        }
        (SettingKind::Duration, _) => {
            let seconds = match value {
                Value::Str(text) => with_unit(text, DURATIONS),
                other => number(other),
            };
            match seconds {
                Some(seconds) if (0.0..=LONGEST).contains(&seconds) => {
                    Ok(Checked::Duration(Duration::from_secs_f64(seconds)))
                }
                Some(_) => out_of_range("a duration from 0 to 100 years"),
                None => wrong_type(Some(format!("write {DURATION_FORMS}"))),
            }
        }
        (SettingKind::Size, _) => {
            let bytes = match value {
                Value::Str(text) => with_unit(text, SIZES),
                Value::Float(_) => None,
                other => number(other),
            };
            match bytes {
                Some(bytes) if (0.0..=LARGEST).contains(&bytes) => {
                    Ok(Checked::Integer(bytes.round() as u64))
                }
                Some(_) => out_of_range("a size from 0 to 8192 TiB"),
                None => wrong_type(Some(format!("write {SIZE_FORMS}"))),
            }
        }
        (
            SettingKind::Text | SettingKind::Url | SettingKind::Program | SettingKind::Account,
            Value::Str(text),
        ) if !text.is_empty() => Ok(Checked::Text(text.as_ref().to_owned())),
        (SettingKind::Path, Value::Str(text)) if !text.is_empty() => {
            Ok(Checked::Path(PathBuf::from(&**text)))
        }
        // The largest number means "no user" (chown(2)).
        (SettingKind::Account, Value::Int(number)) => match number.to_u32() {
            Some(number) if number < u32::MAX => Ok(Checked::Text(number.to_string())),
            _ => out_of_range("a name, or a number from 0 to 4294967294"),
        },
        (SettingKind::Rights, Value::Str(text)) => {
            // Users of chmod(1) write `0660`.
            let digits = text.strip_prefix('0').unwrap_or(text);
            let octal =
                digits.len() <= 3 && text.bytes().all(|digit| (b'0'..=b'7').contains(&digit));
            match u64::from_str_radix(text, 8) {
                Ok(rights) if octal => Ok(Checked::Integer(rights)),
                _ => out_of_range("up to three octal digits, as in `'027'`,"),
            }
        }
        // As a number, `22` is 0o26 and not 0o22.
        (SettingKind::Rights, Value::Int(_)) => wrong_type(Some(
            "write the octal digits in quotes, as in `'027'`".to_owned(),
        )),
        (SettingKind::Urls | SettingKind::Paths | SettingKind::Programs, Value::Str(text))
            if !text.is_empty() =>
        {
            Ok(Checked::Texts(vec![text.to_string()]))
        }
        (SettingKind::Variables, Value::Dict(table)) => {
            variables(name, table).map(Checked::Variables)
        }
        (SettingKind::Folders, Value::Dict(table)) => folders(name, table).map(Checked::Folders),
        (
            SettingKind::Texts
            | SettingKind::Urls
            | SettingKind::Paths
            | SettingKind::Programs
            | SettingKind::Networks
            | SettingKind::Choices(_),
            list,
        ) => {
            let text = |item: &Value| match item {
                Value::Str(text) if !text.is_empty() => Some(text.to_string()),
                _ => None,
            };
            let texts = list.as_items();
            let texts: Option<Vec<String>> =
                texts.and_then(|items| items.iter().map(text).collect());
            let Some(texts) = texts else {
                return wrong_type(None);
            };
            if let SettingKind::Choices(choices) = setting.kind
                && let Some(wrong) = texts.iter().find(|text| !choices.contains(&text.as_str()))
            {
                let hint = did_you_mean(wrong, choices.iter().copied());
                return out_of_range(&setting.kind.wanted())
                    .map_err(|mistake| mistake.with_hint_if(hint));
            }
            match setting.kind {
                SettingKind::Networks => networks(name, &texts).map(Checked::Texts),
                _ => Ok(Checked::Texts(texts)),
            }
        }
        _ => wrong_type(None),
    }
}

/// Whether a text can be the name of a variable of the environment. The system takes blanks in it, but no shell does.
#[must_use]
pub fn is_variable_name(text: &str) -> bool {
    let cannot_be = |letter: char| letter == '=' || letter.is_whitespace() || letter.is_control();
    !text.is_empty() && !text.contains(cannot_be)
}

/// The variables of a dict.
///
/// # Errors
/// A name or a value that no process can have (`execve(2)`).
fn variables(name: &str, table: &Table) -> Result<Vec<(String, Option<String>)>, Diagnostic> {
    let wrong = |message: String, hint: Option<String>| {
        Err(Diagnostic::new("setting/value", message).with_hint_if(hint))
    };
    let variable = |(key, value): &(Value, Value)| {
        let Some(key) = key.as_str().filter(|key| is_variable_name(key)) else {
            let message = format!(
                "setting `{name}` takes names of variables but got {}",
                key.shown()
            );
            return wrong(message, None);
        };
        match value {
            Value::None => Ok((key.to_owned(), None)),
            Value::Str(text) if !text.contains('\0') => {
                Ok((key.to_owned(), Some(text.to_string())))
            }
            // The value may be a secret.
            other => {
                let kind = match other {
                    Value::Str(_) => "a string with `\\0` in it",
                    other => other.kind(),
                };
                let message = format!("setting `{name}` takes strings but got {kind} for `{key}`");
                let hint = matches!(other, Value::Int(_) | Value::Float(_) | Value::Bool(_))
                    .then(|| format!("write the value of `{key}` in quotes"));
                wrong(message, hint)
            }
        }
    };
    table.entries().iter().map(variable).collect()
}

/// The folders of a dict, by the beginnings of paths that mean them: each begins and ends with a slash.
///
/// # Errors
/// A beginning that no path has, or what is no folder.
fn folders(name: &str, table: &Table) -> Result<Vec<(String, PathBuf)>, Diagnostic> {
    let folder = |(key, value): &(Value, Value)| {
        let Some(prefix) = key.as_str().and_then(path_prefix) else {
            let message = format!(
                "setting `{name}` takes beginnings of paths but got {}",
                key.shown()
            );
            let hint = "write a path as `'/protected/'`".to_owned();
            return Err(Diagnostic::new("setting/value", message).with_hint_if(Some(hint)));
        };
        match value {
            Value::Str(text) if !text.is_empty() => Ok((prefix, PathBuf::from(&**text))),
            other => {
                let (shown, prefix) = (other.shown(), key.shown());
                let message =
                    format!("setting `{name}` takes paths of folders but got {shown} for {prefix}");
                Err(Diagnostic::new("setting/value", message))
            }
        }
    };
    table.entries().iter().map(folder).collect()
}

/// The beginning of a path with a slash at its end.
fn path_prefix(text: &str) -> Option<String> {
    let inside = text.strip_prefix('/')?;
    let inside = inside.strip_suffix('/').unwrap_or(inside);
    let is_plain = |segment: &str| !matches!(segment, "." | ".." | "");
    if inside.is_empty() {
        return Some("/".to_owned());
    }
    let is_path = inside.split('/').all(is_plain);
    is_path.then(|| format!("/{inside}/"))
}

/// Whether a text has the form of `module:function`.
fn is_function(text: &str) -> bool {
    let is_letter = |letter: char| letter.is_alphanumeric() || letter == '_';
    let is_name = |name: &str| {
        !name.is_empty() && !name.starts_with(char::is_numeric) && name.chars().all(is_letter)
    };
    let parts = text.split_once(':');
    parts.is_some_and(|(module, name)| {
        module.split('.').all(is_name) && name.split('.').all(is_name)
    })
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Int(number) => number.to_f64(),
        Value::Float(number) => Some(*number),
        _ => None,
    }
}
