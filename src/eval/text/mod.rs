//! Strings and bytes: methods, encodings and formats.

pub mod encodings;
pub mod format_spec;
pub mod percent;
pub mod str_methods;
