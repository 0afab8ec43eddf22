//! Source text to tree; pure. The only place that knows pest.
//!
//! [`ini_lines`] and [`key_lines`] split the two kinds of files into lines, [`expression`] parses a value, [`mod@format`]
//! writes a file in its canonical layout, [`mod@render`] draws diagnostics. Files in here import from the file that
//! declares a thing, not from this one, so that imports form no circle.

pub use diagnostic::{
    Diagnostic, Diagnostics, Label, Severity, all_nearest, did_you_mean, nearest, quoted,
};
pub use expression::ast;
pub use expression::keywords::{KEYWORDS, Keyword, meant_word};
pub use format::key_layout::key_layout;
pub use format::layout::layout;
pub use masked_sources::MaskedSources;
pub use render::{render, render_all};
pub use source::{Fragment, Lines, Place, Source, Span};

pub mod expression;
pub mod ini_lines;
pub mod key_lines;
mod masked_sources;

mod diagnostic;
mod excerpt;
mod format;
mod grammar;
mod harmless;
mod render;
mod source;
