//! What a master is told about itself.

use std::ffi::OsString;
use std::fmt;

use super::lifetime::Lifetime;
use super::seat::SeatOptions;

/// How an application is supervised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Supervision {
    /// What makes the master the only one; absolute paths.
    pub seat: SeatOptions,
    /// When it ends by itself.
    pub lifetime: Lifetime,
    /// Programs that are kept running beside the application.
    pub programs: Vec<SideProgram>,
}

/// A program that is kept running.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SideProgram {
    /// The path of the program if it has a `/`, else the name of one that is looked for in `PATH`.
    pub program: OsString,
    /// Its arguments.
    pub arguments: Vec<OsString>,
}

/// As it could be typed.
impl fmt::Display for SideProgram {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = std::iter::once(&self.program).chain(&self.arguments);
        let words: Vec<_> = words.map(|word| word.to_string_lossy()).collect();
        formatter.write_str(&shell_words::join(words))
    }
}
