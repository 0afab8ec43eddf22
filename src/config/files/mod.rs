//! Configuration files become rules: INI files with settings and sections ([`ini_file`]), and files for `supervise`
//! with a key and its value on each line ([`key_file`]).

pub(super) mod dotenv;
pub(super) mod file_format;
pub(super) mod ini_file;
pub(super) mod key_file;
pub(super) mod load;
pub(super) mod read_bounded;
pub(super) mod section;

mod plain_ini;
