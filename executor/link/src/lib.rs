//! A worker's end of its connection to a device proxy. The drivers that programs load are built on it.
//!
//! One connection a process. Errors are OpenCL's codes, whichever API asks: [`LOST`], [`FULL`] or the proxy's own.
#![allow(unsafe_code, reason = "shares memory with the proxy, and writes to the program's")]

mod pages;
mod staging;

pub use pages::Pages;

use ring::{Direction, Error, Layout, Message, Receiver, Region, Sender};
use rustc_hash::FxHashMap;
use staging::Staging;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, Once, PoisonError};
use std::time::Duration;
use wire::{Answer, Call, FIRST, Id, Request, Stage, cl};

/// Where `orrery exec` says that rings go.
const JOB_FOLDER: &str = "ORRERY_JOB_FOLDER";
/// How long a new ring may wait for its proxy.
const ATTACH: Duration = Duration::from_secs(30);
/// What every call says when the proxy is gone: OpenCL's nearest word for a lost device.
pub const LOST: i32 = cl::DEVICE_NOT_AVAILABLE;
/// The staging area or the memory under it is full.
pub const FULL: i32 = cl::OUT_OF_HOST_MEMORY;

/// What a call comes to: a value, or an error code.
pub type Result<T> = std::result::Result<T, i32>;

/// Who is told of events that are over, and their status.
pub type Told = fn(&[(Id, i32)]);

/// The connection to the proxy. One a process.
pub struct Link {
    region: Arc<Region>,
    out: Mutex<Out>,
    inbox: Mutex<Inbox>,
    arrived: Condvar,
    reads: Mutex<Reads>,
    next_id: AtomicU64,
    next_number: AtomicU64,
    lost: AtomicBool,
    told: Told,
}

struct Out {
    sender: Sender,
    head: Vec<u8>,
}

struct Inbox {
    /// Nobody's while a thread waits at the ring; that thread then takes in the others' answers, too.
    receiver: Option<Receiver>,
    answers: FxHashMap<u64, (i32, Vec<u8>)>,
}

struct Reads {
    staging: Staging,
    pending: FxHashMap<u64, Read>,
}

/// A read whose data has not been handed to the program.
struct Read {
    stage: Stage,
    target: Target,
}

/// Where data goes in the program's memory: rows of `row` bytes, `rows` of them in a slice, `slices` of those.
#[derive(Clone, Copy)]
pub struct Target {
    /// Where it begins.
    pub start: *mut u8,
    /// Bytes in a row.
    pub row: usize,
    /// Rows in a slice.
    pub rows: usize,
    /// Slices.
    pub slices: usize,
    /// Bytes from row to row and from slice to slice.
    pub pitch: [usize; 2],
}

// SAFETY: the program promises that the memory is there until the read is complete, whichever thread learns of it.
unsafe impl Send for Target {}

impl Target {
    /// Bytes without gaps.
    pub fn flat(start: *mut u8, len: usize) -> Target {
        Target { start, row: len, rows: 1, slices: 1, pitch: [len, len] }
    }

    /// Bytes of data.
    pub fn len(&self) -> usize {
        self.row * self.rows * self.slices
    }

    /// Whether there is no data.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Starts of the rows, in the order of the packed data.
    pub fn row_starts(self) -> impl Iterator<Item = *mut u8> {
        let offset = move |slice: usize, row: usize| slice * self.pitch[1] + row * self.pitch[0];
        let rows = (0..self.slices).flat_map(move |slice| (0..self.rows).map(move |row| offset(slice, row)));
        rows.map(move |offset| self.start.wrapping_add(offset))
    }
}

static LINK: AtomicPtr<Link> = AtomicPtr::new(std::ptr::null_mut());
static CONNECTING: Mutex<()> = Mutex::new(());
static FORKS: Once = Once::new();

/// The connection, made if there is none.
///
/// # Errors
/// A sentence that says why there cannot be one.
pub fn connect(told: Told) -> std::result::Result<&'static Link, String> {
    let _one_at_a_time = CONNECTING.lock().unwrap_or_else(PoisonError::into_inner);
    if let Ok(link) = link() {
        return Ok(link);
    }
    let folder = std::env::var_os(JOB_FOLDER).map(PathBuf::from).ok_or("not started by `orrery exec`")?;
    // A fork's child must not speak on its parent's ring: it forgets the link, and makes its own when it asks for platforms.
    // SAFETY: the handler only stores a word.
    FORKS.call_once(|| unsafe {
        libc::pthread_atfork(None, None, Some(forget));
    });
    let link = Box::leak(Box::new(Link::open(&folder, told).map_err(|error| error.to_string())?));
    LINK.store(link, Ordering::Release);
    Ok(link)
}

unsafe extern "C" fn forget() {
    LINK.store(std::ptr::null_mut(), Ordering::Release);
}

/// The connection. A handle of an earlier life (before a fork) finds none.
///
/// # Errors
/// [`LOST`]: there is none.
pub fn link() -> Result<&'static Link> {
    // SAFETY: what is stored there is leaked, so it lives for ever.
    unsafe { LINK.load(Ordering::Acquire).as_ref() }.ok_or(LOST)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Link {
    fn open(folder: &std::path::Path, told: Told) -> std::result::Result<Link, Error> {
        let pid = std::process::id();
        // The process number alone could come again.
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |time| time.as_nanos());
        let path = folder.join(format!("{pid}-{now:x}.ring"));
        let region = Arc::new(Region::create(&path, Layout::default(), pid)?);
        if !region.wait_attached(ATTACH) {
            return Err(Error::File { path, problem: "no proxy serves it".into() });
        }
        let receiver = Receiver::new(region.clone(), Direction::Responses, 1 << 40);
        let reads = Reads { staging: Staging::new(region.layout().staging), pending: FxHashMap::default() };
        Ok(Link {
            out: Mutex::new(Out { sender: Sender::new(region.clone(), Direction::Requests), head: Vec::new() }),
            inbox: Mutex::new(Inbox { receiver: Some(receiver), answers: FxHashMap::default() }),
            arrived: Condvar::new(),
            reads: Mutex::new(reads),
            next_id: AtomicU64::new(FIRST),
            next_number: AtomicU64::new(1),
            lost: AtomicBool::new(false),
            told,
            region,
        })
    }

    /// A name for a new object, or for a read.
    pub fn new_id(&self) -> Id {
        self.next_id.fetch_add(1, Ordering::Relaxed)
    }

    /// The longest body that travels in one piece, whatever its request.
    pub fn body_max(&self) -> usize {
        lock(&self.out).sender.body_max(512)
    }

    /// Sends a request that needs no answer. With `wake` false it may lie in the ring until something else wakes the proxy.
    ///
    /// # Errors
    /// [`LOST`].
    pub fn post(&self, request: Request, body: &[u8], wake: bool) -> Result<()> {
        self.send(0, request, body, wake)
    }

    /// Sends a request and waits for its answer: the data, or OpenCL's error code.
    ///
    /// # Errors
    /// The proxy's code, or [`LOST`].
    pub fn call(&self, request: Request, body: &[u8]) -> Result<Vec<u8>> {
        let (code, data) = self.ask(request, body)?;
        if code == 0 { Ok(data) } else { Err(code) }
    }

    /// Sends a request and waits for its answer, whose code may be something else than an error.
    ///
    /// # Errors
    /// [`LOST`].
    pub fn ask(&self, request: Request, body: &[u8]) -> Result<(i32, Vec<u8>)> {
        let number = self.begin(request, body)?;
        self.wait_for(number)
    }

    /// Sends a request whose answer is waited for later.
    ///
    /// # Errors
    /// [`LOST`].
    pub fn begin(&self, request: Request, body: &[u8]) -> Result<u64> {
        let number = self.next_number.fetch_add(1, Ordering::Relaxed);
        self.send(number, request, body, true).map(|()| number)
    }

    fn send(&self, number: u64, request: Request, body: &[u8], wake: bool) -> Result<()> {
        if self.lost.load(Ordering::Relaxed) {
            return Err(LOST);
        }
        let mut out = lock(&self.out);
        let Out { sender, head } = &mut *out;
        head.clear();
        wire::encode(&Call { number, request }, head);
        sender.send(head, body, wake, &|| self.region.peer_alive()).map_err(|error| self.lose(&error))
    }

    fn lose(&self, error: &Error) -> i32 {
        if !self.lost.swap(true, Ordering::SeqCst) {
            eprintln!("orrery: the device is lost: {error}; `orrery restore` continues the job from its last checkpoint");
        }
        LOST
    }

    /// Waits for an answer. One thread at a time waits at the ring, for all.
    ///
    /// # Errors
    /// [`LOST`].
    pub fn wait_for(&self, number: u64) -> Result<(i32, Vec<u8>)> {
        let mut inbox = lock(&self.inbox);
        loop {
            if let Some(answer) = inbox.answers.remove(&number) {
                return Ok(answer);
            }
            if self.lost.load(Ordering::SeqCst) {
                return Err(LOST);
            }
            let Some(mut receiver) = inbox.receiver.take() else {
                inbox = self.arrived.wait(inbox).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            drop(inbox);
            let received = receiver.recv(&|| self.region.peer_alive());
            let answer = received.map_err(|error| self.lose(&error)).and_then(|message| self.take_in(message));
            inbox = lock(&self.inbox);
            inbox.receiver = Some(receiver);
            self.arrived.notify_all();
            match answer {
                Ok((to, code, data)) if to == number => return Ok((code, data)),
                Ok((to, code, data)) => drop(inbox.answers.insert(to, (code, data))),
                Err(_) => {}
            }
        }
    }

    fn take_in(&self, message: Message) -> Result<(u64, i32, Vec<u8>)> {
        let Answer { number, code, reads, events } = wire::decode(&message.head).map_err(|malformed| {
            self.lose(&Error::Corrupt { what: "answer", got: message.head.len() as u64, expected: malformed.to_string() })
        })?;
        for ticket in reads {
            self.hand_out(ticket);
        }
        (self.told)(&events);
        Ok((number, code, message.body.into_vec()))
    }

    /// A place for a read's data, and where it will go.
    ///
    /// # Errors
    /// [`FULL`].
    pub fn expect_read(&self, target: Target) -> Result<Stage> {
        let len = target.len() as u64;
        let mut reads = lock(&self.reads);
        let offset = reads.staging.take(&self.region, len)?;
        let stage = Stage { ticket: self.new_id(), offset, len };
        reads.pending.insert(stage.ticket, Read { stage, target });
        Ok(stage)
    }

    /// Whether a read's data is still to come.
    pub fn is_pending(&self, ticket: u64) -> bool {
        lock(&self.reads).pending.contains_key(&ticket)
    }

    /// Bytes of reads whose data has not been handed to the program.
    pub fn awaited(&self) -> u64 {
        lock(&self.reads).pending.values().map(|read| read.stage.len).sum()
    }

    /// A read that will not be.
    pub fn forget_read(&self, ticket: u64) {
        let mut reads = lock(&self.reads);
        if let Some(read) = reads.pending.remove(&ticket) {
            reads.staging.give_back(&self.region, read.stage.offset, read.stage.len);
        }
    }

    /// A read that is complete: its data goes to the program.
    pub fn hand_out(&self, ticket: u64) {
        let read = lock(&self.reads).pending.remove(&ticket);
        let Some(Read { stage, target }) = read else { return };
        for (i, row) in target.row_starts().enumerate() {
            let offset = stage.offset as usize + i * target.row;
            // SAFETY: the place in the staging area was taken for all rows; the program's memory is there until it has
            // learnt that the read is complete, which it has not.
            unsafe { std::ptr::copy_nonoverlapping(self.region.staging().add(offset), row, target.row) };
        }
        lock(&self.reads).staging.give_back(&self.region, stage.offset, stage.len);
    }
}
