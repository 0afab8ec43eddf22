//! Limits that hold for all evaluations of one configuration together.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::eval::{Budget, Fault};

/// Bytes of all values that are kept: four times what one evaluation may make.
const MOST_KEPT: usize = 256 << 20;

/// Comparisons of a wrong name with a known one. In a file with very many mistakes, the last ones have no suggestion.
const MOST_COMPARED: usize = 2_000_000;

/// What has been used so far.
#[derive(Debug, Default)]
pub(super) struct Allowance {
    kept: AtomicUsize,
    compared: AtomicUsize,
}

impl Allowance {
    /// Counts the values that an evaluation has made and that are to be kept.
    ///
    /// # Errors
    /// With the values that are already kept, they are too large.
    pub(super) fn keep(&self, budget: &mut Budget) -> Result<(), Fault> {
        let made = budget.since_then();
        if self.kept.fetch_add(made, Ordering::Relaxed) + made <= MOST_KEPT {
            return Ok(());
        }
        self.kept.fetch_sub(made, Ordering::Relaxed);
        let most = MOST_KEPT >> 20;
        let message = format!("the values of all settings take more than {most} MiB to compute");
        Err(Fault::new("limit/memory", message))
    }

    /// Whether one more wrong name may be compared with this number of names; counts them.
    pub(super) fn compare(&self, names: usize) -> bool {
        self.compared.fetch_add(names, Ordering::Relaxed) + names <= MOST_COMPARED
    }
}
