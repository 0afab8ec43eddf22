//! How a master is supervised, as its configuration says.

use super::lifetime::Lifetime;
use super::programs::side_program::SideProgram;
use super::seat::SeatOptions;

/// The supervision of an application.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Supervision {
    /// The files that make the master the only one; absolute paths.
    pub seat: SeatOptions,
    /// When the master ends by itself.
    pub lifetime: Lifetime,
    /// The programs that are kept running beside the application.
    pub programs: Vec<SideProgram>,
}
