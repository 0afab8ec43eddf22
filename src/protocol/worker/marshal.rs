//! The part of Python's `marshal` format that the server and its workers use: CPython decodes it in C, at about a
//! microsecond for a request.
//!
//! Written are the short forms of version 4 (Python 3.4 and later, also PyPy 3), read is version 2, which has no back
//! references. The format is defined by CPython's `Python/marshal.c`.

use std::fmt;

/// Appends values to a buffer.
#[derive(Debug, Default)]
pub struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// A writer whose buffer has room for a number of bytes.
    pub fn with_capacity(capacity: usize) -> Self {
        Self {
            bytes: Vec::with_capacity(capacity),
        }
    }

    /// The number of bytes written.
    pub fn length(&self) -> usize {
        self.bytes.len()
    }

    /// The buffer.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Begins a tuple; its items follow.
    pub fn tuple(&mut self, items: u8) {
        self.bytes.extend_from_slice(&[b')', items]);
    }

    /// Begins a list; its items follow.
    pub fn list(&mut self, items: usize) {
        self.sized(b'[', items);
    }

    /// Begins a dictionary; keys and values follow in turn, then [`Writer::end_dict`].
    pub fn dict(&mut self) {
        self.bytes.push(b'{');
    }

    /// Ends a dictionary.
    pub fn end_dict(&mut self) {
        self.bytes.push(b'0');
    }

    /// `None`
    pub fn none(&mut self) {
        self.bytes.push(b'N');
    }

    /// `True` or `False`
    pub fn boolean(&mut self, value: bool) {
        self.bytes.push(if value { b'T' } else { b'F' });
    }

    /// An integer.
    pub fn integer(&mut self, value: i32) {
        self.bytes.push(b'i');
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    /// A floating-point number.
    pub fn float(&mut self, value: f64) {
        self.bytes.push(b'g');
        self.bytes.extend_from_slice(&value.to_le_bytes());
    }

    /// A byte string.
    pub fn bytes(&mut self, value: &[u8]) {
        self.sized(b's', value.len());
        self.bytes.extend_from_slice(value);
    }

    /// A string that Python interns: a dictionary key that every request has.
    pub fn key(&mut self, ascii: &[u8]) {
        match u8::try_from(ascii.len()) {
            Ok(length) if ascii.is_ascii() => {
                self.bytes.extend_from_slice(&[b'Z', length]);
                self.bytes.extend_from_slice(ascii);
            }
            _ => self.latin1(ascii),
        }
    }

    /// A string whose code points are the bytes given (PEP 3333's "native strings").
    pub fn latin1(&mut self, value: &[u8]) {
        if value.is_ascii() {
            self.ascii(value);
        } else {
            let text: String = value.iter().map(|&byte| char::from(byte)).collect();
            self.utf8(text.as_bytes());
        }
    }

    /// A string.
    pub fn string(&mut self, value: &str) {
        if value.is_ascii() {
            self.ascii(value.as_bytes());
        } else {
            self.utf8(value.as_bytes());
        }
    }

    fn ascii(&mut self, value: &[u8]) {
        match u8::try_from(value.len()) {
            Ok(length) => self.bytes.extend_from_slice(&[b'z', length]),
            Err(_) => self.sized(b'a', value.len()),
        }
        self.bytes.extend_from_slice(value);
    }

    fn utf8(&mut self, value: &[u8]) {
        self.sized(b'u', value.len());
        self.bytes.extend_from_slice(value);
    }

    /// A type code and a length. Python's lengths have 32 bits with a sign; the gateways' limits are far below that.
    fn sized(&mut self, code: u8, length: usize) {
        self.bytes.push(code);
        self.bytes
            .extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
    }
}

/// A worker has sent something else than what is expected of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

impl fmt::Display for Malformed {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("malformed marshal data")
    }
}

impl std::error::Error for Malformed {}

/// The flag of a type code that asks to remember the value for back references.
const FLAG_REF: u8 = 0x80;

/// Reads values from a buffer, each of an expected type.
#[derive(Debug)]
pub struct MarshalReader<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> MarshalReader<'a> {
    /// A reader at the beginning of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    fn code(&mut self) -> Result<u8, Malformed> {
        let code = *self.bytes.get(self.position).ok_or(Malformed)?;
        self.position += 1;
        Ok(code & !FLAG_REF)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let end = self.position.checked_add(length).ok_or(Malformed)?;
        let bytes = self.bytes.get(self.position..end).ok_or(Malformed)?;
        self.position = end;
        Ok(bytes)
    }

    fn length(&mut self) -> Result<usize, Malformed> {
        let bytes = self.take(4)?.try_into().map_err(|_| Malformed)?;
        usize::try_from(u32::from_le_bytes(bytes)).map_err(|_| Malformed)
    }

    fn short_length(&mut self) -> Result<usize, Malformed> {
        Ok(usize::from(self.take(1)?[0]))
    }

    /// The number of items of a tuple or a list; the items follow.
    ///
    /// # Errors
    /// [`Malformed`] if the next value is something else.
    pub fn sequence(&mut self) -> Result<usize, Malformed> {
        match self.code()? {
            b'(' | b'[' => self.length(),
            b')' => self.short_length(),
            _ => Err(Malformed),
        }
    }

    /// A tuple of exactly `items`; they follow.
    ///
    /// # Errors
    /// [`Malformed`] if the next value is something else.
    pub fn tuple(&mut self, items: usize) -> Result<(), Malformed> {
        if self.sequence()? == items {
            Ok(())
        } else {
            Err(Malformed)
        }
    }

    /// A string, in UTF-8 (with surrogates where Python had them).
    ///
    /// # Errors
    /// [`Malformed`] if the next value is something else.
    pub fn string(&mut self) -> Result<&'a [u8], Malformed> {
        let length = match self.code()? {
            // Python 2, which only tells that it is too old, sends byte strings.
            b'u' | b't' | b'a' | b'A' | b's' => self.length()?,
            b'z' | b'Z' => self.short_length()?,
            _ => return Err(Malformed),
        };
        self.take(length)
    }

    /// An integer.
    ///
    /// # Errors
    /// [`Malformed`] if the next value is something else, or does not fit.
    pub fn integer(&mut self) -> Result<i64, Malformed> {
        match self.code()? {
            b'i' => {
                let bytes = self.take(4)?.try_into().map_err(|_| Malformed)?;
                Ok(i64::from(i32::from_le_bytes(bytes)))
            }
            // Digits of 15 bits, least significant first; the sign is the count's.
            b'l' => {
                let bytes = self.take(4)?.try_into().map_err(|_| Malformed)?;
                let count = i32::from_le_bytes(bytes);
                let mut value: i64 = 0;
                for index in 0..count.unsigned_abs() {
                    let digit = self.take(2)?;
                    let digit = i64::from(u16::from_le_bytes([digit[0], digit[1]]));
                    let place = 1_i64.checked_shl(15 * index).ok_or(Malformed)?;
                    value = digit
                        .checked_mul(place)
                        .and_then(|part| value.checked_add(part))
                        .ok_or(Malformed)?;
                }
                Ok(if count < 0 { -value } else { value })
            }
            _ => Err(Malformed),
        }
    }
}
