//! Frames from a lane's socket: small frames whole, long bodies in pieces, so that a long answer is never in memory as a
//! whole. Pure, so that tests can cut the bytes anywhere.

use bytes::{Bytes, BytesMut};

use crate::protocol::worker::answer_head::HEAD_LIMIT;
use crate::protocol::worker::frame::{HEADER, Header, Kind};
use crate::protocol::worker::marshal::Malformed;

/// How much is read at once, in bytes.
const READ: usize = 64 * 1024;
/// An answer with a longer payload comes in pieces. A shorter one is sent to the client only when it is complete, so that
/// the client gets 502 if the worker dies meanwhile.
const LONG_ANSWER: usize = 256 * 1024;
/// A longer block comes in pieces. Joining a shorter one costs less than sending it in two.
const LONG_BLOCK: usize = 64 * 1024;

/// A frame, or a part of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FramePart {
    /// A frame and its payload.
    Whole(Header, Bytes),
    /// The head of a long answer, whose body follows in pieces. Empty if the head is longer than [`HEAD_LIMIT`].
    Begin(Header, Bytes),
    /// A piece of a long body, block or text.
    Piece {
        /// The header of its frame.
        header: Header,
        /// The piece. Only the last one may be empty.
        bytes: Bytes,
        /// Whether it is the last one.
        last: bool,
    },
}

/// Bytes that were read and not yet taken.
#[derive(Debug, Default)]
pub struct Frames {
    buffer: BytesMut,
    within: Option<Within>,
}

/// A frame that comes in pieces.
#[derive(Clone, Copy, Debug)]
struct Within {
    header: Header,
    /// How much of it is to be skipped: a head that is too long.
    skipped: usize,
    /// How much of it is missing after that.
    left: usize,
}

impl Frames {
    /// The buffer to read into, with room for more.
    pub fn space(&mut self) -> &mut BytesMut {
        self.buffer.reserve(READ);
        &mut self.buffer
    }

    /// Whether the bytes end in the middle of a frame that comes in pieces.
    #[must_use]
    pub fn is_within(&self) -> bool {
        self.within.is_some()
    }

    /// The next part; `None` if more has to be read first.
    ///
    /// # Errors
    /// [`Malformed`] if no worker of runner's would send it.
    pub fn take(&mut self) -> Result<Option<FramePart>, Malformed> {
        if let Some(within) = &mut self.within {
            let skipped = within.skipped.min(self.buffer.len());
            let _ = self.buffer.split_to(skipped);
            within.skipped -= skipped;
            if self.buffer.is_empty() && within.left + within.skipped > 0 || within.skipped > 0 {
                return Ok(None);
            }
            let bytes = self.buffer.split_to(within.left.min(self.buffer.len()));
            within.left -= bytes.len();
            let (header, last) = (within.header, within.left == 0);
            if last {
                self.within = None;
            }
            let bytes = bytes.freeze();
            return Ok(Some(FramePart::Piece {
                header,
                bytes,
                last,
            }));
        }
        let Some(header) = Header::read(&self.buffer)? else {
            return Ok(None);
        };
        // How much has to be there before a part is taken, and whether the rest follows in pieces.
        let (wanted, in_pieces) = match header.kind {
            Kind::Wake | Kind::End { .. } if header.length > 0 => return Err(Malformed),
            Kind::Wake | Kind::End { .. } => (0, false),
            _ if header.head > HEAD_LIMIT => (0, true),
            Kind::Answer if header.length > LONG_ANSWER => (header.head, true),
            Kind::Block | Kind::Errors if header.length > LONG_BLOCK => (0, true),
            Kind::Head | Kind::File if header.length > header.head + LONG_BLOCK => {
                return Err(Malformed);
            }
            Kind::Answer | Kind::Block | Kind::Errors | Kind::Head | Kind::File => {
                (header.length, false)
            }
        };
        if self.buffer.len() < HEADER + wanted {
            self.buffer.reserve(HEADER + wanted - self.buffer.len());
            return Ok(None);
        }
        let mut frame = self.buffer.split_to(HEADER + wanted).freeze();
        let payload = frame.split_off(HEADER);
        if !in_pieces {
            return Ok(Some(FramePart::Whole(header, payload)));
        }
        let skipped = if header.head > HEAD_LIMIT {
            header.head
        } else {
            0
        };
        self.within = Some(Within {
            header,
            skipped,
            left: header.length - wanted - skipped,
        });
        match skipped > 0 || header.kind == Kind::Answer {
            true => Ok(Some(FramePart::Begin(header, payload))),
            false => self.take(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest};

    use super::{FramePart, Frames, HEAD_LIMIT, HEADER, LONG_ANSWER, LONG_BLOCK};
    use crate::protocol::worker::frame::{Header, Kind};

    const ANSWER: u8 = 1;
    const HEAD: u8 = 2;
    const BLOCK: u8 = 3;
    const END: u8 = 4;

    /// A frame as a worker sends it: kind, length of the head, length of the payload.
    fn frame(number: u32, (kind, head, length): (u8, usize, usize)) -> Vec<u8> {
        let mut frame = Vec::new();
        let field = |value: usize| u32::try_from(value).unwrap().to_le_bytes();
        frame.extend(field(length));
        frame.extend(number.to_le_bytes());
        frame.extend([0, 0, 0, 0, kind, 0, 0, 0]);
        frame.extend(field(head));
        frame.extend((0..length).map(|place| (place % 251) as u8));
        frame
    }

    fn sizes() -> impl Strategy<Value = (u8, usize, usize)> {
        prop_oneof![
            (0..100_usize).prop_map(|head| (HEAD, head, head)),
            (0..3 * LONG_BLOCK).prop_map(|length| (BLOCK, 0, length)),
            (0..100_usize, 0..2 * LONG_BLOCK).prop_map(|(head, body)| (ANSWER, head, head + body)),
            (0..100_usize, LONG_ANSWER..2 * LONG_ANSWER).prop_map(|(head, body)| (
                ANSWER,
                head,
                head + body
            )),
            (0..9_usize, 0..1000_usize).prop_map(|(more, body)| (
                ANSWER,
                HEAD_LIMIT + more,
                HEAD_LIMIT + more + body
            )),
            (0..1_usize).prop_map(|_| (END, 0, 0)),
        ]
    }

    proptest! {
        #![proptest_config(proptest::test_runner::Config::with_cases(48))]

        /// However the bytes are cut: each frame comes out once, in order and whole, and nothing long is collected.
        #[test]
        fn every_cut_gives_the_same(
            frames in proptest::collection::vec(sizes(), 0..6),
            cuts in proptest::collection::vec(1..200_000_usize, 1..20),
            tiny in any::<bool>(),
        ) {
            let sent: Vec<Vec<u8>> = (1..).zip(&frames).map(|(number, sizes)| frame(number, *sizes)).collect();
            let stream = sent.concat();
            let mut rest = &stream[..];
            let mut cuts = cuts.iter().cycle();
            let mut reader = Frames::default();
            let mut received: Vec<(Header, Vec<u8>, bool)> = Vec::new();
            while !rest.is_empty() {
                let cut = if tiny && rest.len() < 3000 { 1 } else { *cuts.next().unwrap() };
                let (now, later) = rest.split_at(cut.min(rest.len()));
                reader.space().extend_from_slice(now);
                rest = later;
                while let Some(part) = reader.take().unwrap() {
                    match part {
                        FramePart::Whole(header, payload) => {
                            prop_assert!(payload.len() <= LONG_ANSWER);
                            received.push((header, payload.to_vec(), true));
                        }
                        FramePart::Begin(header, head) => {
                            let expected = if header.head > HEAD_LIMIT { 0 } else { header.head };
                            prop_assert_eq!(head.len(), expected);
                            received.push((header, head.to_vec(), false));
                        }
                        FramePart::Piece { header, bytes, last } => {
                            prop_assert!(last || !bytes.is_empty());
                            match received.last_mut() {
                                Some((known, body, whole)) if !*whole && *known == header => {
                                    body.extend_from_slice(&bytes);
                                    *whole = last;
                                }
                                _ => received.push((header, bytes.to_vec(), last)),
                            }
                        }
                    }
                }
            }
            prop_assert!(!reader.is_within());
            prop_assert_eq!(received.len(), frames.len());
            for ((header, payload, whole), (number, sent)) in received.into_iter().zip((1_u32..).zip(sent)) {
                prop_assert!(whole);
                prop_assert_eq!(header.number, number);
                let skipped = if header.head > HEAD_LIMIT { header.head } else { 0 };
                prop_assert!(payload == sent[HEADER + skipped..]);
            }
        }
    }

    #[test]
    fn what_no_worker_of_ours_would_send_is_not_waited_for() {
        for sizes in [(0, 0, 1), (END, 0, 4), (HEAD, 0, 1 << 30), (5, 3, 1 << 30)] {
            let mut reader = Frames::default();
            reader
                .space()
                .extend_from_slice(&frame(1, (sizes.0, 0, 0))[..HEADER]);
            let length = u32::try_from(sizes.2).unwrap().to_le_bytes();
            reader.buffer[..4].copy_from_slice(&length);
            assert!(reader.take().is_err(), "{sizes:?}");
        }
        let mut reader = Frames::default();
        reader.space().extend_from_slice(&frame(1, (END, 0, 0)));
        let part = reader.take().unwrap();
        assert!(
            matches!(part, Some(FramePart::Whole(header, _)) if header.kind == Kind::End { truncated: false })
        );
    }
}
