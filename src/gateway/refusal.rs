//! Requests that a gateway answers itself: the client gets the status, the log the reason.

use std::borrow::Cow;
use std::fmt;

use http::StatusCode;

use crate::gateway::body::spool::SpoolError;
use crate::interface::RequestName;
use crate::protocol::cgi::environ::BadEnviron;

/// Why a request is not passed on to the application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    /// For the client.
    pub status: StatusCode,
    /// For the log.
    pub reason: Cow<'static, str>,
}

impl Refusal {
    /// A refusal with a status of its own.
    pub(super) fn new(status: StatusCode, reason: impl Into<Cow<'static, str>>) -> Self {
        let reason = reason.into();
        Self { status, reason }
    }

    /// A malformed request (400).
    pub(super) fn malformed(reason: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, reason)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{} ({})", self.reason, self.status.as_u16())
    }
}

/// A request that is refused, and what it is called, where its head could be read.
pub(super) struct RefusedHead {
    pub refusal: Refusal,
    pub name: Option<Box<RequestName>>,
}

impl From<Refusal> for RefusedHead {
    fn from(refusal: Refusal) -> Self {
        let name = None;
        Self { refusal, name }
    }
}

impl From<SpoolError> for Refusal {
    fn from(error: SpoolError) -> Self {
        let status = match error {
            SpoolError::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            SpoolError::NoSpace(_) => StatusCode::INSUFFICIENT_STORAGE,
            SpoolError::Unwritable(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::new(status, error.to_string())
    }
}

impl From<BadEnviron> for Refusal {
    fn from(error: BadEnviron) -> Self {
        Self::malformed(error.to_string())
    }
}
