//! The writing end of a queue.

use crate::frame::{Frame, HEADER, SKIP, frame_max, padded};
use crate::region::{Direction, Region};
use crate::sync::{AtomicU64, Ordering};
use crate::{Error, receiver::Spin};
use std::sync::Arc;
use std::time::Duration;

/// The writing end of a queue. One a queue.
pub struct Sender {
    region: Arc<Region>,
    direction: Direction,
    base: *mut u8,
    capacity: u64,
    tail: u64,
    /// The receiver's cursor as last seen: read again only when the queue looks full.
    head: u64,
}

/// Space that has not been given back yet.
pub struct SpaceAwaited {
    region: Arc<Region>,
    direction: Direction,
    head: u64,
}

impl SpaceAwaited {
    /// Waits until the receiver has given some space back.
    ///
    /// # Errors
    /// [`Error::Gone`] when `alive` says so.
    pub fn wait(&self, alive: &dyn Fn() -> bool) -> Result<(), Error> {
        let channel = self.region.channel(self.direction);
        channel.data.ring();
        let mut spin = Spin::start();
        while channel.released() == self.head {
            if !spin.again() {
                channel.space.wait(Duration::from_millis(100), || channel.released() != self.head);
                if channel.released() == self.head && !alive() {
                    return Err(Error::Gone);
                }
            }
        }
        Ok(())
    }
}

// SAFETY: `base` points into the region, which the sender keeps mapped.
unsafe impl Send for Sender {}

impl Sender {
    /// Takes up where the queue stands.
    pub fn new(region: Arc<Region>, direction: Direction) -> Sender {
        let (base, capacity) = region.bytes(direction);
        let channel = region.channel(direction);
        let (tail, head) = (channel.published(), channel.released());
        Sender { direction, base, capacity, tail, head, region }
    }

    /// The longest body that goes out in one frame beside a head of `head` bytes. Longer ones work, but are copied once more.
    pub fn body_max(&self, head: usize) -> usize {
        (frame_max(self.capacity) - HEADER - padded(head as u64)) as usize
    }

    /// Sends one message, waiting for space; `alive` is asked now and then whether waiting makes sense. With `wake` false, a
    /// sleeping receiver finds it when a later message wakes it.
    ///
    /// # Errors
    /// [`Error::Gone`] when `alive` says so, [`Error::Corrupt`] when the receiver's cursor cannot be.
    pub fn send(&mut self, head: &[u8], body: &[u8], wake: bool, alive: &dyn Fn() -> bool) -> Result<(), Error> {
        let (mut head, mut body) = (head, body);
        while !self.send_some(&mut head, &mut body, wake)? {
            self.wait_for_space(alive)?;
        }
        Ok(())
    }

    /// Sends as much of a message as fits now and takes it off `head` and `body`; true when that was all. What is left must be
    /// the next thing sent.
    ///
    /// # Errors
    /// [`Error::Corrupt`] when the receiver's cursor cannot be.
    pub fn send_some(&mut self, head: &mut &[u8], body: &mut &[u8], wake: bool) -> Result<bool, Error> {
        loop {
            let max = frame_max(self.capacity);
            let head_now = head.len().min((max / 2) as usize);
            let body_now = if head_now < head.len() { 0 } else { body.len().min(self.body_max(head_now)) };
            let more = head_now < head.len() || body_now < body.len();
            if !self.fits(Frame { head: head_now as u64, body: body_now as u64, more })? {
                return Ok(false);
            }
            self.put(&head[..head_now], &body[..body_now], more, wake || more);
            *head = &head[head_now..];
            *body = &body[body_now..];
            if !more {
                return Ok(true);
            }
        }
    }

    /// Wakes the receiver if it sleeps with messages unread.
    pub fn wake(&self) {
        self.region.channel(self.direction).data.ring();
    }

    /// Waits until the receiver has given some space back.
    ///
    /// # Errors
    /// [`Error::Gone`] when `alive` says so.
    pub fn wait_for_space(&mut self, alive: &dyn Fn() -> bool) -> Result<(), Error> {
        self.space().wait(alive)
    }

    /// The same wait, for who must not keep the sender meanwhile.
    pub fn space(&self) -> SpaceAwaited {
        SpaceAwaited { region: self.region.clone(), direction: self.direction, head: self.head }
    }

    /// Whether the frame fits, with the unused end of the queue that it may have to skip.
    fn fits(&mut self, frame: Frame) -> Result<bool, Error> {
        let need = frame.size() + self.skip(frame);
        if self.tail + need - self.head > self.capacity {
            let head = self.region.channel(self.direction).released();
            if head < self.head || head > self.tail {
                return Err(Error::Corrupt { what: "head", got: head, expected: format!("{} to {}", self.head, self.tail) });
            }
            self.head = head;
        }
        Ok(self.tail + need - self.head <= self.capacity)
    }

    fn skip(&self, frame: Frame) -> u64 {
        let left = self.capacity - self.tail % self.capacity;
        if left < frame.size() { left } else { 0 }
    }

    fn put(&mut self, head: &[u8], body: &[u8], more: bool, wake: bool) {
        let frame = Frame { head: head.len() as u64, body: body.len() as u64, more };
        let skip = self.skip(frame);
        if skip > 0 {
            self.word(self.tail).store(SKIP, Ordering::Relaxed);
        }
        let start = self.tail + skip;
        self.word(start).store(frame.encode(), Ordering::Relaxed);
        let at = (start % self.capacity + HEADER) as usize;
        // SAFETY: `wait_for_space` made sure that the frame fits before the receiver's cursor, and `skip` that it does not
        // cross the queue's end, so both ranges are inside the queue and the sender's.
        unsafe {
            std::ptr::copy_nonoverlapping(head.as_ptr(), self.base.add(at), head.len());
            std::ptr::copy_nonoverlapping(body.as_ptr(), self.base.add(at + padded(head.len() as u64) as usize), body.len());
        }
        self.tail = start + frame.size();
        self.region.channel(self.direction).publish(self.tail, wake);
    }

    fn word(&self, cursor: u64) -> &AtomicU64 {
        // SAFETY: cursors and frame sizes are multiples of eight and the queue is page-aligned, so a word fits here.
        unsafe { &*self.base.add((cursor % self.capacity) as usize).cast::<AtomicU64>() }
    }
}
