//! A web server's side of a FastCGI connection (FastCGI Specification 1.0 §6.2): its requests as records, and what comes back.
//! One request at a time: no application in use takes several on one connection.

use std::fmt;

use bytes::{Buf, Bytes, BytesMut};

use crate::protocol::fastcgi::record::{
    BeginRequest, MANAGEMENT, MalformedRecord, ProtocolStatus, RESPONDER, Record, RecordKind,
    RequestEnd, put_records, take_record,
};

#[cfg(test)]
mod tests;

/// The id of each request.
const ID: u16 = 1;

/// Writes the beginning of a request and its variables, in the form of
/// [`put_pair`](crate::protocol::fastcgi::record::put_pair). `keep`: the connection is to stay open.
pub fn put_begin(into: &mut BytesMut, keep: bool, params: &[u8]) {
    let role = RESPONDER;
    BeginRequest { role, keep }.put(into, ID);
    if !params.is_empty() {
        put_records(into, RecordKind::Params, ID, params);
    }
    put_records(into, RecordKind::Params, ID, &b""[..]);
}

/// Writes a part of a request's body, which is not empty.
pub fn put_body(into: &mut BytesMut, part: impl Buf) {
    // An empty record would be the end of the body.
    if part.has_remaining() {
        put_records(into, RecordKind::Stdin, ID, part);
    }
}

/// Writes the end of a request's body.
pub fn put_body_end(into: &mut BytesMut) {
    put_records(into, RecordKind::Stdin, ID, &b""[..]);
}

/// Writes the answer to a request that no application will begin (§5.5), on its behalf.
pub fn put_refusal(into: &mut BytesMut) {
    ProtocolStatus::Overloaded.put_end(into, ID);
}

/// What an application has sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answered {
    /// A part of the response: its head, then its body. Never empty.
    Output(Bytes),
    /// A part of what it wants to have in the log. Never empty.
    Errors(Bytes),
    /// The response is complete. Nothing that follows belongs to it.
    End(RequestEnd),
}

/// What is no answer. Nothing that follows on the connection can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadAnswerRecord {
    /// It is not FastCGI.
    Malformed(MalformedRecord),
    /// It belongs to a request that was not sent; its id.
    OtherRequest(u16),
}

impl fmt::Display for BadAnswerRecord {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(malformed) => malformed.fmt(formatter),
            Self::OtherRequest(id) => write!(formatter, "a record is about request {id}, not {ID}"),
        }
    }
}

impl std::error::Error for BadAnswerRecord {}

impl From<MalformedRecord> for BadAnswerRecord {
    fn from(malformed: MalformedRecord) -> Self {
        Self::Malformed(malformed)
    }
}

/// Takes what an application has sent off the buffer; `None` if no more of it is complete. Left out are empty records (PHP
/// sends them in the middle of a response), and those about the connection or of types that a web server does not receive.
///
/// # Errors
/// [`BadAnswerRecord`]: the connection is of no more use.
pub fn take_answer(buffer: &mut BytesMut) -> Result<Option<Answered>, BadAnswerRecord> {
    while let Some(Record { kind, id, content }) = take_record(buffer)? {
        let kind = RecordKind::from_number(kind);
        match (kind, id) {
            (_, MANAGEMENT) => {}
            (_, id) if id != ID => return Err(BadAnswerRecord::OtherRequest(id)),
            (Some(RecordKind::EndRequest), _) => {
                return Ok(Some(Answered::End(RequestEnd::read(&content)?)));
            }
            (Some(RecordKind::Stdout), _) if !content.is_empty() => {
                return Ok(Some(Answered::Output(content)));
            }
            (Some(RecordKind::Stderr), _) if !content.is_empty() => {
                return Ok(Some(Answered::Errors(content)));
            }
            (
                None
                | Some(
                    RecordKind::BeginRequest
                    | RecordKind::AbortRequest
                    | RecordKind::Params
                    | RecordKind::Stdin
                    | RecordKind::Stdout
                    | RecordKind::Stderr
                    | RecordKind::Data
                    | RecordKind::GetValues
                    | RecordKind::GetValuesResult
                    | RecordKind::UnknownType,
                ),
                _,
            ) => {}
        }
    }
    Ok(None)
}
