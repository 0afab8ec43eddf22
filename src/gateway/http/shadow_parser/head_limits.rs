//! How large the head of a request may be.

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
