//! Configuration files: what they hold becomes rules.

pub(super) mod key_file;
pub(super) mod load;
pub(super) mod read_bounded;
pub(super) mod section;

mod dotenv;
