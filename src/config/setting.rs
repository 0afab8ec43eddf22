//! A setting: its type, its default, and the check of its value.

use std::path::PathBuf;
use std::time::Duration;

use num_traits::ToPrimitive;

use crate::eval::{Repr, Value};
use crate::syntax::Diagnostic;

/// The type of a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SettingKind {
    /// A whole number.
    Integer {
        /// The smallest.
        min: u64,
        /// The largest.
        max: u64,
    },
    /// `True` or `False`.
    Boolean,
    /// `True`, `False`, or `'auto'`, which leaves the choice to `runner`.
    Automatic,
    /// Seconds as a number, or `'1.5s' '500ms' '2m' '1h' '1d'`.
    Duration,
    /// Bytes as a number, or `'64k' '10M' '1G'`.
    Size,
    /// A string.
    Text,
    /// A list of strings.
    Texts,
    /// A path, relative to the file with the setting.
    Path,
    /// A program: a path if it has a `/`, else a command that is looked for in `PATH`.
    Program,
    /// The name or number of a user or group.
    Account,
    /// Permission bits of files: up to three octal digits.
    Rights,
    /// The URL of a socket.
    Url,
    /// A command, or the name of one.
    Command,
}

impl SettingKind {
    /// The type in words, with an article.
    #[must_use]
    pub fn noun(self) -> String {
        let noun = match self {
            Self::Integer {
                min: 0,
                max: u64::MAX,
            } => "a whole number",
            Self::Integer { min, max } => return format!("a whole number from {min} to {max}"),
            Self::Boolean => "`True` or `False`",
            Self::Automatic => "`'auto'`, `True` or `False`",
            Self::Duration => "a duration",
            Self::Size => "a size",
            Self::Text => "a string",
            Self::Texts => "a list of strings",
            Self::Path => "a path",
            Self::Program => "a path or the name of a program",
            Self::Account => "a name (a string) or a number",
            Self::Rights => "a string of up to three octal digits",
            Self::Url => "a URL",
            Self::Command => "a command",
        };
        noun.to_owned()
    }

    /// The type in words, for expressions: paths and URLs are strings there.
    #[must_use]
    pub fn wanted(self) -> String {
        let is_string = matches!(self, Self::Path | Self::Program | Self::Url);
        self.noun() + if is_string { " (a string)" } else { "" }
    }

    /// The type in words, with the ways to write a value.
    #[must_use]
    pub fn written(self) -> String {
        let more = match self {
            Self::Duration => return format!("{}: {DURATION_FORMS}", self.noun()),
            Self::Size => return format!("{}: {SIZE_FORMS}", self.noun()),
            Self::Url => ": `tcp://HOST:PORT`, `unix:PATH`, `fd.socket:N` or `:NAME`",
            Self::Path => ", relative to the file with the setting",
            Self::Command => ": `commands.Alias(command=[…])`",
            Self::Rights => ", as in `'027'`",
            Self::Texts => ": `['…', '…']`",
            Self::Integer { .. }
            | Self::Boolean
            | Self::Automatic
            | Self::Text
            | Self::Program
            | Self::Account => "",
        };
        self.wanted() + more
    }
}

/// How durations are written in expressions.
const DURATION_FORMS: &str = "seconds as a number, or `'1.5s'`, `'500ms'`, `'2m'`, `'1h'`, `'1d'`";

/// How sizes are written in expressions.
const SIZE_FORMS: &str = "bytes as a number, or `'64k'`, `'10M'`, `'1G'`";

/// The value of a setting that is not set.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum DefaultValue {
    /// It depends on something else; the help says on what.
    Unset,
    /// A whole number; seconds for a duration, bytes for a size.
    Number(u64),
    /// A string.
    Text(&'static str),
}

impl DefaultValue {
    /// The value; `None` if it depends on something else.
    #[must_use]
    pub fn value(self) -> Option<Value> {
        match self {
            Self::Unset => None,
            Self::Number(number) => Some(Value::from(number)),
            Self::Text(text) => Some(Value::text(text)),
        }
    }
}

/// A setting.
#[derive(Debug)]
pub struct Setting {
    /// Its name.
    pub name: &'static str,
    /// Its type.
    pub kind: SettingKind,
    /// Its value if it is not set.
    pub default: DefaultValue,
    /// What it is, in at most 45 characters: with the name it fits a line of `explain`, 80 columns.
    pub summary: &'static str,
    /// What it does, its unit, a default that depends on something else, and when to change it: one paragraph.
    pub help: &'static str,
    /// A line of a file that sets it.
    pub example: &'static str,
}

impl Setting {
    /// The default as it would be written, with its unit; `None` if it depends on something else.
    #[must_use]
    pub fn default_text(&self) -> Option<String> {
        Some(match self.default {
            DefaultValue::Unset => return None,
            DefaultValue::Number(number) => match self.kind {
                SettingKind::Duration => format!("{number} s"),
                SettingKind::Size if number > 0 && number % (1 << 30) == 0 => {
                    format!("{}G", number >> 30)
                }
                _ => number.to_string(),
            },
            DefaultValue::Text(text) => format!("`'{text}'`"),
        })
    }
}

/// The value of a setting, checked.
#[derive(Clone, Debug, PartialEq)]
pub enum Checked {
    /// A whole number, or a size in bytes.
    Integer(u64),
    /// A truth value.
    Boolean(bool),
    /// A duration.
    Duration(Duration),
    /// A string.
    Text(String),
    /// Strings.
    Texts(Vec<String>),
    /// A path, not yet absolute.
    Path(PathBuf),
}

/// The text that leaves the choice of a truth value to `runner`.
pub(super) const AUTO: &str = "auto";

/// The longest duration in seconds: 100 years, so that no sum of times overflows.
const LONGEST: f64 = 100.0 * 365.25 * 86_400.0;

/// The largest size, 2^53: up to there a float holds every whole number.
const LARGEST: f64 = 9_007_199_254_740_992.0;

/// Checks a setting's value.
///
/// # Errors
/// What is wrong with it; the caller adds the place.
pub(super) fn check(setting: &Setting, value: &Value) -> Result<Checked, Diagnostic> {
    let name = setting.name;
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
        (SettingKind::Integer { .. }, Value::Str(text)) if text.trim().parse::<u64>().is_ok() => {
            wrong_type(Some(format!("write `{}` without quotes", text.trim())))
        }
        (SettingKind::Boolean | SettingKind::Automatic, Value::Bool(truth)) => {
            Ok(Checked::Boolean(*truth))
        }
        (SettingKind::Automatic, Value::Str(text)) if text.as_ref() == AUTO => {
            Ok(Checked::Text(AUTO.to_owned()))
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
            let octal = text.len() <= 3 && text.bytes().all(|digit| (b'0'..=b'7').contains(&digit));
            match u64::from_str_radix(text, 8) {
                Ok(rights) if octal => Ok(Checked::Integer(rights)),
                _ => out_of_range("up to three octal digits, as in `'027'`,"),
            }
        }
        // As a number, `22` is 0o26 and not 0o22.
        (SettingKind::Rights, Value::Int(_)) => wrong_type(Some(
            "write the octal digits in quotes, as in `'027'`".to_owned(),
        )),
        (SettingKind::Texts, Value::Str(_)) => {
            wrong_type(Some(format!("write `[{}]`", value.repr())))
        }
        (SettingKind::Texts, list) => {
            let text = |item: &Value| match item {
                Value::Str(text) if !text.is_empty() => Some(text.to_string()),
                _ => None,
            };
            let texts = list.as_items();
            let texts = texts.and_then(|items| items.iter().map(text).collect());
            texts.map_or_else(|| wrong_type(None), |texts| Ok(Checked::Texts(texts)))
        }
        (SettingKind::Boolean | SettingKind::Automatic, Value::Int(_)) => {
            let truth = if value.truth() { "True" } else { "False" };
            wrong_type(Some(format!("write `{truth}`")))
        }
        _ => wrong_type(None),
    }
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Int(number) => number.to_f64(),
        Value::Float(number) => Some(*number),
        _ => None,
    }
}

/// The units of durations, in seconds.
const DURATIONS: &[(&str, f64)] = &[
    ("ms", 0.001),
    ("s", 1.0),
    ("m", 60.0),
    ("h", 3600.0),
    ("d", 86_400.0),
];

/// The units of sizes, in bytes.
const SIZES: &[(&str, f64)] = &[
    ("k", 1024.0),
    ("m", 1_048_576.0),
    ("g", 1_073_741_824.0),
    ("t", 1_099_511_627_776.0),
];

/// `1.5s`, `10M`, `15`
fn with_unit(text: &str, units: &[(&str, f64)]) -> Option<f64> {
    let text = text.trim().to_ascii_lowercase();
    let end = text
        .find(|c: char| !(c.is_ascii_digit() || c == '.'))
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let factor = match unit.trim_start() {
        "" => 1.0,
        unit => units.iter().find(|(name, _)| *name == unit)?.1,
    };
    Some(number.parse::<f64>().ok()? * factor)
}
