//! Device addresses: which parts of the worker's range are taken.

use crate::c::Result;
use std::collections::BTreeMap;
use wire::Id;
use wire::cuda;

/// What CUDA promises of every allocation's address, and more.
const ALIGN: u64 = 512;

/// An allocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Block {
    pub(crate) id: Id,
    pub(crate) start: u64,
    /// Bytes that the program asked for.
    pub(crate) size: u64,
    /// A module's variable, which the program cannot free.
    pub(crate) variable: bool,
}

/// Free and taken parts of the range. First fit: the same calls give the same addresses.
pub(crate) struct Addresses {
    free: BTreeMap<u64, u64>,
    taken: BTreeMap<u64, Block>,
}

fn rounded(size: u64) -> Option<u64> {
    size.max(1).checked_next_multiple_of(ALIGN)
}

impl Addresses {
    pub(crate) fn new(base: u64, size: u64) -> Addresses {
        Addresses { free: BTreeMap::from([(base, size)]), taken: BTreeMap::new() }
    }

    /// An address for an allocation.
    pub(crate) fn take(&mut self, id: Id, size: u64, variable: bool) -> Result<u64> {
        let room = rounded(size).ok_or(cuda::OUT_OF_MEMORY)?;
        let found = self.free.iter().find(|(_, free)| **free >= room).map(|(start, free)| (*start, *free));
        let (start, free) = found.ok_or(cuda::OUT_OF_MEMORY)?;
        self.free.remove(&start);
        if free > room {
            self.free.insert(start + room, free - room);
        }
        self.taken.insert(start, Block { id, start, size, variable });
        Ok(start)
    }

    /// Takes an allocation back by its address.
    pub(crate) fn give_back(&mut self, start: u64) -> Result<Block> {
        let block = *self.taken.get(&start).filter(|block| !block.variable).ok_or(cuda::INVALID_VALUE)?;
        self.taken.remove(&start);
        let (mut start, mut room) = (start, rounded(block.size).unwrap_or_default());
        if let Some(next) = self.free.remove(&(start + room)) {
            room += next;
        }
        if let Some((&before, &free)) = self.free.range(..start).next_back()
            && before + free == start
        {
            start = before;
            room += free;
        }
        self.free.insert(start, room);
        Ok(block)
    }

    /// The allocation that all of a range lies in.
    pub(crate) fn holding(&self, address: u64, len: u64) -> Result<Block> {
        let (start, block) = self.taken.range(..=address).next_back().ok_or(cuda::INVALID_VALUE)?;
        let end = (address - start).checked_add(len).ok_or(cuda::INVALID_VALUE)?;
        if end <= block.size && address - start < block.size.max(1) { Ok(*block) } else { Err(cuda::INVALID_VALUE) }
    }

    /// All allocations that the program can free.
    pub(crate) fn all(&self) -> Vec<Block> {
        self.taken.values().filter(|block| !block.variable).copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_come_back_and_are_given_again() {
        let mut addresses = Addresses::new(1 << 20, 4096);
        let a = addresses.take(16, 100, false).unwrap();
        let b = addresses.take(17, 513, false).unwrap();
        let c = addresses.take(18, 1, false).unwrap();
        assert_eq!((a, b, c), (1 << 20, (1 << 20) + 512, (1 << 20) + 1536));
        assert_eq!(addresses.take(19, 1 << 40, false), Err(cuda::OUT_OF_MEMORY));
        assert_eq!(addresses.take(19, u64::MAX, false), Err(cuda::OUT_OF_MEMORY));
        assert_eq!(addresses.holding(b + 512, 1).unwrap().id, 17);
        assert!(addresses.holding(b + 512, 2).is_err() && addresses.holding(a + 100, 0).is_err());
        addresses.give_back(a).unwrap();
        assert!(addresses.give_back(a).is_err() && addresses.give_back(b + 1).is_err());
        addresses.give_back(b).unwrap();
        assert_eq!(addresses.take(20, 1500, false), Ok(a), "the two parts became one");
        addresses.give_back(c).unwrap();
        addresses.give_back(a).unwrap();
        assert_eq!(addresses.all(), []);
        assert_eq!(addresses.free, BTreeMap::from([(1 << 20, 4096)]));
    }
}
