//! What the tests of `files` share.

use super::support::{Folder, Server};

/// More than is read at once, and no two parts of it are the same.
pub fn big() -> Vec<u8> {
    (0_u32..100_000).flat_map(u32::to_le_bytes).collect()
}

/// Serves files with these words behind `files`.
pub fn serve(folder: &Folder, words: &[&str]) -> Server {
    folder
        .runner(["serve", "tcp://127.0.0.1:0", "files"].iter().chain(words))
        .start()
}
