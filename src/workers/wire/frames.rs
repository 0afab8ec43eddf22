//! Frames from a lane's socket. Pure, so that tests can cut the bytes anywhere.

use bytes::{Bytes, BytesMut};

use crate::protocol::worker::answer_head::LONGEST_HEAD;
use crate::protocol::worker::frame::{HEADER, Header, Kind, RING_CAPACITY};
use crate::protocol::worker::marshal::Malformed;

/// How much is read at once, in bytes.
const READ: usize = 64 * 1024;
/// The longest text for `wsgi.errors` in one frame, in bytes.
const LONGEST_TEXT: usize = 64 * 1024;
/// The size of offset and length of a file, in bytes.
const FILE_RANGE: usize = 16;

/// Bytes that were read and not yet taken.
#[derive(Debug, Default)]
pub struct Frames {
    buffer: BytesMut,
}

impl Frames {
    /// The buffer to read into, with room for more.
    pub fn space(&mut self) -> &mut BytesMut {
        self.buffer.reserve(READ);
        &mut self.buffer
    }

    /// The next frame and its payload; `None` if more has to be read first.
    ///
    /// # Errors
    /// [`Malformed`] if no worker of runner's would send it.
    pub fn take(&mut self) -> Result<Option<(Header, Bytes)>, Malformed> {
        let Some(header) = Header::read(&self.buffer)? else {
            return Ok(None);
        };
        // However much a worker says that it will send, no more than this is waited for.
        let most = match header.kind {
            Kind::Wake => 0,
            Kind::Answer { .. } => RING_CAPACITY,
            Kind::File => LONGEST_HEAD + FILE_RANGE,
            Kind::Errors => LONGEST_TEXT,
            _ => return Err(Malformed),
        };
        if header.length > most {
            return Err(Malformed);
        }
        let length = HEADER + header.length;
        if self.buffer.len() < length {
            self.buffer.reserve(length - self.buffer.len());
            return Ok(None);
        }
        let mut frame = self.buffer.split_to(length).freeze();
        Ok(Some((header, frame.split_off(HEADER))))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest};

    use super::{Frames, HEADER, LONGEST_HEAD, LONGEST_TEXT, RING_CAPACITY};
    use crate::protocol::worker::marshal::Malformed;

    const WAKE: u8 = 0;
    const ANSWER: u8 = 1;
    const HEAD: u8 = 2;
    const BLOCK: u8 = 3;
    const END: u8 = 4;
    const FILE: u8 = 5;
    const ERRORS: u8 = 6;

    /// The header of a frame as a worker sends it: kind, length of the head, length of the payload.
    fn header(number: u32, (kind, head, length): (u8, usize, usize)) -> Vec<u8> {
        let mut header = Vec::new();
        let field = |value: usize| u32::try_from(value).unwrap().to_le_bytes();
        header.extend(field(length));
        header.extend(number.to_le_bytes());
        header.extend([0, 0, 0, 0, kind, 0, 0, 0]);
        header.extend(field(head));
        header
    }

    fn frame(number: u32, sizes: (u8, usize, usize)) -> Vec<u8> {
        let mut frame = header(number, sizes);
        frame.extend((0..sizes.2).map(|place| (place % 251) as u8));
        frame
    }

    fn sizes() -> impl Strategy<Value = (u8, usize, usize)> {
        prop_oneof![
            (0..1_usize).prop_map(|_| (WAKE, 0, 0)),
            (0..100_usize).prop_map(|head| (FILE, head, head + 16)),
            (0..=LONGEST_TEXT).prop_map(|length| (ERRORS, 0, length)),
            (0..100_usize, 0..RING_CAPACITY - 100).prop_map(|(head, body)| (
                ANSWER,
                head,
                head + body
            )),
            (0..9_usize).prop_map(|less| (FILE, LONGEST_HEAD - less, LONGEST_HEAD - less + 16)),
        ]
    }

    proptest! {
        #![proptest_config(proptest::test_runner::Config::with_cases(48))]

        /// However the bytes are cut: each frame comes out once, in order and whole.
        #[test]
        fn every_cut_gives_the_same(
            frames in proptest::collection::vec(sizes(), 0..6),
            cuts in proptest::collection::vec(1..200_000_usize, 1..20),
            tiny in any::<bool>(),
        ) {
            let sent: Vec<Vec<u8>> = (1..).zip(&frames).map(|(number, sizes)| frame(number, *sizes)).collect();
            let all = sent.concat();
            let mut rest = &all[..];
            let mut reader = Frames::default();
            let mut received = Vec::new();
            for cut in cuts.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let size = if tiny && rest.len() < 10_000 { 1 } else { *cut };
                let (read, later) = rest.split_at(size.min(rest.len()));
                rest = later;
                reader.space().extend_from_slice(read);
                while let Some(frame) = reader.take().unwrap() {
                    received.push(frame);
                }
            }
            prop_assert_eq!(received.len(), frames.len());
            for ((header, payload), (number, sent)) in received.into_iter().zip((1_u32..).zip(sent)) {
                prop_assert_eq!(header.number, number);
                prop_assert!(payload == sent[HEADER..]);
            }
        }
    }

    #[test]
    fn what_no_worker_of_ours_would_send_is_not_waited_for() {
        for (kind, head, length) in [
            (WAKE, 0, 1),
            (HEAD, 0, 0),
            (BLOCK, 0, 1),
            (END, 0, 0),
            (ANSWER, 0, RING_CAPACITY + 1),
            (FILE, 3, 1 << 30),
            (ERRORS, 0, LONGEST_TEXT + 1),
        ] {
            let mut reader = Frames::default();
            let sent = header(1, (kind, head, length));
            reader.space().extend_from_slice(&sent);
            assert_eq!(reader.take(), Err(Malformed), "{kind} {length}");
        }
    }
}
