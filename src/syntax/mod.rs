//! Source text to tree; pure. The only place that knows pest.

pub use diagnostic::{Diagnostic, Diagnostics, Label, Severity, did_you_mean, nearest, quoted};
pub use key_layout::key_layout;
pub use layout::layout;
pub use messages::meant_word;
pub use render::{render, render_all};
pub use source::{Fragment, Lines, Place, Source, Span};
pub use words::{WORDS, Word};

pub mod ast;
pub mod expression;
pub mod file;
pub mod keys;

mod diagnostic;
mod displays;
mod formatted;
mod grammar;
mod key_layout;
mod layout;
mod messages;
mod nesting;
mod operators;
mod page;
mod plain;
mod render;
mod source;
mod spacing;
mod strings;
mod words;
