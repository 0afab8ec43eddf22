//! The process groups of programs that have ended well, in which others go on. They are known by their number, also if they have
//! not kept the variable by which others are ([`Mark`](crate::children::mark::Mark)).

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use crate::children;

/// The numbers of the groups. The system gives no number to another process or group before the last of the group has ended.
#[derive(Debug)]
pub(crate) struct LeftGroups(Mutex<BTreeSet<u32>>);

impl LeftGroups {
    /// None.
    pub(crate) const fn new() -> Self {
        Self(Mutex::new(BTreeSet::new()))
    }

    /// Adds a group whose leader was waited for, if others are in it. Forgets those of which nothing is left.
    pub(crate) fn add(&self, group: u32) {
        if children::is_group(group) {
            let mut groups = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            groups.retain(|&group| children::is_group(group));
            groups.insert(group);
        }
    }

    /// Takes them out.
    pub(super) fn take(&self) -> BTreeSet<u32> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
