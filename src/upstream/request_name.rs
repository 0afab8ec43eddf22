//! How lines of the log name a request.

use std::fmt;
use std::sync::Arc;

use http::Method;

use crate::interface::{Request, RequestIds};
use crate::log::LogSubject;

/// The characters of a target that a line shows.
const LONGEST_TARGET: usize = 200;

/// A request's method, target and ids. The target is a copy, so that the buffer in which the request came is free for the
/// next one.
#[derive(Clone, Debug)]
pub struct RequestName {
    method: Method,
    target: Arc<[u8]>,
    ids: Option<Arc<RequestIds>>,
}

impl RequestName {
    /// The name of a request.
    #[must_use]
    pub fn of(request: &Request) -> Self {
        Self {
            method: request.method.clone(),
            target: Arc::from(&*request.target),
            ids: request.ids.clone(),
        }
    }

    /// What a line of the log is about that names the request.
    #[must_use]
    pub fn subject(&self) -> LogSubject<'_> {
        RequestIds::subject_of(self.ids.as_deref())
    }
}

impl fmt::Display for RequestName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let target = String::from_utf8_lossy(&self.target);
        let target = target.escape_debug().to_string();
        write!(formatter, "{} ", self.method)?;
        match target.char_indices().nth(LONGEST_TARGET) {
            Some((end, _)) => write!(formatter, "{}…", &target[..end])?,
            None => formatter.write_str(&target)?,
        }
        match &self.ids {
            Some(ids) => write!(formatter, " ({ids})"),
            None => Ok(()),
        }
    }
}
