//! The rules in force: which of them gives a property its value, and the values that have been computed.

use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;

use nix::unistd::User;

use super::allowance::Allowance;
use super::name::{EVERYTHING, LONGEST, candidates};
use super::rule::{Rule, RuleBody, RuleOrigin};
use super::settings;
use crate::current_folder;
use crate::eval::{Budget, Fault, FoundFile, Properties, Table, Value, Variables, evaluate};
use crate::syntax::Diagnostic;

/// A value and its rule; defaults and variables of the environment have no rule.
type FoundValue = (Value, Option<Arc<Rule>>);

/// The rules that have redirected a lookup so far, the last one first.
#[derive(Clone, Copy)]
struct Redirected<'a> {
    rule: &'a str,
    before: Option<&'a Redirected<'a>>,
}

impl Redirected<'_> {
    fn by(&self, rule: &str) -> bool {
        self.rule == rule || self.before.is_some_and(|before| before.by(rule))
    }
}

/// All rules, and the values that have been read.
#[derive(Debug, Default)]
pub(super) struct Rules {
    /// By name, with the `*` of wildcards and the `?` of defaults.
    rules: HashMap<Arc<str>, Arc<Rule>>,
    /// `[Load on Demand]`, by name with the `*`.
    on_demand: HashMap<Arc<str>, Arc<Rule>>,
    computed: Mutex<HashMap<Arc<str>, FoundValue>>,
    /// The limits of all evaluations.
    pub(super) allowance: Allowance,
    environment: HashMap<String, String>,
    environment_table: OnceLock<Value>,
}

/// The namespace of environment variables.
const ENVIRON: &str = "environ.";
/// A namespace whose properties fall back to the environment.
const MAIN: &str = "__main__.";

impl Rules {
    /// Only the built-in settings, over an environment.
    pub(super) fn new(environment: HashMap<String, String>) -> Self {
        Self {
            environment,
            ..Self::default()
        }
    }

    fn computed(&self) -> MutexGuard<'_, HashMap<Arc<str>, FoundValue>> {
        // A panic cannot leave the map half-changed.
        self.computed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a rule, and gives the one of the same name that it replaces.
    ///
    /// # Errors
    /// The value of the name was read, from the rule that is given or from none: it cannot change any more.
    pub(super) fn insert(
        &mut self,
        rule: &Arc<Rule>,
    ) -> Result<Option<Arc<Rule>>, Option<Arc<Rule>>> {
        match self.rules.entry(Arc::clone(&rule.name)) {
            Entry::Occupied(mut before) => match before.get().read.load(Ordering::Relaxed) {
                true => Err(Some(Arc::clone(before.get()))),
                false => Ok(Some(before.insert(Arc::clone(rule)))),
            },
            Entry::Vacant(place) => {
                let computed = self.computed.get_mut();
                let computed = computed.unwrap_or_else(PoisonError::into_inner);
                if computed.contains_key(&rule.name) {
                    return Err(None);
                }
                place.insert(Arc::clone(rule));
                Ok(None)
            }
        }
    }

    /// Adds a rule of `[Load on Demand]`.
    pub(super) fn insert_on_demand(&mut self, rule: Rule) {
        self.on_demand
            .insert(Arc::clone(&rule.name), Arc::new(rule));
    }

    /// A variable of the environment.
    pub(super) fn variable(&self, name: &str) -> Option<&str> {
        self.environment.get(name).map(String::as_str)
    }

    /// The rule of a name, which may end with `*` or `?`.
    pub(super) fn rule(&self, name: &str) -> Option<&Rule> {
        self.rules.get(name).map(|rule| &**rule)
    }

    /// Whether a rule can give a property its value, other than the one for every property.
    pub(super) fn has_rule_for(&self, name: &str) -> bool {
        candidates(name)
            .filter(|candidate| candidate != EVERYTHING)
            .chain(std::iter::once(format!("{name}?")))
            .any(|rule| self.rules.contains_key(&*rule) || self.on_demand.contains_key(&*rule))
    }

    /// All rules, in no order.
    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<Rule>> {
        self.rules.values()
    }

    /// All rules of `[Load on Demand]`, in no order.
    pub(super) fn all_on_demand(&self) -> impl Iterator<Item = &Arc<Rule>> {
        self.on_demand.values()
    }

    /// The rule that gave a property its value, or that would be tried first.
    pub(super) fn origin(&self, name: &str) -> Option<Arc<Rule>> {
        if let Some((_, rule)) = self.computed().get(name) {
            return rule.clone();
        }
        candidates(name)
            .chain(std::iter::once(format!("{name}?")))
            .find_map(|candidate| self.rules.get(&*candidate).cloned())
    }

    /// A diagnostic about a property, at the place of its rule.
    pub(super) fn label(&self, diagnostic: Diagnostic, name: &str) -> Diagnostic {
        match self.origin(name) {
            Some(rule) => rule.origin.label(diagnostic, ""),
            None => diagnostic,
        }
    }

    /// The value of a property, and its rule. A rule is not tried again for a name that it has redirected itself:
    /// `* = config.Namespace('other.*')` would continue with `other.other.…` for a property that does not exist.
    fn find(
        &self,
        name: &Arc<str>,
        redirected: Option<&Redirected<'_>>,
        budget: &mut Budget,
    ) -> Result<Option<FoundValue>, Fault> {
        if let Some(found) = self.computed().get(name) {
            return Ok(Some(found.clone()));
        }
        if name.len() > LONGEST {
            let message = format!("the name of a setting has at most {LONGEST} bytes");
            return Err(Fault::new("limit/name", message));
        }
        if budget.chain.contains(name) {
            return Err(cycle(&budget.chain, name));
        }
        budget.enter()?;
        budget.chain.push(Arc::clone(name));
        let passed_over = budget.passed_over;
        let found = self.ask(name, redirected, budget);
        budget.chain.pop();
        budget.leave();
        // A lookup that skipped a rule may give another value than a direct one, so its value is not kept.
        let whole = redirected.is_none() || budget.passed_over == passed_over;
        if let (Ok(Some(found)), true) = (&found, whole) {
            self.keep(name, found, budget)?;
        }
        found
    }

    /// Keeps a value, under the name of a property or of a rule of `[Load on Demand]`.
    fn keep(&self, name: &Arc<str>, found: &FoundValue, budget: &mut Budget) -> Result<(), Fault> {
        let kept = self.allowance.keep(budget);
        kept.map_err(|fault| match &found.1 {
            Some(rule) => at_rule(fault, rule),
            None => fault,
        })?;
        self.computed().insert(Arc::clone(name), found.clone());
        Ok(())
    }

    /// Tries the rules that can give a property its value, one after the other.
    fn ask(
        &self,
        name: &Arc<str>,
        redirected: Option<&Redirected<'_>>,
        budget: &mut Budget,
    ) -> Result<Option<FoundValue>, Fault> {
        for candidate in candidates(name) {
            budget.step(1)?;
            let start = candidate.strip_suffix('*');
            let suffix = start
                .and_then(|start| name.get(start.len()..))
                .unwrap_or_default();
            let through = Redirected {
                rule: &candidate,
                before: redirected,
            };
            if redirected.is_some_and(|rules| rules.by(&candidate)) {
                budget.passed_over += 1;
            } else if let Some(rule) = self.rules.get(&*candidate) {
                let value = self.evaluate(rule, name, budget)?;
                let target: Arc<str> = match &value {
                    Value::Namespace(target) if start.is_some() && target.is_empty() => {
                        suffix.into()
                    }
                    Value::Namespace(target) if start.is_some() => {
                        format!("{target}.{suffix}").into()
                    }
                    _ => return Ok(Some((value, Some(Arc::clone(rule))))),
                };
                if let Some(found) = self.find(&target, Some(&through), budget)? {
                    return Ok(Some(found));
                }
            } else if start == Some(ENVIRON) {
                if let Some(value) = self.environment.get(suffix) {
                    return Ok(Some((Value::text(value), None)));
                }
            } else if start == Some(MAIN) {
                let target = format!("{ENVIRON}{suffix}").into();
                if let Some(found) = self.find(&target, redirected, budget)? {
                    return Ok(Some(found));
                }
            }
            if let Some(rule) = self.on_demand.get(&*candidate)
                && let Some(value) = self.on_demand(rule, suffix, redirected, budget)?
            {
                return Ok(Some((value, Some(Arc::clone(rule)))));
            }
        }
        if let Some(rule) = self.rules.get(&*format!("{name}?")) {
            let value = self.evaluate(rule, name, budget)?;
            return Ok(Some((value, Some(Arc::clone(rule)))));
        }
        let default = settings::find(name).and_then(|setting| setting.default.value());
        Ok(default.map(|value| (value, None)))
    }

    fn evaluate(&self, rule: &Rule, name: &Arc<str>, budget: &mut Budget) -> Result<Value, Fault> {
        rule.read.store(true, Ordering::Relaxed);
        match &rule.body {
            RuleBody::Value(value) => Ok(value.clone()),
            RuleBody::Expression(expression, home) => {
                let variables = Variables {
                    rule_name: Arc::clone(&rule.name),
                    property_name: Arc::clone(name),
                };
                Ok(evaluate(self, home, Some(variables), expression, budget)?)
            }
        }
    }

    /// The value of a property below a rule of `[Load on Demand]`.
    fn on_demand(
        &self,
        rule: &Arc<Rule>,
        suffix: &str,
        redirected: Option<&Redirected<'_>>,
        budget: &mut Budget,
    ) -> Result<Option<Value>, Fault> {
        let key = key_of(rule);
        if redirected.is_some_and(|rules| rules.by(&key)) {
            budget.passed_over += 1;
            return Ok(None);
        }
        match self.load(rule, &key, budget)? {
            Value::Dict(table) => Ok(table.get_text(suffix).cloned()),
            Value::Namespace(prefix) => {
                let target: Arc<str> = format!("{prefix}.{suffix}").into();
                let through = Redirected {
                    rule: &key,
                    before: redirected,
                };
                let found = self.find(&target, Some(&through), budget)?;
                Ok(found.map(|(value, _)| value))
            }
            _ => Ok(None),
        }
    }

    /// The value of a rule of `[Load on Demand]`: a dict, a namespace or `None`. It is evaluated once, and kept under a key.
    fn load(&self, rule: &Arc<Rule>, key: &Arc<str>, budget: &mut Budget) -> Result<Value, Fault> {
        let known = self.computed().get(key).map(|(value, _)| value.clone());
        if let Some(value) = known {
            return Ok(value);
        }
        if budget.chain.contains(key) {
            // The rule looks up a property below its own prefix, which does not exist yet.
            return Ok(Value::None);
        }
        budget.chain.push(Arc::clone(key));
        let value = self.evaluate(rule, &rule.name, budget);
        budget.chain.pop();
        match value? {
            value @ (Value::None | Value::Dict(_) | Value::Namespace(_)) => {
                let found = (value, Some(Arc::clone(rule)));
                self.keep(key, &found, budget)?;
                Ok(found.0)
            }
            other => {
                let message = format!(
                    "`{}` loads a dict or a namespace but got {}",
                    rule.name,
                    other.kind()
                );
                Err(at_rule(Fault::wrong_type(message), rule))
            }
        }
    }

    /// The error of a rule for every property: one that occurs before its expression reads the property's name.
    pub(super) fn mistake_for_any_name(&self, rule: &Rule) -> Option<Diagnostic> {
        let RuleBody::Expression(expression, home) = &rule.body else {
            return None;
        };
        let mut budget = Budget::default();
        let mistake = evaluate(self, home, None, expression, &mut budget).err()?;
        // The unknown name may be that of the property; others are found without evaluation.
        (mistake.code != "name/unknown").then_some(mistake)
    }

    /// The errors in rules of `[Load on Demand]`.
    pub(super) fn mistakes_on_demand(&self) -> Vec<Diagnostic> {
        let mistake = |rule: &Arc<Rule>| {
            let loaded = self.load(rule, &key_of(rule), &mut Budget::default());
            loaded.err().map(Fault::into_diagnostic)
        };
        self.on_demand.values().filter_map(mistake).collect()
    }

    /// The value of a property.
    ///
    /// # Errors
    /// Its rule cannot be evaluated.
    pub(super) fn get(&self, name: &str) -> Result<Option<Value>, Diagnostic> {
        if let Some((value, _)) = self.computed().get(name) {
            return Ok(Some(value.clone()));
        }
        match self.find(&name.into(), None, &mut Budget::default()) {
            Ok(found) => Ok(found.map(|(value, _)| value)),
            Err(fault) => Err(fault.into_diagnostic()),
        }
    }
}

/// The key under which the value of a rule of `[Load on Demand]` is kept. It has blanks, so that no property has this name.
fn key_of(rule: &Rule) -> Arc<str> {
    format!("load on demand {}", rule.name).into()
}

fn at_rule(fault: Fault, rule: &Rule) -> Fault {
    match &rule.origin {
        RuleOrigin::File(home, span) => fault.at(&home.source, *span),
        RuleOrigin::Option(_) => fault,
    }
}

fn cycle(chain: &[Arc<str>], name: &Arc<str>) -> Fault {
    /// Names that a message shows of a long chain.
    const SHOWN: usize = 12;
    let start = chain.iter().position(|one| one == name).unwrap_or_default();
    let mut names: Vec<&str> = chain[start..].iter().map(|one| &**one).collect();
    if names.len() > SHOWN {
        names.splice(SHOWN / 2..names.len() - SHOWN / 2, ["…"]);
    }
    names.push(name);
    let message = format!("setting `{name}` depends on itself: {}", names.join(" → "));
    Fault::new("setting/cycle", message)
}

impl Properties for Rules {
    fn lookup(&self, name: &str, budget: &mut Budget) -> Result<Option<Value>, Fault> {
        Ok(self
            .find(&name.into(), None, budget)?
            .map(|(value, _)| value))
    }

    fn names(&self, prefix: &str) -> Vec<String> {
        let named = |name: &str| {
            let plain = name.strip_suffix('?').unwrap_or(name);
            (plain.starts_with(prefix) && plain.len() > prefix.len() && !plain.ends_with('*'))
                .then(|| plain.to_owned())
        };
        let mut names: BTreeSet<String> =
            self.rules.keys().filter_map(|name| named(name)).collect();
        if prefix == ENVIRON {
            names.extend(
                self.environment
                    .keys()
                    .map(|name| format!("{ENVIRON}{name}")),
            );
        }
        names.into_iter().collect()
    }

    fn may_suggest(&self) -> bool {
        self.allowance.compare(self.rules.len())
    }

    fn environment(&self) -> Value {
        let table = || {
            let mut names: Vec<_> = self.environment.iter().collect();
            names.sort();
            let mut table = Table::default();
            let mut budget = Budget::default();
            // A table that would be too large ends early.
            let _ = names.into_iter().try_for_each(|(name, value)| {
                table.insert(Value::text(name), Value::text(value), &mut budget)
            });
            Value::Dict(Arc::new(table))
        };
        self.environment_table.get_or_init(table).clone()
    }

    fn home_of(&self, user: Option<&str>) -> Option<String> {
        let Some(user) = user else {
            return Some(dirs::home_dir()?.to_string_lossy().into_owned());
        };
        let found = User::from_name(user).ok()??;
        Some(found.dir.to_string_lossy().into_owned())
    }

    fn absolute(&self, path: &Path) -> PathBuf {
        current_folder::absolute(path)
    }

    fn found_at(&self, path: &Path) -> Option<FoundFile> {
        let found = fs::metadata(path).ok()?;
        Some(match (found.is_file(), found.is_dir()) {
            (true, _) => FoundFile::File,
            (false, true) => FoundFile::Folder,
            (false, false) => FoundFile::Other,
        })
    }

    fn without_links(&self, path: &Path) -> Option<PathBuf> {
        path.canonicalize().ok()
    }

    fn processors(&self) -> usize {
        thread::available_parallelism().map_or(1, NonZero::get)
    }
}
