//! Sections: most are a prefix; special ones have a space in their name.

use crate::config::name::prefix;
use crate::syntax::{Diagnostic, did_you_mean, quoted};

/// How the lines of a section are read.
#[derive(Debug)]
pub(crate) enum Section {
    /// Settings below a prefix, which is empty or ends with a dot.
    Prefix(String),
    LoadSettingsFrom,
    ImportOnDemand,
    LoadOnDemand,
    ComponentFactories,
    /// A section whose name is wrong: its lines are only parsed.
    Unknown,
}

/// A section whose lines do more than give a property a value.
#[derive(Debug)]
pub struct Special {
    /// As it is usually written; any case is accepted.
    pub name: &'static str,
    /// What it does, in at most 70 characters, without a full stop.
    pub summary: &'static str,
    /// The summary, and what else there is to know.
    pub help: &'static str,
    /// A line in it.
    pub example: &'static str,
}

/// Makes the table from names, summaries, details and examples.
macro_rules! sections {
    ($($name:literal: $summary:literal $($details:literal)?, $example:literal;)*) => {
        &[$(Special {
            name: $name,
            summary: $summary,
            help: concat!($summary, '.' $(, ' ', $details)?),
            example: $example,
        }),*]
    };
}

/// The special sections, sorted.
pub const SPECIAL: &[Special] = sections! {
    "Component Factories":
        "Names interfaces and their factories"
        "It is kept for Python programs and has no other effect.",
        "my_app.IMailer = 'my_app.mail.Mailer'";
    "Import on Demand":
        "Gives Python modules short names for expressions"
        "They hold in this file and in those that it reads. A module is imported only when a Python process uses it.",
        "models = 'my_app.models'";
    "Load Settings From":
        "Reads other settings, in place and in order"
        "`file` reads a file, `files` several (empty names are skipped), `ini` a plain INI file of another program, `env` a file of environment variables, `mapping` a dict or a namespace. A second value is a prefix of all names. All of them are settings, also those of `env`: the application's environment is the one that `runner` is started with, which a reload keeps.",
        "file = 'more.ini', 'prefix.*'";
    "Load on Demand":
        "Computes properties when one of them is first needed"
        "Each line has a prefix and an expression. The expression is a dict or a namespace. It is evaluated the first time that a property below the prefix has no other rule.",
        "my.limits.* = {'cpu': 1, 'memory': '64M'}";
    "Named Services":
        "Holds properties whose values are created once and shared",
        "my.service = importString('my_app:service')";
};

impl Section {
    /// The section with a name, in a file whose names have the prefix `outer`.
    pub(crate) fn of(name: &str, outer: &str) -> Result<Self, Diagnostic> {
        if name.contains(char::is_whitespace) {
            let words: Vec<&str> = name.split_whitespace().collect();
            let words = words.join(" ");
            let special = SPECIAL
                .iter()
                .find(|section| section.name.eq_ignore_ascii_case(&words));
            return match special.map_or("", |section| section.name) {
                "Load Settings From" => Ok(Self::LoadSettingsFrom),
                "Import on Demand" => Ok(Self::ImportOnDemand),
                "Named Services" => Ok(Self::Prefix(outer.to_owned())),
                "Load on Demand" => Ok(Self::LoadOnDemand),
                "Component Factories" => Ok(Self::ComponentFactories),
                _ => {
                    let message = format!("there is no special section {}", quoted(name));
                    let names = || SPECIAL.iter().map(|section| section.name);
                    let hint = did_you_mean(name, names()).unwrap_or_else(|| {
                        let names: Vec<_> = names().collect();
                        let names = names.join("`, `");
                        format!("the sections with a space in their name are `{names}`")
                    });
                    Err(Diagnostic::new("section/unknown", message).with_hint(hint))
                }
            };
        }
        if name.is_empty() {
            return Err(Diagnostic::new("section/name", "the section has no name")
                .with_hint("`[*]` is the root namespace"));
        }
        let allowed = |c: char| c.is_alphanumeric() || "_.-+*?!,(){}[".contains(c);
        if let Some(c) = name.chars().find(|c| !allowed(*c)) {
            let message = format!("the name of a section cannot contain `{c}`");
            return Err(Diagnostic::new("section/name", message));
        }
        Ok(Self::Prefix(format!("{outer}{}", prefix(name)?)))
    }
}
