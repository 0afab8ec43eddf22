//! The bytes of a configuration file: bounded in size, and in what they are waited for.

use std::fs::OpenOptions;
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

use crate::log;
use crate::syntax::{Diagnostic, quoted};

/// Bytes of the largest file.
pub const LARGEST: u64 = 16 << 20;

/// The bytes of a file.
///
/// # Errors
/// It cannot be read, or is too large.
pub(in crate::config) fn read_bounded(path: &Path, shown: &str) -> Result<Vec<u8>, Diagnostic> {
    let bytes = read(path).map_err(|error| {
        let (code, reason) = match error.kind() {
            ErrorKind::NotFound => ("include/missing", "there is no such file".to_owned()),
            ErrorKind::IsADirectory => ("include/folder", "it is a folder".to_owned()),
            ErrorKind::PermissionDenied => ("include/permission", "permission denied".to_owned()),
            _ => ("include/unreadable", in_our_words(&error)),
        };
        Diagnostic::new(code, format!("cannot read {}: {reason}", quoted(shown)))
    })?;
    if bytes.len() as u64 > LARGEST {
        let most = LARGEST >> 20;
        let message = format!("the file {} has more than {most} MiB", quoted(shown));
        return Err(Diagnostic::new("limit/file", message));
    }
    Ok(bytes)
}

/// Reads a file, up to one byte more than it may have. A pipe is read as far as somebody writes
/// (`runner check <(program)`); one into which nobody does would be waited for without end.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let mut options = OpenOptions::new();
    let mut file = options.read(true).custom_flags(flags).open(path)?;
    let mut bytes = Vec::new();
    if file.metadata()?.file_type().is_fifo() {
        let mut first = [0];
        match file.read(&mut first) {
            Ok(0) => return Err(io::Error::other("it is a pipe into which nobody writes")),
            Ok(_) => bytes.extend(first),
            // Whoever writes has not begun.
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    fcntl_setfl(&file, fcntl_getfl(&file)? - OFlags::NONBLOCK)?;
    file.take(LARGEST + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// What the system says, without its number and in lower case.
fn in_our_words(error: &io::Error) -> String {
    let text = log::without_numbers(&error.to_string());
    let mut characters = text.chars();
    match characters.next() {
        Some(first) => first.to_lowercase().chain(characters).collect(),
        None => String::new(),
    }
}
