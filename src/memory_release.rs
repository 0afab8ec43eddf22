//! The allocator, and when it gives memory back to the system: after a peak it would keep what is free.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use mimalloc::MiMalloc;
use tokio::runtime::Handle;

use crate::unix;

/// A request takes some twenty pieces of memory, a fifth of its instructions with glibc's allocator, and half as many with
/// this one.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// The smallest peak after which it is worthwhile.
const MANY: usize = 16;

/// How many things of a kind there are, and the peak since memory was last given back.
#[derive(Debug, Default)]
pub struct Occupancy {
    now: AtomicUsize,
    peak: AtomicUsize,
    /// Memory was given back before the last had gone.
    has_more: AtomicBool,
}

impl Occupancy {
    /// How many there are.
    #[must_use]
    pub fn now(&self) -> usize {
        self.now.load(Ordering::Relaxed)
    }

    /// Counts one more.
    pub fn enter(&self) {
        let now = self.now.fetch_add(1, Ordering::Relaxed) + 1;
        self.peak.fetch_max(now, Ordering::Relaxed);
    }

    /// Counts one less. When half of many have gone, other threads give memory back. When all have gone, this one does, too:
    /// it takes up to some ten milliseconds after thousands, and nobody waits for them now.
    pub fn leave(&self) {
        if !self.should_give_back() {
            return;
        }
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn_blocking(unix::give_memory_back);
        }
        if self.now() == 0 {
            unix::give_memory_back();
        }
    }

    fn should_give_back(&self) -> bool {
        let now = self.now.fetch_sub(1, Ordering::Relaxed) - 1;
        let peak = self.peak.load(Ordering::Relaxed);
        let has_halved = peak >= MANY && now <= peak / 2;
        if has_halved {
            self.peak.store(now, Ordering::Relaxed);
        }
        match now {
            0 => self.has_more.swap(false, Ordering::Relaxed) || has_halved,
            _ => {
                self.has_more.fetch_or(has_halved, Ordering::Relaxed);
                has_halved
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Occupancy;

    /// The counts at which memory is given back while so many things go.
    fn given_back(count: usize) -> Vec<usize> {
        let occupancy = Occupancy::default();
        (0..count).for_each(|_| occupancy.enter());
        (0..count)
            .rev()
            .filter(|_| occupancy.should_give_back())
            .collect()
    }

    #[test]
    fn memory_is_given_back_at_each_half_of_many_and_at_the_end() {
        assert!(given_back(15).is_empty());
        assert_eq!(given_back(16), [8, 0]);
        assert_eq!(given_back(3000), [1500, 750, 375, 187, 93, 46, 23, 11, 0]);
    }
}
