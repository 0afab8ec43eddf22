//! A CGI program, and what it answers.

use std::path::PathBuf;

use bytes::Bytes;

use crate::interface::Response;

/// The program for a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CgiScript {
    /// The file, by an absolute path (`SCRIPT_FILENAME`).
    pub file: PathBuf,
    /// The program that runs the file, unless it is one itself.
    pub interpreter: Option<PathBuf>,
    /// `DOCUMENT_ROOT`.
    pub document_root: PathBuf,
}

impl CgiScript {
    /// How the log calls it: by its name without its folders.
    pub(super) fn name(&self) -> String {
        let name = self.file.file_name().unwrap_or(self.file.as_os_str());
        name.to_string_lossy().escape_debug().to_string()
    }
}

/// What a program answers.
#[derive(Debug)]
pub enum ScriptAnswer {
    /// A response.
    Response(Response),
    /// The response is that of a GET of this path and query (RFC 3875 §6.2.2). The second is what a client gets that is to
    /// look there itself.
    LocalRedirect(Bytes, Response),
}
