//! Device memory and the host's pinned memory.

use crate::c::{Handle, Result, put};
use crate::state::{State, lock};
use crate::stream::{calls, stream};
use std::alloc::Layout;
use std::ffi::c_void;
use wire::cuda::{self, Call};

/// Rows begin at multiples of this.
const PITCH: usize = 512;
/// What pinned memory begins at multiples of.
const PAGE: usize = 4096;

pub(crate) fn allocate(state: &State, to: *mut Handle, size: usize) -> Result<()> {
    put(to, std::ptr::null_mut())?;
    if size == 0 {
        return Ok(());
    }
    let id = state.new_id();
    let address = state.addresses().take(id, size as u64, false)?;
    match state.ask(Call::Alloc { id, space: state.space, address, size: size as u64 }, &[]) {
        Ok(_) => put(to, std::ptr::without_provenance_mut(address as usize)),
        Err(code) => {
            let _ = state.addresses().give_back(address);
            Err(code)
        }
    }
}

/// Later requests find it gone, earlier ones do not: the address can be given again at once.
pub(crate) fn free(state: &State, start: Handle) -> Result<()> {
    if start.is_null() {
        return Ok(());
    }
    let mut addresses = state.addresses();
    let block = addresses.give_back(start.addr() as u64)?;
    // Under the lock: no other thread may be given the address before this is on its way.
    state.release(block.id)
}

/// Memory of the host's that the device's copies may be late to read or write.
pub(crate) fn allocate_host(state: &State, to: *mut Handle, size: usize) -> Result<()> {
    let layout = Layout::from_size_align(size.max(1), PAGE).map_err(|_| cuda::INVALID_VALUE)?;
    // SAFETY: the layout is not empty.
    let start = unsafe { std::alloc::alloc_zeroed(layout) };
    if start.is_null() {
        return Err(cuda::OUT_OF_MEMORY);
    }
    lock(&state.pinned).insert(start.addr(), size.max(1));
    put(to, start.cast())
}

pub(crate) fn free_host(state: &State, start: Handle) -> Result<()> {
    if start.is_null() {
        return Ok(());
    }
    let size = lock(&state.pinned).get(&start.addr()).copied().ok_or(cuda::INVALID_VALUE)?;
    // Copies into it may be on the way.
    state.synchronize(cuda::DEFAULT_STREAM)?;
    lock(&state.pinned).remove(&start.addr());
    if let Ok(layout) = Layout::from_size_align(size, PAGE) {
        // SAFETY: it was allocated with this layout, and is freed once, as it was in the table.
        unsafe { std::alloc::dealloc(start.cast(), layout) };
    }
    Ok(())
}

/// Whether all of a range is pinned memory.
pub(crate) fn is_pinned(state: &State, start: usize, len: usize) -> bool {
    let pinned = lock(&state.pinned);
    pinned.range(..=start).next_back().is_some_and(|(first, size)| start - first + len <= *size)
}

/// Bytes free and in all.
pub(crate) fn sizes(state: &State) -> Result<(usize, usize)> {
    let answer = state.ask(Call::Memory, &[])?;
    let number = |at: usize| answer.get(at..at + 8).and_then(|bytes| bytes.first_chunk::<8>()).map(|b| u64::from_ne_bytes(*b));
    let (free, total) = number(0).zip(number(8)).ok_or(cuda::UNKNOWN)?;
    Ok((free as usize, total as usize))
}

/// CUDA's `cudaPointerAttributes`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct PointerAttributes {
    kind: i32,
    device: i32,
    device_pointer: Handle,
    host_pointer: Handle,
    reserved: [i64; 8],
}

fn attributes(state: &State, pointer: Handle) -> PointerAttributes {
    const UNREGISTERED: i32 = 0;
    const HOST: i32 = 1;
    const DEVICE: i32 = 2;
    let null = std::ptr::null_mut();
    let (kind, device, device_pointer, host_pointer) = if state.addresses().holding(pointer.addr() as u64, 0).is_ok() {
        (DEVICE, 0, pointer, null)
    } else if is_pinned(state, pointer.addr(), 1) {
        (HOST, 0, null, pointer)
    } else {
        (UNREGISTERED, -2, null, pointer)
    };
    PointerAttributes { kind, device, device_pointer, host_pointer, reserved: [0; 8] }
}

/// Says once what a call cannot do.
fn unsupported(what: &str, remedy: &str) -> Result<()> {
    eprintln!("orrery: {what} cannot be forwarded to another process; {remedy}");
    Err(cuda::NOT_SUPPORTED)
}

/// CUDA's `cudaPitchedPtr` and `cudaExtent`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Pitched {
    pub(crate) start: Handle,
    pub(crate) pitch: usize,
    pub(crate) width: usize,
    pub(crate) height: usize,
}

/// CUDA's `cudaExtent`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Extent {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) depth: usize,
}

fn allocate_rows(state: &State, width: usize, rows: Option<usize>) -> Result<(Handle, usize)> {
    let pitch = width.checked_next_multiple_of(PITCH).ok_or(cuda::OUT_OF_MEMORY)?;
    let size = rows.and_then(|rows| pitch.checked_mul(rows)).ok_or(cuda::OUT_OF_MEMORY)?;
    let mut start = std::ptr::null_mut();
    allocate(state, &mut start, size)?;
    Ok((start, pitch))
}

calls! {
    cudaMalloc(to: *mut Handle, size: usize) |state| allocate(state, to, size);
    cudaFree(start: Handle) |state| free(state, start);
    cudaMallocAsync(to: *mut Handle, size: usize, on: Handle) |state| stream(state, on).and_then(|_| allocate(state, to, size));
    cudaMallocAsync_ptsz(to: *mut Handle, size: usize, on: Handle) |state| stream(state, on).and_then(|_| allocate(state, to, size));
    cudaMallocFromPoolAsync(to: *mut Handle, size: usize, _pool: Handle, on: Handle) |state| {
        stream(state, on).and_then(|_| allocate(state, to, size))
    };
    cudaFreeAsync(start: Handle, on: Handle) |state| stream(state, on).and_then(|_| free(state, start));
    cudaFreeAsync_ptsz(start: Handle, on: Handle) |state| stream(state, on).and_then(|_| free(state, start));
    cudaMallocPitch(to: *mut Handle, pitch: *mut usize, width: usize, height: usize) |state| {
        let (start, bytes) = allocate_rows(state, width, Some(height))?;
        put(pitch, bytes)?;
        put(to, start)
    };
    cudaMalloc3D(to: *mut Pitched, extent: Extent) |state| {
        let (start, pitch) = allocate_rows(state, extent.width, extent.height.checked_mul(extent.depth))?;
        put(to, Pitched { start, pitch, width: extent.width, height: extent.height })
    };
    cudaMallocHost(to: *mut Handle, size: usize) |state| allocate_host(state, to, size);
    cudaHostAlloc(to: *mut Handle, size: usize, _flags: u32) |state| allocate_host(state, to, size);
    cudaFreeHost(start: Handle) |state| free_host(state, start);
    // Registered memory is treated like any other, so that nothing is late for it.
    cudaHostRegister(start: Handle, _size: usize, _flags: u32) |_state| {
        if start.is_null() { Err(cuda::INVALID_VALUE) } else { Ok(()) }
    };
    cudaHostUnregister(start: Handle) |_state| if start.is_null() { Err(cuda::INVALID_VALUE) } else { Ok(()) };
    cudaHostGetFlags(to: *mut u32, start: Handle) |state| {
        if is_pinned(state, start.addr(), 1) { put(to, 0) } else { Err(cuda::INVALID_VALUE) }
    };
    cudaHostGetDevicePointer(_to: *mut Handle, _start: Handle, _flags: u32) |_state| {
        unsupported("cudaHostGetDevicePointer: host memory used by kernels", "copy it to the device")
    };
    cudaMallocManaged(_to: *mut Handle, _size: usize, _flags: u32) |_state| {
        unsupported("cudaMallocManaged: unified memory", "use cudaMalloc and copies")
    };
    cudaMemGetInfo(free: *mut usize, total: *mut usize) |state| {
        let (left, all) = sizes(state)?;
        put(free, left)?;
        put(total, all)
    };
    cudaPointerGetAttributes(to: *mut PointerAttributes, pointer: *const c_void) |state| {
        put(to, attributes(state, pointer.cast_mut()))
    };
    cudaMemAdvise(_start: Handle, _size: usize, _advice: i32, _location: u64) |_state| Err(cuda::NOT_SUPPORTED);
}
