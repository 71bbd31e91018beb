//! The driver's modules, kernels and launches.

use crate::c::{Handle, Result, bytes, get, put, put_if, text};
use crate::driver::{alike, driver};
use crate::launch::{launch, launch_packed};
use crate::module;
use crate::register::{Kernel, Module};
use crate::state::State;
use std::ffi::{c_char, c_void};
use wire::cuda::{self, Call};

/// A kernel by the handle that the program was given.
fn kernel(handle: Handle) -> Result<&'static Kernel> {
    crate::register::kernel(handle).map_err(|_| cuda::INVALID_HANDLE)
}

/// Launches with parameters by pointers, or packed by the program: `extra` is a list of names and values.
fn launch_either(
    sizes: [[u32; 3]; 2],
    shared: u32,
    on: Handle,
    function: Handle,
    args: *const *const c_void,
    extra: *const Handle,
) -> i32 {
    const END: usize = 0;
    const BUFFER: usize = 1;
    const BUFFER_SIZE: usize = 2;
    driver(|state| {
        let kernel = kernel(function)?;
        if extra.is_null() {
            return launch(state, kernel, sizes, args, shared as usize, on);
        }
        let (mut start, mut len, mut at) = (std::ptr::null_mut(), 0, extra);
        loop {
            match get(at)?.addr() {
                END => break,
                BUFFER => start = get(at.wrapping_add(1))?,
                BUFFER_SIZE => len = get(get(at.wrapping_add(1))?.cast::<usize>())?,
                _ => return Err(cuda::INVALID_VALUE),
            }
            at = at.wrapping_add(2);
        }
        launch_packed(state, kernel.ready(state)?, sizes, shared as usize, on, bytes(start, len).to_vec())
    })
}

macro_rules! driver_launches {
    ($($name:ident $($extra:ident)?;)*) => { $(
        /// # Safety
        /// As CUDA's documentation has it.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name(
            function: Handle,
            grid_x: u32,
            grid_y: u32,
            grid_z: u32,
            block_x: u32,
            block_y: u32,
            block_z: u32,
            shared: u32,
            stream: Handle,
            args: *const *const c_void
            $(, $extra: *const Handle)?
        ) -> i32 {
            #[allow(unused_mut, unused_assignments, reason = "only one of the two has it")]
            let mut more = std::ptr::null();
            $(more = $extra;)?
            launch_either([[grid_x, grid_y, grid_z], [block_x, block_y, block_z]], shared, stream, function, args, more)
        }
    )* };
}

driver_launches! {
    cuLaunchKernel extra;
    cuLaunchKernel_ptsz extra;
    cuLaunchCooperativeKernel;
    cuLaunchCooperativeKernel_ptsz;
}

/// CUDA's `CUlaunchConfig`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Config {
    grid: [u32; 3],
    block: [u32; 3],
    shared: u32,
    stream: Handle,
    attributes: Handle,
    attribute_count: u32,
}

/// # Safety
/// As CUDA's documentation has it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cuLaunchKernelEx(
    config: *const Config,
    function: Handle,
    args: *const *const c_void,
    extra: *const Handle,
) -> i32 {
    match get(config) {
        Ok(all) => launch_either([all.grid, all.block], all.shared, all.stream, function, args, extra),
        Err(code) => code,
    }
}

fn load(to: *mut Handle, data: *const c_void, state: &'static State) -> Result<()> {
    let module = module::from_memory(data).ok_or(cuda::INVALID_KERNEL_IMAGE)?;
    module.loaded(state)?;
    put(to, module.handle())
}

alike! {
    cuModuleLoadData cuModuleLoadFatBinary (to: *mut Handle, data: *const c_void) |state| load(to, data, state);
    cuModuleLoadDataEx(to: *mut Handle, data: *const c_void, _count: u32, _options: Handle, _values: Handle) |state| load(to, data, state);
    cuModuleLoad(to: *mut Handle, path: *const c_char) |state| {
        let path = text(path).ok_or(cuda::INVALID_VALUE)?;
        // 301: the file was not found.
        let module = module::from_file(&std::fs::read(path).map_err(|_| 301)?).ok_or(cuda::INVALID_KERNEL_IMAGE)?;
        module.loaded(state)?;
        put(to, module.handle())
    };
    cuModuleUnload cuLibraryUnload (module: Handle) |state| state.release(Module::from_handle(module)?.loaded(state)?);
    cuModuleGetFunction cuLibraryGetKernel (to: *mut Handle, module: Handle, name: *const c_char) |state| {
        let kernel = Module::from_handle(module)?.kernel(text(name).ok_or(cuda::INVALID_VALUE)?);
        kernel.ready(state)?;
        put(to, kernel.handle())
    };
    cuModuleGetGlobal_v2 cuLibraryGetGlobal (to: *mut u64, size: *mut usize, module: Handle, name: *const c_char) |state| {
        let name = text(name).ok_or(cuda::INVALID_VALUE)?;
        let variable = Module::from_handle(module)?.variable(&name).ok_or(cuda::NOT_FOUND)?;
        put_if(size, variable.size as usize);
        put_if(to, variable.address(state)?);
        Ok(())
    };
    cuLibraryLoadData(
        to: *mut Handle, data: *const c_void, _options: Handle, _values: Handle, _count: u32, _more: Handle, _more_values: Handle,
        _more_count: u32
    ) |state| load(to, data, state);
    cuLibraryGetModule(to: *mut Handle, library: Handle) |_| put(to, library);
    cuKernelGetFunction(to: *mut Handle, handle: Handle) |_| kernel(handle).and_then(|kernel| put(to, kernel.handle()));
    cuFuncGetAttribute(to: *mut i32, number: i32, function: Handle) |state| {
        let ready = kernel(function)?.ready(state)?;
        put(to, ready.attributes.iter().find(|entry| entry.0 == number).map_or(0, |entry| entry.1))
    };
    cuFuncSetAttribute(function: Handle, attribute: i32, value: i32) |state| {
        let function = kernel(function)?.ready(state)?.id;
        state.ask(Call::Attribute { function, attribute, value }, &[]).map(drop)
    };
    cuFuncSetCacheConfig(function: Handle, _config: i32) |_| kernel(function).map(drop);
    cuFuncGetParamInfo(function: Handle, index: usize, offset: *mut usize, size: *mut usize) |state| {
        let place = kernel(function)?.ready(state)?.params.get(index).ok_or(cuda::INVALID_VALUE)?;
        put_if(size, place.1 as usize);
        put(offset, place.0 as usize)
    };
    cuOccupancyMaxActiveBlocksPerMultiprocessor(to: *mut i32, function: Handle, threads: i32, shared: usize) |state| {
        kernel(function)?;
        put(to, crate::device::occupancy(state, threads, shared)?)
    };
    cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(to: *mut i32, function: Handle, threads: i32, shared: usize, _flags: u32)
        |state| kernel(function).and_then(|_| put(to, crate::device::occupancy(state, threads, shared)?));
}
