//! The numbers of workers, of their lanes and of their templates. No number of its kind is used twice.

/// A worker.
pub(crate) type WorkerId = u32;

/// A lane: the number of its worker, and its place among that worker's lanes.
pub(crate) type LaneId = (WorkerId, usize);

/// A template.
pub(crate) type TemplateId = u32;
