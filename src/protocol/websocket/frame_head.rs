//! The head of a frame (RFC 6455 §5.2), read and written, its mask (§5.3), and what a client can do wrong.

use crate::interface::CloseReason;

/// The most bytes that a control frame carries (RFC 6455 §5.5).
pub const MAX_CONTROL: usize = 125;

/// The length of the longest head.
const LONGEST: usize = 14;

const FINAL: u8 = 0x80;
const COMPRESSED: u8 = 0x40;
const RESERVED: u8 = 0x30;
const MASKED: u8 = 0x80;

/// What a client has done wrong: the connection ends with a close frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WebSocketFault {
    /// The status code of the close frame (RFC 6455 §7.4.1).
    pub code: u16,
    /// For the log.
    pub what: &'static str,
}

impl WebSocketFault {
    pub(super) const fn protocol(what: &'static str) -> Self {
        let code = CloseReason::PROTOCOL;
        Self { code, what }
    }

    pub(super) const fn data(what: &'static str) -> Self {
        let code = CloseReason::BAD_DATA;
        Self { code, what }
    }

    pub(super) const fn too_big(what: &'static str) -> Self {
        let code = CloseReason::TOO_BIG;
        Self { code, what }
    }
}

/// What a frame is (RFC 6455 §5.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opcode {
    /// A further fragment of a message.
    Continuation = 0,
    /// A text, or its first fragment.
    Text = 1,
    /// Any bytes, or their first fragment.
    Binary = 2,
    /// The last frame.
    Close = 8,
    /// To be answered with a pong.
    Ping = 9,
    /// Answers a ping, or only shows that the sender is there.
    Pong = 10,
}

impl Opcode {
    fn of(nibble: u8) -> Option<Self> {
        Some(match nibble {
            0 => Self::Continuation,
            1 => Self::Text,
            2 => Self::Binary,
            8 => Self::Close,
            9 => Self::Ping,
            10 => Self::Pong,
            _ => return None,
        })
    }

    /// Whether a frame of this kind is about the connection and stands between messages or their fragments.
    #[must_use]
    pub fn is_control(self) -> bool {
        match self {
            Self::Continuation | Self::Text | Self::Binary => false,
            Self::Close | Self::Ping | Self::Pong => true,
        }
    }
}

/// The head of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHead {
    /// The last frame of a message.
    pub is_final: bool,
    /// The bit RSV1 of permessage-deflate: the first frame of a message that is compressed (RFC 7692 §6).
    pub is_compressed: bool,
    /// What the frame is.
    pub opcode: Opcode,
    /// The mask of the payload, on all frames of clients.
    pub mask: Option<[u8; 4]>,
    /// The number of bytes of the payload.
    pub length: u64,
}

/// A head as bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadBytes {
    bytes: [u8; LONGEST],
    length: usize,
}

impl HeadBytes {
    /// The same head with a mask; it has none.
    #[must_use]
    pub fn masked(mut self, key: [u8; 4]) -> Self {
        self.bytes[1] |= MASKED;
        self.push(&key);
        self
    }

    fn push(&mut self, bytes: &[u8]) {
        let end = self.length + bytes.len();
        self.bytes[self.length..end].copy_from_slice(bytes);
        self.length = end;
    }
}

impl std::ops::Deref for HeadBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl FrameHead {
    /// Reads a head and its length in bytes; `None` if it is not all there.
    ///
    /// # Errors
    /// A reserved bit or opcode, a control frame that is too long or in fragments, or a length that is not written as it has
    /// to be.
    pub fn read(bytes: &[u8]) -> Result<Option<(Self, usize)>, WebSocketFault> {
        let [first, second, rest @ ..] = bytes else {
            return Ok(None);
        };
        if first & RESERVED != 0 {
            return Err(WebSocketFault::protocol("a frame with reserved bits"));
        }
        let Some(opcode) = Opcode::of(first & 0x0f) else {
            return Err(WebSocketFault::protocol("a frame with a reserved opcode"));
        };
        let is_final = first & FINAL != 0;
        let short = second & !MASKED;
        if opcode.is_control() && !is_final {
            return Err(WebSocketFault::protocol("a control frame in fragments"));
        }
        if opcode.is_control() && usize::from(short) > MAX_CONTROL {
            return Err(WebSocketFault::protocol(
                "a control frame of more than 125 bytes",
            ));
        }
        let (length, smallest, rest) = match short {
            126 => {
                let Some((length, rest)) = rest.split_first_chunk() else {
                    return Ok(None);
                };
                (u64::from(u16::from_be_bytes(*length)), 126, rest)
            }
            127 => {
                let Some((length, rest)) = rest.split_first_chunk() else {
                    return Ok(None);
                };
                (u64::from_be_bytes(*length), 1 << 16, rest)
            }
            short => (u64::from(short), 0, rest),
        };
        if length > u64::MAX >> 1 {
            return Err(WebSocketFault::protocol(
                "a frame whose length has its top bit set",
            ));
        }
        if length < smallest {
            return Err(WebSocketFault::protocol(
                "a frame whose length is written with more bytes than it needs",
            ));
        }
        let (mask, rest) = if second & MASKED == 0 {
            (None, rest)
        } else if let Some((mask, rest)) = rest.split_first_chunk() {
            (Some(*mask), rest)
        } else {
            return Ok(None);
        };
        let is_compressed = first & COMPRESSED != 0;
        let head = Self {
            is_final,
            is_compressed,
            opcode,
            mask,
            length,
        };
        Ok(Some((head, bytes.len() - rest.len())))
    }

    /// The head as bytes.
    #[must_use]
    pub fn written(&self) -> HeadBytes {
        let bit = |is_set, bit| if is_set { bit } else { 0 };
        let first =
            bit(self.is_final, FINAL) | bit(self.is_compressed, COMPRESSED) | self.opcode as u8;
        let masked = bit(self.mask.is_some(), MASKED);
        let mut head = HeadBytes {
            bytes: [0; LONGEST],
            length: 0,
        };
        if let Ok(short) = u8::try_from(self.length)
            && short < 126
        {
            head.push(&[first, masked | short]);
        } else if let Ok(length) = u16::try_from(self.length) {
            head.push(&[first, masked | 126]);
            head.push(&length.to_be_bytes());
        } else {
            head.push(&[first, masked | 127]);
            head.push(&self.length.to_be_bytes());
        }
        head.push(self.mask.as_ref().map_or(&[], |mask| mask.as_slice()));
        head
    }
}

/// Masks bytes, or takes the mask off them, and turns the mask so that it fits the bytes that follow.
pub fn mask(bytes: &mut [u8], mask: &mut [u8; 4]) {
    let [a, b, c, d] = *mask;
    let word = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (words, rest) = bytes.as_chunks_mut::<8>();
    for bytes in words {
        *bytes = (u64::from_ne_bytes(*bytes) ^ word).to_ne_bytes();
    }
    for (byte, mask) in rest.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= mask;
    }
    mask.rotate_left(rest.len() % 4);
}
