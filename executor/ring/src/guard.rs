//! A worker that shrinks its ring's file must not take the proxy with it.
//!
//! Touching a mapped page that its file no longer has is a `SIGBUS`, which ends the process and with it the service of every
//! other worker. Here the missing page is replaced by one of zeros: what is read then cannot be right, the cursors say so, and
//! that one connection ends.

use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous};
use std::ffi::c_void;
use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering};

const PAGE: usize = 4096;
/// Regions that can be guarded at a time; a proxy has one a worker.
const PLACES: usize = 1024;

/// A range of addresses; an end of 0 is a free place.
struct Range {
    start: AtomicUsize,
    end: AtomicUsize,
}

static GUARDED: [Range; PLACES] = [const { Range { start: AtomicUsize::new(0), end: AtomicUsize::new(0) } }; PLACES];
static HANDLER: Once = Once::new();

/// Guards a mapping. Beyond [`PLACES`] of them it does nothing.
pub(crate) fn guard(start: usize, len: usize) {
    HANDLER.call_once(install);
    for range in &GUARDED {
        // Taken with an end that is below every start, so that the handler matches nothing before both are right.
        if range.end.compare_exchange(0, 1, Ordering::SeqCst, Ordering::SeqCst).is_ok() {
            range.start.store(start, Ordering::SeqCst);
            range.end.store(start + len, Ordering::SeqCst);
            return;
        }
    }
}

/// The mapping is about to go.
pub(crate) fn unguard(start: usize) {
    for range in &GUARDED {
        if range.end.load(Ordering::SeqCst) > 1 && range.start.load(Ordering::SeqCst) == start {
            range.end.store(0, Ordering::SeqCst);
        }
    }
}

fn install() {
    // SAFETY: an all-zero action is valid; the handler makes only system calls and touches only atomics.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = missing_page as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO;
        libc::sigaction(libc::SIGBUS, &action, std::ptr::null_mut());
    }
}

extern "C" fn missing_page(signal: i32, info: *mut libc::siginfo_t, _context: *mut c_void) {
    // SAFETY: the kernel passes a valid pointer to a handler installed with SA_SIGINFO.
    let address = unsafe { (*info).si_addr() } as usize;
    let ours = |range: &Range| {
        let (start, end) = (range.start.load(Ordering::SeqCst), range.end.load(Ordering::SeqCst));
        end > 1 && (start..end).contains(&address)
    };
    if GUARDED.iter().any(ours) {
        let page = address / PAGE * PAGE;
        // SAFETY: the page lies in a region of ours, whose users take any bytes; the access that failed is tried again.
        let replaced = unsafe {
            mmap_anonymous(page as *mut c_void, PAGE, ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE | MapFlags::FIXED)
        };
        if replaced.is_ok() {
            return;
        }
    }
    // SAFETY: the default action is valid; the access is tried again, and ends the process as it would have without us.
    unsafe {
        libc::signal(signal, libc::SIG_DFL);
    }
}
