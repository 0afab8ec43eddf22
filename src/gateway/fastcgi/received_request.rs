//! A FastCGI request while its body comes in, and once it is complete.

use bytes::Bytes;
use http::StatusCode;

use crate::gateway::body::spool::Spool;
use crate::gateway::refusal::Refusal;
use crate::interface::{Errors, Request};
use crate::protocol::cgi::environ;
use crate::protocol::fastcgi::record::{MalformedRecord, Pairs};

/// The most variables of a request. Web servers send about forty, and one for each header field.
const VARIABLES: usize = 1000;

/// A request whose body is coming in.
pub(super) struct ReceivedRequest {
    pub params: Bytes,
    pub body: Spool,
}

impl ReceivedRequest {
    /// The complete request, or why it is refused.
    ///
    /// # Errors
    /// The variables are no FastCGI: the connection is of no more use.
    pub(super) async fn complete(
        self,
        errors: Errors,
    ) -> Result<Result<Request, Refusal>, MalformedRecord> {
        let variables: Vec<(&[u8], &[u8])> = Pairs::new(&self.params)
            .take(VARIABLES + 1)
            .collect::<Result<_, _>>()?;
        if variables.len() > VARIABLES {
            return Ok(Err(too_large()));
        }
        Ok(match self.body.finish().await {
            Ok(body) => {
                environ::request(variables.into_iter(), body, errors).map_err(Refusal::from)
            }
            Err(error) => Err(error.into()),
        })
    }
}

/// The refusal of a request with too many variables, or too long ones.
pub(super) fn too_large() -> Refusal {
    let reason = "its variables are too many or too long";
    Refusal::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, reason)
}
