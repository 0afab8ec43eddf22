//! Where request bodies are kept while they come in: small ones in memory, larger ones in a memory file, large ones in an
//! unlinked file. So an application always gets a complete body, and a slow upload costs little. While some of a body is
//! written to the disk, the next parts are received.

use std::fmt;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::anyhow;
use bytes::{Bytes, BytesMut};
use tokio::task::JoinHandle;

use crate::clients::ClientNetwork;
use crate::gateway::body::disk_shares::{DiskShare, DiskShares};
use crate::gateway::body::write_queue::WriteQueue;
use crate::interface::RequestBody;
use crate::interface::body_file::BodyFile;

/// The largest body that is kept in the process's own memory, in bytes.
pub const IN_MEMORY: usize = 64 * 1024;

/// The largest body that is kept in a memory file, in bytes.
const IN_MEMORY_FILE: u64 = 256 * 1024;

/// The same where no file can be made, as in a container without a writable folder.
const WITHOUT_FOLDER: u64 = 1024 * 1024;

/// Where bodies are kept, and the largest one that is accepted.
#[derive(Clone, Debug)]
pub struct SpoolOptions {
    /// The folder for large bodies.
    pub folder: PathBuf,
    /// The largest body that is accepted, in bytes.
    pub limit: u64,
    /// What the bodies of each client have of the disk.
    pub disk: Arc<DiskShares>,
}

impl Default for SpoolOptions {
    /// The system's folder for temporary files, and no limit.
    fn default() -> Self {
        Self {
            folder: std::env::temp_dir(),
            limit: u64::MAX,
            disk: Arc::default(),
        }
    }
}

/// A body while it comes in.
#[derive(Debug)]
pub struct Spool {
    options: Arc<SpoolOptions>,
    /// The last parts: small ones are gathered, so that many of them cost no more than a few large ones.
    unwritten: BytesMut,
    /// The parts before them, if the body is larger than [`IN_MEMORY`].
    file: Option<BodyFile>,
    /// What it has of the disk, once the file is there.
    share: Option<Arc<DiskShare>>,
    client: Option<ClientNetwork>,
    /// The size of the file, in bytes, when the queue is written.
    written: u64,
    /// What is to be written to a file on the disk.
    queue: Arc<WriteQueue>,
    /// The writer that was started last.
    writer: Option<JoinHandle<io::Result<()>>>,
}

/// Why a body cannot be received.
#[derive(Debug)]
pub enum SpoolError {
    /// It is larger than the limit.
    TooLarge,
    /// There is no space for it.
    NoSpace(anyhow::Error),
    /// It cannot be kept.
    Unwritable(anyhow::Error),
}

impl Spool {
    /// Begins to receive a body, of a client if that is known.
    pub fn new(options: &Arc<SpoolOptions>, client: Option<ClientNetwork>) -> Self {
        Self {
            client,
            share: None,
            options: Arc::clone(options),
            unwritten: BytesMut::new(),
            file: None,
            written: 0,
            queue: Arc::default(),
            writer: None,
        }
    }

    /// The number of bytes received so far.
    pub fn length(&self) -> u64 {
        self.written + self.unwritten.len() as u64
    }

    /// Appends the next part of the body. After an error, or if the future is dropped, the spool must not be used any more.
    ///
    /// # Errors
    /// The body is too large, or cannot be kept.
    pub async fn push(&mut self, part: Bytes) -> Result<(), SpoolError> {
        if self.length() + part.len() as u64 > self.options.limit {
            return Err(SpoolError::TooLarge);
        }
        if self.unwritten.len() + part.len() <= IN_MEMORY {
            self.gather(&part);
            return Ok(());
        }
        let gathered = std::mem::take(&mut self.unwritten).freeze();
        if part.len() > IN_MEMORY {
            return self.write(vec![gathered, part]).await;
        }
        // As a slice it would keep the whole read buffer in memory.
        self.gather(&part);
        self.write(vec![gathered]).await
    }

    /// Appends a part to what is not written yet, in a buffer of at most [`IN_MEMORY`] bytes.
    fn gather(&mut self, part: &[u8]) {
        let length = self.unwritten.len() + part.len();
        let capacity = self.unwritten.capacity();
        if capacity < length {
            let larger = length.max((2 * capacity).min(IN_MEMORY));
            let smaller = std::mem::replace(&mut self.unwritten, BytesMut::with_capacity(larger));
            self.unwritten.extend_from_slice(&smaller);
        }
        self.unwritten.extend_from_slice(part);
    }

    /// Appends pieces to the file, or to what is written to it meanwhile.
    async fn write(&mut self, pieces: Vec<Bytes>) -> Result<(), SpoolError> {
        let offset = self.written;
        let size = pieces.iter().map(|piece| piece.len() as u64).sum::<u64>();
        self.written += size;
        let file = match self.file.take() {
            Some(file) if file.is_in_memory() && self.written > IN_MEMORY_FILE => {
                match self.move_to_disk(&file, offset).await {
                    Ok(moved) => moved,
                    Err(_) if self.written <= WITHOUT_FOLDER => file,
                    Err(error) => return Err(error),
                }
            }
            Some(file) if file.is_in_memory() => file,
            Some(file) => {
                if let Some(share) = &self.share {
                    self.take(share, size, &file).await?;
                }
                file
            }
            None => BodyFile::in_memory().map_err(not_in_memory)?,
        };
        if file.is_in_memory() {
            let mut pieces = Some(pieces);
            let write = file.write_all(offset, move || pieces.take().unwrap_or_default());
            write.await.map_err(not_in_memory)?;
        } else if self.queue.push(pieces) {
            // The writer before it has written all that was before these pieces.
            let queue = Arc::clone(&self.queue);
            let write = file.write_all(offset, move || queue.take());
            self.writer = Some(tokio::spawn(write));
        }
        self.file = Some(file);
        let failed = tokio::select! {
            biased;
            () = self.queue.room() => return Ok(()),
            failed = ended(&mut self.writer) => failed,
        };
        self.writer = None;
        failed.map_err(|error| not_in(&self.options.folder, error))
    }

    /// Copies a file from memory to the folder, where there is space for all that was received.
    async fn move_to_disk(
        &mut self,
        memory: &BodyFile,
        length: u64,
    ) -> Result<BodyFile, SpoolError> {
        let folder = &self.options.folder;
        let file = BodyFile::in_folder(folder.clone()).await;
        let file = file.map_err(|error| not_in(folder, error))?;
        let share = Arc::new(DiskShare::new(&self.options.disk, self.client));
        let file = file.holding(Arc::clone(&share));
        self.take(&share, self.written, &file).await?;
        let copied = copy(memory, &file, length).await;
        copied.map_err(|error| not_in(folder, error))?;
        self.share = Some(share);
        Ok(file)
    }

    /// Takes space for more of the body.
    async fn take(&self, share: &DiskShare, bytes: u64, file: &BodyFile) -> Result<(), SpoolError> {
        match share.take(bytes, file).await {
            true => Ok(()),
            false => Err(SpoolError::NoSpace(anyhow!(
                "the bodies of its client have as much of `{}` as they leave free (runner.tmp)",
                self.options.folder.display()
            ))),
        }
    }

    /// The whole body.
    ///
    /// # Errors
    /// [`SpoolError::NoSpace`], [`SpoolError::Unwritable`].
    pub async fn finish(mut self) -> Result<RequestBody, SpoolError> {
        let rest = self.unwritten.split().freeze();
        if self.file.is_some() && !rest.is_empty() {
            self.write(vec![rest.clone()]).await?;
        }
        if self.queue.has_writer() {
            let written = ended(&mut self.writer).await;
            written.map_err(|error| not_in(&self.options.folder, error))?;
        }
        let length = self.written;
        Ok(match self.file {
            Some(file) => RequestBody::File { file, length },
            None => from_bytes(rest),
        })
    }
}

/// What came of a writer, when it has ended.
async fn ended(writer: &mut Option<JoinHandle<io::Result<()>>>) -> io::Result<()> {
    match writer {
        Some(writer) => writer.await.map_err(io::Error::other).flatten(),
        None => Ok(()),
    }
}

/// Copies so many bytes.
async fn copy(from: &BodyFile, to: &BodyFile, length: u64) -> io::Result<()> {
    let mut offset = 0;
    while offset < length {
        let piece = from.read(offset, length - offset).await?;
        let size = piece.len() as u64;
        to.write(offset, piece).await?;
        offset += size;
    }
    Ok(())
}

/// A body that came as one part.
pub fn from_bytes(bytes: Bytes) -> RequestBody {
    if bytes.is_empty() {
        RequestBody::Empty
    } else {
        RequestBody::Bytes(bytes)
    }
}

fn not_in_memory(error: io::Error) -> SpoolError {
    SpoolError::Unwritable(
        anyhow::Error::from(error).context("cannot keep a request's body in memory"),
    )
}

fn not_in(folder: &Path, error: io::Error) -> SpoolError {
    let kind = error.kind();
    let folder = folder.display();
    let error = anyhow::Error::from(error);
    match kind {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
            let context = format!("no space for a request's body in `{folder}` (runner.tmp)");
            SpoolError::NoSpace(error.context(context))
        }
        _ => {
            let context = format!("cannot keep a request's body in `{folder}`");
            SpoolError::Unwritable(error.context(context))
        }
    }
}

impl fmt::Display for SpoolError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge => formatter.write_str("the request's body is too large"),
            Self::NoSpace(error) | Self::Unwritable(error) => write!(formatter, "{error:#}"),
        }
    }
}

impl std::error::Error for SpoolError {}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Arc;

    use bytes::Bytes;

    use super::{IN_MEMORY, Spool, SpoolError, SpoolOptions};
    use crate::interface::RequestBody;

    fn options(folder: &Path) -> Arc<SpoolOptions> {
        Arc::new(SpoolOptions {
            folder: folder.to_owned(),
            limit: 3_000_000,
            ..SpoolOptions::default()
        })
    }

    #[tokio::test]
    async fn every_size_comes_out_as_it_went_in_and_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let options = options(folder.path());
        let everything: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
        for (size, in_file) in [
            (0, false),
            (1, false),
            (65_536, false),
            (65_537, true),
            (262_144, true),
            (262_145, true),
            (1_048_577, true),
            (3_000_000, true),
        ] {
            for part in [size.max(1), 131_072, 8_191, 5_000] {
                let mut spool = Spool::new(&options, None);
                for part in everything[..size].chunks(part) {
                    spool.push(Bytes::copy_from_slice(part)).await.unwrap();
                    assert!(spool.unwritten.capacity() <= IN_MEMORY);
                }
                let body = spool.finish().await.unwrap();
                assert_eq!(body.length(), size as u64);
                let received = match body {
                    RequestBody::Empty => Vec::new(),
                    RequestBody::Bytes(bytes) => bytes.to_vec(),
                    RequestBody::File { file, length } => {
                        assert!(in_file, "{size}");
                        let mut bytes = Vec::new();
                        while (bytes.len() as u64) < length {
                            let read = file.read(bytes.len() as u64, length);
                            bytes.extend_from_slice(&read.await.unwrap());
                        }
                        bytes
                    }
                };
                assert!(received == everything[..size], "{size}");
                assert_eq!(folder.path().read_dir().unwrap().count(), 0);
            }
        }
    }

    #[tokio::test]
    async fn a_body_beyond_the_limit_is_too_large() {
        let folder = tempfile::tempdir().unwrap();
        let options = options(folder.path());
        let mut spool = Spool::new(&options, None);
        spool.push(vec![0; 3_000_000].into()).await.unwrap();
        let one_more = spool.push(Bytes::from_static(b"0")).await;
        assert!(matches!(one_more, Err(SpoolError::TooLarge)));
    }

    #[tokio::test]
    async fn a_folder_that_cannot_be_written_is_named() {
        let options = options(Path::new("/no/such/folder"));
        let mut spool = Spool::new(&options, None);
        spool.push(vec![0; 1_000_000].into()).await.unwrap();
        let error = spool.push(vec![0; 1_000_000].into()).await.unwrap_err();
        assert!(matches!(error, SpoolError::Unwritable(_)));
        assert_eq!(
            error.to_string(),
            "cannot keep a request's body in `/no/such/folder`: No such file or directory (os error 2)"
        );
    }
}
