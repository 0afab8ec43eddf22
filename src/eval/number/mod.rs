//! Whole numbers and floats.

pub(super) mod arithmetic;
pub(super) mod numerals;
pub(super) mod parse;
pub(super) mod round;
