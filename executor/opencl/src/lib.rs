//! An OpenCL driver (ICD) that forwards to a device proxy. `orrery exec` puts it in the way of unmodified programs.
//!
//! Every object here is a name for one in the proxy, with what can be answered without asking. A call that OpenCL lets return
//! before it is carried out is sent and forgotten; what such a call could get wrong is found out the first time that it is made
//! in that shape, when it is checked by the device's own runtime, so that error codes are the runtime's and not ours. Data to
//! write is copied into the ring; data that is read arrives in the ring's staging area and is handed out as soon as the program
//! learns, in whatever way, that the read is complete.
//!
//! All functions are C's: they believe what the OpenCL specification makes the caller promise about pointers and handles.
#![allow(unsafe_code, reason = "C's interface: pointers and handles come from the program")]
#![allow(non_snake_case, reason = "functions are named as OpenCL's")]

mod c;
mod command;
mod context;
mod device;
mod dispatch;
mod event;
mod kernel;
mod link;
mod map;
mod memory;
mod object;
mod program;
mod queue;
mod settle;
mod transfer;

use c::Handle;
use std::ffi::{c_char, c_void};

/// The loader's way in: the platform.
///
/// # Safety
/// As the OpenCL specification has it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clIcdGetPlatformIDsKHR(entries: u32, platforms: *mut Handle, count: *mut u32) -> i32 {
    device::clGetPlatformIDs(entries, platforms, count)
}

/// The loader asks the platform for its name before it has a dispatch table.
///
/// # Safety
/// As the OpenCL specification has it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clGetPlatformInfo(
    platform: Handle,
    param: u32,
    size: usize,
    value: *mut c_void,
    len: *mut usize,
) -> i32 {
    device::clGetPlatformInfo(platform, param, size, value, len)
}

/// The loader looks `clIcdGetPlatformIDsKHR` up by this.
///
/// # Safety
/// As the OpenCL specification has it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clGetExtensionFunctionAddress(name: *const c_char) -> *mut c_void {
    dispatch::extension(c::text(name).as_deref().unwrap_or_default())
}
