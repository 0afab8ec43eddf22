//! Whole numbers and floats.

pub mod arithmetic;
pub mod numerals;
pub mod parse;
pub mod round;
