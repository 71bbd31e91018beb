//! Launching kernels, and asking about them.

use crate::c::{Dim3, Handle, Result, get, put, put_if};
use crate::register::{Kernel, Ready, kernel};
use crate::state::{State, api, noted};
use crate::stream::stream;
use std::cell::RefCell;
use std::ffi::{c_char, c_void};
use wire::cuda::{self, Call, Work};

/// What `<<<...>>>` says, between being said and being used.
type Configuration = (Dim3, Dim3, usize, Handle);

thread_local! {
    static CONFIGURATIONS: RefCell<Vec<Configuration>> = const { RefCell::new(Vec::new()) };
}

/// # Safety
/// Called by code that `nvcc` made.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __cudaPushCallConfiguration(grid: Dim3, block: Dim3, shared: usize, stream: Handle) -> u32 {
    CONFIGURATIONS.with_borrow_mut(|all| all.push((grid, block, shared, stream)));
    0
}

/// # Safety
/// As [`__cudaPushCallConfiguration`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __cudaPopCallConfiguration(
    grid: *mut Dim3,
    block: *mut Dim3,
    shared: *mut usize,
    stream: *mut Handle,
) -> i32 {
    let popped = CONFIGURATIONS.with_borrow_mut(Vec::pop).ok_or(cuda::MISSING_CONFIGURATION);
    noted(popped.and_then(|configuration| {
        put(grid, configuration.0)?;
        put(block, configuration.1)?;
        put(shared, configuration.2)?;
        put(stream, configuration.3)
    }))
}

/// Packs the parameters that `args` point to as the kernel's binary wants them.
fn packed(ready: &Ready, args: *const *const c_void) -> Result<Vec<u8>> {
    let len = ready.params.iter().map(|(offset, size)| offset + size).max().unwrap_or(0);
    let mut params = vec![0; len as usize];
    for (i, (offset, size)) in ready.params.iter().enumerate() {
        let arg = get(args.wrapping_add(i)).ok().filter(|_| !args.is_null()).ok_or(cuda::INVALID_VALUE)?;
        if arg.is_null() {
            return Err(cuda::INVALID_VALUE);
        }
        let place = &mut params[*offset as usize..(*offset + *size) as usize];
        // SAFETY: the program promises that each argument has the size of the kernel's parameter.
        unsafe { std::ptr::copy_nonoverlapping(arg.cast::<u8>(), place.as_mut_ptr(), place.len()) };
    }
    Ok(params)
}

/// What a launch may ask for is checked here, so that its error comes from the call that made it, as natively.
fn check(state: &State, grid: [u32; 3], block: [u32; 3], shared: usize) -> Result<()> {
    let limit = |number: i32| state.properties.attribute(number).cast_unsigned();
    let within = |sizes: [u32; 3], first: i32| (0..3).all(|i| (1..=limit(first + i)).contains(&sizes[i as usize]));
    let threads = block.iter().try_fold(1u32, |product, n| product.checked_mul(*n));
    let sizes = within(grid, 5) && within(block, 2) && threads.is_some_and(|threads| threads <= limit(1));
    // With an attribute a kernel may have more than the usual: up to what the device lets a block have (97).
    if sizes && shared <= limit(97).max(limit(8)) as usize { Ok(()) } else { Err(cuda::INVALID_CONFIGURATION) }
}

/// Sends a launch with packed parameters.
pub(crate) fn launch_packed(
    state: &State,
    ready: &Ready,
    sizes: [[u32; 3]; 2],
    shared: usize,
    on: Handle,
    params: Vec<u8>,
) -> Result<()> {
    let [grid, block] = sizes;
    check(state, grid, block, shared)?;
    let work = Work::Launch { function: ready.id, grid, block, shared: shared as u32, params };
    state.post(Call::Command { stream: stream(state, on)?, work }, &[])
}

/// Launches with the parameters that `args` point to.
pub(crate) fn launch(
    state: &State,
    kernel: &'static Kernel,
    sizes: [[u32; 3]; 2],
    args: *const *const c_void,
    shared: usize,
    on: Handle,
) -> Result<()> {
    let ready = kernel.ready(state)?;
    launch_packed(state, ready, sizes, shared, on, packed(ready, args)?)
}

macro_rules! launches {
    ($($name:ident)*) => { $(
        /// # Safety
        /// As CUDA's documentation has it.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name(
            function: *const c_void,
            grid: Dim3,
            block: Dim3,
            args: *const *const c_void,
            shared: usize,
            stream: Handle,
        ) -> i32 {
            api(|state| launch(state, kernel(function)?, [grid.sizes(), block.sizes()], args, shared, stream))
        }
    )* };
}

launches! {
    cudaLaunchKernel cudaLaunchKernel_ptsz __cudaLaunchKernel __cudaLaunchKernel_ptsz
    cudaLaunchCooperativeKernel cudaLaunchCooperativeKernel_ptsz
}

/// CUDA's `cudaLaunchConfig_t`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct LaunchConfig {
    grid: Dim3,
    block: Dim3,
    shared: usize,
    stream: Handle,
    attributes: *const c_void,
    attribute_count: u32,
}

/// Attributes of a launch are hints, or about clusters, which only kernels built for them need.
///
/// # Safety
/// As CUDA's documentation has it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cudaLaunchKernelExC(
    config: *const LaunchConfig,
    function: *const c_void,
    args: *const *const c_void,
) -> i32 {
    api(|state| {
        let config = get(config)?;
        let sizes = [config.grid.sizes(), config.block.sizes()];
        launch(state, kernel(function)?, sizes, args, config.shared, config.stream)
    })
}

/// # Safety
/// As CUDA's documentation has it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cudaLaunchKernelExC_ptsz(
    config: *const LaunchConfig,
    function: *const c_void,
    args: *const *const c_void,
) -> i32 {
    // SAFETY: the same call.
    unsafe { cudaLaunchKernelExC(config, function, args) }
}

/// CUDA's `cudaFuncAttributes`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct FuncAttributes {
    shared: usize,
    constant: usize,
    local: usize,
    threads_max: i32,
    registers: i32,
    ptx_version: i32,
    binary_version: i32,
    cache_mode: i32,
    dynamic_shared_max: i32,
    carveout: i32,
    more: [i32; 22],
}

/// # Safety
/// As CUDA's documentation has it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cudaFuncGetAttributes(to: *mut FuncAttributes, function: *const c_void) -> i32 {
    api(|state| {
        let ready = kernel(function)?.ready(state)?;
        let attribute = |number: i32| ready.attributes.iter().find(|entry| entry.0 == number).map_or(0, |entry| entry.1);
        let attributes = FuncAttributes {
            threads_max: attribute(0),
            shared: attribute(1) as usize,
            constant: attribute(2) as usize,
            local: attribute(3) as usize,
            registers: attribute(4),
            ptx_version: attribute(5),
            binary_version: attribute(6),
            cache_mode: attribute(7),
            dynamic_shared_max: state.properties.attribute(8),
            carveout: -1,
            more: [0; 22],
        };
        put(to, attributes)
    })
}

/// # Safety
/// As CUDA's documentation has it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cudaFuncSetAttribute(function: *const c_void, attribute: i32, value: i32) -> i32 {
    api(|state| {
        let function = kernel(function)?.ready(state)?.id;
        state.ask(Call::Attribute { function, attribute, value }, &[]).map(drop)
    })
}

/// A hint that costs nothing to leave out.
///
/// # Safety
/// As CUDA's documentation has it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cudaFuncSetCacheConfig(function: *const c_void, _config: i32) -> i32 {
    api(|_| kernel(function).map(drop))
}

/// # Safety
/// As CUDA's documentation has it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cudaFuncGetName(to: *mut *const c_char, function: *const c_void) -> i32 {
    api(|_| {
        let name = std::ffi::CString::new(kernel(function)?.name.clone()).map_err(|_| cuda::INVALID_VALUE)?;
        // Kernels live as long as the program, so their names may, too.
        put(to, name.into_raw().cast_const())
    })
}

/// # Safety
/// As CUDA's documentation has it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cudaFuncGetParamInfo(
    function: *const c_void,
    index: usize,
    offset: *mut usize,
    size: *mut usize,
) -> i32 {
    api(|state| {
        let place = kernel(function)?.ready(state)?.params.get(index).ok_or(cuda::INVALID_VALUE)?;
        put(offset, place.0 as usize)?;
        put_if(size, place.1 as usize);
        Ok(())
    })
}

/// The handle of a kernel is the kernel, for the driver's calls, too.
///
/// # Safety
/// As CUDA's documentation has it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cudaGetKernel(to: *mut Handle, function: *const c_void) -> i32 {
    api(|_| put(to, kernel(function)?.handle()))
}

/// # Safety
/// As CUDA's documentation has it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn cudaGetFuncBySymbol(to: *mut Handle, function: *const c_void) -> i32 {
    api(|_| put(to, kernel(function)?.handle()))
}
