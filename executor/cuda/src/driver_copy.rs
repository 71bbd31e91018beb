//! The driver's memory calls: addresses are numbers there.

use crate::c::{Handle, Result, get, put, put_if};
use crate::copy::{Rows, Sizes, Wait, copy, fill};
use crate::driver::alike;
use crate::memory::{allocate, free};
use crate::state::State;
use crate::stream::stream;
use std::ffi::c_void;
use wire::Id;
use wire::cuda::{self, DEFAULT_STREAM};

const TO_DEVICE: i32 = 1;
const TO_HOST: i32 = 2;
const ON_DEVICE: i32 = 3;
const EITHER: i32 = 4;

fn at(address: u64) -> Handle {
    std::ptr::without_provenance_mut(address as usize)
}

fn flat(state: &State, to: Handle, from: *const c_void, len: usize, kind: i32, on: Id, wait: Wait) -> Result<()> {
    copy(state, Rows::flat(to), Rows::flat(from), Sizes { width: len, height: 1 }, kind, on, wait)
}

/// `count` elements of `width` bytes in each of `rows` rows.
fn set(state: &State, start: u64, pitch: usize, value: u32, width: u8, sizes: [usize; 2], on: Id) -> Result<()> {
    let bytes = sizes[0].checked_mul(usize::from(width)).ok_or(cuda::INVALID_VALUE)?;
    if !start.is_multiple_of(u64::from(width)) {
        return Err(cuda::INVALID_VALUE);
    }
    fill(state, Rows { start: at(start), pitch }, Sizes { width: bytes, height: sizes[1] }, value, width, on)
}

fn allocated(state: &State, to: *mut u64, size: usize) -> Result<()> {
    let mut start = std::ptr::null_mut();
    // Unlike the runtime's call, this one refuses nothing.
    if size == 0 {
        return Err(cuda::INVALID_VALUE);
    }
    allocate(state, &mut start, size)?;
    put(to, start.addr() as u64)
}

/// CUDA's `CUDA_MEMCPY2D`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Copy2D {
    from_at: [usize; 2],
    from_kind: i32,
    from_host: Handle,
    from_device: u64,
    from_array: Handle,
    from_pitch: usize,
    to_at: [usize; 2],
    to_kind: i32,
    to_host: Handle,
    to_device: u64,
    to_array: Handle,
    to_pitch: usize,
    width: usize,
    height: usize,
}

fn copy_2d(state: &State, all: *const Copy2D, on: Id, wait: Wait) -> Result<()> {
    const HOST: i32 = 1;
    const DEVICE: i32 = 2;
    let all = get(all)?;
    let side = |kind: i32, host: Handle, device: u64, place: [usize; 2], pitch: usize| {
        let start = match kind {
            HOST => host,
            DEVICE => at(device),
            _ => return Err(cuda::NOT_SUPPORTED),
        };
        let pitch = if pitch == 0 { all.width } else { pitch };
        Ok(Rows { start: start.wrapping_byte_add(place[1] * pitch + place[0]), pitch })
    };
    let from = side(all.from_kind, all.from_host, all.from_device, all.from_at, all.from_pitch)?;
    let to = side(all.to_kind, all.to_host, all.to_device, all.to_at, all.to_pitch)?;
    copy(state, to, from, Sizes { width: all.width, height: all.height }, EITHER, on, wait)
}

alike! {
    cuMemAlloc_v2(to: *mut u64, size: usize) |state| allocated(state, to, size);
    cuMemAllocAsync cuMemAllocAsync_ptsz (to: *mut u64, size: usize, on: Handle) |state| {
        stream(state, on).and_then(|_| allocated(state, to, size))
    };
    cuMemFree_v2(start: u64) |state| free(state, at(start));
    cuMemFreeAsync cuMemFreeAsync_ptsz (start: u64, on: Handle) |state| stream(state, on).and_then(|_| free(state, at(start)));
    cuMemAllocPitch_v2(to: *mut u64, pitch: *mut usize, width: usize, height: usize, _element: u32) |state| {
        let bytes = width.checked_next_multiple_of(512).ok_or(cuda::OUT_OF_MEMORY)?;
        put(pitch, bytes)?;
        allocated(state, to, bytes.checked_mul(height).ok_or(cuda::OUT_OF_MEMORY)?)
    };
    cuMemGetAddressRange_v2(start: *mut u64, size: *mut usize, address: u64) |state| {
        let block = state.addresses().holding(address, 0)?;
        put_if(start, block.start);
        put_if(size, block.size as usize);
        Ok(())
    };
    cuPointerGetAttribute(to: *mut c_void, attribute: i32, address: u64) |state| {
        let block = state.addresses().holding(address, 0)?;
        // Memory type (device), device pointer, start, size, whether it is managed, device.
        match attribute {
            2 => put(to.cast::<u32>(), 2),
            3 => put(to.cast::<u64>(), address),
            11 => put(to.cast::<u64>(), block.start),
            12 => put(to.cast::<usize>(), block.size as usize),
            8 => put(to.cast::<u32>(), 0),
            9 => put(to.cast::<i32>(), 0),
            _ => Err(cuda::NOT_SUPPORTED),
        }
    };
    cuMemcpy cuMemcpy_ptds (to: u64, from: u64, len: usize) |state| flat(state, at(to), at(from), len, EITHER, DEFAULT_STREAM, Wait::Yes);
    cuMemcpyAsync cuMemcpyAsync_ptsz (to: u64, from: u64, len: usize, on: Handle) |state| {
        flat(state, at(to), at(from), len, EITHER, stream(state, on)?, Wait::No)
    };
    cuMemcpyHtoD_v2 cuMemcpyHtoD_v2_ptds (to: u64, from: *const c_void, len: usize) |state| {
        flat(state, at(to), from, len, TO_DEVICE, DEFAULT_STREAM, Wait::Yes)
    };
    cuMemcpyHtoDAsync_v2 cuMemcpyHtoDAsync_v2_ptsz (to: u64, from: *const c_void, len: usize, on: Handle) |state| {
        flat(state, at(to), from, len, TO_DEVICE, stream(state, on)?, Wait::No)
    };
    cuMemcpyDtoH_v2 cuMemcpyDtoH_v2_ptds (to: Handle, from: u64, len: usize) |state| {
        flat(state, to, at(from), len, TO_HOST, DEFAULT_STREAM, Wait::Yes)
    };
    cuMemcpyDtoHAsync_v2 cuMemcpyDtoHAsync_v2_ptsz (to: Handle, from: u64, len: usize, on: Handle) |state| {
        flat(state, to, at(from), len, TO_HOST, stream(state, on)?, Wait::No)
    };
    cuMemcpyDtoD_v2 cuMemcpyDtoD_v2_ptds (to: u64, from: u64, len: usize) |state| {
        flat(state, at(to), at(from), len, ON_DEVICE, DEFAULT_STREAM, Wait::Yes)
    };
    cuMemcpyDtoDAsync_v2 cuMemcpyDtoDAsync_v2_ptsz (to: u64, from: u64, len: usize, on: Handle) |state| {
        flat(state, at(to), at(from), len, ON_DEVICE, stream(state, on)?, Wait::No)
    };
    cuMemcpy2D_v2 cuMemcpy2DUnaligned_v2 (all: *const Copy2D) |state| copy_2d(state, all, DEFAULT_STREAM, Wait::Yes);
    cuMemcpy2DAsync_v2 cuMemcpy2DAsync_v2_ptsz (all: *const Copy2D, on: Handle) |state| copy_2d(state, all, stream(state, on)?, Wait::No);
    cuMemsetD8_v2(to: u64, value: u8, count: usize) |state| set(state, to, 0, value.into(), 1, [count, 1], DEFAULT_STREAM);
    cuMemsetD16_v2(to: u64, value: u16, count: usize) |state| set(state, to, 0, value.into(), 2, [count, 1], DEFAULT_STREAM);
    cuMemsetD32_v2(to: u64, value: u32, count: usize) |state| set(state, to, 0, value, 4, [count, 1], DEFAULT_STREAM);
    cuMemsetD8Async cuMemsetD8Async_ptsz (to: u64, value: u8, count: usize, on: Handle) |state| {
        set(state, to, 0, value.into(), 1, [count, 1], stream(state, on)?)
    };
    cuMemsetD16Async cuMemsetD16Async_ptsz (to: u64, value: u16, count: usize, on: Handle) |state| {
        set(state, to, 0, value.into(), 2, [count, 1], stream(state, on)?)
    };
    cuMemsetD32Async cuMemsetD32Async_ptsz (to: u64, value: u32, count: usize, on: Handle) |state| {
        set(state, to, 0, value, 4, [count, 1], stream(state, on)?)
    };
    cuMemsetD2D8_v2(to: u64, pitch: usize, value: u8, width: usize, height: usize) |state| {
        set(state, to, pitch, value.into(), 1, [width, height], DEFAULT_STREAM)
    };
    cuMemsetD2D32_v2(to: u64, pitch: usize, value: u32, width: usize, height: usize) |state| {
        set(state, to, pitch, value, 4, [width, height], DEFAULT_STREAM)
    };
}
