//! Places in the staging area.

use crate::{FULL, Result};
use ring::Region;
use std::collections::BTreeMap;

/// This much memory is kept, and all that was used lately, up to a limit: fresh pages cost the two sides many times what copying does.
const KEEP: u64 = 64 << 20;
const KEEP_MAX: u64 = 512 << 20;
/// What was used that many reads ago counts for a third.
const LATELY: u64 = 32;
const ALIGN: u64 = 4096;

/// Which parts of the staging area are free. First fit, so that the same hot pages are used again and again.
pub(crate) struct Staging {
    free: BTreeMap<u64, u64>,
    /// Up to here pages were asked for.
    populated: u64,
    /// Up to here memory was used lately.
    lately: u64,
}

impl Staging {
    pub(crate) fn new(len: u64) -> Staging {
        Staging { free: BTreeMap::from([(0, len)]), populated: 0, lately: 0 }
    }

    /// A place for `len` bytes.
    pub(crate) fn take(&mut self, region: &Region, len: u64) -> Result<u64> {
        let len = len.max(1).next_multiple_of(ALIGN);
        let found = self.free.iter().find(|(_, room)| **room >= len).map(|(start, room)| (*start, *room));
        let (start, room) = found.ok_or(FULL)?;
        if start + len > self.populated {
            region.populate_staging(self.populated, start + len - self.populated).map_err(|_| FULL)?;
            self.populated = start + len;
        }
        self.lately = (self.lately - self.lately / LATELY).max(start + len);
        self.free.remove(&start);
        if room > len {
            self.free.insert(start + len, room - len);
        }
        Ok(start)
    }

    /// Takes a place back.
    pub(crate) fn give_back(&mut self, region: &Region, start: u64, len: u64) {
        let mut start = start;
        let mut len = len.max(1).next_multiple_of(ALIGN);
        if let Some(next) = self.free.remove(&(start + len)) {
            len += next;
        }
        if let Some((&before, &room)) = self.free.range(..start).next_back()
            && before + room == start
        {
            start = before;
            len += room;
        }
        self.free.insert(start, len);
        let keep = (start + KEEP).max(self.lately.min(KEEP_MAX));
        // Well past it, so that this is seldom.
        if start + len >= self.populated && self.populated > keep + keep / 2 {
            region.discard_staging(keep, self.populated - keep);
            self.populated = keep;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ring::Layout;

    #[test]
    fn what_is_used_is_kept_and_given_back_when_it_is_not_any_more() {
        let folder = std::path::Path::new("/dev/shm");
        let folder = if folder.exists() { folder.into() } else { std::env::temp_dir() };
        let path = folder.join(format!("orrery-staging-kept-{}.ring", std::process::id()));
        let layout = Layout { requests: 4096, responses: 4096, staging: 1 << 30 };
        let region = Region::create(&path, layout, 1).unwrap();
        std::fs::remove_file(&path).unwrap();
        let mut staging = Staging::new(1 << 30);
        let long = 2 * KEEP;
        for _ in 0..3 {
            let at = staging.take(&region, long).unwrap();
            staging.give_back(&region, at, long);
            assert_eq!(staging.populated, long);
        }
        for _ in 0..3 * LATELY {
            let at = staging.take(&region, 1).unwrap();
            staging.give_back(&region, at, 1);
        }
        assert!(staging.populated <= KEEP + KEEP / 2, "{}", staging.populated);
    }

    #[test]
    fn places_do_not_overlap_and_come_back_whole() {
        let path = std::env::temp_dir().join(format!("orrery-staging-{}.ring", std::process::id()));
        let layout = Layout { requests: 4096, responses: 4096, staging: 1 << 20 };
        let region = Region::create(&path, layout, 1).unwrap();
        std::fs::remove_file(&path).unwrap();
        let mut staging = Staging::new(1 << 20);
        let a = staging.take(&region, 5000).unwrap();
        let b = staging.take(&region, 1).unwrap();
        let c = staging.take(&region, 4096).unwrap();
        assert_eq!((a, b, c), (0, 8192, 12288));
        staging.give_back(&region, a, 5000);
        assert_eq!(staging.take(&region, 9000), Ok(16384));
        staging.give_back(&region, 16384, 9000);
        staging.give_back(&region, c, 4096);
        staging.give_back(&region, b, 1);
        assert_eq!(staging.free, BTreeMap::from([(0, 1 << 20)]));
        assert_eq!(staging.take(&region, 2 << 20), Err(FULL));
    }
}
