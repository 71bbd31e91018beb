//! The reading end of a queue.

use crate::Error;
use crate::frame::{Frame, HEADER, SKIP, frame_max, padded};
use crate::region::{Direction, Region};
use crate::sync::{AtomicU64, Ordering};
use std::collections::VecDeque;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

/// How long to look before going to sleep. Longer would win nothing and take the processor from the other side.
const SPIN: Duration = Duration::from_micros(4);

/// A bounded spin: about [`SPIN`], measured seldom because the clock costs more than a look.
pub(crate) struct Spin {
    since: Option<Instant>,
    looks: u32,
}

impl Spin {
    pub(crate) fn start() -> Spin {
        Spin { since: None, looks: 0 }
    }

    /// Whether to look again before sleeping.
    pub(crate) fn again(&mut self) -> bool {
        self.looks += 1;
        if self.looks.is_multiple_of(32) && self.since.get_or_insert_with(Instant::now).elapsed() > SPIN {
            return false;
        }
        std::hint::spin_loop();
        true
    }
}

/// A message as it came.
pub struct Message {
    /// The message proper, copied: the sender cannot change it any more.
    pub head: Vec<u8>,
    /// Its payload.
    pub body: Body,
}

/// A payload, where it lies. Dropping it gives its space back to the sender.
pub enum Body {
    /// Not there.
    Empty,
    /// In the queue. The sender can still change it: use it as data only, by pointer, never as a reference.
    Queue(Loan),
    /// It came in several frames, or was kept.
    Heap(Vec<u8>),
}

impl Body {
    /// Where it starts. Valid for [`Body::len`] bytes while this body lives.
    pub fn as_ptr(&self) -> *const u8 {
        match self {
            Body::Empty => std::ptr::NonNull::dangling().as_ptr(),
            Body::Queue(loan) => loan.start,
            Body::Heap(bytes) => bytes.as_ptr(),
        }
    }

    /// Bytes.
    pub fn len(&self) -> usize {
        match self {
            Body::Empty => 0,
            Body::Queue(loan) => loan.len,
            Body::Heap(bytes) => bytes.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A copy that the sender cannot change.
    pub fn to_vec(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.len());
        // SAFETY: the source is valid for `len` bytes while `self` lives, the target has that capacity, and bytes have no
        // invalid values, whatever the other process does meanwhile.
        unsafe {
            std::ptr::copy_nonoverlapping(self.as_ptr(), bytes.as_mut_ptr(), self.len());
            bytes.set_len(self.len());
        }
        bytes
    }

    /// The bytes, without a copy where they are already this side's own.
    pub fn into_vec(self) -> Vec<u8> {
        match self {
            Body::Heap(bytes) => bytes,
            other => other.to_vec(),
        }
    }
}

/// A part of the queue that is still in use.
pub struct Loan {
    start: *const u8,
    len: usize,
    end: u64,
    space: Arc<Space>,
}

// SAFETY: it points into the region, which `space` keeps mapped; it is read only.
unsafe impl Send for Loan {}
// SAFETY: as above.
unsafe impl Sync for Loan {}

impl Drop for Loan {
    fn drop(&mut self) {
        self.space.give_back(self.end);
    }
}

/// Space goes back to the sender in order, also when loans end out of order.
struct Space {
    region: Arc<Region>,
    direction: Direction,
    /// Ends of frames that were read and whose space has not gone back, in order; true: it could.
    read: Mutex<VecDeque<(u64, bool)>>,
}

impl Space {
    fn lend(&self, end: u64, free: bool) {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if free && read.is_empty() {
            self.region.channel(self.direction).release(end);
        } else {
            read.push_back((end, free));
        }
    }

    fn give_back(&self, end: u64) {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if let Ok(at) = read.binary_search_by_key(&end, |entry| entry.0) {
            read[at].1 = true;
        }
        let mut last = None;
        while read.front().is_some_and(|entry| entry.1) {
            last = read.pop_front().map(|entry| entry.0);
        }
        if let Some(end) = last {
            self.region.channel(self.direction).release(end);
        }
    }
}

/// The beginning of a message whose last frame has not come. Part of a checkpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Partial {
    /// Of its head.
    pub head: Vec<u8>,
    /// Of its body.
    pub body: Vec<u8>,
}

/// Ends waits of a [`Receiver`] from another thread.
#[derive(Clone)]
pub struct Interrupt {
    flag: Arc<AtomicBool>,
    /// It must not keep the region, and with it the lock that says that its proxy lives.
    region: Weak<Region>,
    direction: Direction,
}

impl Interrupt {
    /// Makes `recv` return [`Error::Interrupted`] until `clear`.
    pub fn raise(&self) {
        self.flag.store(true, Ordering::SeqCst);
        if let Some(region) = self.region.upgrade() {
            region.channel(self.direction).data.ring_always();
            region.channel(self.direction).space.ring_always();
        }
    }

    /// Takes it back.
    pub fn clear(&self) {
        self.flag.store(false, Ordering::SeqCst);
    }

    /// Whether it is raised.
    pub fn raised(&self) -> bool {
        self.flag.load(Ordering::SeqCst)
    }
}

/// The reading end of a queue. One a queue.
pub struct Receiver {
    space: Arc<Space>,
    base: *const u8,
    capacity: u64,
    cursor: u64,
    partial: Option<Partial>,
    body_max: u64,
    interrupt: Interrupt,
}

// SAFETY: `base` points into the region, which `space` keeps mapped.
unsafe impl Send for Receiver {}

impl Receiver {
    /// Takes up where the queue stands. Messages in several frames may be at most `body_max` bytes long.
    pub fn new(region: Arc<Region>, direction: Direction, body_max: u64) -> Receiver {
        let (base, capacity) = region.bytes(direction);
        let cursor = region.channel(direction).released();
        let interrupt = Interrupt { flag: Arc::default(), region: Arc::downgrade(&region), direction };
        let space = Arc::new(Space { region, direction, read: Mutex::default() });
        Receiver { space, base, capacity, cursor, partial: None, body_max, interrupt }
    }

    /// Ends waits from another thread.
    pub fn interrupt(&self) -> Interrupt {
        self.interrupt.clone()
    }

    /// The beginning of a message that has not come whole, for a checkpoint.
    pub fn partial(&self) -> Option<&Partial> {
        self.partial.as_ref()
    }

    /// Puts such a beginning back.
    pub fn set_partial(&mut self, partial: Option<Partial>) {
        self.partial = partial;
    }

    /// Waits for a message; `alive` is asked now and then whether waiting makes sense.
    ///
    /// # Errors
    /// [`Error::Gone`] when `alive` says so, [`Error::Interrupted`] by an [`Interrupt`], [`Error::Corrupt`].
    pub fn recv(&mut self, alive: &dyn Fn() -> bool) -> Result<Message, Error> {
        let mut spin = Spin::start();
        // A worker asks now and then whether its proxy lives. An idle proxy must not wake at all: it is told by an interrupt.
        let slice = match self.space.direction {
            Direction::Requests => Duration::from_secs(3600),
            Direction::Responses => Duration::from_millis(100),
        };
        loop {
            if self.interrupt.raised() {
                return Err(Error::Interrupted);
            }
            if let Some(message) = self.try_recv()? {
                return Ok(message);
            }
            if !spin.again() {
                let (channel, cursor) = (self.space.region.channel(self.space.direction), self.cursor);
                channel.data.wait(slice, || channel.published() != cursor || self.interrupt.raised());
                if channel.published() == cursor && !alive() {
                    return Err(Error::Gone);
                }
            }
        }
    }

    /// Waits until something is there, without taking it.
    ///
    /// # Errors
    /// [`Error::Interrupted`] by an [`Interrupt`].
    pub fn ready(&mut self) -> Result<(), Error> {
        let (channel, cursor) = (self.space.region.channel(self.space.direction), self.cursor);
        loop {
            if self.interrupt.raised() {
                return Err(Error::Interrupted);
            }
            if channel.published() != cursor {
                return Ok(());
            }
            channel.data.wait(Duration::from_secs(3600), || channel.published() != cursor || self.interrupt.raised());
        }
    }

    /// Takes a message if a whole one is there.
    ///
    /// # Errors
    /// [`Error::Corrupt`].
    pub fn try_recv(&mut self) -> Result<Option<Message>, Error> {
        loop {
            let tail = self.space.region.channel(self.space.direction).published();
            if tail == self.cursor {
                return Ok(None);
            }
            if tail < self.cursor || tail - self.cursor > self.capacity || !tail.is_multiple_of(8) {
                let expected = format!("a multiple of 8 from {} to {}", self.cursor, self.cursor + self.capacity);
                return Err(Error::Corrupt { what: "tail", got: tail, expected });
            }
            if let Some(message) = self.frame(tail)? {
                return Ok(Some(message));
            }
        }
    }

    /// Reads one frame (or skips the unused end of the queue); the message if that was its last.
    fn frame(&mut self, tail: u64) -> Result<Option<Message>, Error> {
        let offset = self.cursor % self.capacity;
        // SAFETY: cursors are multiples of eight and the queue is page-aligned, so a word fits here.
        let word = unsafe { &*self.base.add(offset as usize).cast::<AtomicU64>() }.load(Ordering::Relaxed);
        if word == SKIP {
            self.cursor += self.capacity - offset;
            if self.cursor > tail {
                return Err(Error::Corrupt { what: "skip past tail", got: self.cursor, expected: format!("at most {tail}") });
            }
            self.space.lend(self.cursor, true);
            return Ok(None);
        }
        let frame = Frame::decode(word);
        let limit = (tail - self.cursor).min(self.capacity - offset).min(frame_max(self.capacity));
        if frame.size() > limit {
            return Err(Error::Corrupt { what: "frame size", got: frame.size(), expected: format!("at most {limit}") });
        }
        // SAFETY: the frame was just checked to lie inside the queue and before the tail.
        let head_start = unsafe { self.base.add((offset + HEADER) as usize) };
        // SAFETY: as above.
        let body_start = unsafe { head_start.add(padded(frame.head) as usize) };
        self.cursor += frame.size();
        let message = self.assemble(frame, head_start, body_start)?;
        let lent = matches!(&message, Some(Message { body: Body::Queue(_), .. }));
        self.space.lend(self.cursor, !lent);
        Ok(message)
    }

    fn assemble(&mut self, frame: Frame, head: *const u8, body: *const u8) -> Result<Option<Message>, Error> {
        let (head_len, body_len) = (frame.head as usize, frame.body as usize);
        if !frame.more && self.partial.is_none() {
            let mut message = Message { head: Vec::new(), body: Body::Empty };
            append(&mut message.head, head, head_len);
            if body_len > 0 {
                message.body = Body::Queue(Loan { start: body, len: body_len, end: self.cursor, space: self.space.clone() });
            }
            return Ok(Some(message));
        }
        let partial = self.partial.get_or_insert_default();
        let total = (partial.head.len() + partial.body.len() + head_len + body_len) as u64;
        if total > self.body_max {
            let expected = format!("at most {}", self.body_max);
            return Err(Error::Corrupt { what: "length of a message in several frames", got: total, expected });
        }
        append(&mut partial.head, head, head_len);
        append(&mut partial.body, body, body_len);
        if frame.more {
            return Ok(None);
        }
        Ok(self.partial.take().map(|whole| Message { head: whole.head, body: Body::Heap(whole.body) }))
    }
}

fn append(to: &mut Vec<u8>, from: *const u8, len: usize) {
    to.reserve(len);
    // SAFETY: the caller checked that `len` bytes at `from` lie inside the queue; the target was just reserved. Bytes have no
    // invalid values, whatever the other process does meanwhile.
    unsafe {
        std::ptr::copy_nonoverlapping(from, to.as_mut_ptr().add(to.len()), len);
        to.set_len(to.len() + len);
    }
}
