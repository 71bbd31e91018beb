//! What `nvcc` makes a program say of its kernels and variables before `main` begins.
//!
//! Nothing is sent then. A module goes to the proxy when something of it is used for the first time.

use crate::c::{Handle, Result, text};
use crate::fatbin::{self, Image, Params};
use crate::state::{State, lock};
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;
use std::ffi::{c_char, c_void};
use std::sync::{Mutex, OnceLock, PoisonError, RwLock};
use wire::Id;
use wire::cuda::{self, Call, FunctionInfo, Span, Work};

/// A binary of the program's with kernels and variables.
pub(crate) struct Module {
    /// Where the fat binary lies in the program.
    data: &'static [u8],
    variables: Mutex<Vec<&'static Variable>>,
    images: OnceLock<Vec<Image>>,
    loaded: OnceLock<Result<Id>>,
    /// Those that the program asked for by name.
    pub(crate) kernels: Mutex<BTreeMap<String, &'static Kernel>>,
}

/// A `__global__` function.
pub(crate) struct Kernel {
    module: &'static Module,
    pub(crate) name: String,
    ready: OnceLock<Result<Ready>>,
}

/// A kernel that the proxy knows.
pub(crate) struct Ready {
    pub(crate) id: Id,
    pub(crate) params: Params,
    pub(crate) attributes: Vec<(i32, i32)>,
}

/// A `__device__` or `__constant__` variable.
pub(crate) struct Variable {
    pub(crate) module: &'static Module,
    pub(crate) name: String,
    pub(crate) size: u64,
    address: OnceLock<u64>,
}

/// Kernels and variables by the addresses of what stands for them in the program, and kernels by their handles.
#[derive(Default)]
struct Registry {
    kernels: FxHashMap<usize, &'static Kernel>,
    variables: FxHashMap<usize, &'static Variable>,
}

static REGISTRY: RwLock<Option<Registry>> = RwLock::new(None);

fn with_registry<T>(act: impl FnOnce(&mut Registry) -> T) -> T {
    act(REGISTRY.write().unwrap_or_else(PoisonError::into_inner).get_or_insert_default())
}

/// The kernel for a host function's address, or for a handle that [`__cudaGetKernel`] gave.
pub(crate) fn kernel(place: *const c_void) -> Result<&'static Kernel> {
    let registry = REGISTRY.read().unwrap_or_else(PoisonError::into_inner);
    registry.as_ref().and_then(|all| all.kernels.get(&place.addr()).copied()).ok_or(cuda::INVALID_DEVICE_FUNCTION)
}

/// The variable for a host variable's address.
pub(crate) fn variable(place: *const c_void) -> Result<&'static Variable> {
    let registry = REGISTRY.read().unwrap_or_else(PoisonError::into_inner);
    registry.as_ref().and_then(|all| all.variables.get(&place.addr()).copied()).ok_or(cuda::INVALID_SYMBOL)
}

impl Module {
    pub(crate) fn new(data: &'static [u8]) -> &'static Module {
        let (images, loaded) = (OnceLock::new(), OnceLock::new());
        Box::leak(Box::new(Module { data, variables: Mutex::default(), images, loaded, kernels: Mutex::default() }))
    }

    /// Its name in the proxy. Its variables are made with it, before any kernel of it can run.
    pub(crate) fn loaded(&'static self, state: &State) -> Result<Id> {
        *self.loaded.get_or_init(|| {
            let id = state.new_id();
            state.ask(Call::Module { id, space: state.space }, self.data)?;
            let variables = lock(&self.variables).clone();
            variables.iter().try_for_each(|variable| variable.make(state, id)).map(|()| id)
        })
    }

    pub(crate) fn add(&self, variable: &'static Variable) {
        lock(&self.variables).push(variable);
    }

    pub(crate) fn variable(&self, name: &str) -> Option<&'static Variable> {
        lock(&self.variables).iter().find(|variable| variable.name == name).copied()
    }

    pub(crate) fn images(&self) -> &[Image] {
        self.images.get_or_init(|| fatbin::images(self.data))
    }
}

impl Kernel {
    pub(crate) fn new(module: &'static Module, name: String) -> &'static Kernel {
        let kernel: &'static Kernel = Box::leak(Box::new(Kernel { module, name, ready: OnceLock::new() }));
        with_registry(|all| all.kernels.insert(std::ptr::from_ref(kernel).addr(), kernel));
        kernel
    }

    /// Makes it known to the proxy at its first use, and finds out where its parameters lie.
    pub(crate) fn ready(&'static self, state: &State) -> Result<&'static Ready> {
        self.ready.get_or_init(|| self.make_ready(state)).as_ref().map_err(|code| *code)
    }

    fn make_ready(&self, state: &State) -> Result<Ready> {
        let (id, module) = (state.new_id(), self.module.loaded(state)?);
        let answer = state.ask(Call::Function { id, module, name: self.name.clone() }, &[])?;
        let info: FunctionInfo = wire::decode(&answer).map_err(|_| cuda::UNKNOWN)?;
        let arch = state.properties.attribute(75) * 10 + state.properties.attribute(76);
        let params =
            fatbin::params(self.module.images(), &self.name, arch.cast_unsigned()).or(info.params).ok_or_else(|| {
                eprintln!("orrery: kernel `{}`: its binary does not tell its parameters", self.name);
                cuda::INVALID_KERNEL_IMAGE
            })?;
        Ok(Ready { id, params, attributes: info.attributes })
    }

    pub(crate) fn handle(&'static self) -> Handle {
        std::ptr::from_ref(self).cast_mut().cast()
    }
}

impl Variable {
    pub(crate) fn new(module: &'static Module, name: String, size: u64) -> &'static Variable {
        Box::leak(Box::new(Variable { module, name, size, address: OnceLock::new() }))
    }

    /// Where it is on the device. Its module is loaded if it was not.
    pub(crate) fn address(&self, state: &State) -> Result<u64> {
        self.module.loaded(state)?;
        self.address.get().copied().ok_or(cuda::INVALID_SYMBOL)
    }

    fn make(&self, state: &State, module: Id) -> Result<()> {
        let id = state.new_id();
        let address = state.addresses().take(id, self.size, true)?;
        state.ask(Call::Global { id, module, name: self.name.clone(), address, size: self.size }, &[])?;
        if let Some(contents) = fatbin::initial(self.module.images(), &self.name) {
            let to = Span::flat(address, contents.len() as u64);
            state.post(Call::Command { stream: cuda::DEFAULT_STREAM, work: Work::Write { to } }, &contents)?;
        }
        let _ = self.address.set(address);
        Ok(())
    }
}

/// What `nvcc` wraps a fat binary in.
#[repr(C)]
pub struct Wrapper {
    magic: u32,
    version: u32,
    data: *const c_void,
    more: *const c_void,
}

/// The module behind a handle that [`__cudaRegisterFatBinary`] gave.
fn module(handle: *mut Handle) -> Option<&'static Module> {
    // SAFETY: the program passes on what it was given: a leaked place that holds a leaked module.
    unsafe { handle.as_ref().and_then(|module| module.cast::<Module>().as_ref()) }
}

/// The fat binary in a wrapper.
pub(crate) fn wrapped(wrapper: *const Wrapper) -> &'static [u8] {
    const MAGIC: u32 = 0x4662_43B1;
    // SAFETY: the wrapper is a constant of the program's.
    match unsafe { wrapper.as_ref() } {
        Some(wrapper) if wrapper.magic == MAGIC => program_data(wrapper.data),
        _ => &[],
    }
}

/// The fat binary that begins at `data`, which says itself how long it is.
pub(crate) fn program_data(data: *const c_void) -> &'static [u8] {
    const HEADER: usize = 16;
    let Some(len) = fatbin::length(crate::c::bytes(data, HEADER)) else { return &[] };
    // SAFETY: the binary is a constant of the program's, as long as its header says.
    unsafe { std::slice::from_raw_parts(data.cast(), len) }
}

/// # Safety
/// Called by code that `nvcc` made, with the binary's wrapper.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __cudaRegisterFatBinary(wrapper: *const Wrapper) -> *mut Handle {
    Box::leak(Box::new(Module::new(wrapped(wrapper)).handle()))
}

/// # Safety
/// As [`__cudaRegisterFatBinary`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __cudaRegisterFatBinaryEnd(_handle: *mut Handle) {}

/// The process ends, or a library of it is unloaded. The proxy frees everything when the process is gone.
///
/// # Safety
/// As [`__cudaRegisterFatBinary`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __cudaUnregisterFatBinary(handle: *mut Handle) {
    let Some(module) = module(handle) else { return };
    with_registry(|all| {
        all.kernels.retain(|_, kernel| !std::ptr::eq(kernel.module, module));
        all.variables.retain(|_, variable| !std::ptr::eq(variable.module, module));
    });
}

/// # Safety
/// As [`__cudaRegisterFatBinary`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __cudaRegisterFunction(
    handle: *mut Handle,
    host: *const c_void,
    _device: *const c_char,
    name: *const c_char,
    _threads_max: i32,
    _unused: *const c_void,
) {
    if let Some((module, name)) = module(handle).zip(text(name)) {
        let kernel = Kernel::new(module, name);
        with_registry(|all| all.kernels.insert(host.addr(), kernel));
    }
}

/// # Safety
/// As [`__cudaRegisterFatBinary`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __cudaRegisterVar(
    handle: *mut Handle,
    host: *const c_void,
    _device: *const c_char,
    name: *const c_char,
    _external: i32,
    size: usize,
    _constant: i32,
    _global: i32,
) {
    if let Some((module, name)) = module(handle).zip(text(name)) {
        let variable = Variable::new(module, name, size as u64);
        module.add(variable);
        with_registry(|all| all.variables.insert(host.addr(), variable));
    }
}

/// Unified memory is not forwarded.
///
/// # Safety
/// As [`__cudaRegisterFatBinary`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __cudaRegisterManagedVar(
    _handle: *mut Handle,
    _host: *mut Handle,
    _device: *const c_char,
    name: *const c_char,
) {
    let name = text(name).unwrap_or_default();
    eprintln!("orrery: the __managed__ variable `{name}` is not supported: unified memory cannot be forwarded; use __device__");
}

/// # Safety
/// As [`__cudaRegisterFatBinary`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __cudaInitModule(_handle: *mut Handle) -> c_char {
    1
}

/// # Safety
/// As [`__cudaRegisterFatBinary`].
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __cudaGetKernel(to: *mut Handle, host: *const c_void) -> i32 {
    crate::state::noted(kernel(host).and_then(|kernel| crate::c::put(to, kernel.handle())))
}
