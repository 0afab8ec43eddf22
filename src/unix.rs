//! The only `unsafe` code: system calls that have no safe form.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd, RawFd};

/// A duplicate, close-on-exec, of a descriptor that this process was started with. The original is
/// closed to programs that we start, the three standard ones apart (those are replaced then).
///
/// # Errors
/// `EBADF` if there is no such descriptor.
pub fn duplicate_inherited(number: RawFd) -> io::Result<OwnedFd> {
    if number < 0 {
        return Err(rustix::io::Errno::BADF.into());
    }
    // SAFETY: `number` is not -1. It is only passed to `fcntl`, which answers `EBADF` where nothing is
    // open; and the borrow ends in this function, which nothing can close the descriptor during, since
    // descriptors that were inherited belong to nobody in this process.
    let inherited = unsafe { BorrowedFd::borrow_raw(number) };
    let duplicate = rustix::io::fcntl_dupfd_cloexec(inherited, 3)?;
    if number > 2 {
        rustix::io::fcntl_setfd(inherited, rustix::io::FdFlags::CLOEXEC)?;
    }
    Ok(duplicate)
}
