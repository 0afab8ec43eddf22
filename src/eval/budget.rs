//! What one evaluation may use, and what goes wrong in one.

use std::sync::Arc;

use crate::syntax::{Diagnostic, Source, Span};

/// Steps of one evaluation: expressions evaluated, elements looked at.
pub const STEPS: u64 = 1_000_000;

/// Bytes of all values that one evaluation makes.
pub const BYTES: usize = 64 << 20;

/// Expressions, rules and lambdas that wait for one another.
pub const DEPTH: usize = 400;

/// What is left of one evaluation's allowance, and the properties that wait for it.
#[derive(Debug)]
pub struct Budget {
    steps: u64,
    bytes: usize,
    /// What was left when [`Budget::since_then`] was asked last.
    asked: usize,
    depth: usize,
    /// Names of the properties whose rules are being evaluated, outermost first.
    pub chain: Vec<Arc<str>>,
    /// How often a rule was not asked since it had itself redirected the lookup.
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
    /// Takes so many steps.
    ///
    /// # Errors
    /// There are none left.
    pub fn step(&mut self, count: usize) -> Result<(), Fault> {
        match self.steps.checked_sub(count as u64) {
            Some(left) => self.steps = left,
            None => {
                let message = format!("the value takes more than {STEPS} steps to compute");
                return Err(Fault::new("limit/steps", message));
            }
        }
        Ok(())
    }

    /// Takes memory for a value, before it is made.
    ///
    /// # Errors
    /// There is none left.
    pub fn allocate(&mut self, bytes: usize) -> Result<(), Fault> {
        match self.bytes.checked_sub(bytes) {
            Some(left) => self.bytes = left,
            None => {
                let most = BYTES >> 20;
                let message = format!("the value takes more than {most} MiB to compute");
                return Err(Fault::new("limit/memory", message));
            }
        }
        // Filling memory takes time as well.
        self.step(bytes / 1024)
    }

    /// Bytes of the values that were made since this was asked last.
    pub fn since_then(&mut self) -> usize {
        let made = self.asked.saturating_sub(self.bytes);
        self.asked = self.bytes;
        made
    }

    /// One level deeper; [`Budget::leave`] comes back.
    ///
    /// # Errors
    /// It is too deep.
    pub fn enter(&mut self) -> Result<(), Fault> {
        if self.depth >= DEPTH {
            let message = format!("expressions wait for one another more than {DEPTH} deep");
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

/// Something that went wrong in an evaluation.
#[derive(Debug)]
pub enum Fault {
    /// Nobody has said yet where.
    Plain {
        /// The diagnostic's code.
        code: &'static str,
        /// The message.
        message: String,
        /// What to do about it.
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

    /// A value of the right type that cannot be used.
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

    /// At a place, unless it has one: the innermost is the right one.
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
