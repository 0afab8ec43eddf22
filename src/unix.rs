//! System calls that no safe library offers: the only file with `unsafe` code. Each function is named after what the call is
//! for.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::BytesMut;
use memmap2::MmapRaw;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags,
};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Memory shared with a process that may write to it at any time.
#[derive(Debug)]
pub struct SharedMemory {
    file: File,
    map: MmapRaw,
}

impl SharedMemory {
    /// `size` bytes of zeros, without a name in any file system.
    ///
    /// # Errors
    /// If the system has no memory or descriptors left.
    pub fn new(size: usize) -> io::Result<Self> {
        let file = anonymous_file("runner-ring")?;
        file.set_len(size as u64)?;
        keep_size(&file)?;
        let map = MmapRaw::map_raw(&file)?;
        Ok(Self { file, map })
    }

    /// The descriptor that another process maps.
    #[must_use]
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// The size in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        self.map.len()
    }

    /// The 64-bit counter number `index`; what the other process wrote before it is visible after this.
    #[must_use]
    pub fn load(&self, index: usize) -> u64 {
        self.counter(index).load(Ordering::Acquire)
    }

    /// Sets the 64-bit counter number `index`.
    pub fn store(&self, index: usize, value: u64) {
        self.counter(index).store(value, Ordering::Release);
    }

    /// Flips bits of the 64-bit counter number `index`, in one step. The other process sees it after all reads before it.
    pub fn flip(&self, index: usize, bits: u64) {
        self.counter(index).fetch_xor(bits, Ordering::AcqRel);
    }

    fn counter(&self, index: usize) -> &AtomicU64 {
        assert!(index < self.size() / 8, "counter outside the shared memory");
        // SAFETY: in bounds by the assertion, aligned because mappings begin at a page, alive as long as
        // `self`, and only ever accessed as an atomic on our side.
        unsafe { AtomicU64::from_ptr(self.map.as_mut_ptr().cast::<u64>().add(index)) }
    }

    /// A copy of a few bytes, whose number is known; `None` if they are not inside.
    #[must_use]
    pub fn copy_few<const LENGTH: usize>(&self, offset: usize) -> Option<[u8; LENGTH]> {
        let source = self.range(offset, LENGTH)?;
        let mut bytes = [0; LENGTH];
        // SAFETY: source and target are `LENGTH` bytes each and do not overlap. The other process may write at the same
        // time: any bytes are a valid `[u8]`, and the caller checks what they mean.
        unsafe {
            std::ptr::copy_nonoverlapping(source, bytes.as_mut_ptr(), LENGTH);
        }
        Some(bytes)
    }

    /// Appends a copy of a range to other bytes, which the other process cannot change any more. `None` if the range is not
    /// inside.
    #[must_use]
    pub fn append_to(&self, bytes: &mut BytesMut, offset: usize, length: usize) -> Option<()> {
        let source = self.range(offset, length)?;
        bytes.reserve(length);
        // SAFETY: as in `copy_few`; there is room for `length` bytes behind those that are there.
        unsafe {
            let target = bytes.spare_capacity_mut().as_mut_ptr().cast();
            std::ptr::copy_nonoverlapping(source, target, length);
            bytes.set_len(bytes.len() + length);
        }
        Some(())
    }

    /// A range as bytes that are not copied, for what passes them on; `None` if it is not inside.
    #[must_use]
    pub fn view(self: &Arc<Self>, offset: usize, length: usize) -> Option<SharedBytes> {
        self.range(offset, length)?;
        Some(SharedBytes {
            memory: Arc::clone(self),
            range: offset..offset + length,
        })
    }

    /// The address of a range; `None` if it is not inside.
    fn range(&self, offset: usize, length: usize) -> Option<*const u8> {
        (offset.checked_add(length)? <= self.size()).then(|| self.map.as_ptr().wrapping_add(offset))
    }
}

/// A range of shared memory, which stays mapped for as long as this is there. What it holds may change as long as the other
/// process has not agreed to leave it alone: so it is for what passes bytes on, and for nothing that decides by them.
#[derive(Debug)]
pub struct SharedBytes {
    memory: Arc<SharedMemory>,
    range: std::ops::Range<usize>,
}

impl AsRef<[u8]> for SharedBytes {
    fn as_ref(&self) -> &[u8] {
        let start = self.memory.map.as_ptr().wrapping_add(self.range.start);
        // SAFETY: inside the mapping, as `view` has checked, whose size is sealed, and which `memory` keeps. No code of this
        // process writes there. A worker of ours leaves it alone; if another process breaks that, each read gives one byte
        // or another, both valid, and nothing in memory depends on which.
        unsafe { std::slice::from_raw_parts(start, self.range.len()) }
    }
}

/// Seals the size of a file in memory: if the other process cut it, reading the missing part would end this process
/// (SIGBUS). Systems without seals have no such files.
fn keep_size(file: &File) -> io::Result<()> {
    #[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
    {
        use rustix::fs::{SealFlags, fcntl_add_seals};
        fcntl_add_seals(file, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
    }
    #[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd")))]
    let _ = file;
    Ok(())
}

/// An open file without a name: in memory where the system supports that, else in the temporary folder.
///
/// # Errors
/// If the system has no memory or descriptors left.
pub fn anonymous_file(name: &str) -> io::Result<File> {
    #[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
    {
        use rustix::fs::{MemfdFlags, memfd_create};
        Ok(File::from(memfd_create(
            name,
            MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING,
        )?))
    }
    #[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd")))]
    {
        let path = std::env::temp_dir().join(format!("{name}-{}", std::process::id()));
        let file = File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&path)?;
        std::fs::remove_file(&path)?;
        Ok(file)
    }
}

/// Sends bytes and descriptors with them; all of the bytes or an error.
///
/// # Errors
/// As `sendmsg(2)`.
pub fn send_descriptors(
    socket: BorrowedFd<'_>,
    bytes: &[u8],
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<usize> {
    let mut space =
        vec![std::mem::MaybeUninit::uninit(); SendAncillaryMessage::ScmRights(descriptors).size()];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    Ok(rustix::net::sendmsg(
        socket,
        &[io::IoSlice::new(bytes)],
        &mut ancillary,
        SendFlags::NOSIGNAL,
    )?)
}

/// Receives one byte and the descriptor that came with it, without waiting.
///
/// # Errors
/// As `recvmsg(2)`; `UnexpectedEof` if there was no descriptor.
pub fn receive_descriptor(socket: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let (_, descriptors) = receive(socket, &mut [0], RecvFlags::DONTWAIT)?;
    let first = descriptors.into_iter().next();
    first.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}

/// Gives the free memory of this thread, which the allocator would keep, back to the system.
pub fn give_memory_back() {
    // SAFETY: it only touches memory that is free.
    unsafe {
        libmimalloc_sys::mi_collect(true);
    }
}

/// How many bytes were written to a socket and have not been received at the other end yet; 0 where the system does not
/// tell.
#[must_use]
pub fn unsent(socket: BorrowedFd<'_>) -> u64 {
    use nix::libc::{TIOCOUTQ, c_int, ioctl};
    let mut count: c_int = 0;
    // SAFETY: the descriptor is open as long as it is borrowed, and an `int` is what the system writes.
    let answered = unsafe { ioctl(socket.as_raw_fd(), TIOCOUTQ, &raw mut count) };
    match answered {
        0 => u64::try_from(count).unwrap_or_default(),
        _ => 0,
    }
}

/// Whether the system has all pages of a part of a file in its memory (`cachestat(2)`); `false` where it does not tell.
#[must_use]
#[cfg(target_os = "linux")]
pub fn is_cached(file: BorrowedFd<'_>, offset: u64, length: u64) -> bool {
    use nix::libc::{c_long, syscall};
    /// It is the same for all processors but Alpha, where another call has this number and fails.
    const CACHESTAT: c_long = 451;
    let range = [offset, length];
    // How many pages are cached, dirty, under writeback, evicted and recently evicted.
    let mut counts = [0_u64; 5];
    let result = counts.as_mut_ptr();
    // SAFETY: the descriptor is open as long as it is borrowed; the system reads two numbers and writes five.
    let answered = unsafe { syscall(CACHESTAT, file.as_raw_fd(), range.as_ptr(), result, 0) };
    let page = rustix::param::page_size() as u64;
    let end = offset.saturating_add(length);
    let pages = end.div_ceil(page).saturating_sub(offset / page);
    answered == 0 && counts[0] >= pages
}

/// The same on systems that do not tell.
#[must_use]
#[cfg(not(target_os = "linux"))]
pub fn is_cached(_: BorrowedFd<'_>, _: u64, _: u64) -> bool {
    false
}

/// How many descriptors fit in one message (`SCM_MAX_FD` of Linux).
pub const MOST_DESCRIPTORS: usize = 253;

/// Receives some bytes, and the descriptors that came with them; no bytes at the end of the stream.
///
/// # Errors
/// As `recvmsg(2)`; `InvalidData` if descriptors were lost, because this process may not have more.
pub fn receive_descriptors(
    socket: BorrowedFd<'_>,
    buffer: &mut [u8],
) -> io::Result<(usize, Vec<OwnedFd>)> {
    receive(socket, buffer, RecvFlags::empty())
}

fn receive(
    socket: BorrowedFd<'_>,
    buffer: &mut [u8],
    flags: RecvFlags,
) -> io::Result<(usize, Vec<OwnedFd>)> {
    let mut space =
        [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_DESCRIPTORS))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let received = rustix::net::recvmsg(
        socket,
        &mut [io::IoSliceMut::new(buffer)],
        &mut ancillary,
        flags | RecvFlags::CMSG_CLOEXEC,
    )?;
    let mut descriptors = Vec::new();
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(received) = message {
            descriptors.extend(received);
        }
    }
    if received.flags.contains(ReturnFlags::CTRUNC) {
        return Err(io::ErrorKind::InvalidData.into());
    }
    Ok((received.bytes, descriptors))
}

/// Forbids other processes of the same user, such as workers, to look into this one or change it (ptrace(2)), where the
/// system supports that. Programs that we start are not affected. Nothing is changed where core files are wanted
/// (`ulimit -c`), since there would be none.
pub fn forbid_tracing() {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{DumpableBehavior, Resource, getrlimit, set_dumpable_behavior};
        if getrlimit(Resource::Core).current == Some(0) {
            // A refusal leaves this process as it was.
            let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
        }
    }
}

/// The signal at which a worker's `faulthandler` writes the stacks of its threads. Applications and their libraries do not
/// use it: each of the named signals is used by one or another, and so are the first and the last few of the real-time
/// signals (glibc, .NET and JVMs in the same process, valgrind).
#[cfg(target_os = "linux")]
pub const STACK_SIGNAL: i32 = 52;
/// The same where there are no real-time signals: a process that does not expect this one ignores it.
#[cfg(not(target_os = "linux"))]
pub const STACK_SIGNAL: i32 = rustix::process::Signal::URG.as_raw();

/// [`STACK_SIGNAL`], as a signal that can be sent.
#[must_use]
pub fn stack_signal() -> rustix::process::Signal {
    // SAFETY: a constant that is none of the signals that the C library keeps for itself, on Linux the first two behind
    // 31.
    unsafe { rustix::process::Signal::from_raw_unchecked(STACK_SIGNAL) }
}

/// Whether this process ignores a signal, as it may since its start.
#[must_use]
pub fn is_ignored(signal: i32) -> bool {
    let mut action = std::mem::MaybeUninit::<nix::libc::sigaction>::zeroed();
    // SAFETY: with a null pointer for the new action, the call only writes the old one to memory that is ours. If there is
    // no such signal, it writes nothing, and zeros are a valid action.
    let action = unsafe {
        nix::libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr());
        action.assume_init()
    };
    action.sa_sigaction == nix::libc::SIG_IGN
}

/// Has a program that is about to be started lead a process group of its own, with this limit of open descriptors
/// (`RLIMIT_NOFILE`). Where the system supports that, it gets SIGTERM if this process ends first.
pub fn lead_group(command: &mut std::process::Command, descriptor_limit: Option<u64>) {
    command.process_group(0);
    signal_as_orphan(command, rustix::process::Signal::TERM.as_raw());
    let prepare = move || {
        use rustix::process::{Resource, getrlimit, setrlimit};
        if let Some(current) = descriptor_limit {
            let mut limit = getrlimit(Resource::Nofile);
            limit.current = Some(current);
            setrlimit(Resource::Nofile, limit)?;
        }
        Ok(())
    };
    // SAFETY: between fork and exec it makes system calls only, which neither allocate nor lock.
    unsafe {
        command.pre_exec(prepare);
    }
}

/// Has a program that is about to be started, and all that it starts, keep limits: what is limited, the lower limit, and the
/// upper one. Where the system allows less, that is the limit.
pub fn limit_resources(
    command: &mut std::process::Command,
    limits: Vec<(rustix::process::Resource, u64, u64)>,
) {
    let prepare = move || {
        use rustix::process::{Rlimit, getrlimit, setrlimit};
        for &(resource, lower, upper) in &limits {
            let most = getrlimit(resource).maximum;
            let allowed = |limit: u64| Some(most.map_or(limit, |most| limit.min(most)));
            let limit = Rlimit {
                current: allowed(lower),
                maximum: allowed(upper),
            };
            setrlimit(resource, limit)?;
        }
        Ok(())
    };
    // SAFETY: between fork and exec it makes system calls only, which neither allocate nor lock.
    unsafe {
        command.pre_exec(prepare);
    }
}

/// Has a program that is about to be started inherit a descriptor, under its number. No other program does.
pub fn hand_down(command: &mut std::process::Command, descriptor: OwnedFd) {
    let prepare = move || {
        rustix::io::fcntl_setfd(&descriptor, rustix::io::FdFlags::empty())?;
        Ok(())
    };
    // SAFETY: between fork and exec it makes one system call, which neither allocates nor locks.
    unsafe {
        command.pre_exec(prepare);
    }
}

/// Has a program that is about to be started begin in a folder, wherever the folder's name leads by then.
///
/// # Errors
/// There are no descriptors left.
pub fn begin_in(command: &mut std::process::Command, folder: BorrowedFd<'_>) -> io::Result<()> {
    let folder = folder.try_clone_to_owned()?;
    let prepare = move || Ok(rustix::process::fchdir(&folder)?);
    // SAFETY: between fork and exec it makes one system call, which neither allocates nor locks.
    unsafe {
        command.pre_exec(prepare);
    }
    Ok(())
}

/// Has a program that is about to be started get a signal if the thread that starts it, and so this process, ends first,
/// where the system supports that (`PR_SET_PDEATHSIG`). Panics if there is no such signal, or the C library uses it
/// (`nptl(7)`).
pub fn signal_as_orphan(command: &mut std::process::Command, signal: i32) {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{Signal, getpid, getppid, set_parent_process_death_signal};
        let parent = getpid();
        assert!(matches!(signal, 1..=31 | 34..=64), "not a signal for us");
        // SAFETY: it was checked above.
        let signal = unsafe { Signal::from_raw_unchecked(signal) };
        let prepare = move || {
            set_parent_process_death_signal(Some(signal))?;
            let orphaned = rustix::io::Errno::SRCH;
            (getppid() == Some(parent))
                .then_some(())
                .ok_or(orphaned.into())
        };
        // SAFETY: between fork and exec it makes system calls only, which neither allocate nor lock.
        unsafe {
            command.pre_exec(prepare);
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = (command, signal);
}

/// A duplicate, close-on-exec, of a descriptor that this process was started with. Programs that we start do not inherit the
/// original either, except for the three standard ones, which are replaced then.
///
/// # Errors
/// `EBADF` if there is no such descriptor.
pub fn duplicate_inherited(number: RawFd) -> io::Result<OwnedFd> {
    if number < 0 {
        return Err(rustix::io::Errno::BADF.into());
    }
    // SAFETY: `number` is not -1. It is only passed to `fcntl`, which answers `EBADF` if nothing is open. The borrow ends in
    // this function, and nothing closes the descriptor meanwhile, since no other code owns inherited descriptors.
    let inherited = unsafe { BorrowedFd::borrow_raw(number) };
    let duplicate = rustix::io::fcntl_dupfd_cloexec(inherited, 3)?;
    if number > 2 {
        rustix::io::fcntl_setfd(inherited, rustix::io::FdFlags::CLOEXEC)?;
    }
    Ok(duplicate)
}

/// Gives up a descriptor that this process was started with, if it is the socket of this duplicate: as long as it is open,
/// the system accepts connections there. `/dev/null` takes its place.
///
/// # Errors
/// There is no such descriptor, or `/dev/null` cannot be opened.
pub fn give_up_inherited(number: RawFd, duplicate: BorrowedFd<'_>) -> io::Result<()> {
    if number < 0 {
        return Err(rustix::io::Errno::BADF.into());
    }
    // SAFETY: `number` is not -1, and is not closed here: it stays open as another file, since other code may still use the
    // number.
    let mut inherited = ManuallyDrop::new(unsafe { OwnedFd::from_raw_fd(number) });
    let theirs = rustix::fs::fstat(&*inherited)?;
    let ours = rustix::fs::fstat(duplicate)?;
    if (theirs.st_dev, theirs.st_ino) == (ours.st_dev, ours.st_ino) {
        rustix::io::dup2(File::open("/dev/null")?, &mut inherited)?;
    }
    Ok(())
}

/// Removes a variable from the environment of this process, and returns its value. It stays where the process has, or may
/// have, other threads, which might be reading the environment.
#[must_use]
pub fn take_variable(name: &str) -> Option<std::ffi::OsString> {
    let value = std::env::var_os(name)?;
    let threads = std::fs::read_dir("/proc/self/task").map(Iterator::count);
    if threads.is_ok_and(|threads| threads == 1) {
        // SAFETY: there is no other thread that could read the environment at this moment.
        unsafe { std::env::remove_var(name) };
    }
    Some(value)
}

/// Registers a socket with the runtime, which reports when it can be read. Must be called within a runtime.
///
/// # Errors
/// The system cannot watch it.
pub fn watched<T: AsRawFd + Into<OwnedFd>>(socket: T) -> io::Result<AsyncFd<T>> {
    // SAFETY: a value that converts into an owned descriptor owns one, and keeps it open until it is dropped.
    Ok(unsafe { AsyncFd::register_with_interest(socket, Interest::READABLE) }?)
}
