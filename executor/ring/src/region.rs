//! The shared file and its map.

use crate::Error;
use crate::bell::{Bell, Channel};
use crate::guard::{guard, unguard};
use crate::sync::{AtomicU32, AtomicU64, Ordering};
use rustix::fs::{FlockOperation, Mode, OFlags, flock, ftruncate};
use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap, munmap};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

const MAGIC: u64 = 0x314e_4952_5252_4f01;
const PAGE: u64 = 4096;
/// Bytes before the first queue.
const HEADER: u64 = PAGE;
/// No queue or staging area is larger: a limit to check a stranger's header against, far from overflow.
const PART_MAX: u64 = 1 << 40;

/// Sizes in bytes, multiples of 4096.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Queue from worker to proxy.
    pub requests: u64,
    /// Queue from proxy to worker.
    pub responses: u64,
    /// Area that the proxy writes what it read from the device to, and the worker hands out. Only what is used takes memory.
    pub staging: u64,
}

impl Default for Layout {
    fn default() -> Self {
        Layout { requests: 8 << 20, responses: 1 << 20, staging: 1 << 34 }
    }
}

/// Which queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Worker to proxy.
    Requests,
    /// Proxy to worker.
    Responses,
}

#[repr(C)]
struct Header {
    magic: AtomicU64,
    requests: AtomicU64,
    responses: AtomicU64,
    staging: AtomicU64,
    worker_pid: AtomicU32,
    attached: AtomicU32,
    attached_bell: Bell,
    channels: [Channel; 2],
}

const _: () = assert!(size_of::<Header>() as u64 <= HEADER);

/// The file, mapped. It is unmapped when dropped; the file stays until its folder is removed.
pub struct Region {
    base: *mut u8,
    len: u64,
    layout: Layout,
    path: PathBuf,
    /// The proxy's: holds the lock that says "alive". The worker keeps no descriptor.
    _lock: Option<File>,
}

// SAFETY: the mapping is shared memory by design; all access to its words is atomic, and queue bytes are handed from side to
// side by the cursors.
unsafe impl Send for Region {}
// SAFETY: as above.
unsafe impl Sync for Region {}

impl Region {
    /// Makes the file, for the worker: mode 0600, mapped, not inherited by forks, its descriptor closed. It appears under its
    /// name only when it is complete.
    ///
    /// # Errors
    /// The file cannot be made, or the memory file system is too small for the queues.
    pub fn create(path: &Path, layout: Layout, worker_pid: u32) -> Result<Region, Error> {
        let problem = |problem: String| Error::File { path: path.into(), problem };
        let unfinished = path.with_extension("unfinished");
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let fd = rustix::fs::open(&unfinished, flags, Mode::RUSR | Mode::WUSR).map_err(|e| problem(e.to_string()))?;
        let len = HEADER + layout.requests + layout.responses + layout.staging;
        ftruncate(&fd, len).map_err(|e| problem(e.to_string()))?;
        let region =
            Region { base: map(&fd, len).map_err(|e| problem(e.to_string()))?, len, layout, path: path.into(), _lock: None };
        // A full file system would be a SIGBUS later; asked for the pages now, the kernel answers with an error.
        region.populate(0, len - layout.staging).map_err(|e| {
            problem(format!(
                "{e}: the memory file system is too small for the queues; enlarge /dev/shm (--shm-size in containers)"
            ))
        })?;
        // SAFETY: the range is this mapping. A fork's child must not speak on its parent's queue.
        let _ = unsafe { madvise(region.base.cast(), len as usize, Advice::LinuxDontFork) };
        let header = region.header();
        header.requests.store(layout.requests, Ordering::Relaxed);
        header.responses.store(layout.responses, Ordering::Relaxed);
        header.staging.store(layout.staging, Ordering::Relaxed);
        header.worker_pid.store(worker_pid, Ordering::Relaxed);
        header.magic.store(MAGIC, Ordering::Release);
        std::fs::rename(&unfinished, path).map_err(|e| problem(e.to_string()))?;
        Ok(region)
    }

    /// Opens a worker's file, for the proxy, and locks it: the lock's life is the proxy's. Nothing in the file is trusted.
    ///
    /// # Errors
    /// There is no such file, another proxy serves it, or it is not a ring.
    pub fn open(path: &Path) -> Result<Region, Error> {
        let problem = |problem: String| Error::File { path: path.into(), problem };
        let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let file = File::from(rustix::fs::open(path, flags, Mode::empty()).map_err(|e| problem(e.to_string()))?);
        flock(&file, FlockOperation::NonBlockingLockExclusive).map_err(|_| problem("another proxy serves it".into()))?;
        let len = file.metadata().map_err(|e| problem(e.to_string()))?.len();
        if len < HEADER {
            return Err(problem(format!("{len} bytes long, expected at least {HEADER}")));
        }
        let base = map(&file, len).map_err(|e| problem(e.to_string()))?;
        guard(base as usize, len as usize);
        let mut region = Region {
            base,
            len,
            layout: Layout { requests: 0, responses: 0, staging: 0 },
            path: path.into(),
            _lock: Some(file),
        };
        let header = region.header();
        if header.magic.load(Ordering::Acquire) != MAGIC {
            return Err(problem("not a ring of this version".into()));
        }
        // Read once: the worker can change these words at any time.
        let layout = Layout {
            requests: header.requests.load(Ordering::Relaxed),
            responses: header.responses.load(Ordering::Relaxed),
            staging: header.staging.load(Ordering::Relaxed),
        };
        for part in [layout.requests, layout.responses, layout.staging] {
            if part > PART_MAX || !part.is_multiple_of(PAGE) {
                return Err(problem(format!("a part is {part} bytes, expected a multiple of {PAGE} up to {PART_MAX}")));
            }
        }
        if layout.requests == 0 || layout.responses == 0 || HEADER + layout.requests + layout.responses + layout.staging != len
        {
            return Err(problem(format!("{len} bytes long, which its header does not add up to")));
        }
        region.layout = layout;
        Ok(region)
    }

    /// Sizes of the parts.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The worker's process, as it called itself. A hint: it may lie, and after a restore it is another namespace's number.
    pub fn worker_pid(&self) -> u32 {
        self.header().worker_pid.load(Ordering::Relaxed)
    }

    /// The proxy tells the worker that it serves this ring from now on.
    pub fn attach(&self) {
        self.header().attached.store(1, Ordering::Release);
        self.header().attached_bell.ring_always();
    }

    /// The worker waits, in slices, until a proxy serves this ring. False when `timeout` is over.
    pub fn wait_attached(&self, timeout: Duration) -> bool {
        let attached = || self.header().attached.load(Ordering::Acquire) != 0;
        let slice = Duration::from_millis(50);
        let mut left = timeout;
        while !attached() && !left.is_zero() {
            self.header().attached_bell.wait(slice, attached);
            left = left.saturating_sub(slice);
        }
        attached()
    }

    /// Whether a proxy holds this ring's lock. Costs three system calls; meant for a side that has waited long.
    ///
    /// The kernel lets go of the lock with its holder's last breath, whatever killed it, and process numbers and their
    /// namespaces play no part.
    pub fn peer_alive(&self) -> bool {
        let flags = OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        match rustix::fs::open(&self.path, flags, Mode::empty()) {
            Ok(fd) => flock(&fd, FlockOperation::NonBlockingLockShared).is_err(),
            Err(_) => false,
        }
    }

    /// Start of the staging area. Valid for `layout().staging` bytes.
    pub fn staging(&self) -> *mut u8 {
        // SAFETY: `create` and `open` checked that the parts add up to the mapping's length.
        unsafe { self.base.add((self.len - self.layout.staging) as usize) }
    }

    /// Pages in a part of the staging area, so that a full file system is an error here, and not a SIGBUS later.
    ///
    /// # Errors
    /// The file system is full.
    pub fn populate_staging(&self, offset: u64, len: u64) -> Result<(), Error> {
        let start = self.len - self.layout.staging + offset;
        self.populate(start, len).map_err(|e| Error::File {
            path: self.path.clone(),
            problem: format!("{e}: no memory for {len} bytes of staging; enlarge /dev/shm (--shm-size in containers)"),
        })
    }

    /// Gives a part of the staging area back to the system.
    pub fn discard_staging(&self, offset: u64, len: u64) {
        let (start, end) = (offset.next_multiple_of(PAGE), (offset + len) / PAGE * PAGE);
        if end > start && end <= self.layout.staging {
            // SAFETY: the range is inside this mapping's staging area and its contents are not wanted any more.
            let _ = unsafe { madvise(self.staging().add(start as usize).cast(), (end - start) as usize, Advice::LinuxRemove) };
        }
    }

    fn populate(&self, start: u64, len: u64) -> rustix::io::Result<()> {
        let (first, end) = (start / PAGE * PAGE, (start + len).next_multiple_of(PAGE).min(self.len));
        // SAFETY: the range is inside this mapping; populating changes no contents.
        match unsafe { madvise(self.base.add(first as usize).cast(), (end - first) as usize, Advice::LinuxPopulateWrite) } {
            // Kernels before 5.14 do not know the advice.
            Err(rustix::io::Errno::INVAL) => Ok(()),
            other => other,
        }
    }

    fn header(&self) -> &Header {
        // SAFETY: the mapping is at least a header long, page-aligned, and every field is atomic; any bits are valid.
        unsafe { &*self.base.cast::<Header>() }
    }

    pub(crate) fn channel(&self, direction: Direction) -> &Channel {
        &self.header().channels[direction as usize]
    }

    /// Start and capacity of a queue's bytes.
    pub(crate) fn bytes(&self, direction: Direction) -> (*mut u8, u64) {
        let (offset, len) = match direction {
            Direction::Requests => (HEADER, self.layout.requests),
            Direction::Responses => (HEADER + self.layout.requests, self.layout.responses),
        };
        // SAFETY: the parts add up to the mapping's length.
        (unsafe { self.base.add(offset as usize) }, len)
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        unguard(self.base as usize);
        // SAFETY: made by `map` with this length; whoever points into it holds this region.
        let _ = unsafe { munmap(self.base.cast(), self.len as usize) };
    }
}

fn map(fd: impl std::os::fd::AsFd, len: u64) -> rustix::io::Result<*mut u8> {
    // SAFETY: a fresh mapping at an address of the kernel's choice.
    let base = unsafe {
        mmap(
            std::ptr::null_mut(),
            len as usize,
            ProtFlags::READ | ProtFlags::WRITE,
            MapFlags::SHARED | MapFlags::NORESERVE,
            fd,
            0,
        )?
    };
    Ok(base.cast())
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    const SMALL: Layout = Layout { requests: PAGE, responses: PAGE, staging: PAGE };

    #[test]
    fn a_proxy_is_alive_as_long_as_it_holds_the_region() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.ring");
        let worker = Region::create(&path, SMALL, 1).unwrap();
        assert!(!worker.peer_alive());
        let proxy = Region::open(&path).unwrap();
        assert!(worker.peer_alive());
        assert!(Region::open(&path).is_err_and(|e| e.to_string().contains("another proxy")));
        drop(proxy);
        assert!(!worker.peer_alive());
    }

    #[test]
    fn files_that_are_no_rings_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.ring");
        for content in [vec![], vec![0; 10], vec![0; 8192], vec![0xFF; 8192]] {
            std::fs::write(&path, content).unwrap();
            assert!(Region::open(&path).is_err());
        }
        let _region = Region::create(&folder.path().join("b.ring"), SMALL, 1).unwrap();
        let mut bytes = std::fs::read(folder.path().join("b.ring")).unwrap();
        bytes[8] = 7;
        std::fs::write(&path, bytes).unwrap();
        assert!(Region::open(&path).is_err_and(|e| e.to_string().contains("multiple")));
    }
}
