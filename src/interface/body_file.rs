//! The body of a request or of a response as a file. A disk can be slow, full or frozen: a file on a disk is
//! written, read and closed on threads, so that the event loop never waits.

use std::any::Any;
use std::fmt;
use std::fs::File;
use std::future::Future;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use crate::log::LogSubject;
use crate::unix;

/// How much of a file is read at a time, in bytes.
pub const PIECE: u64 = 128 * 1024;

/// How many threads may wait for runner's files, and how many for those of applications. A frozen disk takes no more of
/// tokio's threads, so that other work goes on.
const THREADS: usize = 64;
static OUR_THREADS: Semaphore = Semaphore::const_new(THREADS);
static THEIR_THREADS: Semaphore = Semaphore::const_new(THREADS);

/// An open file. Clones are the same one; the last one closes it.
#[derive(Clone, Debug)]
pub struct BodyFile {
    /// `None` only while this is dropped.
    file: Option<Arc<SharedFile>>,
    place: Storage,
}

/// What all clones have in common.
#[derive(Debug)]
struct SharedFile {
    file: File,
    /// What the log says that it is.
    subject: Option<Box<dyn FileSubject>>,
    /// As it was when it was opened, if it is sent as that.
    version: Option<FileState>,
    /// What is given back when it is closed.
    held: Option<Box<dyn Any + Send + Sync>>,
}

/// How much of a file system is there for files of this process, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DiskSpace {
    /// In all; 0 where that is not known.
    pub total: u64,
    /// Not in use.
    pub free: u64,
}

/// What a change of a file changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileState {
    /// In bytes.
    pub length: u64,
    /// When it was changed last.
    pub modified: SystemTime,
}

impl FileState {
    /// Whether a file that was so has been changed. One that has become longer counts as the same: programs add to the end of
    /// a log, and what was there before stays.
    fn is_changed(self, file: &File) -> io::Result<bool> {
        let now = file.metadata()?;
        Ok(now.modified()? != self.modified && now.len() <= self.length)
    }
}

/// What a file is that is sent to a client: a line of the log says it (`the file for GET /a`).
pub trait FileSubject: fmt::Debug + fmt::Display + Send + Sync {
    /// What such a line is about.
    fn log_subject(&self) -> LogSubject<'_>;
}

/// Where a file is.
#[derive(Clone, Copy, Debug)]
enum Storage {
    /// In memory: access never waits.
    Memory,
    /// In runner's folder for temporary files.
    Ours,
    /// Anywhere: the application has opened it.
    Theirs,
}

impl BodyFile {
    /// An empty file in memory, without a name.
    ///
    /// # Errors
    /// The system has no memory or descriptors left.
    pub fn in_memory() -> io::Result<Self> {
        let file = unix::anonymous_file("runner-body")?;
        Ok(Self::new(file, Storage::Memory))
    }

    /// An empty file in a folder, without a name: it is gone when it is closed.
    ///
    /// # Errors
    /// No file can be made there.
    pub async fn in_folder(folder: PathBuf) -> io::Result<Self> {
        let file = on_thread(Storage::Ours, move || unnamed_file(&folder)).await?;
        Ok(Self::new(file, Storage::Ours))
    }

    /// A file that an application has opened.
    #[must_use]
    pub fn of_application(file: File) -> Self {
        Self::new(file, Storage::Theirs)
    }

    fn new(file: File, place: Storage) -> Self {
        let shared = SharedFile {
            file,
            subject: None,
            version: None,
            held: None,
        };
        Self {
            file: Some(Arc::new(shared)),
            place,
        }
    }

    /// A file that an application has opened, of which the log can say what it is. If it is sent as it was at a time, reading
    /// fails once it is changed.
    #[must_use]
    pub fn about(
        file: File,
        version: Option<FileState>,
        subject: impl FileSubject + 'static,
    ) -> Self {
        let shared = SharedFile {
            file,
            subject: Some(Box::new(subject)),
            version,
            held: None,
        };
        Self {
            file: Some(Arc::new(shared)),
            place: Storage::Theirs,
        }
    }

    /// The same file, before it is cloned, with something that is dropped when it is closed.
    #[must_use]
    pub fn holding(mut self, held: impl Any + Send + Sync) -> Self {
        if let Some(shared) = self.file.as_mut().and_then(Arc::get_mut) {
            shared.held = Some(Box::new(held));
        }
        self
    }

    /// The space on its file system (statvfs(3)).
    ///
    /// # Errors
    /// The system does not tell, or the program ends.
    pub fn space(&self) -> impl Future<Output = io::Result<DiskSpace>> + Send + use<> {
        self.clone().work(|file| {
            let found = rustix::fs::fstatvfs(file)?;
            Ok(DiskSpace {
                total: found.f_blocks.saturating_mul(found.f_frsize),
                free: found.f_bavail.saturating_mul(found.f_frsize),
            })
        })
    }

    /// Looks whether it is still what it is sent as.
    ///
    /// # Errors
    /// It was changed.
    pub fn check_version(&self) -> io::Result<()> {
        match self.file.as_deref() {
            Some(SharedFile {
                file,
                version: Some(version),
                ..
            }) if version.is_changed(file)? => {
                Err(io::Error::other("it was changed while it was sent"))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// What the log says that it is.
    #[must_use]
    pub fn subject(&self) -> Option<&dyn FileSubject> {
        self.file.as_ref()?.subject.as_deref()
    }

    /// The descriptor, for another process. Its offset is at the start, since runner reads and writes at offsets.
    ///
    /// # Errors
    /// Never, as long as the file is there.
    pub fn descriptor(&self) -> io::Result<BorrowedFd<'_>> {
        let file = self.file.as_ref().ok_or(io::ErrorKind::NotFound)?;
        Ok(file.file.as_fd())
    }

    /// Whether it is in memory.
    #[must_use]
    pub fn is_in_memory(&self) -> bool {
        matches!(self.place, Storage::Memory)
    }

    /// Whether the system has these bytes in its memory, so that nothing waits for a disk. `false` where it does not tell: it
    /// does so from Linux 6.5 on, for files that this process owns or may write.
    #[must_use]
    pub fn is_cached(&self, offset: u64, length: u64) -> bool {
        match self.place {
            Storage::Memory => true,
            Storage::Ours | Storage::Theirs => self
                .descriptor()
                .is_ok_and(|file| unix::is_cached(file, offset, length)),
        }
    }

    /// Writes all bytes at an offset. If the future is dropped, they may be written all the same.
    ///
    /// # Errors
    /// The file cannot be written, or the program ends.
    pub fn write(
        &self,
        offset: u64,
        bytes: Bytes,
    ) -> impl Future<Output = io::Result<()>> + Send + use<> {
        self.clone()
            .work(move |file| file.write_all_at(&bytes, offset))
    }

    /// Writes pieces one behind the other from an offset on, until there are no `next` ones.
    ///
    /// # Errors
    /// The file cannot be written, or the program ends.
    pub fn write_all<N>(
        &self,
        mut offset: u64,
        mut next: N,
    ) -> impl Future<Output = io::Result<()>> + Send + use<N>
    where
        N: FnMut() -> Vec<Bytes> + Send + 'static,
    {
        self.clone().work(move |file| {
            loop {
                let pieces = next();
                if pieces.is_empty() {
                    return Ok(());
                }
                for piece in pieces {
                    file.write_all_at(&piece, offset)?;
                    offset += piece.len() as u64;
                }
            }
        })
    }

    /// Some bytes from an offset on, at most `length` of them and [`PIECE`]. Those that the system has in memory are read here:
    /// a thread for each piece would cost more than the copy.
    ///
    /// # Errors
    /// The file cannot be read, is shorter, or was changed ([`BodyFile::about`]), or the program ends.
    pub fn read(
        &self,
        offset: u64,
        length: u64,
    ) -> impl Future<Output = io::Result<Bytes>> + Send + use<> {
        let this = self.clone();
        async move {
            if let (Some(file), Storage::Ours | Storage::Theirs) = (&this.file, this.place)
                // At most 128 KiB, which every usize holds.
                && let Some(piece) = read_cached(&file.file, offset, length.min(PIECE) as usize)
            {
                // What was read before a change is whole.
                this.check_version()?;
                return Ok(piece.into());
            }
            let version = this.clone();
            this.work(move |file| {
                let piece = read_piece(file, offset, length)?;
                version.check_version()?;
                Ok(piece)
            })
            .await
        }
    }

    async fn work<T: Send + 'static>(
        self,
        work: impl FnOnce(&File) -> io::Result<T> + Send + 'static,
    ) -> io::Result<T> {
        let place = self.place;
        on_thread(place, move || match &self.file {
            Some(open) => work(&open.file),
            None => Err(io::ErrorKind::NotFound.into()),
        })
        .await
    }
}

impl Drop for BodyFile {
    fn drop(&mut self) {
        // Closing the last descriptor of an unlinked file frees its blocks, which may take long; NFS asks the server.
        let Some(file) = self.file.take().and_then(Arc::into_inner) else {
            return;
        };
        match (self.place, Handle::try_current()) {
            (Storage::Ours | Storage::Theirs, Ok(runtime)) => {
                let place = self.place;
                runtime.spawn(on_thread(place, move || {
                    drop(file);
                    Ok(())
                }));
            }
            (Storage::Memory, _) | (_, Err(_)) => drop(file),
        }
    }
}

/// Tests whether files can be made and written in a folder. No file is left there.
///
/// # Errors
/// No file can be made or written there.
pub fn try_folder(folder: &Path) -> io::Result<()> {
    unnamed_file(folder)?.write_all_at(b"?", 0)
}

/// Runs work on an application's files, which may have to wait for a disk.
///
/// # Errors
/// Those of the work, or the program ends.
pub async fn on_disk<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    on_thread(Storage::Theirs, work).await
}

/// Runs work that may have to wait.
async fn on_thread<T: Send + 'static>(
    place: Storage,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let threads = match place {
        Storage::Memory => return work(),
        Storage::Ours => &OUR_THREADS,
        Storage::Theirs => &THEIR_THREADS,
    };
    let permit = threads.acquire().await.map_err(io::Error::other)?;
    // The permit is held until the thread is free, even if the future is dropped.
    let work = move || {
        let _permit = permit;
        work()
    };
    tokio::task::spawn_blocking(work).await?
}

/// Bytes of a file from an offset on, at most `length` of them, as far as they are there without waiting for a disk; `None` if
/// the first is not.
pub fn read_cached(file: &File, offset: u64, length: usize) -> Option<Vec<u8>> {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        use rustix::io::{ReadWriteFlags, preadv2};

        let mut bytes = vec![0; length];
        let mut parts = [io::IoSliceMut::new(&mut bytes)];
        let read = preadv2(file, &mut parts, offset, ReadWriteFlags::NOWAIT);
        let count = read.ok().filter(|count| *count > 0 || length == 0)?;
        bytes.truncate(count);
        Some(bytes)
    }
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    {
        let _ = (file, offset, length);
        None
    }
}

/// Some bytes of a file from an offset on, at most `length` of them and [`PIECE`].
fn read_piece(file: &File, offset: u64, length: u64) -> io::Result<Bytes> {
    // At most 128 KiB, which every usize holds.
    let mut piece = vec![0; length.min(PIECE) as usize];
    loop {
        match file.read_at(&mut piece, offset) {
            Ok(0) if length > 0 => return Err(io::Error::other("it is shorter than it was")),
            Ok(count) => {
                piece.truncate(count);
                return Ok(piece.into());
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// An empty file in a folder, open for reading and writing, that is gone when it is closed.
fn unnamed_file(folder: &Path) -> io::Result<File> {
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{Mode, OFlags};
        use rustix::io::Errno;
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        match rustix::fs::open(folder, flags, Mode::RUSR | Mode::WUSR) {
            Ok(file) => return Ok(File::from(file)),
            // The file system or the kernel does not support it.
            Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL) => {}
            Err(error) => return Err(error.into()),
        }
    }
    created_and_removed(folder)
}

/// How many names are tried in a folder where other files have such names.
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

#[cfg(test)]
mod tests;
