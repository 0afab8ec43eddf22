//! Values of the configuration language: Python's, and the few that stand for things which only a command or a
//! Python process resolves.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use num_bigint::BigInt;
use num_traits::ToPrimitive;

use super::budget::{Budget, Fault};
use super::functions::Function;
use crate::eval::evaluate::Closure;
use crate::eval::value::views::{Part, View};

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
    /// What the `keys`, `values` or `items` of a dict are.
    View(Arc<View>),
    /// What is gone through, but has no length and no places: what `zip` and its like and a generator give. Of what
    /// kind, and its elements, which are there as often as they are asked for.
    Iterator(&'static str, Arc<Items>),
    /// `commands.Alias(command=[…])`: words that stand for themselves before further arguments.
    Alias(Arc<[String]>),
    /// `importString('pkg.mod:attr')`: an object that only a Python process resolves.
    Import(Arc<str>),
    /// `naming.LinkRef('url')`: a name or URL to look up in its stead.
    Link(Arc<str>),
    /// `config.Namespace('prefix')`: a view of the properties below a prefix, which has no dot at its end.
    Namespace(Arc<str>),
    /// A name that holds functions: `os.path`.
    Module(&'static str),
    /// A function of the table.
    Function(&'static Function),
    /// A method and what it belongs to.
    Method(Arc<(Value, Arc<str>)>),
    /// A lambda.
    Closure(Arc<Closure>),
}

/// How deep values may stand in one another, so that all that walks through them ends.
pub const DEEPEST: u16 = 100;

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
    /// Elements that are too deep already, or more than the budget allows.
    pub fn new(items: Vec<Value>, budget: &mut Budget) -> Result<Arc<Self>, Fault> {
        let copied: usize = items.iter().map(Value::copied).sum();
        budget.allocate(items.len() * size_of::<Value>() + copied)?;
        let depth = below(items.iter())?;
        Ok(Arc::new(Self { items, depth }))
    }
}

/// The depth of something that holds these values.
pub(crate) fn below<'a>(values: impl Iterator<Item = &'a Value>) -> Result<u16, Fault> {
    deeper(values.map(Value::depth).max().unwrap_or_default())
}

/// The depth of something that holds what is so deep.
pub(crate) fn deeper(depth: u16) -> Result<u16, Fault> {
    if depth >= DEEPEST {
        let message = format!("values stand in one another more than {DEEPEST} deep");
        return Err(Fault::new("limit/depth", message));
    }
    Ok(depth + 1)
}

/// A dict in the order of insertion, or with `None` for every value a set.
#[derive(Clone, Debug, Default)]
pub struct Table {
    entries: Vec<(Value, Value)>,
    index: HashMap<Key, usize>,
    depth: u16,
}

/// What a dict's key is compared by: `1`, `1.0` and `True` are one key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Key {
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
    Tuple(Vec<Key>),
    /// Anything else, by what it is equal to.
    Other(String),
}

impl Table {
    /// Adds an entry, or replaces the value of one.
    ///
    /// # Errors
    /// A key that cannot be one, or what goes beyond the budget.
    pub fn insert(&mut self, key: Value, value: Value, budget: &mut Budget) -> Result<(), Fault> {
        let hashed = key.key(budget)?;
        self.depth = self.depth.max(below([&key, &value].into_iter())?);
        if let Some(&place) = self.index.get(&hashed) {
            self.entries[place].1 = value;
            return Ok(());
        }
        let copied = key.copied() + value.copied();
        budget.allocate(3 * size_of::<Value>() + size_of::<Key>() + copied)?;
        self.index.insert(hashed, self.entries.len());
        self.entries.push((key, value));
        Ok(())
    }

    /// The value of a key.
    ///
    /// # Errors
    /// A value that cannot be a key.
    pub fn get(&self, key: &Value, budget: &mut Budget) -> Result<Option<&Value>, Fault> {
        let place = self.index.get(&key.key(budget)?);
        Ok(place.map(|&place| &self.entries[place].1))
    }

    /// The value of a key that is a string.
    #[must_use]
    pub fn get_text(&self, key: &str) -> Option<&Value> {
        let place = self.index.get(&Key::Str(key.into()))?;
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

    /// The elements of what settings take for a list; `None` also where they go beyond what one evaluation may make.
    #[must_use]
    pub fn as_items(&self) -> Option<Cow<'_, [Value]>> {
        match self {
            Self::List(items) | Self::Tuple(items) | Self::Iterator(_, items) => {
                Some(Cow::Borrowed(items))
            }
            Self::View(view) => view.elements(&mut Budget::default()).ok().map(Cow::Owned),
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

    /// The name of its type in Python.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::None => "NoneType",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Float(_) => "float",
            Self::Str(_) => "str",
            Self::Bytes(_) => "bytes",
            Self::List(_) => "list",
            Self::Tuple(_) => "tuple",
            Self::Set(_) => "set",
            Self::Dict(_) => "dict",
            Self::Range(..) => "range",
            Self::View(view) => view.type_name(),
            Self::Iterator(kind, _) => kind,
            Self::Alias(_) => "Alias",
            Self::Import(_) => "Import",
            Self::Link(_) => "LinkRef",
            Self::Namespace(_) => "Namespace",
            Self::Module(_) => "module",
            Self::Function(_) | Self::Closure(_) => "function",
            Self::Method(_) => "method",
        }
    }

    /// The same for messages that want a string, but not any: an empty one is called so.
    #[must_use]
    pub fn kind_shown(&self) -> &'static str {
        match self.as_str() {
            Some("") => "an empty string",
            Some(_) | None => self.kind(),
        }
    }

    /// Its type in words, with an article, for messages.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::None => "nothing",
            Self::Bool(_) => "a truth value",
            Self::Int(_) => "a whole number",
            Self::Float(_) => "a number",
            Self::Str(_) => "a string",
            Self::Bytes(_) => "bytes",
            Self::List(_) => "a list",
            Self::Tuple(_) => "a tuple",
            Self::Set(_) => "a set",
            Self::Dict(_) => "a dict",
            Self::Range(..) => "a range",
            Self::View(view) => view.kind(),
            Self::Iterator(..) => "an iterator",
            Self::Alias(_) => "a command",
            Self::Import(_) => "a Python object",
            Self::Link(_) => "a link",
            Self::Namespace(_) => "a namespace",
            Self::Module(_) => "a module",
            Self::Function(_) | Self::Closure(_) => "a function",
            Self::Method(_) => "a method",
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
            Self::Set(table) | Self::Dict(table) => !table.entries().is_empty(),
            Self::Range(start, stop, step) => range_length(*start, *stop, *step) > 0,
            Self::View(view) => !view.table.entries().is_empty(),
            Self::Iterator(..)
            | Self::Alias(_)
            | Self::Import(_)
            | Self::Link(_)
            | Self::Namespace(_)
            | Self::Module(_)
            | Self::Function(_)
            | Self::Method(_)
            | Self::Closure(_) => true,
        }
    }

    /// How many bytes its text or number has: what it takes to go through it.
    pub(crate) fn weight(&self) -> usize {
        match self {
            Self::Str(text) => text.len(),
            Self::Bytes(bytes) => bytes.len(),
            Self::Int(number) => usize::try_from(number.bits() / 8).unwrap_or(usize::MAX),
            _ => 0,
        }
    }

    /// Bytes that are copied whenever it is: large numbers, all else is shared.
    pub(crate) fn copied(&self) -> usize {
        match self {
            Self::Int(_) => self.weight() / 64 * 64,
            _ => 0,
        }
    }

    /// The same value, which took memory if it is a copy.
    pub(crate) fn paid(self, budget: &mut Budget) -> Result<Self, Fault> {
        match self.copied() {
            0 => {}
            bytes => budget.allocate(bytes)?,
        }
        Ok(self)
    }

    pub(crate) fn depth(&self) -> u16 {
        match self {
            Self::List(items) | Self::Tuple(items) | Self::Iterator(_, items) => items.depth,
            Self::Set(table) | Self::Dict(table) => table.depth,
            Self::View(view) => 1 + view.table.depth,
            Self::Method(method) => 1 + method.0.depth(),
            Self::Closure(closure) => closure.depth,
            _ => 0,
        }
    }

    /// What it is compared by as a dict's key.
    ///
    /// # Errors
    /// A list, dict or set, or a view of one, which cannot be one.
    pub fn key(&self, budget: &mut Budget) -> Result<Key, Fault> {
        budget.step(1 + self.weight() / 256)?;
        Ok(match self {
            Self::None => Key::None,
            Self::Bool(_) | Self::Int(_) => {
                budget.allocate(self.weight())?;
                Key::Integer(self.as_integer().unwrap_or_default())
            }
            Self::Float(number) if number.fract() == 0.0 => Key::Integer(
                crate::eval::number::arithmetic::truncated(*number).unwrap_or_default(),
            ),
            Self::Float(number) => Key::Float(number.to_bits()),
            Self::Str(text) => Key::Str(Arc::clone(text)),
            Self::Bytes(bytes) => Key::Bytes(Arc::clone(bytes)),
            Self::Tuple(items) => {
                budget.allocate(items.len() * size_of::<Key>())?;
                let keys = items.iter().map(|item| item.key(budget));
                Key::Tuple(keys.collect::<Result<_, _>>()?)
            }
            // What is only equal to itself.
            Self::Iterator(_, items) => Key::Other(format!("{:p}", Arc::as_ptr(items))),
            Self::Closure(closure) => Key::Other(format!("{:p}", Arc::as_ptr(closure))),
            Self::View(view) if view.of == Part::Values => {
                Key::Other(format!("{:p}", Arc::as_ptr(view)))
            }
            Self::List(_) | Self::Set(_) | Self::Dict(_) | Self::View(_) => {
                let message = format!("{} cannot be a key or an element of a set", self.kind());
                return Err(Fault::new("type/key", message));
            }
            // Ranges of the same numbers are equal.
            Self::Range(start, stop, step) => {
                Key::Other(match range_length(*start, *stop, *step) {
                    0 => "range".to_owned(),
                    1 => format!("range {start}"),
                    length => format!("range {start} {length} {step}"),
                })
            }
            _ => Key::Other(self.repr()),
        })
    }
}

/// How many numbers a range has.
#[must_use]
pub fn range_length(start: i64, stop: i64, step: i64) -> u64 {
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

/// Equality as `==` has it. Values too large to compare are unequal.
impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        compare::equal(self, other, &mut Budget::default()).unwrap_or(false)
    }
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

pub mod characters;
pub mod compare;
pub mod repr;
pub mod subscripts;
pub mod views;
