//! The text of a configuration file. Its size is bounded, and so is the wait for it: a pipe without a writer is an error.
//!
//! A pipe (`runner -c <(program) …`) or a terminal can be read only once, and a command reads its files several times. Their
//! texts are kept until [`forget_pipes`].

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fmt;
use std::fs::OpenOptions;
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

use crate::current_folder;
use crate::log;
use crate::syntax::ini_lines::decode;
use crate::syntax::{Diagnostic, Source, quoted};

/// Bytes of a file at most.
pub const LARGEST: u64 = 16 << 20;

/// The text of a configuration file.
///
/// # Errors
/// It cannot be read, is too large, or is not text.
pub fn source(path: &Path) -> Result<Arc<Source>, Diagnostic> {
    read_source(path, &path.display().to_string())
}

/// The text of a configuration file that has this name in messages.
pub(crate) fn read_source(path: &Path, shown: &str) -> Result<Arc<Source>, Diagnostic> {
    let bytes = read(path).map_err(|error| {
        let (code, reason) = match error.kind() {
            ErrorKind::NotFound => ("include/missing", "there is no such file".to_owned()),
            ErrorKind::IsADirectory => ("include/folder", "it is a folder".to_owned()),
            ErrorKind::PermissionDenied => ("include/permission", "permission denied".to_owned()),
            _ => ("include/unreadable", system_message(&error)),
        };
        let hint = error.get_ref().filter(|error| error.is::<ReadBefore>());
        let hint = hint.map(|_| "a server that is to reload needs a file".to_owned());
        Diagnostic::new(code, format!("cannot read {}: {reason}", quoted(shown))).with_hint_if(hint)
    })?;
    if bytes.len() as u64 > LARGEST {
        let most = LARGEST >> 20;
        let message = format!("the file {} has more than {most} MiB", quoted(shown));
        return Err(Diagnostic::new("limit/file", message));
    }
    decode(shown, bytes)
}

/// Identifies a file: its device and its number there.
type FileNumber = (u64, u64);

/// The texts of the pipes and terminals that were read; `None` where they were forgotten.
static PIPES: Mutex<BTreeMap<FileNumber, Option<Vec<u8>>>> = Mutex::new(BTreeMap::new());

fn pipes() -> MutexGuard<'static, BTreeMap<FileNumber, Option<Vec<u8>>>> {
    PIPES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Forgets the texts of pipes and terminals. From now on, reading one of these again is an error: a reload must not take the
/// old text for a new one.
pub fn forget_pipes() {
    pipes().values_mut().for_each(|text| *text = None);
}

/// The files that were to be read, whether they could be or not. A configuration with a mistake gives no other value that
/// could have them.
static READ: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// The absolute paths of the files that this process has tried to read as configuration.
pub fn files_read() -> BTreeSet<PathBuf> {
    READ.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// A pipe or a terminal was read before, and its text forgotten.
#[derive(Debug)]
struct ReadBefore;

impl fmt::Display for ReadBefore {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("it is a pipe or a terminal, which can be read only once")
    }
}

impl Error for ReadBefore {}

/// Reads a file, or gives the text that was read before if it can be read only once.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut files = READ.lock().unwrap_or_else(PoisonError::into_inner);
    files.insert(current_folder::absolute(path));
    drop(files);
    let found = std::fs::metadata(path)?;
    if found.is_file() || found.is_dir() {
        return read_now(path);
    }
    let mut pipes = pipes();
    match pipes.entry((found.dev(), found.ino())) {
        Entry::Occupied(text) => {
            let text = text.get().clone();
            text.ok_or_else(|| io::Error::other(ReadBefore))
        }
        Entry::Vacant(place) => {
            let text = read_now(path)?;
            // `/dev/null` can be read as often as one likes.
            if !text.is_empty() {
                place.insert(Some(text.clone()));
            }
            Ok(text)
        }
    }
}

/// Reads a file, up to one byte beyond the limit. A pipe (`runner check <(program)`) is read until its writer closes
/// it. A pipe that no process has open for writing is an error, since reading it would block for ever.
fn read_now(path: &Path) -> io::Result<Vec<u8>> {
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let mut options = OpenOptions::new();
    let mut file = options.read(true).custom_flags(flags).open(path)?;
    let mut bytes = Vec::new();
    if file.metadata()?.file_type().is_fifo() {
        let mut first = [0];
        match file.read(&mut first) {
            Ok(0) => return Err(io::Error::other("it is a pipe without a writer")),
            Ok(_) => bytes.extend(first),
            // The writer has not written anything yet.
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    fcntl_setfl(&file, fcntl_getfl(&file)? - OFlags::NONBLOCK)?;
    file.take(LARGEST + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The system's message, without its number and in lower case.
fn system_message(error: &io::Error) -> String {
    let text = log::without_numbers(&error.to_string());
    let mut characters = text.chars();
    match characters.next() {
        Some(first) => first.to_lowercase().chain(characters).collect(),
        None => String::new(),
    }
}
