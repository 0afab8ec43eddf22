//! A request as it arrives by FastCGI: its variables and its body, or why it gets no further.

use bytes::Bytes;
use http::StatusCode;

use crate::gateway::body::spool::{Spool, SpoolError};
use crate::interface::{Errors, Request};
use crate::protocol::cgi::environ;
use crate::protocol::fastcgi::record::{Malformed, Pairs};

/// How many variables a request may have. Web servers send some forty, and one for each header field.
const VARIABLES: usize = 1000;

/// A request whose body is coming in.
pub struct Upload {
    pub params: Bytes,
    pub body: Spool,
}

/// Why a request is answered here.
pub enum Refusal {
    Body(SpoolError),
    Params,
    Environ(environ::BadEnviron),
    /// It is not answered at all.
    Malformed(Malformed),
}

impl Refusal {
    /// What the client is told.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Body(SpoolError::TooLarge) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Body(SpoolError::Unwritable(_)) => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Params => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::Environ(_) | Self::Malformed(_) => StatusCode::BAD_REQUEST,
        }
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Body(error) => error.fmt(formatter),
            Self::Params => formatter.write_str("its variables are too many or too long"),
            Self::Environ(error) => error.fmt(formatter),
            Self::Malformed(error) => error.fmt(formatter),
        }
    }
}

/// The request, once all of it is there.
pub async fn request(upload: Upload, errors: Errors) -> Result<Request, Refusal> {
    let pairs: Vec<(&[u8], &[u8])> = Pairs::new(&upload.params)
        .take(VARIABLES + 1)
        .collect::<Result<_, _>>()
        .map_err(Refusal::Malformed)?;
    if pairs.len() > VARIABLES {
        return Err(Refusal::Params);
    }
    let body = upload.body.finish().await.map_err(Refusal::Body)?;
    environ::request(pairs.into_iter(), body, errors).map_err(Refusal::Environ)
}
