//! Atomics and the futex, or loom's models of them.

#[cfg(not(loom))]
pub(crate) use real::*;

#[cfg(not(loom))]
mod real {
    pub(crate) use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};
    use std::time::Duration;

    /// A 32-bit word to sleep on. It is shared between processes, so its futex is, too.
    #[repr(transparent)]
    pub(crate) struct Word(pub(crate) AtomicU32);

    impl Word {
        /// Sleeps until the word is not `seen`, somebody wakes it, or the time is over; may also return for no reason.
        pub(crate) fn wait(&self, seen: u32, timeout: Duration) {
            let timeout =
                rustix::thread::Timespec { tv_sec: timeout.as_secs() as i64, tv_nsec: i64::from(timeout.subsec_nanos()) };
            // Every outcome (woken, changed, timed out, signal) means the same to the caller: look again.
            let _ = rustix::thread::futex::wait(&self.0, rustix::thread::futex::Flags::empty(), seen, Some(&timeout));
        }

        pub(crate) fn wake(&self) {
            let _ = rustix::thread::futex::wake(&self.0, rustix::thread::futex::Flags::empty(), u32::MAX >> 1);
        }
    }
}

#[cfg(loom)]
pub(crate) use model::*;

#[cfg(loom)]
mod model {
    pub(crate) use loom::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};
    use loom::sync::{Condvar, Mutex};
    use std::time::Duration;

    /// A futex as the kernel keeps it: comparing and going to sleep are one step under the bucket's lock.
    pub(crate) struct Word(pub(crate) AtomicU32, Mutex<()>, Condvar);

    impl Word {
        pub(crate) fn new() -> Self {
            Word(AtomicU32::new(0), Mutex::new(()), Condvar::new())
        }

        /// Without the time-out of the real one: in the model a lost wake-up is a deadlock, which loom reports.
        pub(crate) fn wait(&self, seen: u32, _timeout: Duration) {
            let bucket = self.1.lock().unwrap();
            if self.0.load(Ordering::SeqCst) == seen {
                drop(self.2.wait(bucket).unwrap());
            }
        }

        pub(crate) fn wake(&self) {
            let _bucket = self.1.lock().unwrap();
            self.2.notify_all();
        }
    }
}
