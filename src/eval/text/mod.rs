//! Strings and bytes: methods, encodings and formats.

pub(super) mod encodings;
pub(super) mod format_spec;
pub(super) mod percent;
pub(super) mod str_methods;
