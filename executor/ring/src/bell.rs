//! How a side that has nothing to do sleeps, and how the other side wakes it.

use crate::sync::{AtomicU32, AtomicU64, Ordering, Word, fence};
use std::time::Duration;

/// Woken at most once a sleep, so that a busy queue costs no system calls.
#[repr(C, align(64))]
pub(crate) struct Bell {
    count: Word,
    sleeping: AtomicU32,
}

impl Bell {
    /// Wakes the sleeper, if there is one. Call it after making true what it waits for.
    pub(crate) fn ring(&self) {
        // Pairs with the fence in `wait`: either this side sees the sleeper, or the sleeper sees what was made true.
        fence(Ordering::SeqCst);
        if self.sleeping.load(Ordering::Relaxed) != 0 {
            self.sleeping.store(0, Ordering::Relaxed);
            self.ring_always();
        }
    }

    /// Wakes the sleeper, also one that is just about to sleep, from any thread.
    pub(crate) fn ring_always(&self) {
        self.count.0.fetch_add(1, Ordering::SeqCst);
        self.count.wake();
    }

    /// Sleeps until rung or `timeout`, unless `ready` already holds. May return early: look again.
    pub(crate) fn wait(&self, timeout: Duration, ready: impl Fn() -> bool) {
        let seen = self.count.0.load(Ordering::SeqCst);
        self.sleeping.store(1, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        if !ready() {
            self.count.wait(seen, timeout);
        }
        self.sleeping.store(0, Ordering::Relaxed);
    }
}

/// A cursor on a cache line of its own, so that the two sides do not take each other's lines away.
#[repr(C, align(64))]
pub(crate) struct Cursor(pub(crate) AtomicU64);

/// The shared words of one queue. Cursors count bytes since the queue was made and never go back.
#[repr(C, align(64))]
pub(crate) struct Channel {
    /// Where the sender will write next.
    pub(crate) tail: Cursor,
    /// Up to where the receiver has given space back.
    pub(crate) head: Cursor,
    /// Rung by the sender: there is a frame.
    pub(crate) data: Bell,
    /// Rung by the receiver: there is space.
    pub(crate) space: Bell,
}

impl Channel {
    /// Makes everything before `tail` visible, at once.
    pub(crate) fn publish(&self, tail: u64, wake: bool) {
        self.tail.0.store(tail, Ordering::Release);
        if wake {
            self.data.ring();
        }
    }

    /// Gives everything before `head` back.
    pub(crate) fn release(&self, head: u64) {
        self.head.0.store(head, Ordering::Release);
        self.space.ring();
    }

    pub(crate) fn published(&self) -> u64 {
        self.tail.0.load(Ordering::Acquire)
    }

    pub(crate) fn released(&self) -> u64 {
        self.head.0.load(Ordering::Acquire)
    }
}

#[cfg(all(test, loom))]
mod tests {
    use super::*;
    use loom::cell::UnsafeCell;
    use loom::sync::Arc;

    fn bell() -> Bell {
        Bell { count: Word::new(), sleeping: AtomicU32::new(0) }
    }

    struct Queue {
        channel: Channel,
        slots: [UnsafeCell<u64>; 2],
    }

    // SAFETY: the channel's protocol gives each slot to one side at a time; loom checks that it does.
    unsafe impl Sync for Queue {}

    const FOREVER: Duration = Duration::from_secs(1 << 30);

    /// Three two-word messages through two slots: every interleaving delivers all of them, whole and in order, and nobody
    /// sleeps through the wake-up (loom would report a deadlock).
    #[test]
    fn no_wake_up_is_lost_and_no_message_is_torn() {
        let mut builder = loom::model::Builder::new();
        // All interleavings with up to three pre-emptions: enough for every race of two threads over two words.
        builder.preemption_bound = Some(3);
        builder.check(|| {
            let cursor = || Cursor(AtomicU64::new(0));
            let channel = Channel { tail: cursor(), head: cursor(), data: bell(), space: bell() };
            let queue = Arc::new(Queue { channel, slots: [UnsafeCell::new(0), UnsafeCell::new(0)] });
            let sender = {
                let queue = queue.clone();
                loom::thread::spawn(move || {
                    for message in 0..2u64 {
                        let tail = message * 2;
                        while tail + 2 - queue.channel.released() > 2 {
                            queue.channel.space.wait(FOREVER, || tail + 2 - queue.channel.released() <= 2);
                        }
                        for slot in &queue.slots {
                            // SAFETY: these slots are before `head + capacity`: the sender's.
                            slot.with_mut(|place| unsafe { *place = message + 1 });
                        }
                        queue.channel.publish(tail + 2, true);
                    }
                })
            };
            for message in 0..2u64 {
                let head = message * 2;
                while queue.channel.published() == head {
                    queue.channel.data.wait(FOREVER, || queue.channel.published() != head);
                }
                for slot in &queue.slots {
                    // SAFETY: these slots are before `tail`: the receiver's.
                    assert_eq!(slot.with(|place| unsafe { *place }), message + 1);
                }
                queue.channel.release(head + 2);
            }
            sender.join().unwrap();
        });
    }
}
