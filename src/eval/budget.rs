//! The limits of one evaluation, and the errors of one.

use std::sync::Arc;

use crate::syntax::{Diagnostic, Source, Span};

/// Steps of one evaluation: expressions evaluated, elements visited.
pub(super) const STEPS: u64 = 1_000_000;

/// Bytes of all values that one evaluation creates.
pub(super) const BYTES: usize = 64 << 20;

/// Depth of nested expressions, rules and calls of lambdas.
pub(super) const DEPTH: usize = 400;

/// The result of evaluating something.
pub type Result<T, E = Fault> = std::result::Result<T, E>;

/// What one evaluation has left to use, and the properties that are waiting for its result.
#[derive(Debug)]
pub struct Budget {
    steps: u64,
    bytes: usize,
    /// Bytes that were left at the last call of [`Budget::since_then`].
    asked: usize,
    depth: usize,
    /// Names of the properties whose rules are being evaluated, outermost first.
    pub chain: Vec<Arc<str>>,
    /// How often a lookup skipped a rule because that rule had redirected the lookup itself.
    pub passed_over: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self {
            steps: STEPS,
            bytes: BYTES,
            asked: BYTES,
            depth: 0,
            chain: Vec::new(),
            passed_over: 0,
        }
    }
}

impl Budget {
    /// Takes `count` steps.
    ///
    /// # Errors
    /// Too few are left.
    pub fn step(&mut self, count: usize) -> Result<()> {
        match self.steps.checked_sub(count as u64) {
            Some(left) => self.steps = left,
            None => {
                let message = format!("the value takes more than {STEPS} steps to compute");
                return Err(Fault::new("limit/steps", message));
            }
        }
        Ok(())
    }

    /// Takes memory for a value, before the value is created.
    ///
    /// # Errors
    /// Too little is left.
    pub fn allocate(&mut self, bytes: usize) -> Result<()> {
        match self.bytes.checked_sub(bytes) {
            Some(left) => self.bytes = left,
            None => {
                let most = BYTES >> 20;
                let message = format!("the value takes more than {most} MiB to compute");
                return Err(Fault::new("limit/memory", message));
            }
        }
        // Filling the memory takes time, too.
        self.step(bytes / 1024)
    }

    /// Bytes of the values that were created since the last call.
    pub fn since_then(&mut self) -> usize {
        let made = self.asked.saturating_sub(self.bytes);
        self.asked = self.bytes;
        made
    }

    /// Goes one level deeper; [`Budget::leave`] goes back.
    ///
    /// # Errors
    /// The nesting is too deep.
    pub fn enter(&mut self) -> Result<()> {
        if self.depth >= DEPTH {
            let message = format!("expressions are nested more than {DEPTH} deep");
            return Err(Fault::new("limit/depth", message));
        }
        self.depth += 1;
        Ok(())
    }

    /// Ends [`Budget::enter`].
    pub fn leave(&mut self) {
        self.depth -= 1;
    }
}

/// An error of an evaluation.
#[derive(Debug)]
pub enum Fault {
    /// Its place is not known yet.
    Plain {
        /// The diagnostic's code.
        code: &'static str,
        /// The message.
        message: String,
        /// How to mend it.
        hint: Option<String>,
    },
    /// With its place.
    Placed(Box<Diagnostic>),
}

impl Fault {
    /// A fault without a place.
    #[must_use]
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self::Plain {
            code,
            message: message.into(),
            hint: None,
        }
    }

    /// A value of the wrong type.
    #[must_use]
    pub fn wrong_type(message: impl Into<String>) -> Self {
        Self::new("type/wrong", message)
    }

    /// A value of the right type that is not allowed.
    #[must_use]
    pub fn bad_value(message: impl Into<String>) -> Self {
        Self::new("type/value", message)
    }

    /// With a hint, if there is one.
    #[must_use]
    pub fn with_hint_if(mut self, more: Option<String>) -> Self {
        match &mut self {
            Self::Plain { hint, .. } => *hint = more.or(hint.take()),
            Self::Placed(placed) => placed.hint = more.or(placed.hint.take()),
        }
        self
    }

    /// Adds its place, unless it has one: the innermost place is the most precise.
    #[must_use]
    pub fn at(self, source: &Arc<Source>, span: Span) -> Self {
        match self {
            Self::Plain {
                code,
                message,
                hint,
            } => Self::Placed(Box::new(
                Diagnostic::new(code, message)
                    .at(source, span)
                    .with_hint_if(hint),
            )),
            placed @ Self::Placed(_) => placed,
        }
    }

    /// As a diagnostic.
    #[must_use]
    pub fn into_diagnostic(self) -> Diagnostic {
        match self {
            Self::Plain {
                code,
                message,
                hint,
            } => Diagnostic::new(code, message).with_hint_if(hint),
            Self::Placed(placed) => *placed,
        }
    }
}

impl From<Diagnostic> for Fault {
    fn from(one: Diagnostic) -> Self {
        Self::Placed(Box::new(one))
    }
}
