//! Whether what a program was started from has changed: then a restart makes a difference.

use std::fs;

use super::side_program::SideProgram;
use crate::own_file::FileId;
use crate::supervisor::file_version::FileVersion;

/// What a program is started from. What is not there has no version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ProgramVersion {
    /// The folder in which it begins: its name may be that of a link to the current release.
    folder: Option<FileId>,
    /// The files that it consists of.
    files: Vec<Option<FileVersion>>,
}

impl ProgramVersion {
    /// The present version of a program.
    pub(super) fn of(program: &SideProgram) -> Self {
        let folder = fs::metadata(&program.begins_in);
        let files = program.files().into_iter();
        Self {
            folder: folder.ok().map(|found| FileId::of(&found)),
            files: files.map(|file| FileVersion::at(&file).ok()).collect(),
        }
    }
}
