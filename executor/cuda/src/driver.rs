//! The driver's library, `libcuda`: the public functions, on the same state as the runtime's.
//!
//! There is one device and one context, which every thread may use as soon as it is there.

use crate::c::{Handle, Result, put, put_if, text};
use crate::device::own;
use crate::state::{State, state};
use crate::{memory, stream};
use std::cell::Cell;
use std::ffi::{c_char, c_void};
use std::sync::atomic::{AtomicU32, Ordering};
use wire::cuda;

/// What stands for the one context.
static CONTEXT: u64 = 0;
/// Who holds the primary context.
static HOLDERS: AtomicU32 = AtomicU32::new(0);

thread_local! {
    static CURRENT: Cell<usize> = const { Cell::new(0) };
}

fn context() -> Handle {
    (&raw const CONTEXT).cast_mut().cast()
}

/// Makes the context this thread's current one, if it has none.
pub(crate) fn have_context() {
    if CURRENT.get() == 0 {
        make_current(context());
    }
}

/// Carries a driver call out. Its numbers are the runtime's, but for a few that the driver says in other words.
pub(crate) fn driver(call: impl FnOnce(&'static State) -> Result<()>) -> i32 {
    let result = state().and_then(|state| {
        state.check()?;
        call(state)
    });
    match result {
        Ok(()) => 0,
        Err(cuda::INVALID_DEVICE_FUNCTION) => cuda::NOT_FOUND,
        Err(cuda::INVALID_CONFIGURATION | cuda::INVALID_PITCH | cuda::INVALID_DIRECTION) => cuda::INVALID_VALUE,
        Err(cuda::INVALID_KERNEL_IMAGE | cuda::NO_KERNEL_IMAGE) => cuda::INVALID_KERNEL_IMAGE,
        Err(code) => code,
    }
}

/// The same functions under several names: later versions of the same call, or those for a default stream a thread.
macro_rules! alike {
    ($($name:ident $($other:ident)* ($($arg:ident: $type:ty),*) |$state:pat_param| $body:expr;)*) => { $(
        $crate::driver::alike!(@one $name ($($arg: $type),*) |$state| $body);
        $crate::driver::alike!(@others $name [$($other)*] ($($arg: $type),*));
    )* };
    (@others $name:ident [] $args:tt) => {};
    (@others $name:ident [$other:ident $($rest:ident)*] ($($arg:ident: $type:ty),*)) => {
        /// # Safety
        /// As CUDA's documentation has it.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $other($($arg: $type),*) -> i32 {
            // SAFETY: the same call under another name.
            unsafe { $name($($arg),*) }
        }
        $crate::driver::alike!(@others $name [$($rest)*] ($($arg: $type),*));
    };
    (@one $name:ident ($($arg:ident: $type:ty),*) |$state:pat_param| $body:expr) => {
        /// # Safety
        /// As CUDA's documentation has it.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name($($arg: $type),*) -> i32 {
            $crate::driver::driver(|$state| $body)
        }
    };
}
pub(crate) use alike;

fn make_current(context: Handle) {
    CURRENT.set(context.addr());
}

fn made_current(to: *mut Handle, device: i32) -> Result<()> {
    own(device)?;
    make_current(context());
    put(to, context())
}

fn copied(to: *mut u8, len: usize, data: &[u8]) -> Result<()> {
    if to.is_null() || len == 0 {
        return Err(cuda::INVALID_VALUE);
    }
    let count = data.len().min(len - 1);
    // SAFETY: the program promises room for `len` bytes.
    unsafe { std::ptr::copy_nonoverlapping(data.as_ptr(), to, count) };
    put(to.wrapping_add(count), 0)
}

alike! {
    cuInit(_flags: u32) |_| Ok(());
    cuDeviceGet(to: *mut i32, number: i32) |_| own(number).and_then(|()| put(to, 0));
    cuDeviceGetCount(to: *mut i32) |_| put(to, 1);
    cuDeviceGetName(to: *mut u8, len: i32, device: i32) |state| {
        own(device).and_then(|()| copied(to, len.max(0) as usize, state.properties.name.as_bytes()))
    };
    cuDeviceGetUuid_v2 cuDeviceGetUuid (to: *mut [u8; 16], device: i32) |state| {
        own(device).and_then(|()| put(to, state.properties.uuid))
    };
    cuDeviceTotalMem_v2(to: *mut usize, device: i32) |state| {
        own(device).and_then(|()| put(to, state.properties.memory as usize))
    };
    cuDeviceGetAttribute(to: *mut i32, number: i32, device: i32) |state| {
        own(device).and_then(|()| put(to, crate::device::attribute(state, number)))
    };
    cuDeviceComputeCapability(major: *mut i32, minor: *mut i32, device: i32) |state| {
        own(device)?;
        put(major, state.properties.attribute(75))?;
        put(minor, state.properties.attribute(76))
    };
    cuDeviceCanAccessPeer(to: *mut i32, device: i32, _peer: i32) |_| own(device).and_then(|()| put(to, 0));
    cuDevicePrimaryCtxRetain(to: *mut Handle, device: i32) |_| {
        own(device)?;
        HOLDERS.fetch_add(1, Ordering::SeqCst);
        put(to, context())
    };
    cuDevicePrimaryCtxRelease_v2 cuDevicePrimaryCtxRelease (device: i32) |_| {
        own(device)?;
        let _ = HOLDERS.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |count| Some(count.saturating_sub(1)));
        Ok(())
    };
    cuDevicePrimaryCtxGetState(device: i32, flags: *mut u32, active: *mut i32) |_| {
        own(device)?;
        put_if(flags, 0);
        put(active, i32::from(HOLDERS.load(Ordering::SeqCst) > 0))
    };
    cuDevicePrimaryCtxSetFlags_v2 cuDevicePrimaryCtxSetFlags (device: i32, _flags: u32) |_| own(device);
    cuDevicePrimaryCtxReset_v2 cuDevicePrimaryCtxReset (device: i32) |state| own(device).and_then(|()| crate::device::reset(state));
    cuCtxCreate_v2(to: *mut Handle, _flags: u32, device: i32) |_| made_current(to, device);
    cuCtxCreate_v3(to: *mut Handle, _affinity: Handle, _count: i32, _flags: u32, device: i32) |_| made_current(to, device);
    cuCtxCreate_v4(to: *mut Handle, _parameters: Handle, _flags: u32, device: i32) |_| made_current(to, device);
    cuCtxDestroy_v2(_context: Handle) |state| {
        make_current(std::ptr::null_mut());
        state.synchronize(cuda::DEFAULT_STREAM)
    };
    cuCtxGetCurrent(to: *mut Handle) |_| put(to, if CURRENT.get() == 0 { std::ptr::null_mut() } else { context() });
    cuCtxSetCurrent cuCtxPushCurrent_v2 (context: Handle) |_| { make_current(context); Ok(()) };
    cuCtxPopCurrent_v2(to: *mut Handle) |_| {
        put_if(to, context());
        make_current(std::ptr::null_mut());
        Ok(())
    };
    cuCtxGetDevice(to: *mut i32) |_| put(to, 0);
    cuCtxGetFlags(to: *mut u32) |_| put(to, 0);
    cuCtxGetApiVersion(_context: Handle, to: *mut u32) |_| put(to, 3020);
    cuCtxSynchronize() |state| state.synchronize(cuda::DEFAULT_STREAM);
    cuCtxSetLimit(_limit: i32, _value: usize) |_| Ok(());
    cuCtxSetCacheConfig(_config: i32) |_| Ok(());
    cuCtxGetStreamPriorityRange(least: *mut i32, greatest: *mut i32) |_| {
        put_if(least, 0);
        put_if(greatest, -5);
        Ok(())
    };
    cuStreamGetCtx(_stream: Handle, to: *mut Handle) |_| put(to, context());
}

alike! {
    cuStreamCreate(to: *mut Handle, flags: u32) |state| stream::create_stream(state, to, flags, 0);
    cuStreamCreateWithPriority(to: *mut Handle, flags: u32, priority: i32) |state| stream::create_stream(state, to, flags, priority);
    cuStreamDestroy_v2(handle: Handle) |state| stream::destroy_stream(state, handle);
    cuStreamSynchronize cuStreamSynchronize_ptsz (handle: Handle) |state| stream::wait_for_stream(state, handle);
    cuStreamQuery cuStreamQuery_ptsz (handle: Handle) |state| stream::query_stream(state, handle);
    cuStreamWaitEvent cuStreamWaitEvent_ptsz (handle: Handle, event: Handle, _flags: u32) |state| stream::wait_event(state, handle, event);
    cuStreamIsCapturing cuStreamIsCapturing_ptsz (handle: Handle, to: *mut i32) |state| {
        stream::stream(state, handle).and_then(|_| put(to, 0))
    };
    cuLaunchHostFunc cuLaunchHostFunc_ptsz (handle: Handle, function: extern "C" fn(*mut c_void), data: *mut c_void)
        |state| stream::call_host(state, handle, function, data);
    cuEventCreate(to: *mut Handle, flags: u32) |state| stream::create_event(state, to, flags);
    cuEventDestroy_v2(event: Handle) |state| stream::destroy_event(state, event);
    cuEventRecord cuEventRecord_ptsz (event: Handle, handle: Handle) |state| stream::record(state, event, handle);
    cuEventSynchronize(event: Handle) |state| stream::wait_for_event(state, event);
    cuEventQuery(event: Handle) |state| stream::query_event(state, event);
    cuEventElapsedTime cuEventElapsedTime_v2 (to: *mut f32, from: Handle, until: Handle) |state| stream::elapsed(state, to, from, until);
}

alike! {
    cuMemAllocHost_v2(to: *mut Handle, size: usize) |state| memory::allocate_host(state, to, size);
    cuMemHostAlloc(to: *mut Handle, size: usize, _flags: u32) |state| memory::allocate_host(state, to, size);
    cuMemFreeHost(start: Handle) |state| memory::free_host(state, start);
    cuMemGetInfo_v2(free: *mut usize, total: *mut usize) |state| {
        let (left, all) = memory::sizes(state)?;
        put(free, left)?;
        put(total, all)
    };
}

/// # Safety
/// As CUDA's documentation has it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuDriverGetVersion(to: *mut i32) -> i32 {
    put(to, state().map_or(crate::device::VERSION, |state| state.properties.driver)).err().unwrap_or(0)
}

/// # Safety
/// As CUDA's documentation has it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuGetErrorName(code: i32, to: *mut *const c_char) -> i32 {
    put(to, crate::device::constant(code, true)).err().unwrap_or(0)
}

/// # Safety
/// As CUDA's documentation has it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuGetErrorString(code: i32, to: *mut *const c_char) -> i32 {
    put(to, crate::device::constant(code, false)).err().unwrap_or(0)
}

/// The function of this name here, in its newest version.
fn entry(name: *const c_char) -> Option<Handle> {
    let name = text(name)?;
    ["_v4", "_v3", "_v2", ""].iter().find_map(|version| {
        let name = std::ffi::CString::new(format!("{name}{version}")).ok()?;
        // SAFETY: looking a name up in what is loaded; this library comes first.
        let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) };
        (!found.is_null()).then_some(found)
    })
}

fn entry_point(name: *const c_char, to: *mut Handle, status: *mut i32) -> Result<()> {
    const FOUND: i32 = 0;
    const NOT_FOUND: i32 = 1;
    let found = entry(name);
    put_if(status, if found.is_some() { FOUND } else { NOT_FOUND });
    put(to, found.unwrap_or(std::ptr::null_mut()))?;
    if found.is_some() { Ok(()) } else { Err(cuda::NOT_FOUND) }
}

/// # Safety
/// As CUDA's documentation has it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuGetProcAddress_v2(
    name: *const c_char,
    to: *mut Handle,
    _version: i32,
    _flags: u64,
    status: *mut i32,
) -> i32 {
    entry_point(name, to, status).err().unwrap_or(0)
}

/// # Safety
/// As CUDA's documentation has it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuGetProcAddress(name: *const c_char, to: *mut Handle, _version: i32, _flags: u64) -> i32 {
    entry_point(name, to, std::ptr::null_mut()).err().unwrap_or(0)
}

/// # Safety
/// As CUDA's documentation has it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cudaGetDriverEntryPoint(name: *const c_char, to: *mut Handle, _flags: u64, status: *mut i32) -> i32 {
    // The runtime says by the status alone that there is none.
    let _ = entry_point(name, to, status);
    0
}

/// # Safety
/// As CUDA's documentation has it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cudaGetDriverEntryPointByVersion(
    name: *const c_char,
    to: *mut Handle,
    _version: u32,
    _flags: u64,
    status: *mut i32,
) -> i32 {
    let _ = entry_point(name, to, status);
    0
}

/// The driver's private tables are not imitated.
///
/// # Safety
/// As CUDA's documentation has it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuGetExportTable(to: *mut Handle, _id: *const c_void) -> i32 {
    eprintln!(
        "orrery: a library with the CUDA runtime built in asks for the driver's private tables, which are not forwarded; \
         link with `-cudart shared`"
    );
    put_if(to, std::ptr::null_mut());
    cuda::NOT_SUPPORTED
}
