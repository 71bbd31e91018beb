//! Device memory at addresses of one's own choice, by CUDA's virtual memory management.
//!
//! A range of addresses is reserved once. Under an allocation lie runs of whole pages, each mapped when the first allocation
//! needs it and unmapped after the last: small allocations share them.
#![allow(unsafe_code, reason = "calls into CUDA's driver")]

use cudarc::driver::sys;
use std::collections::BTreeMap;
use wire::Id;
use wire::cuda::{self, Span};

type Result<T> = std::result::Result<T, i32>;

pub(crate) fn ok(result: sys::CUresult) -> Result<()> {
    match result as i32 {
        0 => Ok(()),
        code => Err(code),
    }
}

/// Pages that are mapped as one.
struct Run {
    len: u64,
    handle: sys::CUmemGenericAllocationHandle,
    users: usize,
}

/// A reserved range and what is mapped in it.
pub(crate) struct Mapped {
    device: i32,
    base: u64,
    size: u64,
    page: u64,
    runs: BTreeMap<u64, Run>,
    /// Allocations by address: name and bytes.
    blocks: BTreeMap<u64, (Id, u64)>,
}

fn properties(device: i32) -> sys::CUmemAllocationProp {
    // SAFETY: zeros are a value of every field of this structure.
    let mut properties: sys::CUmemAllocationProp = unsafe { std::mem::zeroed() };
    properties.type_ = sys::CUmemAllocationType::CU_MEM_ALLOCATION_TYPE_PINNED;
    properties.location.type_ = sys::CUmemLocationType::CU_MEM_LOCATION_TYPE_DEVICE;
    properties.location.id = device;
    properties
}

impl Mapped {
    /// Reserves a range, at `wanted` if the driver can. A context of the device must be current.
    pub(crate) fn reserve(device: i32, wanted: u64, size: u64) -> Result<Mapped> {
        let minimum = sys::CUmemAllocationGranularity_flags::CU_MEM_ALLOC_GRANULARITY_MINIMUM;
        let (mut page, mut base) = (0, 0);
        // SAFETY: pointers are to values of this function.
        ok(unsafe { sys::cuMemGetAllocationGranularity(&mut page, &properties(device), minimum) })?;
        // SAFETY: as above; the address is a wish.
        ok(unsafe { sys::cuMemAddressReserve(&mut base, size as usize, page, wanted, 0) })?;
        let (runs, blocks) = (BTreeMap::new(), BTreeMap::new());
        Ok(Mapped { device, base, size, page: page.max(1) as u64, runs, blocks })
    }

    pub(crate) fn range(&self) -> (u64, u64) {
        (self.base, self.size)
    }

    /// Makes an allocation.
    pub(crate) fn allocate(&mut self, id: Id, address: u64, size: u64) -> Result<()> {
        let end =
            address.checked_add(size).filter(|end| size > 0 && *end <= self.base + self.size).ok_or(cuda::INVALID_VALUE)?;
        let before = self.blocks.range(..end).next_back();
        if address < self.base || before.is_some_and(|(start, (_, len))| start + len > address) {
            return Err(cuda::INVALID_VALUE);
        }
        self.map(address, end)?;
        self.blocks.insert(address, (id, size));
        Ok(())
    }

    /// Frees the allocation of this name. Nothing on the device may use it any more.
    pub(crate) fn free(&mut self, id: Id) -> bool {
        let Some((address, size)) = self.all().find(|(own, ..)| *own == id).map(|(_, address, size)| (address, size)) else {
            return false;
        };
        self.blocks.remove(&address);
        self.unmap(address, address + size);
        true
    }

    /// Names, addresses and bytes.
    pub(crate) fn all(&self) -> impl Iterator<Item = (Id, u64, u64)> {
        self.blocks.iter().map(|(address, (id, size))| (*id, *address, *size))
    }

    /// Checks that a span lies in one allocation, and says how many bytes of data it has.
    pub(crate) fn check(&self, span: Span) -> Result<u64> {
        let (len, end) = span.len().zip(span.end()).ok_or(cuda::INVALID_VALUE)?;
        if span.rows > 1 && span.pitch < span.row {
            return Err(cuda::INVALID_PITCH);
        }
        let (start, (_, size)) = self.blocks.range(..=span.address).next_back().ok_or(cuda::INVALID_VALUE)?;
        if end <= start + size { Ok(len) } else { Err(cuda::INVALID_VALUE) }
    }

    fn pages(&self, address: u64, end: u64) -> (u64, u64) {
        // The driver may give a base that is no multiple of a page; pages count from there.
        let first = self.base + (address - self.base) / self.page * self.page;
        (first, self.base + (end - self.base).next_multiple_of(self.page))
    }

    /// Maps what is not, and counts one more user of every run under the addresses.
    fn map(&mut self, address: u64, end: u64) -> Result<()> {
        let (first, last) = self.pages(address, end);
        let mut at = first;
        while at < last {
            let under = self.runs.range(..=at).next_back().filter(|(start, run)| *start + run.len > at);
            let next = match under {
                Some((start, run)) => start + run.len,
                None => {
                    let next = self.runs.range(at..last).next().map_or(last, |(start, _)| *start);
                    if let Err(code) = self.map_run(at, next - at) {
                        self.unmap_until(first, at);
                        return Err(code);
                    }
                    next
                }
            };
            if let Some((_, run)) = self.runs.range_mut(..=at).next_back() {
                run.users += 1;
            }
            at = next;
        }
        Ok(())
    }

    fn map_run(&mut self, at: u64, len: u64) -> Result<()> {
        let mut handle = 0;
        let properties = properties(self.device);
        let access = sys::CUmemAccessDesc {
            location: properties.location,
            flags: sys::CUmemAccess_flags::CU_MEM_ACCESS_FLAGS_PROT_READWRITE,
        };
        // SAFETY: pointers are to values of this function; the addresses are reserved and not mapped.
        let mapped = unsafe {
            ok(sys::cuMemCreate(&mut handle, len as usize, &properties, 0))?;
            ok(sys::cuMemMap(at, len as usize, 0, handle, 0)).and_then(|()| {
                ok(sys::cuMemSetAccess(at, len as usize, &access, 1)).inspect_err(|_| {
                    let _ = sys::cuMemUnmap(at, len as usize);
                })
            })
        };
        if let Err(code) = mapped {
            // SAFETY: made above, and not mapped.
            unsafe { sys::cuMemRelease(handle) };
            return Err(code);
        }
        self.runs.insert(at, Run { len, handle, users: 0 });
        Ok(())
    }

    fn unmap(&mut self, address: u64, end: u64) {
        let (first, last) = self.pages(address, end);
        self.unmap_until(first, last);
    }

    /// Counts one user less of every run that these pages touch.
    fn unmap_until(&mut self, first: u64, last: u64) {
        if first >= last {
            return;
        }
        let touched = |start: u64, run: &Run| start < last && start + run.len > first;
        for (start, run) in self.runs.range_mut(..last).filter(|(start, run)| touched(**start, run)) {
            run.users = run.users.saturating_sub(1);
            if run.users == 0 {
                // SAFETY: mapped as one by `map_run`; nobody uses it.
                unsafe {
                    sys::cuMemUnmap(*start, run.len as usize);
                    sys::cuMemRelease(run.handle);
                }
            }
        }
        self.runs.retain(|_, run| run.users > 0);
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        self.blocks.clear();
        for (start, run) in std::mem::take(&mut self.runs) {
            // SAFETY: mapped as one by `map_run`; the session is over.
            unsafe {
                sys::cuMemUnmap(start, run.len as usize);
                sys::cuMemRelease(run.handle);
            }
        }
        // SAFETY: reserved by `reserve`, and nothing is mapped in it.
        unsafe { sys::cuMemAddressFree(self.base, self.size as usize) };
    }
}
