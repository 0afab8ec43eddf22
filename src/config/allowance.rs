//! What all evaluations of one configuration may use together.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::eval::{Budget, Fault};

/// Bytes of all values that are kept: one evaluation may make a quarter of that.
const MOST_KEPT: usize = 256 << 20;

/// Names that are compared with wrong ones. In a file with very many mistakes the last ones come without a suggestion.
const MOST_COMPARED: usize = 2_000_000;

/// What was used of it.
#[derive(Debug, Default)]
pub(super) struct Allowance {
    kept: AtomicUsize,
    compared: AtomicUsize,
}

impl Allowance {
    /// Counts the values that an evaluation has made, before they are kept.
    ///
    /// # Errors
    /// They are too large, together with those that are kept already.
    pub fn keep(&self, budget: &mut Budget) -> Result<(), Fault> {
        let made = budget.since_then();
        if self.kept.fetch_add(made, Ordering::Relaxed) + made <= MOST_KEPT {
            return Ok(());
        }
        self.kept.fetch_sub(made, Ordering::Relaxed);
        let most = MOST_KEPT >> 20;
        let message = format!("the values of all settings take more than {most} MiB to compute");
        Err(Fault::new("limit/memory", message))
    }

    /// Whether so many names may still be compared with one.
    pub fn compare(&self, names: usize) -> bool {
        self.compared.fetch_add(names, Ordering::Relaxed) + names <= MOST_COMPARED
    }
}
