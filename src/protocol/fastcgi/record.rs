//! FastCGI records, in both directions (FastCGI Specification 1.0 §3 and §8). A connection is a sequence of records, each of
//! which belongs to a request by its id, or to the connection if that is 0.

use std::fmt;

use bytes::{Buf, BufMut, Bytes, BytesMut};

#[cfg(test)]
mod tests;

/// The only version.
pub const VERSION: u8 = 1;

/// The length of a record's header, in bytes.
pub const HEADER: usize = 8;

/// The most content of one record without padding, in bytes.
pub const MAX_CONTENT: usize = 65_528;

/// The id of records that belong to no request.
pub const MANAGEMENT: u16 = 0;

/// The variables that [`RecordKind::GetValues`] asks for (§4.1).
pub const MAX_CONNS: &[u8] = b"FCGI_MAX_CONNS";
/// See [`MAX_CONNS`].
pub const MAX_REQS: &[u8] = b"FCGI_MAX_REQS";
/// See [`MAX_CONNS`].
pub const MPXS_CONNS: &[u8] = b"FCGI_MPXS_CONNS";

/// The type of a record (§8).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[expect(missing_docs, reason = "the names are those of the specification")]
pub enum RecordKind {
    BeginRequest = 1,
    AbortRequest = 2,
    EndRequest = 3,
    Params = 4,
    Stdin = 5,
    Stdout = 6,
    Stderr = 7,
    Data = 8,
    GetValues = 9,
    GetValuesResult = 10,
    UnknownType = 11,
}

impl RecordKind {
    /// The type with this number.
    pub fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::BeginRequest,
            2 => Self::AbortRequest,
            3 => Self::EndRequest,
            4 => Self::Params,
            5 => Self::Stdin,
            6 => Self::Stdout,
            7 => Self::Stderr,
            8 => Self::Data,
            9 => Self::GetValues,
            10 => Self::GetValuesResult,
            11 => Self::UnknownType,
            _ => return None,
        })
    }
}

/// A record without its padding.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// A [`RecordKind`], or a number that the specification does not have.
    pub kind: u8,
    /// The id of its request; [`MANAGEMENT`] for none.
    pub id: u16,
    /// Its content.
    pub content: Bytes,
}

/// What is not FastCGI. Nothing that follows on the connection can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MalformedRecord {
    /// A record of another version of the protocol, or bytes of another protocol.
    Version(u8),
    /// A record whose content is too short for its type.
    Short(RecordKind),
    /// Names and values that end in the middle of one.
    Pair,
    /// A request that begins with the id of one that is under way.
    Twice(u16),
}

impl fmt::Display for MalformedRecord {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version(version) => write!(
                formatter,
                "found byte {version} where the FastCGI version, 1, was expected"
            ),
            Self::Short(kind) => write!(formatter, "the {kind:?} record is too short"),
            Self::Pair => formatter.write_str("a name-value pair is cut off"),
            Self::Twice(id) => write!(formatter, "request {id} begins while it is under way"),
        }
    }
}

impl std::error::Error for MalformedRecord {}

/// Takes the first record off the buffer; `None` if it is not complete yet. A record has at most 64 KiB, so that a reader
/// that reads no more than that ahead keeps at most twice that.
///
/// # Errors
/// [`MalformedRecord::Version`].
pub fn take_record(buffer: &mut BytesMut) -> Result<Option<Record>, MalformedRecord> {
    let Some(header) = buffer.first_chunk::<HEADER>() else {
        return match buffer.first() {
            Some(version) if *version != VERSION => Err(MalformedRecord::Version(*version)),
            Some(_) | None => Ok(None),
        };
    };
    let [version, kind, id1, id0, length1, length0, padding, _] = *header;
    if version != VERSION {
        return Err(MalformedRecord::Version(version));
    }
    let length = usize::from(u16::from_be_bytes([length1, length0]));
    let padding = usize::from(padding);
    let whole = HEADER + length + padding;
    if buffer.len() < whole {
        buffer.reserve(whole - buffer.len());
        return Ok(None);
    }
    buffer.advance(HEADER);
    let content = buffer.split_to(length).freeze();
    buffer.advance(padding);
    Ok(Some(Record {
        kind,
        id: u16::from_be_bytes([id1, id0]),
        content,
    }))
}

/// Writes content as one record, or as several if it is too long for one, padded to 8 bytes
/// (§3.3 recommends that). Empty content, which ends a stream, is one empty record.
pub fn put_records(into: &mut BytesMut, kind: RecordKind, id: u16, mut content: impl Buf) {
    loop {
        let length = content.remaining().min(MAX_CONTENT);
        let padding = length.next_multiple_of(8) - length;
        into.reserve(HEADER + length + padding);
        put_header(into, kind as u8, id, length, padding);
        into.put((&mut content).take(length));
        into.put_bytes(0, padding);
        if !content.has_remaining() {
            return;
        }
    }
}

/// `length` and `padding` fit their fields: they are at most [`MAX_CONTENT`] and 7.
fn put_header(into: &mut BytesMut, kind: u8, id: u16, length: usize, padding: usize) {
    into.put_slice(&[VERSION, kind]);
    into.put_u16(id);
    into.put_u16(length as u16);
    into.put_slice(&[padding as u8, 0]);
}

/// The role of a responder, which answers as a CGI program does (§6.2). The others are those of authorizers and filters.
pub const RESPONDER: u16 = 1;

/// The content of a [`RecordKind::BeginRequest`] record (§5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BeginRequest {
    /// What the application is to do; see [`RESPONDER`].
    pub role: u16,
    /// Whether the connection stays open after the answer.
    pub keep: bool,
}

impl BeginRequest {
    /// Reads the content.
    ///
    /// # Errors
    /// [`MalformedRecord::Short`].
    pub fn read(content: &[u8]) -> Result<Self, MalformedRecord> {
        let [role1, role0, flags, ..] = *content else {
            return Err(MalformedRecord::Short(RecordKind::BeginRequest));
        };
        Ok(Self {
            role: u16::from_be_bytes([role1, role0]),
            keep: flags & 1 == 1,
        })
    }

    /// Writes the record.
    pub fn put(self, into: &mut BytesMut, id: u16) {
        let [role1, role0] = self.role.to_be_bytes();
        let content = [role1, role0, u8::from(self.keep), 0, 0, 0, 0, 0];
        put_records(into, RecordKind::BeginRequest, id, &content[..]);
    }
}

/// How a request ended for the protocol (§5.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ProtocolStatus {
    /// It was answered.
    Complete = 0,
    /// Refused: too much to do.
    Overloaded = 2,
    /// Refused: not a role of this application.
    UnknownRole = 3,
}

impl ProtocolStatus {
    /// Writes the record that ends a request, with 0 for the exit status of a CGI program.
    pub fn put_end(self, into: &mut BytesMut, id: u16) {
        let content = [0, 0, 0, 0, self as u8, 0, 0, 0];
        put_records(into, RecordKind::EndRequest, id, &content[..]);
    }
}

/// The content of a [`RecordKind::EndRequest`] record (§5.5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestEnd {
    /// The exit status that a CGI program would have.
    pub application: u32,
    /// A [`ProtocolStatus`], or another number: 1 is sent by applications that take one request at a time.
    pub protocol: u8,
}

impl RequestEnd {
    /// Reads the content.
    ///
    /// # Errors
    /// [`MalformedRecord::Short`].
    pub fn read(content: &[u8]) -> Result<Self, MalformedRecord> {
        let Some(([s3, s2, s1, s0, protocol, ..], _)) = content.split_first_chunk::<8>() else {
            return Err(MalformedRecord::Short(RecordKind::EndRequest));
        };
        Ok(Self {
            application: u32::from_be_bytes([*s3, *s2, *s1, *s0]),
            protocol: *protocol,
        })
    }
}

/// Writes the answer to a record of a type that the specification does not have (§4.2).
pub fn put_unknown_type(into: &mut BytesMut, kind: u8) {
    let content = [kind, 0, 0, 0, 0, 0, 0, 0];
    put_records(into, RecordKind::UnknownType, MANAGEMENT, &content[..]);
}

/// Writes a name and its value (§3.4): both lengths, in one byte up to 127 and else in four, then both.
pub fn put_pair(into: &mut BytesMut, name: &[u8], value: &[u8]) {
    for length in [name.len(), value.len()] {
        match u8::try_from(length) {
            Ok(short @ 0..=0x7f) => into.put_u8(short),
            // A length that does not fit 31 bits does not fit memory either.
            Ok(_) | Err(_) => into.put_u32(length as u32 | 0x8000_0000),
        }
    }
    into.put_slice(name);
    into.put_slice(value);
}

/// The names and values in the content of a stream or record (§3.4). After [`MalformedRecord::Pair`]
/// there are no more.
#[derive(Clone, Debug)]
pub struct Pairs<'a>(&'a [u8]);

impl<'a> Pairs<'a> {
    /// The pairs in a content.
    pub fn new(content: &'a [u8]) -> Self {
        Self(content)
    }

    fn length(&mut self) -> Option<usize> {
        let first = *self.0.first()?;
        if first < 0x80 {
            self.0 = &self.0[1..];
            return Some(usize::from(first));
        }
        let (four, rest) = self.0.split_first_chunk::<4>()?;
        self.0 = rest;
        usize::try_from(u32::from_be_bytes(*four) & 0x7fff_ffff).ok()
    }

    fn pair(&mut self) -> Option<(&'a [u8], &'a [u8])> {
        let name = self.length()?;
        let value = self.length()?;
        let (name, rest) = self.0.split_at_checked(name)?;
        let (value, rest) = rest.split_at_checked(value)?;
        self.0 = rest;
        Some((name, value))
    }
}

impl<'a> Iterator for Pairs<'a> {
    type Item = Result<(&'a [u8], &'a [u8]), MalformedRecord>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let pair = self.pair();
        if pair.is_none() {
            self.0 = b"";
        }
        Some(pair.ok_or(MalformedRecord::Pair))
    }
}
