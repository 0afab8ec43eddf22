//! When memory is given back to the system: many things that took some of it have come and gone, and the C library keeps what
//! lies between others.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::runtime::Handle;

use crate::unix;

/// Of so many the memory is worth to be given back.
const MANY: usize = 16;

/// How many things of one kind there are, and the most that there were.
#[derive(Debug, Default)]
pub struct Tide {
    now: AtomicUsize,
    /// Since memory was last given back.
    most: AtomicUsize,
}

impl Tide {
    /// How many there are.
    #[must_use]
    pub fn now(&self) -> usize {
        self.now.load(Ordering::Relaxed)
    }

    /// There is one more.
    pub fn rises(&self) {
        let now = self.now.fetch_add(1, Ordering::Relaxed) + 1;
        self.most.fetch_max(now, Ordering::Relaxed);
    }

    /// There is one less. Has memory given back, aside, where half of many have gone.
    pub fn falls(&self) {
        if self.has_fallen()
            && let Ok(runtime) = Handle::try_current()
        {
            runtime.spawn_blocking(unix::give_memory_back);
        }
    }

    fn has_fallen(&self) -> bool {
        let now = self.now.fetch_sub(1, Ordering::Relaxed) - 1;
        let most = self.most.load(Ordering::Relaxed);
        let has_fallen = most >= MANY && now <= most / 2;
        if has_fallen {
            self.most.store(now, Ordering::Relaxed);
        }
        has_fallen
    }
}

#[cfg(test)]
mod tests {
    use super::Tide;

    /// At how many memory is given back while so many go.
    fn given_back(count: usize) -> Vec<usize> {
        let tide = Tide::default();
        (0..count).for_each(|_| tide.rises());
        (0..count).rev().filter(|_| tide.has_fallen()).collect()
    }

    #[test]
    fn memory_is_given_back_at_each_half_of_many() {
        assert!(given_back(15).is_empty());
        assert_eq!(given_back(16), [8]);
        assert_eq!(given_back(3000), [1500, 750, 375, 187, 93, 46, 23, 11]);
    }
}
