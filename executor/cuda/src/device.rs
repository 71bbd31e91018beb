//! The device: there is one, number 0.

use crate::c::{Handle, Result, put, put_if, text};
use crate::memory::free;
use crate::state::{State, last_error, lock, noted, state};
use crate::stream::calls;
use std::ffi::{CStr, c_char};
use wire::cuda;

/// The version of the runtime that this stands in for.
pub(crate) const VERSION: i32 = 13000;

/// CUDA's `cudaDeviceProp` of version 13.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct DeviceProp {
    name: [u8; 256],
    uuid: [u8; 16],
    luid: [u8; 8],
    luid_mask: u32,
    memory: usize,
    shared_per_block: usize,
    registers_per_block: i32,
    warp: i32,
    pitch_max: usize,
    threads_per_block: i32,
    block: [i32; 3],
    grid: [i32; 3],
    constant: usize,
    capability: [i32; 2],
    texture_alignment: usize,
    texture_pitch_alignment: usize,
    multiprocessors: i32,
    integrated: i32,
    maps_host_memory: i32,
    /// Limits of textures and surfaces, which are not forwarded.
    textures: [i32; 39],
    surface_alignment: usize,
    concurrent_kernels: i32,
    ecc: i32,
    pci: [i32; 3],
    tcc: i32,
    copy_engines: i32,
    unified_addressing: i32,
    bus_bits: i32,
    l2_cache: i32,
    l2_persisting: i32,
    threads_per_multiprocessor: i32,
    stream_priorities: i32,
    l1_cache: [i32; 2],
    shared_per_multiprocessor: usize,
    registers_per_multiprocessor: i32,
    managed: i32,
    boards: [i32; 2],
    /// Host atomics, pageable access, concurrent managed access, preemption, host pointers for registered memory.
    access: [i32; 5],
    cooperative_launch: i32,
    shared_per_block_max: usize,
    page_tables: [i32; 2],
    blocks_per_multiprocessor: i32,
    access_window: i32,
    shared_reserved: usize,
    /// Registration of host memory, sparse arrays, and so on up to the end.
    more: [i32; 76],
}

impl DeviceProp {
    fn of(state: &State) -> DeviceProp {
        let all = &state.properties;
        let number = |number: i32| all.attribute(number);
        let size = |number: i32| all.attribute(number).max(0) as usize;
        // SAFETY: the structure is numbers only, for which zeros are a value.
        let mut prop: DeviceProp = unsafe { std::mem::zeroed() };
        prop.name.iter_mut().zip(all.name.bytes().take(255)).for_each(|(to, byte)| *to = byte);
        prop.uuid = all.uuid;
        prop.memory = all.memory as usize;
        prop.shared_per_block = size(8);
        prop.registers_per_block = number(12);
        prop.warp = number(10);
        prop.pitch_max = size(11);
        prop.threads_per_block = number(1);
        prop.block = [number(2), number(3), number(4)];
        prop.grid = [number(5), number(6), number(7)];
        prop.constant = size(9);
        prop.capability = [number(75), number(76)];
        prop.texture_alignment = size(14);
        prop.multiprocessors = number(16);
        prop.concurrent_kernels = number(31);
        prop.pci = [number(33), number(34), number(50)];
        prop.copy_engines = number(40);
        prop.unified_addressing = number(41);
        prop.bus_bits = number(37);
        prop.l2_cache = number(38);
        prop.threads_per_multiprocessor = number(39);
        prop.stream_priorities = number(78);
        prop.shared_per_multiprocessor = size(81);
        prop.registers_per_multiprocessor = number(82);
        prop.shared_per_block_max = size(97);
        prop.blocks_per_multiprocessor = number(106);
        prop.shared_reserved = size(111);
        prop
    }
}

/// Properties that would need the program's memory on the device, and attributes that say so: always 0 here.
pub(crate) fn attribute(state: &State, number: i32) -> i32 {
    // Host memory mapped, managed memory, pageable and concurrent access, host registration, cooperation, graphs' neighbours.
    const ABSENT: [i32; 13] = [19, 83, 88, 89, 91, 92, 95, 99, 100, 101, 102, 103, 116];
    if ABSENT.contains(&number) { 0 } else { state.properties.attribute(number) }
}

pub(crate) fn own(device: i32) -> Result<()> {
    if device == 0 { Ok(()) } else { Err(cuda::INVALID_DEVICE) }
}

/// Everything that the process has on the device is freed.
pub(crate) fn reset(state: &State) -> Result<()> {
    state.synchronize(cuda::DEFAULT_STREAM)?;
    let streams: Vec<_> = lock(&state.streams).drain().map(|(id, _)| id).collect();
    let events: Vec<_> = lock(&state.events).drain().map(|(id, _)| id).collect();
    streams.into_iter().chain(events).try_for_each(|id| state.release(id))?;
    // Modules, and with them their variables, stay as they are.
    let blocks = state.addresses().all();
    blocks.into_iter().try_for_each(|block| free(state, std::ptr::without_provenance_mut(block.start as usize)))
}

calls! {
    cudaGetDeviceProperties(to: *mut DeviceProp, device: i32) |state| own(device).and_then(|()| put(to, DeviceProp::of(state)));
    cudaDeviceGetAttribute(to: *mut i32, number: i32, device: i32)
        |state| own(device).and_then(|()| put(to, attribute(state, number)));
    cudaGetDevice(to: *mut i32) |_state| put(to, 0);
    cudaSetDevice(device: i32) |_state| own(device);
    cudaInitDevice(device: i32, _device_flags: u32, _flags: u32) |_state| own(device);
    cudaChooseDevice(to: *mut i32, _prop: *const DeviceProp) |_state| put(to, 0);
    cudaSetValidDevices(_devices: *const i32, _count: i32) |_state| Ok(());
    cudaSetDeviceFlags(_flags: u32) |_state| Ok(());
    cudaGetDeviceFlags(to: *mut u32) |_state| put(to, 0);
    cudaDeviceSynchronize() |state| state.synchronize(cuda::DEFAULT_STREAM);
    cudaDeviceReset() |state| reset(state);
    cudaDeviceGetStreamPriorityRange(least: *mut i32, greatest: *mut i32) |_state| {
        put_if(least, 0);
        put_if(greatest, -5);
        Ok(())
    };
    cudaDeviceGetPCIBusId(to: *mut c_char, len: i32, device: i32) |state| {
        own(device)?;
        let name = format!("{:08x}:{:02x}:{:02x}.0", attribute(state, 50), attribute(state, 33), attribute(state, 34));
        if to.is_null() || (len as usize) <= name.len() || len < 0 {
            return Err(cuda::INVALID_VALUE);
        }
        // SAFETY: the program promises room for `len` bytes.
        unsafe { std::ptr::copy_nonoverlapping(name.as_ptr(), to.cast(), name.len()) };
        put(to.wrapping_add(name.len()), 0)
    };
    cudaDeviceGetByPCIBusId(to: *mut i32, name: *const c_char) |_state| {
        text(name).ok_or(cuda::INVALID_VALUE).and_then(|_| put(to, 0))
    };
    cudaDeviceCanAccessPeer(to: *mut i32, device: i32, _peer: i32) |_state| own(device).and_then(|()| put(to, 0));
    cudaDeviceEnablePeerAccess(_peer: i32, _flags: u32) |_state| Err(cuda::INVALID_DEVICE);
    cudaDeviceDisablePeerAccess(_peer: i32) |_state| Err(cuda::INVALID_DEVICE);
    cudaDeviceSetCacheConfig(_config: i32) |_state| Ok(());
    cudaDeviceGetCacheConfig(to: *mut i32) |_state| put(to, 0);
    cudaDeviceSetLimit(_limit: i32, _value: usize) |_state| Ok(());
    cudaDeviceGetLimit(to: *mut usize, limit: i32) |_state| match limit {
        // The stack of a thread, the buffer of printf, the heap.
        0 => put(to, 1024),
        1 => put(to, 1 << 20),
        2 => put(to, 8 << 20),
        _ => Err(cuda::INVALID_VALUE),
    };
    cudaCtxResetPersistingL2Cache() |_state| Ok(());
    cudaProfilerStart() |_state| Ok(());
    cudaProfilerStop() |_state| Ok(());
    cudaOccupancyMaxActiveBlocksPerMultiprocessor(to: *mut i32, _function: Handle, threads: i32, shared: usize)
        |state| put(to, occupancy(state, threads, shared)?);
    cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(to: *mut i32, _function: Handle, threads: i32, shared: usize, _flags: u32)
        |state| put(to, occupancy(state, threads, shared)?);
}

/// As the limits of a multiprocessor allow, without the kernel's registers.
pub(crate) fn occupancy(state: &State, threads: i32, shared: usize) -> Result<i32> {
    if threads <= 0 || threads > attribute(state, 1) {
        return Err(cuda::INVALID_VALUE);
    }
    let by_shared = (attribute(state, 81) as usize).checked_div(shared).map_or(i32::MAX, |blocks| blocks as i32);
    Ok((attribute(state, 39) / threads).min(attribute(state, 106)).min(by_shared))
}

/// # Safety
/// As CUDA's documentation has it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cudaGetDeviceCount(to: *mut i32) -> i32 {
    let count = state().map(|_| 1);
    put_if(to, count.unwrap_or(0));
    noted(count.map(drop))
}

/// # Safety
/// As CUDA's documentation has it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cudaRuntimeGetVersion(to: *mut i32) -> i32 {
    noted(put(to, VERSION))
}

/// # Safety
/// As CUDA's documentation has it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cudaDriverGetVersion(to: *mut i32) -> i32 {
    noted(put(to, state().map_or(0, |state| state.properties.driver)))
}

/// # Safety
/// As CUDA's documentation has it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cudaGetLastError() -> i32 {
    last_error(true)
}

/// # Safety
/// As CUDA's documentation has it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cudaPeekAtLastError() -> i32 {
    last_error(false)
}

/// Names and texts as C wants them, made once.
pub(crate) fn constant(code: i32, name: bool) -> *const c_char {
    use std::collections::BTreeMap;
    use std::ffi::CString;
    use std::sync::Mutex;
    static MADE: Mutex<BTreeMap<(i32, bool), &'static CStr>> = Mutex::new(BTreeMap::new());
    let (own_name, own_text) = cuda::describe(code).unwrap_or(("cudaErrorUnknown", "unrecognized error code"));
    let made = || {
        let text = CString::new(if name { own_name } else { own_text }).unwrap_or_default();
        &*Box::leak(text.into_boxed_c_str())
    };
    lock(&MADE).entry((code, name)).or_insert_with(made).as_ptr()
}

/// # Safety
/// As CUDA's documentation has it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cudaGetErrorName(code: i32) -> *const c_char {
    constant(code, true)
}

/// # Safety
/// As CUDA's documentation has it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cudaGetErrorString(code: i32) -> *const c_char {
    constant(code, false)
}

// As `nvcc` 13 lays it out.
const _: () = {
    assert!(size_of::<DeviceProp>() == 1008);
    assert!(std::mem::offset_of!(DeviceProp, memory) == 288);
    assert!(std::mem::offset_of!(DeviceProp, multiprocessors) == 384);
    assert!(std::mem::offset_of!(DeviceProp, concurrent_kernels) == 560);
    assert!(std::mem::offset_of!(DeviceProp, threads_per_multiprocessor) == 604);
    assert!(std::mem::offset_of!(DeviceProp, shared_per_block_max) == 672);
    assert!(std::mem::offset_of!(DeviceProp, more) == 704);
};
