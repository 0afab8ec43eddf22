//! Rules to values: pure, lazy, bounded.

pub use budget::{Budget, Fault};
pub use functions::{FUNCTIONS, Function};
pub use interpreter::{Home, Properties, Variables, evaluate};
pub use lookups::check_import;
pub use names::{CONSTANTS, Constant};
pub use spelling::unknown_names;
pub use value::{Items, Table, Value};

mod arithmetic;
mod budget;
mod builtins;
mod byte_methods;
mod calls;
mod compare;
mod comprehensions;
mod encodings;
mod functions;
mod interpreter;
mod lookups;
mod methods;
mod names;
mod numbers;
mod numerals;
mod paths;
mod percent;
mod repr;
mod rounding;
mod sequences;
mod specification;
mod spelling;
mod templates;
mod text_parts;
mod texts;
mod translation;
mod value;
