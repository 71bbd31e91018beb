//! A simulated device's memory: host memory under device addresses.

use std::collections::BTreeMap;
use wire::Id;
use wire::cuda::{self, Span};

type Result<T> = std::result::Result<T, i32>;

/// One allocation.
struct Block {
    id: Id,
    bytes: Vec<u8>,
}

/// Allocations by address. An access must lie within one: what a real device may let pass is an illegal address here.
#[derive(Default)]
pub struct Memory {
    blocks: BTreeMap<u64, Block>,
    addresses: BTreeMap<Id, u64>,
    used: u64,
}

impl Memory {
    /// Bytes in use.
    pub fn used(&self) -> u64 {
        self.used
    }

    /// Makes an allocation of zeros at an address that the caller has checked to be in the worker's range.
    ///
    /// # Errors
    /// It is empty, overlaps another one, or `limit` bytes would be exceeded.
    pub fn allocate(&mut self, id: Id, address: u64, size: u64, limit: u64) -> Result<()> {
        let end = address.checked_add(size).filter(|_| size > 0).ok_or(cuda::INVALID_VALUE)?;
        if self.used.checked_add(size).is_none_or(|used| used > limit) {
            return Err(cuda::OUT_OF_MEMORY);
        }
        let before = self.blocks.range(..end).next_back();
        if before.is_some_and(|(start, block)| start + block.bytes.len() as u64 > address) {
            return Err(cuda::INVALID_VALUE);
        }
        self.blocks.insert(address, Block { id, bytes: vec![0; size as usize] });
        self.addresses.insert(id, address);
        self.used += size;
        Ok(())
    }

    /// Frees an allocation. False if there is none of that name.
    pub fn free(&mut self, id: Id) -> bool {
        self.take(id).is_some()
    }

    /// Frees an allocation and hands its bytes out.
    pub fn take(&mut self, id: Id) -> Option<Vec<u8>> {
        let block = self.addresses.remove(&id).and_then(|address| self.blocks.remove(&address))?;
        self.used -= block.bytes.len() as u64;
        Some(block.bytes)
    }

    /// Puts other bytes under an allocation, if they are as many.
    pub fn replace(&mut self, id: Id, bytes: Vec<u8>) {
        let block = self.addresses.get(&id).and_then(|address| self.blocks.get_mut(address));
        if let Some(block) = block.filter(|block| block.bytes.len() == bytes.len()) {
            block.bytes = bytes;
        }
    }

    /// Allocations in the order of ids, and their sizes.
    pub fn all(&self) -> impl Iterator<Item = (Id, u64)> {
        self.addresses.iter().map(|(id, address)| (*id, self.blocks[address].bytes.len() as u64))
    }

    /// Where an allocation is.
    pub fn address(&self, id: Id) -> Option<u64> {
        self.addresses.get(&id).copied()
    }

    /// Bytes at an address.
    ///
    /// # Errors
    /// [`cuda::ILLEGAL_ADDRESS`]
    pub fn bytes(&self, address: u64, len: u64) -> Result<&[u8]> {
        let (start, block) = self.blocks.range(..=address).next_back().ok_or(cuda::ILLEGAL_ADDRESS)?;
        let range = within(*start, block, address, len)?;
        Ok(&block.bytes[range])
    }

    /// The same, to be changed.
    ///
    /// # Errors
    /// [`cuda::ILLEGAL_ADDRESS`]
    pub fn bytes_mut(&mut self, address: u64, len: u64) -> Result<&mut [u8]> {
        let (start, block) = self.blocks.range_mut(..=address).next_back().ok_or(cuda::ILLEGAL_ADDRESS)?;
        let range = within(*start, block, address, len)?;
        Ok(&mut block.bytes[range])
    }

    /// The data of a span, packed.
    ///
    /// # Errors
    /// [`cuda::INVALID_VALUE`]: it is not in one allocation.
    pub fn gather(&self, span: Span) -> Result<Vec<u8>> {
        let mut data = Vec::with_capacity(self.check(span)? as usize);
        for start in span.starts() {
            data.extend_from_slice(self.bytes(start, span.row)?);
        }
        Ok(data)
    }

    /// Writes packed data to a span.
    ///
    /// # Errors
    /// [`cuda::INVALID_VALUE`]: it is not in one allocation, or the data are not its length.
    pub fn scatter(&mut self, span: Span, data: &[u8]) -> Result<()> {
        if self.check(span)? != data.len() as u64 {
            return Err(cuda::INVALID_VALUE);
        }
        if !span.is_empty() {
            for (start, row) in span.starts().zip(data.chunks_exact(span.row as usize)) {
                self.bytes_mut(start, span.row)?.copy_from_slice(row);
            }
        }
        Ok(())
    }

    /// Sets elements of `width` bytes.
    ///
    /// # Errors
    /// [`cuda::INVALID_VALUE`]: the span is not in one allocation, or does not hold whole elements.
    pub fn set(&mut self, span: Span, value: u32, width: u8) -> Result<()> {
        self.check(span)?;
        if !matches!(width, 1 | 2 | 4) || !span.row.is_multiple_of(u64::from(width)) {
            return Err(cuda::INVALID_VALUE);
        }
        let element = &value.to_le_bytes()[..usize::from(width)];
        for start in span.starts().filter(|_| !span.is_empty()) {
            let row = self.bytes_mut(start, span.row)?;
            row.chunks_exact_mut(element.len()).for_each(|place| place.copy_from_slice(element));
        }
        Ok(())
    }

    /// Bytes of data in a span that lies in one allocation.
    ///
    /// # Errors
    /// [`cuda::INVALID_VALUE`] or [`cuda::INVALID_PITCH`]: it does not.
    pub fn check(&self, span: Span) -> Result<u64> {
        let (len, end) = span.len().zip(span.end()).ok_or(cuda::INVALID_VALUE)?;
        if len > 0 {
            self.bytes(span.address, end - span.address).map_err(|_| cuda::INVALID_VALUE)?;
        } else if span.rows > 1 << 32 {
            return Err(cuda::INVALID_VALUE);
        }
        // Rows that overlap could make more data of a span than there is memory.
        if span.rows > 1 && span.pitch < span.row { Err(cuda::INVALID_PITCH) } else { Ok(len) }
    }
}

fn within(start: u64, block: &Block, address: u64, len: u64) -> Result<std::ops::Range<usize>> {
    let offset = address - start;
    match offset.checked_add(len) {
        Some(end) if end <= block.bytes.len() as u64 => Ok(offset as usize..end as usize),
        _ => Err(cuda::ILLEGAL_ADDRESS),
    }
}

impl Memory {
    /// The allocation that holds an address, by name.
    pub fn owner(&self, address: u64) -> Option<Id> {
        let (start, block) = self.blocks.range(..=address).next_back()?;
        (address - start < block.bytes.len() as u64).then_some(block.id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allocations_do_not_meet() {
        let mut memory = Memory::default();
        memory.allocate(16, 4096, 100, 1 << 20).unwrap();
        for (address, size) in [(4096, 1), (4195, 1), (4000, 97), (4000, 4000), (4096, 0), (u64::MAX, 2)] {
            assert_eq!(memory.allocate(17, address, size, 1 << 20), Err(cuda::INVALID_VALUE), "{address} {size}");
        }
        assert_eq!(memory.allocate(17, 8192, 1 << 20, 1 << 20), Err(cuda::OUT_OF_MEMORY));
        memory.allocate(17, 4196, 4, 1 << 20).unwrap();
        assert_eq!(memory.bytes(4195, 2), Err(cuda::ILLEGAL_ADDRESS), "across two allocations");
        assert_eq!((memory.owner(4196), memory.owner(4200)), (Some(17), None));
        assert!(memory.free(16) && !memory.free(16));
        assert_eq!(memory.used(), 4);
    }

    #[test]
    fn rows_are_packed_and_unpacked() {
        let mut memory = Memory::default();
        memory.allocate(16, 4096, 16, 64).unwrap();
        let span = Span { address: 4097, row: 2, rows: 3, pitch: 4 };
        memory.scatter(span, &[1, 2, 3, 4, 5, 6]).unwrap();
        assert_eq!(memory.bytes(4096, 12).unwrap(), [0, 1, 2, 0, 0, 3, 4, 0, 0, 5, 6, 0]);
        assert_eq!(memory.gather(span).unwrap(), [1, 2, 3, 4, 5, 6]);
        memory.set(span, 0x0203, 2).unwrap();
        assert_eq!(memory.gather(span).unwrap(), [3, 2, 3, 2, 3, 2]);
        for wrong in [Span { rows: 5, ..span }, Span { pitch: 1, ..span }, Span { pitch: u64::MAX, ..span }] {
            assert!(memory.gather(wrong).is_err(), "{wrong:?}");
        }
        assert!(memory.gather(Span { row: 0, rows: u64::MAX, pitch: 0, address: 0 }).is_err());
    }
}
