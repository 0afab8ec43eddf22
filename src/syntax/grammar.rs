//! The parsers that pest generates from the grammars in `grammar/`.
#![allow(missing_docs, reason = "the functions that the derive makes have none")]

/// Expressions.
pub(super) mod expression {
    /// Matches expressions.
    #[derive(pest_derive::Parser)]
    #[grammar = "../grammar/expression.pest"]
    pub(crate) struct Grammar;
}

/// Lines of configuration files.
pub(super) mod file {
    /// Matches one line.
    #[derive(pest_derive::Parser)]
    #[grammar = "../grammar/file.pest"]
    pub(crate) struct Grammar;
}

/// Lines of files for `supervise`.
pub(super) mod supervise {
    /// Matches one line.
    #[derive(pest_derive::Parser)]
    #[grammar = "../grammar/supervise.pest"]
    pub(crate) struct Grammar;
}
