//! The memory that responses take which their clients have not received yet: of all responses together, however many clients
//! do not read. Whoever holds bytes of a response counts them here, and holds fewer once the memory is used up: what does not
//! fit stays in files, or applications wait.

use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, LazyLock};

/// How many bytes of a response each of its holders may have in memory although the memory is used up, so that it goes on.
pub const LEAST: usize = 16 * 1024;

/// The bytes of responses in memory, and how many there may be.
#[derive(Debug)]
pub struct ResponseMemory {
    limit: AtomicUsize,
    held: AtomicUsize,
}

impl ResponseMemory {
    /// Nothing, and how much it may become, in bytes.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            limit: AtomicUsize::new(limit),
            held: AtomicUsize::new(0),
        }
    }

    /// That of the process: the memory of all its applications and gateways. There is no limit until one is set.
    #[must_use]
    pub fn of_process() -> &'static Arc<Self> {
        static OF_PROCESS: LazyLock<Arc<ResponseMemory>> =
            LazyLock::new(|| Arc::new(ResponseMemory::new(usize::MAX)));
        &OF_PROCESS
    }

    /// Sets the limit, in bytes. What is held beyond it stays until clients take it.
    pub fn set_limit(&self, limit: usize) {
        self.limit.store(limit, Relaxed);
    }

    /// Whether the memory is used up.
    #[must_use]
    pub fn is_short(&self) -> bool {
        self.held() >= self.limit.load(Relaxed)
    }

    /// How many bytes are held.
    #[must_use]
    pub fn held(&self) -> usize {
        self.held.load(Relaxed)
    }

    /// So many bytes more are held.
    pub fn add(&self, bytes: usize) {
        self.held.fetch_add(bytes, Relaxed);
    }

    /// So many bytes, which were added before, are held no longer.
    pub fn subtract(&self, bytes: usize) {
        self.held.fetch_sub(bytes, Relaxed);
    }
}
