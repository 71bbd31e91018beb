//! Memory that stands for a device's in the program.

/// A huge page on most machines.
const HUGE: usize = 2 << 20;

/// Zeroed memory, aligned like pages, in huge ones where it is long: small ones cost more time to get than contents to copy there.
pub struct Pages {
    map: *mut libc::c_void,
    mapped: usize,
    start: *mut u8,
}

// SAFETY: plain memory; who uses it is the program's business.
unsafe impl Send for Pages {}

impl Pages {
    /// `len` bytes. None: the system has no more.
    pub fn new(len: usize) -> Option<Pages> {
        let huge = len >= 2 * HUGE;
        let mapped = len.max(1).checked_add(if huge { HUGE } else { 0 })?;
        let (access, kind) =
            (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE);
        // SAFETY: a fresh mapping at an address of the kernel's choice.
        let map = unsafe { libc::mmap(std::ptr::null_mut(), mapped, access, kind, -1, 0) };
        if map == libc::MAP_FAILED {
            return None;
        }
        let mut start = map.cast::<u8>();
        if huge {
            start = start.wrapping_add(start.align_offset(HUGE));
            // SAFETY: the range is inside this mapping. A system without huge pages says no, and all is well.
            unsafe { libc::madvise(start.cast(), len, libc::MADV_HUGEPAGE) };
        }
        Some(Pages { map, mapped, start })
    }

    /// Where it begins.
    pub fn start(&self) -> *mut u8 {
        self.start
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: mapped with this length; whoever points into it holds this.
        unsafe { libc::munmap(self.map, self.mapped) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_and_long_memory_is_there_from_end_to_end() {
        for len in [0, 1, 5000, 2 * HUGE, 2 * HUGE + 1] {
            let pages = Pages::new(len).unwrap();
            assert_eq!(pages.start() as usize % if len >= 2 * HUGE { HUGE } else { 4096 }, 0);
            for at in std::collections::BTreeSet::from([0, len.saturating_sub(1)]) {
                // SAFETY: within the memory.
                unsafe {
                    assert_eq!(pages.start().add(at).read(), 0);
                    pages.start().add(at).write(7);
                }
            }
        }
        assert!(Pages::new(usize::MAX).is_none());
    }
}
