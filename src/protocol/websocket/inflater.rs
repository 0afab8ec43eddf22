//! Decompression of a message (RFC 7692 §7.2.2), bounded, as its bytes come in. No decompressor outlives a message: those that
//! are not in use are kept for the next messages of the thread, few of them, which give them what they may point back to.

use std::cell::RefCell;

use flate2::{Decompress, FlushDecompress, Status};

/// How many decompressors a thread keeps that are not in use, each of some 40 KiB.
const MOST_KEPT: usize = 4;

/// What a sender takes off the end of a message (RFC 7692 §7.2.1), and an empty last block, which shows that the message
/// ended where a block does.
const END: [u8; 9] = [0, 0, 0xff, 0xff, 1, 0, 0, 0xff, 0xff];

thread_local! {
    static KEPT: RefCell<Vec<Decompress>> = const { RefCell::new(Vec::new()) };
}

/// The bytes are not what a compressor makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NotDeflated;

/// Decompresses one message.
pub(super) struct Inflater {
    /// Always there, until it is dropped.
    decompress: Option<Decompress>,
    /// The block that was marked as the last one has ended. Others may follow (RFC 7692 §7.2.3.4), which point to nothing
    /// before them (RFC 1951 §3.2.3).
    has_ended: bool,
}

impl Inflater {
    /// For a message that may point back to the bytes of the history.
    pub(super) fn new(history: &[u8]) -> Self {
        let kept = KEPT.with_borrow_mut(Vec::pop);
        let mut decompress = kept.unwrap_or_else(|| Decompress::new(false));
        if !history.is_empty() {
            // Without it, what points back is a fault.
            let _ = decompress.set_dictionary(history);
        }
        Self {
            decompress: Some(decompress),
            has_ended: false,
        }
    }

    /// Appends what `input` becomes to `output`, which does not grow beyond `limit` and one byte: then the rest of the input
    /// is left alone.
    pub(super) fn inflate(
        &mut self,
        mut input: &[u8],
        output: &mut Vec<u8>,
        limit: usize,
    ) -> Result<(), NotDeflated> {
        let Some(decompress) = &mut self.decompress else {
            return Err(NotDeflated);
        };
        // Output that is full may not be all.
        while output.len() <= limit && (!input.is_empty() || output.len() == output.capacity()) {
            if self.has_ended {
                if input.is_empty() {
                    break;
                }
                decompress.reset(false);
                self.has_ended = false;
            }
            if output.len() == output.capacity() {
                let more = output.len().max(input.len().saturating_mul(4)).max(256);
                output.reserve_exact(more.min((limit - output.len()).saturating_add(1)));
            }
            let before = (decompress.total_in(), output.len());
            let status = decompress.decompress_vec(input, output, FlushDecompress::None);
            let taken = usize::try_from(decompress.total_in() - before.0).unwrap_or(usize::MAX);
            input = input.get(taken..).ok_or(NotDeflated)?;
            self.has_ended = matches!(status.map_err(|_| NotDeflated)?, Status::StreamEnd);
            if taken == 0 && output.len() == before.1 && !self.has_ended {
                break;
            }
        }
        Ok(())
    }

    /// The end of a message: appends what is left.
    pub(super) fn finish(&mut self, output: &mut Vec<u8>, limit: usize) -> Result<(), NotDeflated> {
        if !self.has_ended {
            self.inflate(&END, output, limit)?;
        }
        if self.has_ended || output.len() > limit {
            return Ok(());
        }
        Err(NotDeflated)
    }
}

impl Drop for Inflater {
    fn drop(&mut self) {
        // The thread may be ending.
        let _ = KEPT.try_with(|kept| {
            let mut kept = kept.borrow_mut();
            if let Some(mut decompress) = self.decompress.take()
                && kept.len() < MOST_KEPT
            {
                decompress.reset(false);
                kept.push(decompress);
            }
        });
    }
}
