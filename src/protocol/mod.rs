//! Bytes to types and back, each codec once and in both directions. Pure: no sockets, no files.

pub mod marshal;
pub mod worker;
