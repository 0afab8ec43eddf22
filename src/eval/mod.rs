//! Rules to values: lazy, bounded, and without effect. Every other file here imports from the file that declares a
//! thing, not from this page, so that imports form no circle. From the lowest:
//!
//! - `budget`: the limits of an evaluation, and its errors
//! - `value`: values, how they look, compare and nest, and what they can ask of configuration and system
//! - `call_arguments`: arguments and parameters
//! - `number`, `text`, `binary_operators`: what is done with values, without evaluating anything
//! - `evaluator`: the state of an evaluation
//! - `functions`: the table of functions, and their code
//! - `evaluate`: expressions

pub use budget::{Budget, Fault, Result};
pub use evaluate::evaluate;
pub use evaluate::identifiers::{CONSTANTS, Constant};
pub use evaluate::unknown_names::unknown_names;
pub use functions::peak::check_import;
pub use functions::{FUNCTIONS, Function};
pub use value::alias::Alias;
pub use value::closure::{Home, Variables};
pub use value::properties::{FoundFile, Properties};
pub use value::repr::Repr;
pub use value::{Items, Table, Value};

mod binary_operators;
mod budget;
mod call_arguments;
mod evaluate;
mod evaluator;
mod functions;
mod number;
mod text;
mod value;
