//! The tree of an expression. Chains (operators, trailers, conditions) are flat, so that the tree is as deep as the
//! brackets are nested.

use std::sync::Arc;

use num_bigint::BigInt;

use crate::syntax::source::Span;

/// An expression and its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Expression {
    /// The expression.
    pub kind: ExpressionKind,
    /// Its place, with the brackets around it.
    pub span: Span,
}

/// The kinds of expressions.
#[derive(Clone, Debug, PartialEq)]
pub enum ExpressionKind {
    /// `None`
    None,
    /// `True`
    Bool(bool),
    /// `12`
    Integer(BigInt),
    /// `1.5`
    Float(f64),
    /// `'text'`
    Text(Arc<str>),
    /// `b'bytes'`
    Bytes(Arc<[u8]>),
    /// `f'{name!r:>10}'`
    Formatted(Vec<Piece>),
    /// `name`
    Name(Arc<str>),
    /// `(1, *rest)`
    Tuple(Vec<Item>),
    /// `[1, *rest]`
    List(Vec<Item>),
    /// `{1, *rest}`
    Set(Vec<Item>),
    /// `{'a': 1, **rest}`
    Dict(Vec<DictEntry>),
    /// `[x for x in y]`
    Comprehension(Box<Comprehension>),
    /// `value.attribute(argument)[index]`
    Trailers(Box<Expression>, Vec<Trailer>),
    /// `not not a`: the number of `not`, and `a`.
    Not(usize, Box<Expression>),
    /// `-a ** -b ** c`: evaluated from the right; a sign applies to everything on its right. A single operand has at
    /// least one sign.
    Power(Vec<Signed>),
    /// `a + b - c`: operators of one precedence, from the left.
    Arithmetic(Box<Expression>, Vec<(Binary, Expression)>),
    /// `a < b <= c`
    Comparison(Box<Expression>, Vec<(Comparison, Expression)>),
    /// `a and b and c`
    And(Vec<Expression>),
    /// `a or b or c`
    Or(Vec<Expression>),
    /// `a if b else c if d else e`: values with their conditions, then the last value.
    Conditional(Vec<ConditionalBranch>, Box<Expression>),
    /// `lambda a: b`
    Lambda(Arc<Lambda>),
}

/// An operand of `**` with the signs before it, outermost first.
#[derive(Clone, Debug, PartialEq)]
pub struct Signed {
    /// `-`, `+`, `~`
    pub signs: Vec<Unary>,
    /// The operand.
    pub value: Expression,
}

/// `value if condition`
#[derive(Clone, Debug, PartialEq)]
pub struct ConditionalBranch {
    /// The value.
    pub value: Expression,
    /// The condition.
    pub condition: Expression,
}

/// A part of an f-string.
#[derive(Clone, Debug, PartialEq)]
pub enum Piece {
    /// Text outside the braces.
    Text(String),
    /// `{value!r:specification}`
    Value {
        /// The expression.
        value: Expression,
        /// `r`, `s` or `a` after the `!`.
        conversion: Option<char>,
        /// The format after the `:`, which may contain values, too.
        specification: Vec<Piece>,
    },
}

/// An element of a list, tuple or set.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    /// `a`
    One(Expression),
    /// `*a`
    Star(Expression),
}

/// An element of a dict.
#[derive(Clone, Debug, PartialEq)]
pub enum DictEntry {
    /// `a: b`
    Pair(Expression, Expression),
    /// `**a`
    Star(Expression),
}

/// The element of a comprehension.
#[derive(Clone, Debug, PartialEq)]
pub enum Element {
    /// `[x for …]`
    List(Expression),
    /// `(x for …)`
    Generator(Expression),
    /// `{x for …}`
    Set(Expression),
    /// `{k: v for …}`
    Dict(Expression, Expression),
}

/// A comprehension.
#[derive(Clone, Debug, PartialEq)]
pub struct Comprehension {
    /// The element.
    pub element: Element,
    /// The `for` clauses, at least one.
    pub clauses: Vec<Clause>,
}

/// `for targets in values if condition`
#[derive(Clone, Debug, PartialEq)]
pub struct Clause {
    /// The names that are bound.
    pub target: LoopTarget,
    /// The values that are iterated over.
    pub values: Expression,
    /// The conditions; an element needs all of them.
    pub conditions: Vec<Expression>,
}

/// The target of a `for` clause.
#[derive(Clone, Debug, PartialEq)]
pub enum LoopTarget {
    /// `x`
    Name(Arc<str>),
    /// `k, v`
    Several(Vec<LoopTarget>, Span),
    /// `*rest`, at most one of several.
    Star(Box<LoopTarget>),
}

/// An attribute, a call or a subscript after an operand.
#[derive(Clone, Debug, PartialEq)]
pub struct Trailer {
    /// The trailer.
    pub kind: TrailerKind,
    /// Its place.
    pub span: Span,
}

/// The kinds of trailers.
#[derive(Clone, Debug, PartialEq)]
pub enum TrailerKind {
    /// `.name`
    Attribute(Arc<str>),
    /// `(…)`
    Call(Vec<Argument>),
    /// `[i]`
    Index(Box<Expression>),
    /// `[a:b:c]`
    Slice(Box<[Option<Expression>; 3]>),
}

/// An argument of a call.
#[derive(Clone, Debug, PartialEq)]
pub enum Argument {
    /// `a`
    One(Expression),
    /// `*a`
    Star(Expression),
    /// `key=a`
    Named(Arc<str>, Expression),
    /// `**a`
    DoubleStar(Expression),
}

/// A lambda.
#[derive(Clone, Debug, PartialEq)]
pub struct Lambda {
    /// Its parameters, in order.
    pub parameters: Vec<Parameter>,
    /// The expression that it returns.
    pub body: Expression,
}

/// A parameter of a lambda.
#[derive(Clone, Debug, PartialEq)]
pub enum Parameter {
    /// `a` or `a=1`
    One(Arc<str>, Option<Expression>),
    /// `*rest`, or `*` alone: later parameters are given by name.
    Star(Option<Arc<str>>),
    /// `**more`
    DoubleStar(Arc<str>),
    /// `/`: earlier parameters are given by position.
    Slash,
}

/// A sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unary {
    /// `-a`
    Minus,
    /// `+a`
    Plus,
    /// `~a`
    Invert,
}

/// Declares operators: name, symbol, and precedence; operators with a larger one bind tighter.
macro_rules! operators {
    ($(#[$doc:meta])* $type:ident { $($name:ident $symbol:literal $precedence:literal;)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $type {
            $(#[doc = concat!("`", $symbol, "`")] $name),*
        }

        impl $type {
            /// The operator with a symbol.
            #[must_use]
            pub fn of(symbol: &str) -> Option<Self> {
                match symbol {
                    $($symbol => Some(Self::$name),)*
                    _ => None,
                }
            }

            /// The symbol.
            #[must_use]
            pub fn symbol(self) -> &'static str {
                match self {
                    $(Self::$name => $symbol),*
                }
            }

            /// The precedence.
            #[must_use]
            pub fn precedence(self) -> u8 {
                match self {
                    $(Self::$name => $precedence),*
                }
            }
        }
    };
}

operators! {
    /// An arithmetic or bitwise operator.
    Binary {
        Or "|" 1;
        Xor "^" 2;
        And "&" 3;
        Left "<<" 4;
        Right ">>" 4;
        Add "+" 5;
        Subtract "-" 5;
        Multiply "*" 6;
        Divide "/" 6;
        Floor "//" 6;
        Modulo "%" 6;
        Power "**" 7;
    }
}

operators! {
    /// A comparison operator.
    Comparison {
        Equal "==" 0;
        Unequal "!=" 0;
        Less "<" 0;
        AtMost "<=" 0;
        Greater ">" 0;
        AtLeast ">=" 0;
        In "in" 0;
        NotIn "not in" 0;
        Is "is" 0;
        IsNot "is not" 0;
    }
}
