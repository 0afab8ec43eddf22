//! Tree to rules: the only reading of configuration files.
//!
//! [`files`] turns each file of the layers into rules ([`rule`]). [`rules`] finds the rule that gives a property its
//! value, and evaluates it when the property is first read. [`checks`] looks at the settings in [`SETTINGS`] whose names
//! begin with `runner.`, before anything is run. [`Configuration`] is what the rest of the program uses.

pub use checks::checked_value::is_variable_name;
pub use checks::inspect::{Inspection, inspect};
pub use checks::quantities::duration;
pub use checks::validate::sort_by_place;
pub use configuration::{Configuration, Layer};
pub use files::dotenv::variables;
pub use files::file_format::{FileFormat, format, format_of, is_program};
pub use files::ini_file::SHORT;
pub use files::read_bounded::{LARGEST, files_read, forget_pipes, source};
pub use files::section::{SPECIAL, Special};
pub use keys::{COMMAND, KEYS, Key, PID_FILE, SUPERVISED};
pub use listing::{Gives, Listed, Whence, list};
pub use prefixes::is_of_applications;
pub use rule::Part;
pub use setting::{BooleanOrText, Checked, DefaultValue, Setting, SettingKind};
pub use settings::SETTINGS;

mod allowance;
mod checks;
mod configuration;
mod files;
mod keys;
mod listing;
mod name;
mod prefixes;
mod rule;
mod rules;
mod setting;
mod settings;
