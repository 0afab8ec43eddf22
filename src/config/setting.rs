//! A setting: its type and its default.

use std::path::PathBuf;
use std::time::Duration;

use super::checks::quantities::{DURATION_FORMS, SIZE_FORMS};
use crate::eval::{Repr, Value};

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
    /// `True`, `False`, or one of these strings.
    BooleanOr(&'static [&'static str]),
    /// One of these strings.
    Choice(&'static [&'static str]),
    /// One of these strings, or `'module:function'`.
    ChoiceOrFunction(&'static [&'static str]),
    /// Seconds as a number, or a string with a unit, as in `'1.5s'`.
    Duration,
    /// Bytes as a number, or a string with a unit, as in `'10M'`.
    Size,
    /// A string.
    Text,
    /// A list of strings.
    Texts,
    /// A list of some of these strings.
    Choices(&'static [&'static str]),
    /// A list of addresses, networks, `'unix'` and `'*'`.
    Networks,
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
    /// The URL of a socket, or a list of them.
    Urls,
    /// A path, or a list of them, each relative to the file with the setting.
    Paths,
    /// A command, or the name of one.
    Command,
    /// The command line of a program, or a list of them.
    Programs,
    /// A dict of environment variables: strings, or `None` for those that are removed.
    Variables,
    /// A dict of folders, by the beginnings of paths that mean them.
    Folders,
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
            Self::BooleanOr(texts) => {
                return format!("`True`, `False` or one of `'{}'`", texts.join("'`, `'"));
            }
            Self::Choice(texts) => return format!("one of `'{}'`", texts.join("'`, `'")),
            Self::ChoiceOrFunction(texts) => {
                return format!("`'{}'` or `'module:function'`", texts.join("'`, `'"));
            }
            Self::Duration => "a duration",
            Self::Size => "a size",
            Self::Text => "a string",
            Self::Texts => "a list of strings",
            Self::Choices(texts) => {
                return format!("a list of some of `'{}'`", texts.join("'`, `'"));
            }
            Self::Networks => "a list of addresses and networks",
            Self::Path => "a path",
            Self::Program => "a path or the name of a program",
            Self::Account => "a name (a string) or a number",
            Self::Rights => "a string of up to three octal digits",
            Self::Url => "a URL",
            Self::Urls => "a URL or a list of URLs",
            Self::Paths => "a path or a list of paths",
            Self::Command => "a command",
            Self::Programs => "a command line or a list of command lines",
            Self::Variables | Self::Folders => "a dict of strings",
        };
        noun.to_owned()
    }

    /// The type in words, for expressions: paths and URLs are strings there.
    #[must_use]
    pub fn wanted(self) -> String {
        let more = match self {
            Self::Path | Self::Program | Self::Url => " (a string)",
            Self::Paths | Self::Urls | Self::Programs => " (strings)",
            Self::Integer { .. }
            | Self::Boolean
            | Self::BooleanOr(_)
            | Self::Automatic
            | Self::Choice(_)
            | Self::ChoiceOrFunction(_)
            | Self::Duration
            | Self::Size
            | Self::Text
            | Self::Texts
            | Self::Choices(_)
            | Self::Networks
            | Self::Account
            | Self::Rights
            | Self::Command
            | Self::Variables
            | Self::Folders => "",
        };
        self.noun() + more
    }

    /// The type in words, with the ways to write a value.
    #[must_use]
    pub fn written(self) -> String {
        let more = match self {
            Self::Duration => return format!("{}: {DURATION_FORMS}", self.noun()),
            Self::Size => return format!("{}: {SIZE_FORMS}", self.noun()),
            Self::Url => ": `tcp://HOST:PORT`, `unix:PATH`, `fd.socket:N` or `:NAME`",
            Self::Urls => {
                ": `http://HOST:PORT`, `https://HOST:PORT`, `unix:PATH`, `fd.socket:N` or `:NAME`"
            }
            Self::Path | Self::Paths => ", relative to the file with the setting",
            Self::Command => ": `commands.Alias(command=[…])`",
            Self::Rights => ", as in `'027'`",
            Self::Programs => ": `'PROGRAM ARGS…'`",
            Self::Variables => ": `{'NAME': 'value'}`; `None` removes a variable",
            Self::Folders => ": `{'/PREFIX/': 'FOLDER'}`, relative to the file with the setting",
            Self::Texts => ": `['…', '…']`",
            Self::Choices(texts) => {
                return format!("{}: `['{}']`", self.noun(), texts.join("', '"));
            }
            Self::Networks => ": `['127.0.0.1', '10.0.0.0/8', 'unix']`",
            Self::Integer { .. }
            | Self::Boolean
            | Self::Automatic
            | Self::BooleanOr(_)
            | Self::Choice(_)
            | Self::ChoiceOrFunction(_)
            | Self::Text
            | Self::Program
            | Self::Account => "",
        };
        self.wanted() + more
    }
}

/// The value of a setting that is not set.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum DefaultValue {
    /// It depends on something else; the help says on what.
    Unset,
    /// A whole number; seconds for a duration, bytes for a size.
    Number(u64),
    /// A truth value.
    Boolean(bool),
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
                SettingKind::Size if number > 0 && number % (1 << 20) == 0 => {
                    format!("{}M", number >> 20)
                }
                _ => number.to_string(),
            },
            DefaultValue::Boolean(truth) => format!("`{}`", Value::Bool(truth).repr()),
            DefaultValue::Text(text) => format!("`'{text}'`"),
        })
    }
}

/// The value of a setting that is a truth value or a string.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BooleanOrText {
    /// A truth value.
    Boolean(bool),
    /// One of the strings of [`SettingKind::BooleanOr`].
    Text(String),
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
    /// Variables of the environment; `None` for those that are removed.
    Variables(Vec<(String, Option<String>)>),
    /// Beginnings of paths, and their folders, not yet absolute.
    Folders(Vec<(String, PathBuf)>),
}
