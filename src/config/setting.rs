//! A setting: what it takes, and whether a value is that.

use std::path::PathBuf;
use std::time::Duration;

use num_traits::ToPrimitive;

use crate::eval::Value;

/// What a setting takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A whole number.
    Integer {
        /// The smallest.
        min: u64,
        /// The largest.
        max: u64,
    },
    /// `True` or `False`.
    Boolean,
    /// The same, or `'auto'`: it is seen what is right.
    Automatic,
    /// Seconds as a number, or `'1.5s' '500ms' '2m' '1h' '1d'`.
    Duration,
    /// Bytes as a number, or `'64k' '10M' '1G'`.
    Size,
    /// A string.
    Text,
    /// A list of strings.
    Texts,
    /// A path, relative to the file that the setting stands in.
    Path,
    /// A program: a path if it has a `/`, else a command that is looked for in `PATH`.
    Program,
    /// The name or number of a user or group.
    Account,
    /// The rights of a file: up to three octal digits.
    Rights,
    /// The URL of a socket.
    Url,
    /// What can be run: a command or the name of one.
    Command,
}

impl Kind {
    /// In words, with an article.
    #[must_use]
    pub fn wanted(self) -> String {
        match self {
            Self::Integer {
                min: 0,
                max: u64::MAX,
            } => "a whole number".to_owned(),
            Self::Integer { min, max } => format!("a whole number from {min} to {max}"),
            Self::Boolean => "`True` or `False`".to_owned(),
            Self::Automatic => "`'auto'`, `True` or `False`".to_owned(),
            Self::Duration => "a duration".to_owned(),
            Self::Size => "a size".to_owned(),
            Self::Text => "a string".to_owned(),
            Self::Texts => "a list of strings".to_owned(),
            Self::Path => "a path (a string)".to_owned(),
            Self::Program => "a path or the name of a program (a string)".to_owned(),
            Self::Account => "a name (a string) or a number".to_owned(),
            Self::Rights => "a string of up to three octal digits".to_owned(),
            Self::Url => "a URL (a string)".to_owned(),
            Self::Command => "a command".to_owned(),
        }
    }
}

impl Kind {
    /// In words, with the ways in which it can be written.
    #[must_use]
    pub fn written(self) -> String {
        let wanted = self.wanted();
        match self {
            Self::Duration => {
                format!(
                    "{wanted}: seconds as a number, or `'1.5s'`, `'500ms'`, `'2m'`, `'1h'`, `'1d'`"
                )
            }
            Self::Size => format!("{wanted}: bytes as a number, or `'64k'`, `'10M'`, `'1G'`"),
            Self::Url => {
                format!("{wanted}: `tcp://HOST:PORT`, `unix:PATH`, `fd.socket:N` or `:NAME`")
            }
            Self::Path => format!("{wanted}, relative to the file that the setting stands in"),
            Self::Command => format!("{wanted}: `commands.Alias(command=[…])`"),
            Self::Rights => format!("{wanted}, as in `'027'`"),
            Self::Integer { .. }
            | Self::Boolean
            | Self::Automatic
            | Self::Text
            | Self::Program
            | Self::Account => wanted,
            Self::Texts => format!("{wanted}: `['…', '…']`"),
        }
    }
}

/// A value that is used where none is set.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Default {
    /// It depends; the help says on what.
    Unset,
    /// A whole number, of seconds or bytes where the setting is a duration or size.
    Number(u64),
    /// A truth value.
    Boolean(bool),
    /// A string.
    Text(&'static str),
}

impl Default {
    /// As a value; `None` where it depends.
    #[must_use]
    pub fn value(self) -> Option<Value> {
        match self {
            Self::Unset => None,
            Self::Number(number) => Some(Value::from(number)),
            Self::Boolean(truth) => Some(Value::Bool(truth)),
            Self::Text(text) => Some(Value::text(text)),
        }
    }
}

/// A setting.
#[derive(Debug)]
pub struct Setting {
    /// Its name.
    pub name: &'static str,
    /// What it takes.
    pub kind: Kind,
    /// What it is where it is not set.
    pub default: Default,
    /// What it does: one paragraph.
    pub help: &'static str,
    /// A line of a file that sets it.
    pub example: &'static str,
}

impl Setting {
    /// What it is where it is not set, as it would be written, with its unit; `None` where that depends.
    #[must_use]
    pub fn default_text(&self) -> Option<String> {
        Some(match self.default {
            Default::Unset => return None,
            Default::Number(number) => match self.kind {
                Kind::Duration => format!("{number} s"),
                Kind::Size if number > 0 && number % (1 << 30) == 0 => {
                    format!("{}G", number >> 30)
                }
                _ => number.to_string(),
            },
            Default::Boolean(true) => "`True`".to_owned(),
            Default::Boolean(false) => "`False`".to_owned(),
            Default::Text(text) => format!("`'{text}'`"),
        })
    }
}

/// A setting's value, checked.
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

/// What stands for a truth value that is found out.
pub const AUTO: &str = "auto";

/// The longest duration: 100 years, so that no sum of times overflows.
const LONGEST: f64 = 100.0 * 365.25 * 86_400.0;

/// Checks a setting's value.
///
/// # Errors
/// What is wrong with it: the code, the message and a hint.
pub fn check(
    setting: &Setting,
    value: &Value,
) -> Result<Checked, (&'static str, String, Option<String>)> {
    let wrong_type = |hint: Option<String>| {
        let message = format!(
            "setting `{}` takes {} but got {} ({})",
            setting.name,
            setting.kind.wanted(),
            value.shown(),
            value.kind_shown()
        );
        ("type/setting", message, hint)
    };
    let out_of_range = |wanted: &str| {
        let message = format!(
            "setting `{}` takes {wanted} but got {}",
            setting.name,
            value.shown()
        );
        ("setting/value", message, None)
    };
    match (setting.kind, value) {
        (Kind::Integer { min, max }, Value::Int(number)) => match number.to_u64() {
            Some(number) if (min..=max).contains(&number) => Ok(Checked::Integer(number)),
            _ => Err(out_of_range(&setting.kind.wanted())),
        },
        (Kind::Integer { .. }, Value::Str(text)) if text.trim().parse::<u64>().is_ok() => Err(
            wrong_type(Some(format!("write `{}` without quotes", text.trim()))),
        ),
        (Kind::Boolean | Kind::Automatic, Value::Bool(truth)) => Ok(Checked::Boolean(*truth)),
        (Kind::Automatic, Value::Str(text)) if text.as_ref() == AUTO => {
            Ok(Checked::Text(AUTO.to_owned()))
        }
        (Kind::Duration, _) => {
            let seconds = match value {
                Value::Str(text) => with_unit(text, DURATIONS),
                other => number(other),
            };
            let hint = || {
                Some(
                    "write seconds as a number, or `'1.5s'`, `'500ms'`, `'2m'`, `'1h'`, `'1d'`"
                        .to_owned(),
                )
            };
            match seconds {
                Some(seconds) if (0.0..=LONGEST).contains(&seconds) => {
                    Ok(Checked::Duration(Duration::from_secs_f64(seconds)))
                }
                Some(_) => Err(out_of_range("a duration from 0 to 100 years")),
                None => Err(wrong_type(hint())),
            }
        }
        (Kind::Size, _) => {
            let bytes = match value {
                Value::Str(text) => with_unit(text, SIZES),
                Value::Float(_) => None,
                other => number(other),
            };
            /// 2^53: up to there every whole number is a float.
            const LARGEST: f64 = 9_007_199_254_740_992.0;
            match bytes {
                Some(bytes) if (0.0..=LARGEST).contains(&bytes) => {
                    Ok(Checked::Integer(bytes.round() as u64))
                }
                Some(_) => Err(out_of_range("a size from 0 to 8192 TiB")),
                None => Err(wrong_type(Some(
                    "write bytes as a number, or `'64k'`, `'10M'`, `'1G'`".to_owned(),
                ))),
            }
        }
        (Kind::Text | Kind::Url | Kind::Program, Value::Str(text)) if !text.is_empty() => {
            Ok(Checked::Text(text.as_ref().to_owned()))
        }
        (Kind::Path, Value::Str(text)) if !text.is_empty() => {
            Ok(Checked::Path(PathBuf::from(&**text)))
        }
        (Kind::Account, Value::Str(text)) if !text.is_empty() => {
            Ok(Checked::Text(text.as_ref().to_owned()))
        }
        // The largest number means no user at all to the system.
        (Kind::Account, Value::Int(number)) => match number.to_u32() {
            Some(number) if number < u32::MAX => Ok(Checked::Text(number.to_string())),
            _ => Err(out_of_range("a name, or a number from 0 to 4294967294")),
        },
        (Kind::Rights, Value::Str(text)) => {
            let octal = text.len() <= 3 && text.bytes().all(|digit| (b'0'..=b'7').contains(&digit));
            match u64::from_str_radix(text, 8) {
                Ok(rights) if octal => Ok(Checked::Integer(rights)),
                _ => Err(out_of_range("up to three octal digits, as in `'027'`,")),
            }
        }
        // `22` would be taken for what `'022'` says, and is 0o26.
        (Kind::Rights, Value::Int(_)) => Err(wrong_type(Some(
            "write the octal digits in quotes, as in `'027'`".to_owned(),
        ))),
        (Kind::Texts, Value::Str(_)) => {
            let hint = format!("write `[{}]`", value.repr());
            Err(wrong_type(Some(hint)))
        }
        (Kind::Texts, list) => {
            let text = |item: &Value| match item {
                Value::Str(text) if !text.is_empty() => Some(text.to_string()),
                _ => None,
            };
            let texts = list
                .as_items()
                .map(|items| items.iter().map(text).collect());
            match texts {
                Some(Some(texts)) => Ok(Checked::Texts(texts)),
                Some(None) | None => Err(wrong_type(None)),
            }
        }
        (Kind::Boolean | Kind::Automatic, Value::Int(_)) => {
            let hint = if value.truth() {
                "write `True`"
            } else {
                "write `False`"
            };
            Err(wrong_type(Some(hint.to_owned())))
        }
        _ => Err(wrong_type(None)),
    }
}

fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Int(number) => number.to_f64(),
        Value::Float(number) => Some(*number),
        _ => None,
    }
}

/// Seconds of the units of time.
const DURATIONS: &[(&str, f64)] = &[
    ("ms", 0.001),
    ("s", 1.0),
    ("m", 60.0),
    ("h", 3600.0),
    ("d", 86_400.0),
];

/// Bytes of the units of size.
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
