//! Compression of a message (RFC 7692 §7.2.1), in pieces: no compressor is kept for a connection, since each thread
//! has one, which is given what the piece may point back to.

use std::cell::RefCell;

use flate2::{Compress, Compression, FlushCompress};

/// How a flush ends; a message does not have it at its end.
const FLUSHED: [u8; 4] = [0, 0, 0xff, 0xff];

/// How hard to try: texts become nearly as small as with level 6, in half the time.
const LEVEL: u32 = 2;

thread_local! {
    /// The compressor that was used last and its window bits.
    static KEPT: RefCell<Option<(u8, Compress)>> = const { RefCell::new(None) };
}

/// A piece of a message, compressed, which may point back to the bytes of the history. `window_bits` is 9 to 15.
pub(super) fn deflate(piece: &[u8], history: &[u8], window_bits: u8, is_last: bool) -> Vec<u8> {
    KEPT.with_borrow_mut(|kept| {
        if kept.as_ref().is_none_or(|(bits, _)| *bits != window_bits) {
            let level = Compression::new(LEVEL);
            let compress = Compress::new_with_window_bits(level, false, window_bits);
            *kept = Some((window_bits, compress));
        }
        let mut output = Vec::with_capacity(piece.len() / 2 + 64);
        if let Some((_, compress)) = kept {
            compress.reset();
            if !history.is_empty() {
                // Without it, nothing points back.
                let _ = compress.set_dictionary(history);
            }
            flush(compress, piece, &mut output);
        }
        if is_last && output.ends_with(&FLUSHED) {
            output.truncate(output.len() - FLUSHED.len());
        }
        output
    })
}

fn flush(compress: &mut Compress, mut piece: &[u8], output: &mut Vec<u8>) {
    loop {
        let before = compress.total_in();
        // Fails only if it is used after a last block.
        let status = compress.compress_vec(piece, output, FlushCompress::Sync);
        let taken = usize::try_from(compress.total_in() - before).unwrap_or(usize::MAX);
        piece = piece.get(taken..).unwrap_or_default();
        // All is flushed when there is room left (zlib's manual, `deflate`).
        if output.len() < output.capacity() || status.is_err() {
            return;
        }
        output.reserve(piece.len() + 64);
    }
}
