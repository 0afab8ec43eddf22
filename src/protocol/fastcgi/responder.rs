//! A responder's side of a FastCGI connection (FastCGI Specification 1.0 §6.2): which requests are under way, and what each
//! record means for them.

use std::collections::HashMap;

use bytes::{Bytes, BytesMut};

use crate::protocol::fastcgi::record::{
    BeginRequest, MANAGEMENT, MAX_CONNS, MAX_REQS, MPXS_CONNS, MalformedRecord, Pairs,
    ProtocolStatus, RESPONDER, Record, RecordKind, put_pair, put_records, put_unknown_type,
};

#[cfg(test)]
mod tests;

/// Limits of one connection.
#[derive(Clone, Copy, Debug)]
pub struct ResponderLimits {
    /// The answer to `FCGI_MAX_CONNS`.
    pub connections: usize,
    /// The answer to `FCGI_MAX_REQS`, and the most requests under way on one connection.
    pub requests: usize,
    /// The largest size of a request's variables altogether, in bytes; [`IN_ALL`] times that for all requests that a
    /// connection is sending.
    pub params: usize,
}

/// See [`ResponderLimits::params`]: web servers send one request after another, or several of some kilobytes.
const IN_ALL: usize = 4;

/// What the gateway is to do about a record.
#[derive(Debug, PartialEq, Eq)]
pub enum ResponderEvent {
    /// The variables of a request are complete ([`Pairs`] reads them); its body follows.
    Begin {
        /// The request.
        id: u16,
        /// The variables.
        params: Bytes,
    },
    /// A part of a request's body.
    Body {
        /// The request.
        id: u16,
        /// Never empty.
        part: Bytes,
    },
    /// A request's body is complete.
    BodyEnd {
        /// The request.
        id: u16,
    },
    /// The web server wants no answer any more, but an `FCGI_END_REQUEST` all the same (§5.4).
    Abort {
        /// The request. Its [`ResponderEvent::Begin`] may be missing, and it may have been aborted before.
        id: u16,
    },
    /// The variables of a request are longer than [`ResponderLimits::params`], or those of all are. To be answered with 431.
    TooLarge {
        /// The request.
        id: u16,
    },
    /// Records that are to be sent.
    Reply(BytesMut),
}

/// The requests of a connection and the stage of each.
#[derive(Debug)]
pub struct Responder {
    limits: ResponderLimits,
    requests: HashMap<u16, Stage>,
    /// Further requests are refused.
    last: bool,
}

#[derive(Debug)]
enum Stage {
    Params(BytesMut),
    Body {
        /// The size of its variables, which are kept meanwhile, in bytes.
        params: usize,
    },
    Answer,
}

impl Responder {
    /// A new connection.
    pub fn new(limits: ResponderLimits) -> Self {
        Self {
            limits,
            requests: HashMap::new(),
            last: false,
        }
    }

    /// Whether no request is under way.
    pub fn is_idle(&self) -> bool {
        self.requests.is_empty()
    }

    /// Whether a request is incomplete.
    pub fn is_receiving(&self) -> bool {
        self.requests
            .values()
            .any(|stage| matches!(stage, Stage::Params(_) | Stage::Body { .. }))
    }

    /// Whether the connection closes once no request is under way: the web server does not keep it, or
    /// [`Responder::refuse_further`] was called.
    pub fn is_last(&self) -> bool {
        self.last
    }

    /// Refuses every request that begins from now on.
    pub fn refuse_further(&mut self) {
        self.last = true;
    }

    /// Forgets a request that was answered or given up: further records of it are ignored, and its id may be used again.
    pub fn end(&mut self, id: u16) {
        self.requests.remove(&id);
    }

    /// Handles a record; `None` if nothing is to be done about it.
    ///
    /// Records of requests that are not under way are ignored (§3.3), since those of an aborted one may still arrive. Unknown
    /// types are answered whatever request they name.
    ///
    /// # Errors
    /// [`MalformedRecord`]: the connection is of no more use.
    pub fn receive(&mut self, record: Record) -> Result<Option<ResponderEvent>, MalformedRecord> {
        let id = record.id;
        match (RecordKind::from_number(record.kind), id) {
            (Some(RecordKind::GetValues), MANAGEMENT) => self.values(&record.content).map(Some),
            (None, _) | (Some(_), MANAGEMENT) => {
                let mut reply = BytesMut::new();
                put_unknown_type(&mut reply, record.kind);
                Ok(Some(ResponderEvent::Reply(reply)))
            }
            (Some(RecordKind::BeginRequest), id) => self.begin(id, &record.content),
            (Some(RecordKind::AbortRequest), id) => Ok(self.abort(id)),
            (Some(RecordKind::Params), id) => Ok(self.params(id, record.content)),
            (Some(RecordKind::Stdin), id) => Ok(self.body(id, record.content)),
            // Records that a web server receives, and those of another role.
            (
                Some(
                    RecordKind::EndRequest
                    | RecordKind::Stdout
                    | RecordKind::Stderr
                    | RecordKind::Data
                    | RecordKind::GetValues
                    | RecordKind::GetValuesResult
                    | RecordKind::UnknownType,
                ),
                _,
            ) => Ok(None),
        }
    }

    fn begin(
        &mut self,
        id: u16,
        content: &[u8],
    ) -> Result<Option<ResponderEvent>, MalformedRecord> {
        let BeginRequest { role, keep } = BeginRequest::read(content)?;
        if self.requests.contains_key(&id) {
            return Err(MalformedRecord::Twice(id));
        }
        let is_full = self.last || self.requests.len() >= self.limits.requests;
        let refusal = match role {
            RESPONDER if is_full => Some(ProtocolStatus::Overloaded),
            RESPONDER => None,
            _ => Some(ProtocolStatus::UnknownRole),
        };
        self.last |= !keep;
        if let Some(status) = refusal {
            let mut reply = BytesMut::new();
            status.put_end(&mut reply, id);
            return Ok(Some(ResponderEvent::Reply(reply)));
        }
        self.requests.insert(id, Stage::Params(BytesMut::new()));
        Ok(None)
    }

    /// The id stays in use until [`Responder::end`].
    fn abort(&mut self, id: u16) -> Option<ResponderEvent> {
        let stage = self.requests.get_mut(&id)?;
        *stage = Stage::Answer;
        Some(ResponderEvent::Abort { id })
    }

    /// The size of the variables of all incomplete requests, in bytes.
    fn kept(&self) -> usize {
        let kept = |stage: &Stage| match stage {
            Stage::Params(params) => params.len(),
            Stage::Body { params } => *params,
            Stage::Answer => 0,
        };
        self.requests.values().map(kept).sum()
    }

    fn params(&mut self, id: u16, content: Bytes) -> Option<ResponderEvent> {
        let room = (IN_ALL * self.limits.params).saturating_sub(self.kept());
        let stage = self.requests.get_mut(&id)?;
        let Stage::Params(params) = stage else {
            return None;
        };
        if content.is_empty() {
            let params = std::mem::take(params).freeze();
            *stage = Stage::Body {
                params: params.len(),
            };
            return Some(ResponderEvent::Begin { id, params });
        }
        if params.len() + content.len() > self.limits.params || content.len() > room {
            *stage = Stage::Answer;
            return Some(ResponderEvent::TooLarge { id });
        }
        if params.is_empty() {
            // Nearly always there is only one record, whose bytes have no other owner.
            *params = BytesMut::from(content);
        } else {
            params.extend_from_slice(&content);
        }
        None
    }

    fn body(&mut self, id: u16, part: Bytes) -> Option<ResponderEvent> {
        let stage = self.requests.get_mut(&id)?;
        let Stage::Body { .. } = stage else {
            return None;
        };
        if part.is_empty() {
            *stage = Stage::Answer;
            return Some(ResponderEvent::BodyEnd { id });
        }
        Some(ResponderEvent::Body { id, part })
    }

    /// The answer to `FCGI_GET_VALUES` (§4.1): those of the requested variables that exist.
    fn values(&self, content: &[u8]) -> Result<ResponderEvent, MalformedRecord> {
        let mut known = [
            (MAX_CONNS, self.limits.connections, false),
            (MAX_REQS, self.limits.requests, false),
            (MPXS_CONNS, 1, false),
        ];
        for pair in Pairs::new(content) {
            let (name, _) = pair?;
            for (variable, _, asked) in &mut known {
                *asked |= *variable == name;
            }
        }
        let mut values = BytesMut::new();
        for (variable, value, _) in known.iter().filter(|(_, _, asked)| *asked) {
            put_pair(&mut values, variable, value.to_string().as_bytes());
        }
        let mut reply = BytesMut::new();
        put_records(&mut reply, RecordKind::GetValuesResult, MANAGEMENT, values);
        Ok(ResponderEvent::Reply(reply))
    }
}
