//! Sections: prefixes, and the special ones whose names have a space.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::files::dotenv;
use crate::config::files::load::{FileReader, Inclusion, bad_name};
use crate::config::files::read_bounded::read_bounded;
use crate::config::name::{check_rule, prefix};
use crate::config::rules::{Body, Origin};
use crate::eval::{Properties, Value};
use crate::syntax::expression::ast::Expression;
use crate::syntax::{Diagnostic, Place, Source, Span, did_you_mean, quoted};

/// How the lines of a section are read.
#[derive(Debug)]
pub(in crate::config) enum Section {
    /// Settings whose names begin with this, which is empty or ends with a dot.
    Prefix(String),
    LoadSettingsFrom,
    ImportOnDemand,
    NamedServices,
    LoadOnDemand,
    ComponentFactories,
    /// Of a section whose name is a mistake, lines are only parsed.
    Unknown,
}

/// A section whose lines do not set properties by their names alone.
#[derive(Debug)]
pub struct Special {
    /// As it is usually written.
    pub name: &'static str,
    /// What it does.
    pub help: &'static str,
    /// A line in it.
    pub example: &'static str,
}

/// The special sections, sorted.
pub const SPECIAL: &[Special] = &[
    Special {
        name: "Component Factories",
        help: "Names interfaces and what makes them. It is kept for Python programs and has no other effect.",
        example: "my_app.IMailer = 'my_app.mail.Mailer'",
    },
    Special {
        name: "Import on Demand",
        help: "Makes names for expressions in this file and those that it reads, which stand for Python modules. Nothing is imported before a Python process uses it.",
        example: "models = 'my_app.models'",
    },
    Special {
        name: "Load Settings From",
        help: "Reads other settings, in place and in order: `file` a file, `files` several (empty names are skipped), `ini` a plain INI file of another program, `env` a file of environment variables, `mapping` a dict or a namespace. A second value is put before all names.",
        example: "file = 'more.ini', 'prefix.*'",
    },
    Special {
        name: "Load on Demand",
        help: "Gives a prefix an expression that is evaluated the first time that a property below the prefix has no other rule. It is a dict or a namespace.",
        example: "my.limits.* = {'cpu': 1, 'memory': '64M'}",
    },
    Special {
        name: "Named Services",
        help: "Holds properties whose values are made once and shared.",
        example: "my.service = importString('my_app:service')",
    },
];

/// Their names.
fn special_names() -> impl Iterator<Item = &'static str> {
    SPECIAL.iter().map(|section| section.name)
}

impl Section {
    /// The section of a name, in a file whose own names begin with `outer`.
    pub fn of(name: &str, outer: &str) -> Result<Self, Diagnostic> {
        let plain = name
            .to_lowercase()
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(".");
        if name.contains(char::is_whitespace) {
            return match plain.as_str() {
                "load.settings.from" => Ok(Self::LoadSettingsFrom),
                "import.on.demand" => Ok(Self::ImportOnDemand),
                "named.services" => Ok(Self::NamedServices),
                "load.on.demand" => Ok(Self::LoadOnDemand),
                "component.factories" => Ok(Self::ComponentFactories),
                _ => {
                    let message = format!("there is no special section {}", quoted(name));
                    let hint = did_you_mean(name, special_names()).unwrap_or_else(|| {
                        format!(
                            "the sections with a space in their name are `{}`",
                            special_names().collect::<Vec<_>>().join("`, `")
                        )
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
        prefix(name)
            .map(|inner| Self::Prefix(format!("{outer}{inner}")))
            .map_err(bad_name)
    }
}

/// What `[Load Settings From]` can load.
const LOADERS: &[&str] = &["env", "file", "files", "ini", "mapping"];

impl FileReader<'_> {
    /// A line of `[Load Settings From]`.
    pub(in crate::config) fn load_settings(
        &mut self,
        name: &str,
        span: Span,
        parsed: &Expression,
    ) -> Result<(), Diagnostic> {
        if !LOADERS.contains(&name) {
            let message = format!("`[Load Settings From]` cannot load {}", quoted(name));
            let hint = did_you_mean(name, LOADERS.iter().copied())
                .unwrap_or_else(|| format!("it loads `{}`", LOADERS.join("`, `")));
            return Err(Diagnostic::new("section/loader", message)
                .at(&self.home.source, span)
                .with_hint(hint));
        }
        let value = self.value(parsed)?;
        let (what, below) = self.with_prefix(name, &value, parsed.span)?;
        let source = Arc::clone(&self.home.source);
        let wants = |wanted: &str, got: &Value| {
            let message = format!("`{name}` takes {wanted} but got {}", got.kind_shown());
            Err(Diagnostic::new("type/section", message).at(&source, parsed.span))
        };
        match (name, &what) {
            ("file", Value::Str(path)) if !path.is_empty() => {
                self.include(path, &below, parsed.span);
                Ok(())
            }
            ("file", other) => wants("the name of a file (a string)", other),
            ("files", list) => {
                let Some(paths) = list.as_items() else {
                    return wants("a list of names of files", list);
                };
                for path in paths.iter() {
                    match path {
                        Value::Str(path) if path.is_empty() => {}
                        Value::Str(path) => self.include(path, &below, parsed.span),
                        other => return wants("a list of names of files", other),
                    }
                }
                Ok(())
            }
            ("ini", Value::Str(path)) if !path.is_empty() => {
                self.plain_ini(path, &below, parsed.span)
            }
            ("env", Value::Str(path)) if !path.is_empty() => {
                self.environment_file(path, &below, parsed.span)
            }
            ("ini" | "env", other) => wants("the name of a file (a string)", other),
            (_, Value::Dict(table)) => {
                for (key, value) in table.entries() {
                    let Value::Str(key) = key else {
                        return wants("names that are strings", key);
                    };
                    self.give(&below, key, value.clone(), parsed.span)?;
                }
                Ok(())
            }
            (_, Value::Namespace(from)) => {
                let from = if from.is_empty() {
                    String::new()
                } else {
                    format!("{from}.")
                };
                for full in self.loader.rules.names(&from) {
                    if let Some(value) = self.loader.rules.get(&full)? {
                        self.give(&below, &full[from.len()..], value, parsed.span)?;
                    }
                }
                Ok(())
            }
            (_, other) => wants("a dict or a namespace", other),
        }
    }

    /// Takes `WHAT, 'prefix.*'` apart.
    fn with_prefix(
        &self,
        name: &str,
        value: &Value,
        span: Span,
    ) -> Result<(Value, String), Diagnostic> {
        if let Value::Tuple(items) = value
            && let [what, Value::Str(below)] = &items[..]
        {
            // Two strings are two files.
            let two_files = name == "files" && what.as_str().is_some();
            if !two_files {
                return Ok((what.clone(), self.prefix(below, span)?));
            }
        }
        Ok((value.clone(), self.outer.to_owned()))
    }

    /// A path as it is written in this file, relative to it.
    fn beside(&self, written: &str) -> PathBuf {
        self.path.parent().unwrap_or(Path::new("")).join(written)
    }

    fn include(&mut self, path: &str, below: &str, span: Span) {
        let home = Arc::clone(&self.home);
        let inclusion = Inclusion {
            prefix: below.to_owned(),
            place: Some(Place {
                source: Arc::clone(&home.source),
                span,
            }),
            home: Some(&home),
        };
        self.loader.file(&self.beside(path), &inclusion);
    }

    /// Gives a property a value that is known.
    fn give(
        &mut self,
        below: &str,
        name: &str,
        value: Value,
        span: Span,
    ) -> Result<(), Diagnostic> {
        let full = format!("{below}{name}");
        check_rule(&full).map_err(|bad| bad_name(bad).at(&self.home.source, span))?;
        let origin = Origin::File(Arc::clone(&self.home), span);
        self.loader.insert(&full, Body::Value(value), origin);
        Ok(())
    }

    /// A plain INI file of another program: every value a string, named `section.key`.
    fn plain_ini(&mut self, path: &str, below: &str, span: Span) -> Result<(), Diagnostic> {
        let source = self.foreign(path, span)?;
        let home = Arc::clone(&self.home);
        let here = |mistake: Diagnostic| mistake.with_label(&home.source, span, "loaded here");
        let text = source.text.as_str();
        // The library's own words are those of its code.
        let wrong = |at: usize| {
            let message = "expected `[section]` or `NAME = VALUE` of a plain INI file";
            here(Diagnostic::new("include/ini", message).at(&source, Span::new(at, at + 1)))
        };
        let ini = ini::Ini::load_from_str_noescape(text).map_err(|error| {
            let line = text
                .split_inclusive('\n')
                .take(error.line.saturating_sub(1));
            let start: usize = line.map(str::len).sum();
            let at = (start + error.col.saturating_sub(1)).min(text.len());
            // The library reads on to the line's end, and to the next line, before it finds nothing.
            let before = text[..start.min(text.len())].trim_end_matches(['\r', '\n']);
            let at = match at == start {
                true => before.rfind('\n').map_or(0, |end| end + 1),
                false => at,
            };
            wrong(at)
        })?;
        for (section, properties) in &ini {
            for (key, value) in properties {
                // To the library, a name goes on until there is a `=`.
                if key.trim().contains('\n') {
                    return Err(wrong(text.find(key.trim()).unwrap_or_default()));
                }
                let name = match section {
                    Some(section) => format!("{}.{}", section.trim(), key.trim()),
                    None => key.trim().to_owned(),
                };
                self.give(below, &name, Value::text(value), span)?;
            }
        }
        Ok(())
    }

    /// A file of another program's format.
    fn foreign(&self, path: &str, span: Span) -> Result<Arc<Source>, Diagnostic> {
        let path = self.beside(path);
        let shown = path.display().to_string();
        let here = |mistake: Diagnostic| {
            if mistake.labels.is_empty() {
                mistake.at(&self.home.source, span)
            } else {
                mistake.with_label(&self.home.source, span, "loaded here")
            }
        };
        let bytes = read_bounded(&path, &shown).map_err(here)?;
        crate::syntax::ini_lines::decode(&shown, bytes).map_err(here)
    }

    /// `NAME=value` lines, as shells and other tools read them: every value a string.
    fn environment_file(&mut self, path: &str, below: &str, span: Span) -> Result<(), Diagnostic> {
        let source = self.foreign(path, span)?;
        let pairs = dotenv::read(&source)
            .map_err(|mistake| mistake.with_label(&self.home.source, span, "loaded here"))?;
        for (name, value) in pairs {
            self.give(below, &name, Value::from(value), span)?;
        }
        Ok(())
    }
}
