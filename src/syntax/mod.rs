//! Source text to tree; pure. The only place that knows pest.

pub use diagnostic::{Diagnostic, Diagnostics};

mod diagnostic;
