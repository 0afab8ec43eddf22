//! Values of the configuration language: Python's, and a few for what only a command or a Python process resolves.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use num_bigint::BigInt;
use num_traits::ToPrimitive;

use self::alias::Alias;
use self::closure::Closure;
use self::digits::truncated;
use self::signature::Signature;
use crate::eval::budget::{Budget, Fault, Result};

pub(super) mod alias;
pub(super) mod characters;
pub(super) mod closure;
pub(super) mod compare;
pub(super) mod digits;
pub(super) mod elements;
pub(super) mod namespace;
pub(super) mod properties;
pub(super) mod repr;
pub(super) mod signature;
pub(super) mod subscripts;

/// A value. Cheap to clone.
#[derive(Clone, Debug)]
pub enum Value {
    /// `None`
    None,
    /// `True`
    Bool(bool),
    /// A whole number.
    Int(BigInt),
    /// A floating-point number.
    Float(f64),
    /// A string.
    Str(Arc<str>),
    /// Bytes.
    Bytes(Arc<[u8]>),
    /// A list.
    List(Arc<Items>),
    /// A tuple.
    Tuple(Arc<Items>),
    /// A set: the keys of a table.
    Set(Arc<Table>),
    /// A dict.
    Dict(Arc<Table>),
    /// `range(start, stop, step)`
    Range(i64, i64, i64),
    /// The `keys()`, `values()` or `items()` of a dict.
    View(View, Arc<Table>),
    /// The result of `zip`, `enumerate`, `reversed` (the name of its type) or a generator: elements without length and
    /// index. Unlike in Python, they can be read more than once.
    Iterator(&'static str, Arc<Items>),
    /// `commands.Alias(command=[…])`: words that are put before the arguments of a command.
    Alias(Arc<Alias>),
    /// `commands.Routes({…})`: applications by host and path.
    Routes(Arc<Table>),
    /// `importString('pkg.mod:attr')`: an object that only a Python process resolves.
    Import(Arc<str>),
    /// `naming.LinkRef('url')`: another name or URL to look up instead.
    Link(Arc<str>),
    /// `config.Namespace('prefix')`: the properties below a prefix, which is kept without a dot at its end.
    Namespace(Arc<str>),
    /// A module that holds functions: `os.path`.
    Module(&'static str),
    /// A function of the table.
    Function(&'static Signature),
    /// A method and the value that it belongs to.
    Method(Arc<(Value, Arc<str>)>),
    /// A lambda.
    Closure(Arc<Closure<Value>>),
}

/// The part of a dict that a view shows
/// (<https://docs.python.org/3/library/stdtypes.html#dictionary-view-objects>).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum View {
    /// `keys()`
    Keys,
    /// `values()`
    Values,
    /// `items()`: pairs of a key and a value.
    Items,
}

impl View {
    /// The elements of the view of a dict.
    ///
    /// # Errors
    /// More than the budget allows.
    pub fn elements(self, table: &Table, budget: &mut Budget) -> Result<Vec<Value>> {
        budget.allocate(table.entries.len() * size_of::<Value>())?;
        let element = |(key, value): &(Value, Value)| {
            Ok(match self {
                Self::Keys => key.clone(),
                Self::Values => value.clone(),
                Self::Items => Value::Tuple(Items::new(vec![key.clone(), value.clone()], budget)?),
            })
        };
        table.entries.iter().map(element).collect()
    }
}

/// How deeply values may be nested: every walk through a value ends.
pub(super) const DEEPEST: u16 = 100;

/// The elements of a list or tuple.
#[derive(Debug, Default)]
pub struct Items {
    items: Vec<Value>,
    depth: u16,
}

impl std::ops::Deref for Items {
    type Target = [Value];

    fn deref(&self) -> &[Value] {
        &self.items
    }
}

impl Items {
    /// Takes the elements.
    ///
    /// # Errors
    /// Elements that are nested too deeply, or more than the budget allows.
    pub fn new(items: Vec<Value>, budget: &mut Budget) -> Result<Arc<Self>> {
        let copied: usize = items.iter().map(Value::copied).sum();
        budget.allocate(items.len() * size_of::<Value>() + copied)?;
        let depth = depth_above(items.iter())?;
        Ok(Arc::new(Self { items, depth }))
    }
}

/// The depth of a value that holds these.
pub(crate) fn depth_above<'a>(values: impl Iterator<Item = &'a Value>) -> Result<u16> {
    one_deeper(values.map(Value::depth).max().unwrap_or_default())
}

/// The depth of a value that holds one of this depth.
pub(crate) fn one_deeper(depth: u16) -> Result<u16> {
    if depth >= DEEPEST {
        let message = format!("values are nested more than {DEEPEST} deep");
        return Err(Fault::new("limit/depth", message));
    }
    Ok(depth + 1)
}

/// A dict in the order of insertion; a set is one in which every value is `None`.
#[derive(Clone, Debug, Default)]
pub struct Table {
    entries: Vec<(Value, Value)>,
    index: HashMap<HashKey, usize>,
    depth: u16,
}

/// A dict's key as it is compared: `1`, `1.0` and `True` are one key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum HashKey {
    /// `None`
    None,
    /// A number without a fraction.
    Integer(BigInt),
    /// Another number, by its bits.
    Float(u64),
    /// A string.
    Str(Arc<str>),
    /// Bytes.
    Bytes(Arc<[u8]>),
    /// A tuple.
    Tuple(Vec<HashKey>),
    /// Any other value, by a text that only equal values share.
    Other(String),
}

impl Table {
    /// Adds an entry, or replaces the value of a key.
    ///
    /// # Errors
    /// A value that cannot be a key, or more than the budget allows.
    pub fn insert(&mut self, key: Value, value: Value, budget: &mut Budget) -> Result<()> {
        let hashed = key.key(budget)?;
        self.depth = self.depth.max(depth_above([&key, &value].into_iter())?);
        if let Some(&place) = self.index.get(&hashed) {
            self.entries[place].1 = value;
            return Ok(());
        }
        let copied = key.copied() + value.copied();
        budget.allocate(3 * size_of::<Value>() + size_of::<HashKey>() + copied)?;
        self.index.insert(hashed, self.entries.len());
        self.entries.push((key, value));
        Ok(())
    }

    /// The value of a key.
    ///
    /// # Errors
    /// A value that cannot be a key.
    pub fn get(&self, key: &Value, budget: &mut Budget) -> Result<Option<&Value>> {
        let place = self.index.get(&key.key(budget)?);
        Ok(place.map(|&place| &self.entries[place].1))
    }

    /// The value of a key that is a string.
    #[must_use]
    pub fn get_text(&self, key: &str) -> Option<&Value> {
        let place = self.index.get(&HashKey::Str(key.into()))?;
        Some(&self.entries[*place].1)
    }

    /// Keys and values in the order of insertion.
    #[must_use]
    pub fn entries(&self) -> &[(Value, Value)] {
        &self.entries
    }

    /// The keys in the order of insertion.
    pub fn keys(&self) -> impl Iterator<Item = &Value> {
        self.entries.iter().map(|(key, _)| key)
    }
}

impl Value {
    /// A string.
    #[must_use]
    pub fn text(text: &str) -> Self {
        Self::Str(text.into())
    }

    /// The string, if it is one.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Str(text) => Some(text),
            _ => None,
        }
    }

    /// The elements of a value that settings accept as a list; `None` also if they exceed the budget of one evaluation.
    #[must_use]
    pub fn as_items(&self) -> Option<Cow<'_, [Value]>> {
        match self {
            Self::List(items) | Self::Tuple(items) | Self::Iterator(_, items) => {
                Some(Cow::Borrowed(items))
            }
            Self::View(view, table) => {
                let elements = view.elements(table, &mut Budget::default());
                elements.ok().map(Cow::Owned)
            }
            _ => None,
        }
    }

    /// The whole number, if it is one; as in Python, a truth value is one.
    #[must_use]
    pub fn as_integer(&self) -> Option<BigInt> {
        match self {
            Self::Int(number) => Some(number.clone()),
            Self::Bool(truth) => Some(BigInt::from(u8::from(*truth))),
            _ => None,
        }
    }

    /// The name of its type in Python, and the type in words with an article, for messages.
    fn type_names(&self) -> (&'static str, &'static str) {
        match self {
            Self::None => ("NoneType", "nothing"),
            Self::Bool(_) => ("bool", "a truth value"),
            Self::Int(_) => ("int", "a whole number"),
            Self::Float(_) => ("float", "a number"),
            Self::Str(_) => ("str", "a string"),
            Self::Bytes(_) => ("bytes", "bytes"),
            Self::List(_) => ("list", "a list"),
            Self::Tuple(_) => ("tuple", "a tuple"),
            Self::Set(_) => ("set", "a set"),
            Self::Dict(_) => ("dict", "a dict"),
            Self::Range(..) => ("range", "a range"),
            Self::View(View::Keys, _) => ("dict_keys", "the keys of a dict"),
            Self::View(View::Values, _) => ("dict_values", "the values of a dict"),
            Self::View(View::Items, _) => ("dict_items", "the items of a dict"),
            Self::Iterator(kind, _) => (kind, "an iterator"),
            Self::Alias(_) => ("Alias", "a command"),
            Self::Routes(_) => ("Routes", "routes"),
            Self::Import(_) => ("Import", "a Python object"),
            Self::Link(_) => ("LinkRef", "a link"),
            Self::Namespace(_) => ("Namespace", "a namespace"),
            Self::Module(_) => ("module", "a module"),
            Self::Function(_) | Self::Closure(_) => ("function", "a function"),
            Self::Method(_) => ("method", "a method"),
        }
    }

    /// The name of its type in Python.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        self.type_names().0
    }

    /// Its type in words, with an article, for messages.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        self.type_names().1
    }

    /// The same, for messages about a string that must not be empty.
    #[must_use]
    pub fn kind_shown(&self) -> &'static str {
        match self.as_str() {
            Some("") => "an empty string",
            Some(_) | None => self.kind(),
        }
    }

    /// Whether it counts as true.
    #[must_use]
    pub fn truth(&self) -> bool {
        match self {
            Self::None => false,
            Self::Bool(truth) => *truth,
            Self::Int(number) => number.bits() > 0,
            Self::Float(number) => *number != 0.0,
            Self::Str(text) => !text.is_empty(),
            Self::Bytes(bytes) => !bytes.is_empty(),
            Self::List(items) | Self::Tuple(items) => !items.is_empty(),
            Self::Set(table) | Self::Dict(table) | Self::View(_, table) => {
                !table.entries.is_empty()
            }
            Self::Range(start, stop, step) => range_length(*start, *stop, *step) > 0,
            Self::Iterator(..)
            | Self::Alias(_)
            | Self::Routes(_)
            | Self::Import(_)
            | Self::Link(_)
            | Self::Namespace(_)
            | Self::Module(_)
            | Self::Function(_)
            | Self::Method(_)
            | Self::Closure(_) => true,
        }
    }

    /// Bytes of its text or number: what it costs to read it once.
    pub(crate) fn weight(&self) -> usize {
        match self {
            Self::Str(text) => text.len(),
            Self::Bytes(bytes) => bytes.len(),
            Self::Int(number) => usize::try_from(number.bits() / 8).unwrap_or(usize::MAX),
            _ => 0,
        }
    }

    /// Bytes that each clone copies: those of large numbers. Everything else is shared.
    pub(crate) fn copied(&self) -> usize {
        match self {
            Self::Int(_) => self.weight() / 64 * 64,
            _ => 0,
        }
    }

    /// The value, once the budget has paid for the memory of the copy that it is.
    pub(crate) fn paid(self, budget: &mut Budget) -> Result<Self> {
        match self.copied() {
            0 => {}
            bytes => budget.allocate(bytes)?,
        }
        Ok(self)
    }

    fn depth(&self) -> u16 {
        match self {
            Self::List(items) | Self::Tuple(items) | Self::Iterator(_, items) => items.depth,
            Self::Set(table) | Self::Dict(table) | Self::Routes(table) => table.depth,
            Self::View(_, table) => 1 + table.depth,
            Self::Method(method) => 1 + method.0.depth(),
            Self::Closure(closure) => closure.depth,
            _ => 0,
        }
    }

    /// The value as a dict's key.
    ///
    /// # Errors
    /// A list, dict, set or view, which cannot be a key.
    pub fn key(&self, budget: &mut Budget) -> Result<HashKey> {
        budget.step(1 + self.weight() / 256)?;
        Ok(match self {
            Self::None => HashKey::None,
            Self::Bool(_) | Self::Int(_) => {
                budget.allocate(self.weight())?;
                HashKey::Integer(self.as_integer().unwrap_or_default())
            }
            Self::Float(number) if number.fract() == 0.0 => {
                HashKey::Integer(truncated(*number).unwrap_or_default())
            }
            Self::Float(number) => HashKey::Float(number.to_bits()),
            Self::Str(text) => HashKey::Str(Arc::clone(text)),
            Self::Bytes(bytes) => HashKey::Bytes(Arc::clone(bytes)),
            Self::Tuple(items) => {
                budget.allocate(items.len() * size_of::<HashKey>())?;
                let keys = items.iter().map(|item| item.key(budget));
                HashKey::Tuple(keys.collect::<Result<_>>()?)
            }
            // These two are equal only to themselves.
            Self::Iterator(_, items) => HashKey::Other(format!("{:p}", Arc::as_ptr(items))),
            Self::Closure(closure) => HashKey::Other(format!("{:p}", Arc::as_ptr(closure))),
            Self::List(_) | Self::Set(_) | Self::Dict(_) | Self::View(..) | Self::Routes(_) => {
                let message = format!("{} cannot be a key or an element of a set", self.kind());
                return Err(Fault::new("type/key", message));
            }
            // Ranges of the same numbers are equal.
            Self::Range(start, stop, step) => {
                HashKey::Other(match range_length(*start, *stop, *step) {
                    0 => "range".to_owned(),
                    1 => format!("range {start}"),
                    length => format!("range {start} {length} {step}"),
                })
            }
            Self::Alias(alias) => HashKey::Other(format!("{alias:?}")),
            Self::Import(name) | Self::Link(name) | Self::Namespace(name) => {
                HashKey::Other(format!("{} {name}", self.type_name()))
            }
            Self::Module(name) | Self::Function(Signature { name, .. }) => {
                HashKey::Other(format!("{} {name}", self.type_name()))
            }
            Self::Method(method) => HashKey::Other(match &method.0 {
                // `str.lower` is one object, `'a'.lower` is a new one each time.
                Self::Function(of) => format!("{}.{}", of.name, method.1),
                _ => format!("{:p}", Arc::as_ptr(method)),
            }),
        })
    }
}

/// How many numbers a range has.
#[must_use]
pub(super) fn range_length(start: i64, stop: i64, step: i64) -> u64 {
    let distance = if step > 0 {
        i128::from(stop) - i128::from(start)
    } else {
        i128::from(start) - i128::from(stop)
    };
    let step = i128::from(step).abs().max(1);
    ((distance + step - 1) / step)
        .max(0)
        .to_u64()
        .unwrap_or(u64::MAX)
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::text(text)
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Str(text.into())
    }
}

impl From<bool> for Value {
    fn from(truth: bool) -> Self {
        Self::Bool(truth)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Int(number.into())
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Int(number.into())
    }
}

impl From<usize> for Value {
    fn from(number: usize) -> Self {
        Self::Int(number.into())
    }
}
