//! Receiving request bodies: small ones in memory, larger ones in a memory file, large ones in an
//! unlinked file, so that the application always gets a complete body and a slow upload costs little.

use std::fmt;
use std::fs::File;
use std::io::{self, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use crate::application::RequestBody;
use crate::unix;

/// The largest body that stays in memory of ours, in bytes.
pub const IN_MEMORY: usize = 64 * 1024;

/// The largest body that is kept in a memory file, in bytes.
const IN_MEMORY_FILE: u64 = 1024 * 1024;

/// Where bodies are kept, and how large they may be.
#[derive(Clone, Debug)]
pub struct SpoolOptions {
    /// The folder for large bodies.
    pub folder: PathBuf,
    /// The largest body that is accepted, in bytes.
    pub limit: u64,
}

impl Default for SpoolOptions {
    /// The system's folder for temporary files, and no limit.
    fn default() -> Self {
        Self {
            folder: std::env::temp_dir(),
            limit: u64::MAX,
        }
    }
}

/// A body while it comes in.
#[derive(Debug)]
pub struct Spool {
    options: Arc<SpoolOptions>,
    place: Place,
    length: u64,
}

#[derive(Debug)]
enum Place {
    Memory(BytesMut),
    MemoryFile(File),
    File(File),
}

/// Why a body cannot be received.
#[derive(Debug)]
pub enum SpoolError {
    /// It is larger than the limit: the client's mistake (413).
    TooLarge,
    /// It cannot be kept: our trouble (500, and a line in the log).
    Unwritable(anyhow::Error),
}

impl Spool {
    /// Begins to receive a body.
    #[must_use]
    pub fn new(options: &Arc<SpoolOptions>) -> Self {
        Self {
            options: Arc::clone(options),
            place: Place::Memory(BytesMut::new()),
            length: 0,
        }
    }

    /// The number of bytes so far.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Takes the next part of the body.
    ///
    /// # Errors
    /// The body is too large, or cannot be kept; the spool is of no use then.
    pub fn push(&mut self, part: &[u8]) -> Result<(), SpoolError> {
        self.length += part.len() as u64;
        if self.length > self.options.limit {
            return Err(SpoolError::TooLarge);
        }
        if let Place::Memory(bytes) = &mut self.place {
            if self.length <= IN_MEMORY as u64 {
                bytes.extend_from_slice(part);
                return Ok(());
            }
            let mut file = unix::anonymous_file("runner-body").map_err(not_in_memory)?;
            file.write_all(bytes).map_err(not_in_memory)?;
            self.place = Place::MemoryFile(file);
        }
        if let Place::MemoryFile(file) = &mut self.place {
            if self.length <= IN_MEMORY_FILE {
                return file.write_all(part).map_err(not_in_memory);
            }
            let folder = &self.options.folder;
            let file = move_to(folder, file).map_err(|error| not_in(folder, error))?;
            self.place = Place::File(file);
        }
        if let Place::File(file) = &mut self.place {
            let folder = &self.options.folder;
            file.write_all(part)
                .map_err(|error| not_in(folder, error))?;
        }
        Ok(())
    }

    /// The whole body.
    ///
    /// # Errors
    /// [`SpoolError::Unwritable`].
    pub fn finish(self) -> Result<RequestBody, SpoolError> {
        match self.place {
            Place::Memory(bytes) => Ok(in_one_piece(bytes.freeze())),
            Place::MemoryFile(mut file) | Place::File(mut file) => {
                file.rewind()
                    .map_err(|error| not_in(&self.options.folder, error))?;
                Ok(RequestBody::File {
                    file,
                    length: self.length,
                })
            }
        }
    }
}

/// A body that came in one piece.
#[must_use]
pub fn in_one_piece(bytes: Bytes) -> RequestBody {
    if bytes.is_empty() {
        RequestBody::Empty
    } else {
        RequestBody::Bytes(bytes)
    }
}

/// A file in the folder, without a name, with what the memory file holds.
fn move_to(folder: &Path, memory: &mut File) -> io::Result<File> {
    let mut file = unnamed_file(folder)?;
    memory.rewind()?;
    io::copy(memory, &mut file)?;
    Ok(file)
}

/// An empty file in a folder, open for reading and writing, that goes when it is closed.
fn unnamed_file(folder: &Path) -> io::Result<File> {
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{Mode, OFlags};
        use rustix::io::Errno;
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        match rustix::fs::open(folder, flags, Mode::RUSR | Mode::WUSR) {
            Ok(file) => return Ok(File::from(file)),
            // File systems that cannot do it, and kernels that take it for a plain folder.
            Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL) => {}
            Err(error) => return Err(error.into()),
        }
    }
    created_and_removed(folder)
}

/// How many names are tried before a folder full of other people's files is given up.
const NAMES: u32 = 100;

fn created_and_removed(folder: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);

    for _ in 0..NAMES {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = folder.join(format!("runner-body-{}-{number}", std::process::id()));
        let mut options = File::options();
        options.read(true).write(true).create_new(true).mode(0o600);
        match options.open(&path) {
            Ok(file) => {
                std::fs::remove_file(&path)?;
                return Ok(file);
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

fn not_in_memory(error: io::Error) -> SpoolError {
    SpoolError::Unwritable(
        anyhow::Error::from(error).context("cannot keep a request's body in memory"),
    )
}

fn not_in(folder: &Path, error: io::Error) -> SpoolError {
    SpoolError::Unwritable(anyhow::Error::from(error).context(format!(
        "cannot keep a request's body in `{}`",
        folder.display()
    )))
}

impl fmt::Display for SpoolError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge => formatter.write_str("the request's body is too large"),
            Self::Unwritable(error) => write!(formatter, "{error:#}"),
        }
    }
}

impl std::error::Error for SpoolError {}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::path::{Path, PathBuf};
    use std::sync::Arc;

    use super::{Spool, SpoolError, SpoolOptions, created_and_removed};
    use crate::application::RequestBody;

    fn options(folder: &Path) -> Arc<SpoolOptions> {
        Arc::new(SpoolOptions {
            folder: folder.to_owned(),
            limit: 3_000_000,
        })
    }

    #[test]
    fn every_size_comes_out_as_it_went_in_and_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let options = options(folder.path());
        let everything: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
        for (size, in_file) in [
            (0, false),
            (1, false),
            (65_536, false),
            (65_537, true),
            (1_048_576, true),
            (1_048_577, true),
            (3_000_000, true),
        ] {
            for part in [size.max(1), 8_191] {
                let mut spool = Spool::new(&options);
                for part in everything[..size].chunks(part) {
                    spool.push(part).unwrap();
                }
                let body = spool.finish().unwrap();
                assert_eq!(body.length(), size as u64);
                let received = match body {
                    RequestBody::Empty => Vec::new(),
                    RequestBody::Bytes(bytes) => bytes.to_vec(),
                    RequestBody::File { mut file, .. } => {
                        assert!(in_file, "{size}");
                        let mut bytes = Vec::new();
                        file.read_to_end(&mut bytes).unwrap();
                        bytes
                    }
                };
                assert!(received == everything[..size], "{size}");
                assert_eq!(folder.path().read_dir().unwrap().count(), 0);
            }
        }
    }

    #[test]
    fn a_body_beyond_the_limit_is_too_large() {
        let folder = tempfile::tempdir().unwrap();
        let options = options(folder.path());
        let mut spool = Spool::new(&options);
        spool.push(&[0; 3_000_000]).unwrap();
        assert!(matches!(spool.push(&[0]), Err(SpoolError::TooLarge)));
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_named() {
        let options = options(Path::new("/no/such/folder"));
        let mut spool = Spool::new(&options);
        spool.push(&[0; 1_000_000]).unwrap();
        let error = spool.push(&[0; 1_000_000]).unwrap_err();
        assert!(matches!(error, SpoolError::Unwritable(_)));
        assert_eq!(
            error.to_string(),
            "cannot keep a request's body in `/no/such/folder`: No such file or directory (os error 2)"
        );
    }

    #[test]
    fn a_folder_without_unnamed_files_does_as_well() {
        let folder = tempfile::tempdir().unwrap();
        let taken: Vec<PathBuf> = (0..3)
            .map(|number| {
                folder
                    .path()
                    .join(format!("runner-body-{}-{number}", std::process::id()))
            })
            .collect();
        for path in &taken {
            std::fs::write(path, "somebody else's").unwrap();
        }
        created_and_removed(folder.path()).unwrap();
        assert_eq!(folder.path().read_dir().unwrap().count(), taken.len());
    }
}
