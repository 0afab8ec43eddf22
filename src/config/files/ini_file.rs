//! Reads an INI file with all that it includes: each setting becomes a rule, depending on its section.

use std::path::Path;
use std::sync::Arc;

use super::load::{ForeignNames, Inclusion, Loader, beside, named_at};
use super::read_bounded::read_source;
use super::section::Section;
use super::{dotenv, plain_ini};
use crate::config::name::{check_rule, prefix};
use crate::config::rule::{Rule, RuleBody, RuleOrigin};
use crate::eval::{Budget, Home, Properties, Value, check_import, evaluate, unknown_names};
use crate::syntax::ast::Expression;
use crate::syntax::ini_lines::{IniLine, parse};
use crate::syntax::{Diagnostic, Fragment, Place, Span, did_you_mean, expression, quoted};

/// Short names in the root namespace, and the names that they stand for.
pub const SHORT: &[(&str, &str)] = &[
    ("app", "peak.running.app"),
    ("url", "peak.tools.server.url"),
];

/// What loads a file of environment variables.
const ENV: &str = "env";

/// What `[Load Settings From]` can load.
const LOADERS: &[&str] = &[ENV, "file", "files", "ini", "mapping"];

/// Reads a file with all that it includes.
pub(crate) fn read(loader: &mut Loader, path: &Path, inclusion: &Inclusion<'_>) {
    let Some(home) = loader.open(path, inclusion) else {
        return;
    };
    let (lines, mistakes) = parse(&home.source);
    loader.mistakes.extend(mistakes);
    let mut reader = IniFile {
        loader,
        home: Arc::new(home),
        path,
        outer: &inclusion.prefix,
        section: Section::Prefix(inclusion.prefix.clone()),
        in_section: false,
    };
    for line in lines {
        reader.line(line);
        if reader.loader.is_full() {
            break;
        }
    }
    loader.close();
}

/// Reads the lines of one file.
struct IniFile<'a> {
    loader: &'a mut Loader,
    home: Arc<Home>,
    /// The path as it was given.
    path: &'a Path,
    /// The prefix of every name in this file.
    outer: &'a str,
    section: Section,
    in_section: bool,
}

impl IniFile<'_> {
    fn line(&mut self, line: IniLine) {
        match line {
            IniLine::Section { name, span } => {
                self.in_section = true;
                self.section = Section::of(&name, self.outer).unwrap_or_else(|mistake| {
                    let mistake = mistake.at(&self.home.source, span);
                    self.loader.mistakes.push(mistake);
                    Section::Unknown
                });
            }
            IniLine::Setting {
                name,
                span,
                value,
                doubled,
            } => {
                if let Some(doubled) = doubled {
                    let warning = Diagnostic::new("syntax/doubled", "the `=` is doubled")
                        .warning()
                        .at(&self.home.source, doubled)
                        .with_hint("one is enough");
                    self.loader.warnings.push(warning);
                }
                if let Err(mistake) = self.setting(&name, span, &value) {
                    self.loader.mistakes.push(mistake);
                }
            }
        }
    }

    fn setting(&mut self, name: &str, span: Span, value: &Fragment) -> Result<(), Diagnostic> {
        let parsed = expression::parse(&self.home.source, value)?;
        if self.loader.thorough {
            let unknown = unknown_names(&parsed, &self.home);
            self.loader.mistakes.extend(unknown);
        }
        match &self.section {
            Section::Unknown => Ok(()),
            Section::Prefix(before) => {
                let mut name = format!("{before}{name}");
                if before.is_empty() && !self.in_section {
                    name = long_name(&name);
                }
                self.add(&name, span, self.body(parsed))
            }
            Section::ComponentFactories => {
                let rule = self.rule(name, span, self.body(parsed));
                self.loader.factories.push(rule);
                Ok(())
            }
            Section::LoadOnDemand => {
                let full = format!("{}{name}", self.outer);
                check_rule(&full).map_err(|bad| bad.at(&self.home.source, span))?;
                if !full.ends_with('*') {
                    let message = format!("the name {} does not end with `.*`", quoted(name));
                    return Err(Diagnostic::new("section/name", message)
                        .at(&self.home.source, span)
                        .with_hint("`[Load on Demand]` loads everything below a prefix"));
                }
                let rule = self.rule(&full, span, self.body(parsed));
                self.loader.rules.insert_on_demand(rule);
                Ok(())
            }
            Section::ImportOnDemand => self.shortcut(name, span, &parsed),
            Section::LoadSettingsFrom => self.load_settings(name, span, &parsed),
        }
    }

    fn body(&self, parsed: Expression) -> RuleBody {
        RuleBody::Expression(parsed, Arc::clone(&self.home))
    }

    fn rule(&self, name: &str, span: Span, body: RuleBody) -> Rule {
        let origin = RuleOrigin::File(Arc::clone(&self.home), span);
        Rule::new(name, body, origin, self.loader.layer)
    }

    fn add(&mut self, name: &str, span: Span, body: RuleBody) -> Result<(), Diagnostic> {
        check_rule(name).map_err(|bad| bad.at(&self.home.source, span))?;
        self.loader.insert(self.rule(name, span, body));
        Ok(())
    }

    /// The value of an expression in a special section, which is evaluated at once.
    fn value(&self, parsed: &Expression) -> Result<Value, Diagnostic> {
        let rules = &self.loader.rules;
        let mut budget = Budget::default();
        let value = evaluate(rules, &self.home, None, parsed, &mut budget)?;
        let kept = rules.allowance.keep(&mut budget);
        kept.map_err(|fault| fault.at(&self.home.source, parsed.span).into_diagnostic())?;
        Ok(value)
    }

    /// `shortcut = 'package.module'`
    fn shortcut(&mut self, name: &str, span: Span, parsed: &Expression) -> Result<(), Diagnostic> {
        let identifier = name
            .chars()
            .enumerate()
            .all(|(place, c)| c == '_' || c.is_alphabetic() || place > 0 && c.is_alphanumeric());
        if !identifier {
            let message = format!("{} cannot be used as a name in expressions", quoted(name));
            return Err(Diagnostic::new("section/name", message).at(&self.home.source, span));
        }
        let target = match self.value(parsed)? {
            Value::Str(target) | Value::Import(target) => target,
            other => {
                let kind = other.kind();
                let message = format!(
                    "a shortcut takes the name of a Python module (a string) but got {kind}"
                );
                return Err(
                    Diagnostic::new("type/section", message).at(&self.home.source, parsed.span)
                );
            }
        };
        check_import(&target)
            .map_err(|fault| fault.at(&self.home.source, parsed.span).into_diagnostic())?;
        // The rules before this line keep the old `home`, without the new name.
        Arc::make_mut(&mut self.home)
            .shortcuts
            .insert(name.into(), target);
        Ok(())
    }

    /// A line of `[Load Settings From]`.
    fn load_settings(
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
                self.include(path, below, parsed.span);
            }
            ("files", list) => {
                let Some(paths) = list.as_items() else {
                    return wants("a list of names of files", list);
                };
                for path in paths.iter() {
                    match path {
                        Value::Str(path) if path.is_empty() => {}
                        Value::Str(path) => self.include(path, below.clone(), parsed.span),
                        other => return wants("a list of names of files", other),
                    }
                }
            }
            ("ini" | ENV, Value::Str(path)) if !path.is_empty() => {
                self.foreign(name, path, &below, parsed.span)?;
            }
            ("file" | "ini" | ENV, other) => {
                return wants("the name of a file (a string)", other);
            }
            (_, Value::Dict(table)) => {
                for (key, value) in table.entries() {
                    let Value::Str(key) = key else {
                        return wants("names that are strings", key);
                    };
                    self.give(&below, key, value.clone(), parsed.span)?;
                }
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
            }
            (_, other) => return wants("a dict or a namespace", other),
        }
        Ok(())
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
                let inner = prefix(below).map_err(|bad| bad.at(&self.home.source, span))?;
                return Ok((what.clone(), format!("{}{inner}", self.outer)));
            }
        }
        Ok((value.clone(), self.outer.to_owned()))
    }

    fn include(&mut self, path: &str, below: String, span: Span) {
        let inclusion = Inclusion {
            prefix: below,
            place: Some(self.place(span)),
            home: Some(&self.home),
        };
        read(self.loader, &beside(self.path, path), &inclusion);
    }

    /// Gives a property a value that is known.
    fn give(
        &mut self,
        below: &str,
        name: &str,
        value: Value,
        span: Span,
    ) -> Result<(), Diagnostic> {
        self.add(&format!("{below}{name}"), span, RuleBody::Value(value))
    }

    /// Loads a file in another program's format: every value is a string.
    fn foreign(
        &mut self,
        loader: &str,
        path: &str,
        below: &str,
        span: Span,
    ) -> Result<(), Diagnostic> {
        let read = match loader {
            ENV => dotenv::read,
            _ => plain_ini::read,
        };
        let path = beside(self.path, path);
        let pairs = read_source(&path, &path.display().to_string())
            .and_then(|source| read(&source))
            .map_err(|mistake| named_at(mistake, &self.place(span), "loaded here"))?;
        self.loader.foreign.push(ForeignNames {
            place: self.place(span),
            are_variables: loader == ENV,
            names: pairs
                .iter()
                .map(|(name, _)| format!("{below}{name}"))
                .collect(),
        });
        for (name, value) in pairs {
            self.give(below, &name, Value::from(value), span)?;
        }
        Ok(())
    }

    fn place(&self, span: Span) -> Place {
        Place {
            source: Arc::clone(&self.home.source),
            span,
        }
    }
}

fn long_name(name: &str) -> String {
    let (plain, mark) = match name.strip_suffix('?') {
        Some(plain) => (plain, "?"),
        None => (name, ""),
    };
    match SHORT.iter().find(|(short, _)| *short == plain) {
        Some((_, long)) => format!("{long}{mark}"),
        None => name.to_owned(),
    }
}
