//! How much of the responses of an application there may be in memory and in files, and how much there is.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::clients::{ClientNetwork, ClientShares};
use crate::interface::backlog::ResponseAllowance;
use crate::interface::response_memory::{LEAST, ResponseMemory};

/// The limits of a depot, and what of them is used.
#[derive(Debug)]
pub(super) struct DepotLimits {
    pub(super) folder: PathBuf,
    /// How much of one response may be in its file, in bytes.
    pub(super) file: u64,
    /// How much of all responses may be in files, in bytes.
    pub(super) total: u64,
    /// How much is, and of the responses of each client.
    stored: Mutex<ClientShares>,
    /// What is in memory of all responses, also of other applications.
    pub(super) memory: Arc<ResponseMemory>,
}

impl DepotLimits {
    /// No limit on all files, and that of the process on memory.
    pub(super) fn new(folder: PathBuf, file: u64) -> Self {
        Self {
            folder,
            file,
            total: u64::MAX,
            stored: Mutex::default(),
            memory: Arc::clone(ResponseMemory::of_process()),
        }
    }

    /// Whether a complete response of so many bytes may stay in memory; where it may not, there are files for it.
    pub(super) fn has_memory_for(&self, length: usize) -> bool {
        length <= LEAST || self.file == 0 || !self.memory.is_short()
    }

    /// How much is to be read of so many bytes in a file.
    pub(super) fn piece(&self, left: u64) -> u64 {
        match self.memory.is_short() {
            true => left.min(LEAST as u64),
            false => left,
        }
    }

    /// What is in files.
    pub(super) fn stored(&self) -> MutexGuard<'_, ClientShares> {
        // No operation under the lock leaves it half done.
        self.stored.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How much more may be in files of responses for a client.
    pub(super) fn room(&self, client: Option<ClientNetwork>) -> u64 {
        match self.total {
            u64::MAX => u64::MAX,
            total => self.stored().room(client, total),
        }
    }

    /// What a response for a client may take now, where it has used this much of its file.
    pub(super) fn allowance(&self, used: u64, client: Option<ClientNetwork>) -> ResponseAllowance {
        let left = self.room(client);
        ResponseAllowance {
            file: self.file.min(used.saturating_add(left)),
            is_short: self.memory.is_short(),
        }
    }

    /// What a response may take that waits: what others have stored limits what is written, and not what is waited for.
    pub(super) fn allowance_of_waiting(&self) -> ResponseAllowance {
        ResponseAllowance {
            file: self.file,
            is_short: self.memory.is_short(),
        }
    }
}
