//! Strings and bytes: their methods, encodings and formats.

pub mod byte_methods;
pub mod encodings;
pub mod format_spec;
pub mod percent;
pub mod split;
pub mod str_methods;
pub mod translation;
