//! Reads files into rules: sections, the special ones among them, and includes.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::config::files::read_bounded::read_bounded;
use crate::config::files::section::Section;
use crate::config::inspect::overridden as overridden_by;
use crate::config::name::{BadName, check_rule, prefix};
use crate::config::rules::{Body, Origin, Rule, Rules};
use crate::eval::{Budget, Home, Value, check_import, evaluate, unknown_names};
use crate::here;
use crate::syntax::expression::ast::Expression;
use crate::syntax::ini_lines::{Line, decode, parse};
use crate::syntax::{Diagnostic, Fragment, Place, Source, Span, expression, quoted};

/// How deep files may include one another.
pub const DEEPEST: usize = 16;

/// How many files may be read, and how many bytes in all: files that include others twice each are many soon.
const MOST_FILES: usize = 10_000;
const MOST_BYTES: u64 = 64 << 20;

/// Mistakes beyond which nothing more is read.
const MOST_MISTAKES: usize = 1000;

/// Names in the root namespace that are short for others.
pub const SHORT: &[(&str, &str)] = &[
    ("app", "peak.running.app"),
    ("url", "peak.tools.server.url"),
];

/// Reads files one over the other.
pub(in crate::config) struct Loader {
    /// What was read so far.
    pub rules: Rules,
    /// What is wrong.
    pub mistakes: Vec<Diagnostic>,
    /// What is worth a word.
    pub warnings: Vec<Diagnostic>,
    /// The layer that is read, counted from 0.
    pub layer: usize,
    /// Whether names are looked for that mean nothing, wherever they stand.
    pub thorough: bool,
    /// `[Component Factories]`.
    pub factories: Vec<Rule>,
    /// The files that are being read, each included by the one before it: the real path, and how messages call it.
    open: Vec<(PathBuf, String)>,
    files: usize,
    bytes: u64,
}

/// Where the names of a file go, and what it knows from the one that includes it.
pub(in crate::config) struct Inclusion<'a> {
    /// Before every name: empty, or with a dot at its end.
    pub prefix: String,
    /// The expression that names the file.
    pub place: Option<Place>,
    /// The file that includes it.
    pub home: Option<&'a Arc<Home>>,
}

impl Loader {
    pub fn new(rules: Rules) -> Self {
        Self {
            rules,
            mistakes: Vec::new(),
            warnings: Vec::new(),
            layer: 0,
            thorough: false,
            factories: Vec::new(),
            open: Vec::new(),
            files: 0,
            bytes: 0,
        }
    }

    /// Reads a file with all that it includes.
    pub fn file(&mut self, path: &Path, inclusion: &Inclusion<'_>) {
        let Some(home) = self.open(path, inclusion) else {
            return;
        };
        let (lines, mistakes) = parse(&home.source);
        self.mistakes.extend(mistakes);
        let mut reader = FileReader {
            loader: self,
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
        self.close();
    }

    /// Opens a file, to be closed when it was read. What is wrong with it is among the mistakes.
    pub fn open(&mut self, path: &Path, inclusion: &Inclusion<'_>) -> Option<Home> {
        let shown = path.display().to_string();
        let real = std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let read = self
            .may_open(&real, &shown)
            .and_then(|()| self.read(path, &shown));
        let source = match read {
            Ok(source) => source,
            Err(mistake) => {
                self.mistake(placed(mistake, inclusion));
                return None;
            }
        };
        let absolute = here::absolute(path);
        self.open.push((real, shown));
        Some(Home {
            source,
            folder: absolute.parent().map(Path::to_owned),
            file_name: absolute
                .file_name()
                .map(|name| name.to_string_lossy().into_owned())
                .unwrap_or_default(),
            shortcuts: inclusion
                .home
                .map(|home| home.shortcuts.clone())
                .unwrap_or_default(),
        })
    }

    /// The file that was opened last was read.
    pub fn close(&mut self) {
        self.open.pop();
    }

    /// Whether there are so many mistakes that nobody reads more.
    pub fn is_full(&self) -> bool {
        self.mistakes.len() >= MOST_MISTAKES
    }

    fn mistake(&mut self, mistake: Diagnostic) {
        self.mistakes.push(mistake);
    }

    fn may_open(&mut self, real: &Path, shown: &str) -> Result<(), Diagnostic> {
        if let Some(start) = self.open.iter().position(|(open, _)| open == real) {
            let mut chain: Vec<&str> = self.open[start..]
                .iter()
                .map(|(_, name)| name.as_str())
                .collect();
            chain.push(shown);
            let message = format!(
                "the file {} includes itself: {}",
                quoted(shown),
                chain.join(" → ")
            );
            return Err(Diagnostic::new("include/loop", message));
        }
        self.files += 1;
        if self.open.len() > DEEPEST {
            let message = format!("files include one another more than {DEEPEST} deep");
            return Err(Diagnostic::new("limit/include", message));
        }
        if self.files > MOST_FILES {
            let message = format!("more than {MOST_FILES} files are included");
            return Err(Diagnostic::new("limit/include", message));
        }
        Ok(())
    }

    fn read(&mut self, path: &Path, shown: &str) -> Result<Arc<Source>, Diagnostic> {
        let bytes = read_bounded(path, shown)?;
        self.bytes += bytes.len() as u64;
        if self.bytes > MOST_BYTES {
            let message = format!("the files have more than {} MiB in all", MOST_BYTES >> 20);
            return Err(Diagnostic::new("limit/file", message));
        }
        decode(shown, bytes)
    }

    /// Adds a rule.
    pub fn insert(&mut self, name: &str, body: Body, origin: Origin) {
        let rule = Rule {
            name: name.into(),
            body,
            origin,
            layer: self.layer,
            read: AtomicBool::new(false),
        };
        let (rule, before) = match self.rules.insert(rule) {
            Ok(overridden) => {
                let warning = overridden.and_then(|(before, after)| overridden_by(&before, &after));
                return self.warnings.extend(warning);
            }
            Err(read) => read,
        };
        let message = format!(
            "setting {} was read before this line and cannot change any more",
            quoted(&rule.name)
        );
        let mut mistake = Diagnostic::new("setting/read", message);
        if let Origin::File(home, span) = &rule.origin {
            mistake = mistake.at(&home.source, *span);
        }
        if let Some(Origin::File(home, span)) = before.as_ref().map(|before| &before.origin) {
            mistake = mistake.with_label(&home.source, *span, "this value was read");
        }
        self.mistake(
            mistake.with_hint(
                "`[Load Settings From]` reads settings; put what changes them before it",
            ),
        );
    }
}

/// A mistake about a file, at the place that includes it.
fn placed(mistake: Diagnostic, inclusion: &Inclusion<'_>) -> Diagnostic {
    match &inclusion.place {
        Some(place) if mistake.labels.is_empty() => mistake.at(&place.source, place.span),
        Some(place) => mistake.with_label(&place.source, place.span, "included here"),
        None => mistake,
    }
}

/// Reads the lines of one file.
pub(in crate::config) struct FileReader<'a> {
    pub loader: &'a mut Loader,
    pub home: Arc<Home>,
    /// As it was given.
    pub path: &'a Path,
    /// Before every name in this file.
    pub outer: &'a str,
    section: Section,
    in_section: bool,
}

impl FileReader<'_> {
    fn line(&mut self, line: Line) {
        match line {
            Line::Section { name, span } => {
                self.in_section = true;
                self.section = match Section::of(&name, self.outer) {
                    Ok(section) => section,
                    Err(mistake) => {
                        let mistake = mistake.at(&self.home.source, span);
                        self.loader.mistake(mistake);
                        Section::Unknown
                    }
                };
            }
            Line::Setting {
                name,
                span,
                value,
                doubled,
            } => {
                if let Some(doubled) = doubled {
                    let warning = Diagnostic::new("syntax/doubled", "the `=` stands twice")
                        .warning()
                        .at(&self.home.source, doubled)
                        .with_hint("one is enough");
                    self.loader.warnings.push(warning);
                }
                if let Err(mistake) = self.setting(&name, span, &value) {
                    self.loader.mistake(mistake);
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
                self.add(&name, span, parsed)
            }
            Section::NamedServices => {
                let name = format!("{}{name}", self.outer);
                self.add(&name, span, parsed)
            }
            Section::ComponentFactories => {
                let origin = Origin::File(Arc::clone(&self.home), span);
                self.loader.factories.push(Rule {
                    name: name.into(),
                    body: Body::Expression(parsed),
                    origin,
                    layer: self.loader.layer,
                    read: AtomicBool::new(false),
                });
                Ok(())
            }
            Section::LoadOnDemand => {
                let full = format!("{}{name}", self.outer);
                self.check(&full, span)?;
                if !full.ends_with('*') {
                    let message = format!("the name {} does not end with `.*`", quoted(name));
                    return Err(Diagnostic::new("section/name", message)
                        .at(&self.home.source, span)
                        .with_hint("`[Load on Demand]` loads everything below a prefix"));
                }
                let origin = Origin::File(Arc::clone(&self.home), span);
                self.loader.rules.insert_on_demand(Rule {
                    name: full.into(),
                    body: Body::Expression(parsed),
                    origin,
                    layer: self.loader.layer,
                    read: AtomicBool::new(false),
                });
                Ok(())
            }
            Section::ImportOnDemand => self.shortcut(name, span, &parsed),
            Section::LoadSettingsFrom => self.load_settings(name, span, &parsed),
        }
    }

    fn add(&mut self, name: &str, span: Span, parsed: Expression) -> Result<(), Diagnostic> {
        self.check(name, span)?;
        let origin = Origin::File(Arc::clone(&self.home), span);
        self.loader.insert(name, Body::Expression(parsed), origin);
        Ok(())
    }

    fn check(&self, name: &str, span: Span) -> Result<(), Diagnostic> {
        check_rule(name).map_err(|bad| bad_name(bad).at(&self.home.source, span))
    }

    /// The value of an expression in a special section, now.
    pub fn value(&self, parsed: &Expression) -> Result<Value, Diagnostic> {
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
            Value::Str(target) | Value::Import(target) => {
                let checked = check_import(&target);
                checked
                    .map_err(|fault| fault.at(&self.home.source, parsed.span).into_diagnostic())?;
                target
            }
            other => {
                let message = format!(
                    "a shortcut takes the name of a Python module (a string) but got {}",
                    other.kind()
                );
                return Err(
                    Diagnostic::new("type/section", message).at(&self.home.source, parsed.span)
                );
            }
        };
        // Rules that were read before keep what they knew.
        Arc::make_mut(&mut self.home)
            .shortcuts
            .insert(name.into(), target);
        Ok(())
    }

    /// A prefix that is given beside what is loaded, below the file's own.
    pub fn prefix(&self, written: &str, span: Span) -> Result<String, Diagnostic> {
        match prefix(written) {
            Ok(inner) => Ok(format!("{}{inner}", self.outer)),
            Err(bad) => Err(bad_name(bad).at(&self.home.source, span)),
        }
    }
}

pub(in crate::config) fn bad_name(bad: BadName) -> Diagnostic {
    Diagnostic::new("syntax/name", bad.message).with_hint_if(bad.hint.map(str::to_owned))
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
