//! A responder's side of a FastCGI connection: records in, what is to be done out (FastCGI Specification 1.0).
//! Pure: it holds no socket and no clock.

use std::collections::HashMap;

use bytes::{Bytes, BytesMut};

use crate::protocol::fastcgi::record::{
    BeginRequest, EndRequest, MANAGEMENT, MAX_CONNS, MAX_REQS, MPXS_CONNS, MalformedRecord, Pairs,
    ProtocolStatus, Record, RecordKind, Role, put_pair, put_records, put_unknown_type,
};

#[cfg(test)]
mod tests;

/// What a connection may ask of us.
#[derive(Clone, Copy, Debug)]
pub struct ResponderLimits {
    /// The answer to `FCGI_MAX_CONNS`.
    pub connections: usize,
    /// The answer to `FCGI_MAX_REQS`, and how many requests one connection may have under way.
    pub requests: usize,
    /// How long a request's variables may be altogether, in bytes; those of all requests that a connection is sending,
    /// [`IN_ALL`] times that.
    pub params: usize,
}

/// See [`ResponderLimits::params`]: web servers send one request after another, or several of some kilobytes.
const IN_ALL: usize = 4;

/// What is to be done next.
#[derive(Debug, PartialEq, Eq)]
pub enum ResponderEvent {
    /// All variables of a request are there ([`Pairs`] reads them); its body follows.
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
    /// The web server wants no answer any more. To be answered with an [`EndRequest`] all the same (§5.4).
    Abort {
        /// The request, which may not have been announced by [`ResponderEvent::Begin`] yet, or may have been aborted already.
        id: u16,
    },
    /// The variables of a request are longer than [`ResponderLimits::params`], or those of all are. To be answered with 431.
    TooLarge {
        /// The request.
        id: u16,
    },
    /// These records are to be sent.
    Reply(BytesMut),
}

/// The requests of a connection and how far they have come.
#[derive(Debug)]
pub struct Responder {
    limits: ResponderLimits,
    requests: HashMap<u16, Stage>,
    /// No further requests are taken.
    last: bool,
}

#[derive(Debug)]
enum Stage {
    Params(BytesMut),
    Body {
        /// How long its variables are, which are kept meanwhile, in bytes.
        params: usize,
    },
    Answer,
}

impl Responder {
    /// A connection on which nothing has happened yet.
    #[must_use]
    pub fn new(limits: ResponderLimits) -> Self {
        Self {
            limits,
            requests: HashMap::new(),
            last: false,
        }
    }

    /// Whether no request is under way.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.requests.is_empty()
    }

    /// Whether a request is not all there: its sender owes us something.
    #[must_use]
    pub fn is_receiving(&self) -> bool {
        self.requests
            .values()
            .any(|stage| matches!(stage, Stage::Params(_) | Stage::Body { .. }))
    }

    /// Whether the connection is to be closed once no request is under way: the web server does not keep it, or
    /// [`Responder::take_no_more`] was called.
    #[must_use]
    pub fn is_last(&self) -> bool {
        self.last
    }

    /// Refuses every request that begins from now on.
    pub fn take_no_more(&mut self) {
        self.last = true;
    }

    /// A request was answered, or given up: what still comes for it is ignored, and its id may be used again.
    pub fn end(&mut self, id: u16) {
        self.requests.remove(&id);
    }

    /// Takes in a record; `None` if nothing is to be done about it.
    ///
    /// Records of requests that are not under way are ignored, as §3.3 wants, since those of an aborted one
    /// may still be on their way. Types that we do not know are answered whatever request they name.
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
            // Those of the other side, and of another role.
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
        let refusal = match role {
            Role::Authorizer | Role::Filter | Role::Other(_) => Some(ProtocolStatus::UnknownRole),
            Role::Responder if self.last || self.requests.len() >= self.limits.requests => {
                Some(ProtocolStatus::Overloaded)
            }
            Role::Responder => None,
        };
        self.last |= !keep;
        if let Some(outcome) = refusal {
            let mut reply = BytesMut::new();
            EndRequest { status: 0, outcome }.put(&mut reply, id);
            return Ok(Some(ResponderEvent::Reply(reply)));
        }
        self.requests.insert(id, Stage::Params(BytesMut::new()));
        Ok(None)
    }

    /// The id stays taken until the end is said ([`Responder::end`]).
    fn abort(&mut self, id: u16) -> Option<ResponderEvent> {
        let stage = self.requests.get_mut(&id)?;
        *stage = Stage::Answer;
        Some(ResponderEvent::Abort { id })
    }

    /// How long the variables are of all requests that are not all there, in bytes.
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
            // Nearly always there is but one record, and nobody else holds its bytes.
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

    /// The answer to `FCGI_GET_VALUES` (§4.1): the variables that were asked for and that we know.
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
