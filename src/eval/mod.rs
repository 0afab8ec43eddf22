//! Rules to values: pure, lazy, bounded.

pub use budget::{Budget, Fault};
pub use evaluate::identifiers::{CONSTANTS, Constant};
pub use evaluate::unknown_names::unknown_names;
pub use evaluate::{Home, Properties, Variables, evaluate};
pub use functions::configuration::check_import;
pub use functions::{FUNCTIONS, Function};
pub use value::{Items, Table, Value};

mod budget;
mod evaluate;
mod functions;
mod number;
mod text;
mod value;
