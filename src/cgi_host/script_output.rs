//! What a CGI program writes to standard output, until it ends: not until all who have inherited the pipe have closed it.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;
use tokio::time::sleep;

use crate::cgi_host::script_process::ScriptProcess;

/// The size of a read, in bytes: what a pipe holds.
const READ: usize = 64 * 1024;

/// Less is copied, so that it does not keep all of a buffer in memory.
const SMALL: usize = 8 * 1024;

/// How long the pipe may be silent, when the program has ended, before what keeps it open is not waited for any more.
pub(super) const SILENCE: Duration = Duration::from_millis(100);

/// The output of a program.
#[derive(Debug)]
pub(super) struct ScriptOutput {
    pipe: Receiver,
    buffer: BytesMut,
    /// The program has ended.
    has_ended: bool,
}

impl ScriptOutput {
    /// What comes from a pipe.
    pub(super) fn new(pipe: Receiver) -> Self {
        Self {
            pipe,
            buffer: BytesMut::new(),
            has_ended: false,
        }
    }

    /// The next part, never empty; `None` at the end. Nothing is lost if the future is dropped.
    pub(super) async fn next(&mut self, process: &ScriptProcess) -> Option<Bytes> {
        loop {
            self.buffer.reserve(READ);
            tokio::select! {
                biased;
                read = self.pipe.read_buf(&mut self.buffer) => return match read {
                    Ok(1..=SMALL) => {
                        let part = Bytes::copy_from_slice(&self.buffer);
                        self.buffer.clear();
                        Some(part)
                    }
                    Ok(1..) => Some(self.buffer.split().freeze()),
                    Ok(_) | Err(_) => None,
                },
                () = process.ended(), if !self.has_ended => self.has_ended = true,
                () = sleep(SILENCE), if self.has_ended => return None,
            }
        }
    }

    /// The next part, if it is there already: `None` if not, else as [`ScriptOutput::next`].
    pub(super) async fn next_at_once(&mut self, process: &ScriptProcess) -> Option<Option<Bytes>> {
        tokio::select! {
            biased;
            next = self.next(process) => Some(next),
            () = std::future::ready(()) => None,
        }
    }
}
