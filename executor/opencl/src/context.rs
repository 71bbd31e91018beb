//! Contexts and samplers.

use crate::c::{Callback, Handle, Result, answer, bytes, code, ended, list, made, put};
use crate::device::{Device, clGetDeviceIDs, platform, root};
use crate::link::link;
use crate::object::{Kind, Object, Ref, borrow, count, into_handle, release, retain, share, share_all};
use std::ffi::c_void;
use std::sync::{Mutex, PoisonError};
use wire::{Id, Info, Request, cl};

pub(crate) type Notify = extern "C" fn(Handle, *mut c_void);

/// A context.
pub(crate) struct Context {
    pub(crate) devices: Vec<Ref<Device>>,
    properties: Vec<isize>,
    destructors: Mutex<Vec<Callback<Notify>>>,
}

impl Kind for Context {
    const TAG: u32 = 0x0DE0_0002;
    const INVALID: i32 = cl::INVALID_CONTEXT;

    fn ended(&mut self, handle: Handle) {
        for callback in self.destructors.get_mut().unwrap_or_else(PoisonError::into_inner).drain(..).rev() {
            (callback.function)(handle, callback.data);
        }
    }
}

impl Context {
    /// Whether all these devices are the context's.
    pub(crate) fn check(&self, devices: &[Ref<Device>]) -> Result<()> {
        let ours = |device: &Ref<Device>| self.devices.iter().any(|own| own.id == device.id);
        if devices.iter().all(ours) { Ok(()) } else { Err(cl::INVALID_DEVICE) }
    }
}

/// Names of devices.
pub(crate) fn ids(devices: &[Ref<Device>]) -> Vec<Id> {
    devices.iter().map(|device| device.id).collect()
}

pub(crate) extern "C" fn clCreateContext(
    properties: *const isize,
    count: u32,
    devices: *const Handle,
    notify: Option<Notify>,
    data: *mut c_void,
    errcode: *mut i32,
) -> Handle {
    made(create(properties, list(devices, count as usize), notify.is_none() && !data.is_null()), errcode)
}

fn create(properties: *const isize, devices: &[Handle], data_without_notify: bool) -> Result<Handle> {
    let given = ended(properties, 2);
    if devices.is_empty() || data_without_notify {
        return Err(cl::INVALID_VALUE);
    }
    let named_platform = given.chunks(2).find(|pair| pair[0] == cl::CONTEXT_PLATFORM as isize);
    if named_platform.is_some_and(|pair| pair[1] != platform() as isize) {
        return Err(cl::INVALID_PLATFORM);
    }
    let devices: Vec<Ref<Device>> = share_all(devices)?;
    let link = link()?;
    let id = link.new_id();
    let foreign = given.chunks(2).filter(|pair| pair[0] != cl::CONTEXT_PLATFORM as isize).flatten();
    let foreign: Vec<i64> = foreign.map(|p| *p as i64).collect();
    link.call(Request::Context { id, devices: ids(&devices), properties: foreign }, &[])?;
    let properties = if properties.is_null() { Vec::new() } else { given.iter().copied().chain([0]).collect() };
    Ok(into_handle(Object::new(id, Context { devices, properties, destructors: Mutex::default() })))
}

pub(crate) extern "C" fn clCreateContextFromType(
    properties: *const isize,
    kind: u64,
    notify: Option<Notify>,
    data: *mut c_void,
    errcode: *mut i32,
) -> Handle {
    let mut found = 0;
    let of_kind = clGetDeviceIDs(platform() as Handle, kind, 0, std::ptr::null_mut(), &mut found);
    let result = if of_kind != 0 { Err(of_kind) } else { create(properties, &[root()], notify.is_none() && !data.is_null()) };
    made(result, errcode)
}

pub(crate) extern "C" fn clRetainContext(context: Handle) -> i32 {
    code(retain::<Context>(context))
}

pub(crate) extern "C" fn clReleaseContext(context: Handle) -> i32 {
    code(release::<Context>(context))
}

pub(crate) extern "C" fn clSetContextDestructorCallback(context: Handle, notify: Option<Notify>, data: *mut c_void) -> i32 {
    code(borrow::<Context>(context).and_then(|context| {
        let function = notify.ok_or(cl::INVALID_VALUE)?;
        context.data.destructors.lock().unwrap_or_else(PoisonError::into_inner).push(Callback { function, data });
        Ok(())
    }))
}

pub(crate) extern "C" fn clGetContextInfo(
    context: Handle,
    param: u32,
    size: usize,
    value: *mut c_void,
    len: *mut usize,
) -> i32 {
    code(borrow::<Context>(context).and_then(|context| {
        let data = match param {
            cl::CONTEXT_REFERENCE_COUNT => bytes(&[count(context)?]).to_vec(),
            cl::CONTEXT_NUM_DEVICES => bytes(&[context.data.devices.len() as u32]).to_vec(),
            cl::CONTEXT_DEVICES => handles(&context.data.devices),
            cl::CONTEXT_PROPERTIES => bytes(&context.data.properties).to_vec(),
            _ => return Err(cl::INVALID_VALUE),
        };
        answer(&data, size, value, len)
    }))
}

/// Handles as a query's answer.
pub(crate) fn handles<T: Kind>(objects: &[Ref<T>]) -> Vec<u8> {
    objects.iter().flat_map(|object| (object.handle() as usize).to_ne_bytes()).collect()
}

pub(crate) extern "C" fn clGetSupportedImageFormats(
    context: Handle,
    flags: u64,
    kind: u32,
    entries: u32,
    formats: *mut u64,
    found: *mut u32,
) -> i32 {
    code(borrow::<Context>(context).and_then(|context| {
        if entries == 0 && !formats.is_null() {
            return Err(cl::INVALID_VALUE);
        }
        let data = link()?.call(Request::ImageFormats { context: context.id, flags, kind }, &[])?;
        let all = data.chunks_exact(8).filter_map(|format| format.first_chunk::<8>());
        put(found, (data.len() / 8) as u32);
        if !formats.is_null() {
            for (i, format) in all.take(entries as usize).enumerate() {
                put(formats.wrapping_add(i), u64::from_ne_bytes(*format));
            }
        }
        Ok(())
    }))
}

/// A sampler.
pub(crate) struct Sampler {
    context: Ref<Context>,
}

impl Kind for Sampler {
    const TAG: u32 = 0x0DE0_0003;
    const INVALID: i32 = cl::INVALID_SAMPLER;
    const ARGUMENT: bool = true;
}

fn sampler(context: Handle, properties: Vec<u64>, legacy: bool) -> Result<Handle> {
    let context = share::<Context>(context)?;
    let link = link()?;
    let id = link.new_id();
    link.call(Request::Sampler { id, context: context.id, properties, legacy }, &[])?;
    Ok(into_handle(Object::new(id, Sampler { context })))
}

pub(crate) extern "C" fn clCreateSampler(
    context: Handle,
    normalized: u32,
    addressing: u32,
    filter: u32,
    errcode: *mut i32,
) -> Handle {
    made(sampler(context, vec![normalized.into(), addressing.into(), filter.into()], true), errcode)
}

pub(crate) extern "C" fn clCreateSamplerWithProperties(context: Handle, properties: *const u64, errcode: *mut i32) -> Handle {
    made(sampler(context, ended(properties, 2).to_vec(), false), errcode)
}

pub(crate) extern "C" fn clRetainSampler(sampler: Handle) -> i32 {
    code(retain::<Sampler>(sampler))
}

pub(crate) extern "C" fn clReleaseSampler(sampler: Handle) -> i32 {
    code(release::<Sampler>(sampler))
}

pub(crate) extern "C" fn clGetSamplerInfo(
    sampler: Handle,
    param: u32,
    size: usize,
    value: *mut c_void,
    len: *mut usize,
) -> i32 {
    code(borrow::<Sampler>(sampler).and_then(|sampler| {
        let data = match param {
            cl::SAMPLER_REFERENCE_COUNT => bytes(&[count(sampler)?]).to_vec(),
            cl::SAMPLER_CONTEXT => bytes(&[sampler.data.context.handle() as usize]).to_vec(),
            _ => ask(Info::Sampler, sampler.id, param)?,
        };
        answer(&data, size, value, len)
    }))
}

/// The runtime's answer about an object.
pub(crate) fn ask(info: Info, id: Id, param: u32) -> Result<Vec<u8>> {
    link()?.call(Request::Info { info, id, param, device: 0, input: Vec::new() }, &[])
}
