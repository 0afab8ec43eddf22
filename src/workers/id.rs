//! How workers, their lanes and their templates are named: by numbers that are never used again.

/// A worker's name: never used twice.
pub type WorkerId = u32;

/// Which lane of which worker.
pub type LaneId = (WorkerId, usize);

/// A template's name: never used twice.
pub(crate) type TemplateId = u32;
