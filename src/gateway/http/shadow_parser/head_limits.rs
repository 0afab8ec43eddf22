//! How large the head of a request may be.

use http::StatusCode;

use crate::gateway::refusal::Refusal;

/// How large the head of a request may be, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct HeadLimits {
    /// All of it: the first line, and the fields with their names and line ends (431).
    pub head: usize,
    /// The number of its fields (431).
    pub fields: usize,
    /// One field with its name, without the line end (431).
    pub field: usize,
    /// The target (414).
    pub target: usize,
}

impl HeadLimits {
    /// Checks the length of one field with its name, in bytes.
    ///
    /// # Errors
    /// It is too long (431).
    pub(in crate::gateway::http) fn check_field(&self, length: usize) -> Result<(), Refusal> {
        let limit = self.field;
        match length > limit {
            true => Err(too_large(format!(
                "a field has more than {limit} bytes (runner.http.max_field)"
            ))),
            false => Ok(()),
        }
    }

    /// Checks the length of the whole head, in bytes.
    ///
    /// # Errors
    /// It is too long (431).
    pub(in crate::gateway::http) fn check_head(&self, length: usize) -> Result<(), Refusal> {
        let limit = self.head;
        match length > limit {
            true => Err(too_large(format!(
                "the head has more than {limit} bytes (runner.http.max_head)"
            ))),
            false => Ok(()),
        }
    }

    /// Checks the number of fields.
    ///
    /// # Errors
    /// There are too many (431).
    pub(in crate::gateway::http) fn check_count(&self, count: usize) -> Result<(), Refusal> {
        let limit = self.fields;
        match count > limit {
            true => Err(too_large(format!(
                "there are more than {limit} fields (runner.http.max_fields)"
            ))),
            false => Ok(()),
        }
    }
}

fn too_large(what: String) -> Refusal {
    Refusal::new(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, what)
}

/// The number of fields for which hyper needs no memory of its own.
pub(in crate::gateway::http) const USUAL_FIELDS: usize = 100;

impl Default for HeadLimits {
    fn default() -> Self {
        Self {
            head: 64 * 1024,
            fields: USUAL_FIELDS,
            field: 16 * 1024,
            target: 16 * 1024,
        }
    }
}
