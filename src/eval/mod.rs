//! Rules to values: pure, lazy, bounded.

/// A value of the configuration language.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `None`
    None,
    /// A string.
    Str(String),
    /// `commands.Alias(command=[…])`: words that stand for themselves before further arguments.
    Alias(Vec<String>),
    /// `importString('pkg.mod:attr')`: an object that only a Python process resolves.
    Import(String),
    /// `naming.LinkRef('url')`: a name or URL to look up in its stead.
    Link(String),
}
