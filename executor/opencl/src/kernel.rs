//! Kernels and their launches.

use crate::c::{Handle, Result, answer, bytes, code, list, made, put, text};
use crate::command::{Checked, Command, enqueue};
use crate::context::ask;
use crate::device::Device;
use crate::link::link;
use crate::object::{Kind, Object, Ref, argument, borrow, count, into_handle, release, retain, share};
use crate::program::Program;
use crate::queue::Queue;
use rustc_hash::{FxHashMap, FxHashSet, FxHasher};
use std::ffi::{c_char, c_void};
use std::hash::{Hash, Hasher};
use std::sync::{Mutex, MutexGuard, PoisonError};
use wire::{Arg, Id, Info, Op, Request, cl};

/// A kernel.
pub(crate) struct Kernel {
    program: Ref<Program>,
    name: String,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The arguments as the program has set them last.
    args: Vec<Option<Arg>>,
    /// Those that the proxy does not know yet: they travel with the next launch.
    changed: Vec<u32>,
    /// Shapes of arguments (index, kind, length) that the device's runtime has taken: another one like it needs no asking.
    shapes: FxHashSet<(u32, u8, usize)>,
    /// Launches, by queue and sizes, that the device's runtime has taken.
    launched: FxHashSet<u64>,
    /// The runtime's answers about the kernel, which do not change.
    answers: FxHashMap<(Info, u32, Id, Vec<u8>), Result<Vec<u8>>>,
}

impl Kind for Kernel {
    const TAG: u32 = 0x0DE0_0006;
    const INVALID: i32 = cl::INVALID_KERNEL;
}

impl Object<Kernel> {
    fn state(&self) -> MutexGuard<'_, State> {
        self.data.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn known(&self, info: Info, param: u32, device: Id, input: Vec<u8>) -> Result<Vec<u8>> {
        let question = (info, param, device, input.clone());
        if let Some(answer) = self.state().answers.get(&question) {
            return answer.clone();
        }
        let answer = link()?.call(Request::Info { info, id: self.id, param, device, input }, &[]);
        self.state().answers.insert(question, answer.clone());
        answer
    }
}

fn create(program: Ref<Program>, name: String) -> Result<Ref<Kernel>> {
    let link = link()?;
    let id = link.new_id();
    link.call(Request::Kernel { id, program: program.id, name: name.clone() }, &[])?;
    Ok(Object::new(id, Kernel { program, name, state: Mutex::default() }))
}

pub(crate) extern "C" fn clCreateKernel(program: Handle, name: *const c_char, errcode: *mut i32) -> Handle {
    let result = share::<Program>(program).and_then(|program| {
        let name = text(name).ok_or(cl::INVALID_VALUE)?;
        Ok(into_handle(create(program, name)?))
    });
    made(result, errcode)
}

pub(crate) extern "C" fn clCreateKernelsInProgram(program: Handle, entries: u32, kernels: *mut Handle, found: *mut u32) -> i32 {
    code(share::<Program>(program).and_then(|program| {
        let names = ask(Info::Program, program.id, cl::PROGRAM_KERNEL_NAMES)?;
        let names = String::from_utf8_lossy(&names);
        let names: Vec<&str> = names.trim_end_matches('\0').split(';').filter(|name| !name.is_empty()).collect();
        if !kernels.is_null() && (entries as usize) < names.len() {
            return Err(cl::INVALID_VALUE);
        }
        put(found, names.len() as u32);
        if kernels.is_null() {
            return Ok(());
        }
        let made: Vec<Ref<Kernel>> =
            names.iter().map(|name| create(program.clone(), (*name).to_owned())).collect::<Result<_>>()?;
        for (i, kernel) in made.into_iter().enumerate() {
            put(kernels.wrapping_add(i), into_handle(kernel));
        }
        Ok(())
    }))
}

pub(crate) extern "C" fn clCloneKernel(kernel: Handle, errcode: *mut i32) -> Handle {
    let result = share::<Kernel>(kernel).and_then(|kernel| {
        let clone = create(kernel.data.program.clone(), kernel.data.name.clone())?;
        let state = kernel.state();
        let mut of_clone = clone.state();
        of_clone.changed = (0..state.args.len() as u32).filter(|i| state.args[*i as usize].is_some()).collect();
        of_clone.args = state.args.clone();
        of_clone.shapes = state.shapes.clone();
        drop(of_clone);
        Ok(into_handle(clone))
    });
    made(result, errcode)
}

pub(crate) extern "C" fn clRetainKernel(kernel: Handle) -> i32 {
    code(retain::<Kernel>(kernel))
}

pub(crate) extern "C" fn clReleaseKernel(kernel: Handle) -> i32 {
    code(release::<Kernel>(kernel))
}

/// What the bytes of an argument mean: a handle that they are, or themselves.
fn meaning(value: *const c_void, size: usize) -> Arg {
    let data: &[u8] = list(value.cast(), size);
    match data.first_chunk::<8>().filter(|_| size == size_of::<Handle>()) {
        _ if value.is_null() => Arg::Null(size as u64),
        Some(word) => argument(usize::from_ne_bytes(*word)).map_or_else(|| Arg::Bytes(data.to_vec()), Arg::Object),
        None => Arg::Bytes(data.to_vec()),
    }
}

fn shape(index: u32, arg: &Arg) -> (u32, u8, usize) {
    match arg {
        Arg::Bytes(data) => (index, 0, data.len()),
        Arg::Null(len) => (index, 1, *len as usize),
        // Buffers, images and samplers are of one length and must not be taken for each other: each is asked for once.
        Arg::Object(id) => (index, 2, *id as usize),
    }
}

pub(crate) extern "C" fn clSetKernelArg(kernel: Handle, index: u32, size: usize, value: *const c_void) -> i32 {
    code(borrow::<Kernel>(kernel).and_then(|kernel| {
        let arg = meaning(value, size);
        let shape = shape(index, &arg);
        let mut state = kernel.state();
        if !state.shapes.contains(&shape) {
            link()?.call(Request::SetArg { kernel: kernel.id, index, arg: arg.clone() }, &[])?;
            state.shapes.insert(shape);
            state.changed.retain(|changed| *changed != index);
        } else if !state.changed.contains(&index) {
            state.changed.push(index);
        }
        let at = index as usize;
        if state.args.len() <= at {
            state.args.resize(at + 1, None);
        }
        state.args[at] = Some(arg);
        Ok(())
    }))
}

pub(crate) extern "C" fn clSetKernelArgSVMPointer(kernel: Handle, _index: u32, _value: *const c_void) -> i32 {
    code(borrow::<Kernel>(kernel).and(Err(cl::INVALID_OPERATION)))
}

pub(crate) extern "C" fn clSetKernelExecInfo(kernel: Handle, _param: u32, _size: usize, _value: *const c_void) -> i32 {
    code(borrow::<Kernel>(kernel).and(Err(cl::INVALID_OPERATION)))
}

pub(crate) extern "C" fn clGetKernelInfo(kernel: Handle, param: u32, size: usize, value: *mut c_void, len: *mut usize) -> i32 {
    code(borrow::<Kernel>(kernel).and_then(|kernel| {
        let data = match param {
            cl::KERNEL_REFERENCE_COUNT => bytes(&[count(kernel)?]).to_vec(),
            cl::KERNEL_CONTEXT => bytes(&[kernel.data.program.data.context.handle() as usize]).to_vec(),
            cl::KERNEL_PROGRAM => bytes(&[kernel.data.program.handle() as usize]).to_vec(),
            _ => kernel.known(Info::Kernel, param, 0, Vec::new())?,
        };
        answer(&data, size, value, len)
    }))
}

pub(crate) extern "C" fn clGetKernelArgInfo(
    kernel: Handle,
    index: u32,
    param: u32,
    size: usize,
    value: *mut c_void,
    len: *mut usize,
) -> i32 {
    code(
        borrow::<Kernel>(kernel)
            .and_then(|kernel| answer(&kernel.known(Info::Arg, param, 0, index.to_ne_bytes().to_vec())?, size, value, len)),
    )
}

fn device_id(device: Handle) -> Result<Id> {
    if device.is_null() { Ok(0) } else { borrow::<Device>(device).map(|device| device.id) }
}

pub(crate) extern "C" fn clGetKernelWorkGroupInfo(
    kernel: Handle,
    device: Handle,
    param: u32,
    size: usize,
    value: *mut c_void,
    len: *mut usize,
) -> i32 {
    code(
        borrow::<Kernel>(kernel).and_then(|kernel| {
            answer(&kernel.known(Info::WorkGroup, param, device_id(device)?, Vec::new())?, size, value, len)
        }),
    )
}

pub(crate) extern "C" fn clGetKernelSubGroupInfo(
    kernel: Handle,
    device: Handle,
    param: u32,
    input_size: usize,
    input: *const c_void,
    size: usize,
    value: *mut c_void,
    len: *mut usize,
) -> i32 {
    code(borrow::<Kernel>(kernel).and_then(|kernel| {
        let data = kernel.known(Info::SubGroup, param, device_id(device)?, list(input.cast(), input_size).to_vec())?;
        answer(&data, size, value, len)
    }))
}

pub(crate) extern "C" fn clEnqueueNDRangeKernel(
    queue: Handle,
    kernel: Handle,
    dims: u32,
    offset: *const usize,
    global: *const usize,
    local: *const usize,
    waits: u32,
    wait: *const Handle,
    event: *mut Handle,
) -> i32 {
    code(launch(queue, kernel, [offset, global, local], dims, cl::COMMAND_NDRANGE_KERNEL, (waits, wait, event)))
}

pub(crate) extern "C" fn clEnqueueTask(
    queue: Handle,
    kernel: Handle,
    waits: u32,
    wait: *const Handle,
    event: *mut Handle,
) -> i32 {
    code(launch(queue, kernel, [std::ptr::null(); 3], 0, cl::COMMAND_TASK, (waits, wait, event)))
}

fn launch(
    queue: Handle,
    kernel: Handle,
    sizes: [*const usize; 3],
    dims: u32,
    kind: u32,
    events: (u32, *const Handle, *mut Handle),
) -> Result<()> {
    let queue = borrow::<Queue>(queue)?;
    let kernel = borrow::<Kernel>(kernel)?;
    if kind == cl::COMMAND_NDRANGE_KERNEL && !(1..=3).contains(&dims) {
        return Err(cl::INVALID_WORK_DIMENSION);
    }
    let [offset, global, local] = sizes.map(|start| list(start, dims as usize).iter().map(|n| *n as u64).collect::<Vec<u64>>());
    if dims > 0 && global.is_empty() {
        return Err(cl::INVALID_GLOBAL_WORK_SIZE);
    }
    let mut hasher = FxHasher::default();
    (queue.id, &offset, &global, &local).hash(&mut hasher);
    let shape = hasher.finish();
    let mut state = kernel.state();
    let changed = std::mem::take(&mut state.changed);
    let args = changed.iter().filter_map(|index| Some((*index, state.args[*index as usize].clone()?))).collect();
    let checked = if state.launched.contains(&shape) { Checked::Before } else { Checked::Now };
    // Under the kernel's lock: another thread's launch of the same kernel must not take the arguments apart.
    let command = Command { queue, op: Op::Kernel { kernel: kernel.id, args, offset, global, local }, kind, checked };
    let result = enqueue(command, &[], events);
    match result {
        Ok(()) => drop(state.launched.insert(shape)),
        Err(_) => state.changed = changed,
    }
    result
}
