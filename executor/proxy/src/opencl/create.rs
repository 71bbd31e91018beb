//! Making and changing objects.

use super::OpenCl;
use super::raw::{Contents, Handle, Mem, Object, call, check, query, word};
use ring::Body;
use std::ffi::{CString, c_void};
use std::ptr::{null, null_mut};
use wire::{Arg, Id, Request, cl};

type Result<T> = std::result::Result<T, i32>;

/// OpenCL's `cl_image_desc`.
#[repr(C)]
struct RawDesc {
    kind: u32,
    extent: [usize; 4],
    pitch: [usize; 2],
    levels: [u32; 2],
    of: Handle,
}

pub(super) fn c_string(text: &str) -> Result<CString> {
    CString::new(text).map_err(|_| cl::INVALID_VALUE)
}

/// A property list as OpenCL wants it: null when there is none, else with a 0 at its end.
fn ended<T: Copy + Default>(properties: &[T]) -> Vec<T> {
    if properties.is_empty() { Vec::new() } else { properties.iter().copied().chain([T::default()]).collect() }
}

pub(super) fn pointer<T>(list: &[T]) -> *const T {
    if list.is_empty() { null() } else { list.as_ptr() }
}

/// Host memory is the worker's business, and so is who may touch the object from there: a checkpoint must.
pub(super) fn device_flags(flags: u64) -> u64 {
    let host = cl::MEM_USE_HOST_PTR | cl::MEM_COPY_HOST_PTR;
    flags & !(host | cl::MEM_HOST_WRITE_ONLY | cl::MEM_HOST_READ_ONLY | cl::MEM_HOST_NO_ACCESS)
}

/// Initial contents are copied.
fn flags_and_data(flags: u64, body: &Body) -> (u64, *const c_void) {
    let flags = device_flags(flags);
    if body.is_empty() { (flags, null()) } else { (flags | cl::MEM_COPY_HOST_PTR, body.as_ptr().cast()) }
}

impl OpenCl {
    pub(super) fn create(&mut self, request: &Request, body: Body) -> Result<Vec<u8>> {
        let api = self.api();
        match request {
            Request::SubDevices { parent, properties, ids } => return self.sub_devices(*parent, properties, ids),
            Request::Context { id, devices, properties } => self.new_context(*id, devices, properties)?,
            Request::Queue { id, context, device, properties } => {
                self.new_queue(*id, *context, *device, properties.as_deref())?
            }
            Request::DefaultQueue { context, device, queue } => {
                let (context, device, queue) = (self.context(*context)?, self.device(*device)?, self.queue(*queue)?);
                check(call!(api, clSetDefaultDeviceCommandQueue(context, device, queue))?)?;
            }
            Request::Buffer { id, context, flags, size, properties } => {
                self.buffer(*id, *context, *flags, *size, properties, &body)?
            }
            Request::SubBuffer { id, parent, flags, origin, size } => {
                self.sub_buffer(*id, *parent, *flags, [*origin, *size])?
            }
            Request::Image { .. } => self.image(request, &body)?,
            Request::Pipe { id, context, flags, packet, packets } => {
                let (native, mut code) = (self.context(*context)?, 0);
                let handle = call!(api, clCreatePipe(native, *flags, *packet, *packets, null(), &mut code))?;
                check(code)?;
                let mem = Mem { handle, context: *context, contents: Contents::Opaque, of: 0, plain: None };
                self.objects.insert(*id, Object::Mem(mem));
            }
            Request::Sampler { id, context, properties, legacy } => self.new_sampler(*id, *context, properties, *legacy)?,
            Request::UserEvent { id, context } => {
                let (context, mut code) = (self.context(*context)?, 0);
                let handle = call!(api, clCreateUserEvent(context, &mut code))?;
                check(code)?;
                self.objects.insert(*id, Object::Event { handle, queue: Handle::default() });
            }
            Request::SetUserEvent { id, status } => {
                let Some(Object::Event { handle, .. }) = self.objects.get(id) else { return Err(cl::INVALID_EVENT) };
                check(call!(api, clSetUserEventStatus(*handle, *status))?)?;
            }
            Request::PastEvent { id, status, times } => {
                self.objects.insert(*id, Object::Past { status: *status, times: times.clone() });
            }
            Request::SetArg { kernel, index, arg } => self.set_arg(self.kernel(*kernel)?, *index, arg)?,
            Request::Kernel { id, program, name } => {
                let ((program, _), name, mut code) = (self.program(*program)?, c_string(name)?, 0);
                let handle = call!(api, clCreateKernel(program, name.as_ptr(), &mut code))?;
                check(code)?;
                self.objects.insert(*id, Object::Kernel(handle));
            }
            _ => return self.program_request(request, body),
        }
        Ok(Vec::new())
    }

    pub(super) fn release(&mut self, id: Id) -> Result<Vec<u8>> {
        if id == wire::DEVICE {
            return Err(cl::INVALID_VALUE);
        }
        if let Some(queue) = self.savers.remove(&id) {
            let _ = call!(self.device.api, clReleaseCommandQueue(queue));
        }
        self.watched.forget(id);
        if self.in_common == Some(id) {
            self.in_common = None;
        }
        self.objects.remove(&id).ok_or(cl::INVALID_VALUE)?.release(&self.device.api);
        Ok(Vec::new())
    }

    fn sub_devices(&mut self, parent: Id, properties: &[i64], ids: &[Id]) -> Result<Vec<u8>> {
        let (api, parent) = (self.api(), self.device(parent)?);
        let properties: Vec<isize> = properties.iter().map(|p| *p as isize).chain([0]).collect();
        let mut count = 0;
        check(call!(api, clCreateSubDevices(parent, properties.as_ptr(), 0, null_mut(), &mut count))?)?;
        // Without names it was only asked how many there would be.
        if !ids.is_empty() {
            let mut handles = vec![Handle::default(); count as usize];
            if ids.len() != handles.len() {
                return Err(cl::INVALID_VALUE);
            }
            check(call!(api, clCreateSubDevices(parent, properties.as_ptr(), count, handles.as_mut_ptr(), null_mut()))?)?;
            self.objects.extend(ids.iter().zip(handles).map(|(id, handle)| (*id, Object::Device(handle))));
        }
        Ok(count.to_ne_bytes().to_vec())
    }

    fn new_context(&mut self, id: Id, devices: &[Id], properties: &[i64]) -> Result<()> {
        let handles = self.devices(devices)?;
        let device = *handles.first().ok_or(cl::INVALID_VALUE)?;
        let platform = [cl::CONTEXT_PLATFORM as isize, self.device.platform.0 as isize];
        let properties: Vec<isize> = platform.into_iter().chain(properties.iter().map(|p| *p as isize)).chain([0]).collect();
        let mut code = 0;
        if properties.len() == 3
            && devices == [wire::DEVICE]
            && let Some(handle) = self.join_common(id)
        {
            self.objects.insert(id, Object::Context { handle, device });
            return Ok(());
        }
        let (list, count) = (handles.as_ptr(), handles.len() as u32);
        let handle = call!(self.device.api, clCreateContext(properties.as_ptr(), count, list, null(), null(), &mut code))?;
        check(code)?;
        self.objects.insert(id, Object::Context { handle, device });
        Ok(())
    }

    fn new_queue(&mut self, id: Id, context: Id, device: Id, properties: Option<&[u64]>) -> Result<()> {
        let (context, device, mut code) = (self.context(context)?, self.device(device)?, 0);
        let api = self.api();
        let handle = if api.clCreateCommandQueueWithProperties.is_some() {
            let list = ended(properties.unwrap_or_default());
            call!(api, clCreateCommandQueueWithProperties(context, device, pointer(&list), &mut code))?
        } else {
            let bits = properties.and_then(|list| list.get(1)).copied().unwrap_or(0);
            call!(api, clCreateCommandQueue(context, device, bits, &mut code))?
        };
        check(code)?;
        self.objects.insert(id, Object::Queue { handle, late: std::sync::Arc::default() });
        Ok(())
    }

    fn buffer(&mut self, id: Id, context: Id, flags: u64, size: u64, properties: &[u64], body: &Body) -> Result<()> {
        let (native, mut code) = (self.context(context)?, 0);
        if !body.is_empty() && (body.len() as u64) < size {
            return Err(cl::INVALID_HOST_PTR);
        }
        let asked = flags;
        let (flags, data) = flags_and_data(flags, body);
        let (api, bytes, list) = (self.api(), size as usize, ended(properties));
        let handle = if list.is_empty() {
            call!(api, clCreateBuffer(native, flags, bytes, data, &mut code))?
        } else {
            call!(api, clCreateBufferWithProperties(native, list.as_ptr(), flags, bytes, data, &mut code))?
        };
        check(code)?;
        let plain = properties.is_empty().then_some(device_flags(asked));
        self.objects.insert(id, Object::Mem(Mem { handle, context, contents: Contents::Bytes(size), of: 0, plain }));
        Ok(())
    }

    fn sub_buffer(&mut self, id: Id, of: Id, flags: u64, region: [u64; 2]) -> Result<()> {
        let parent = self.mem(of)?.clone();
        let len = region[1];
        let (region, mut code) = (region.map(|n| n as usize), 0);
        let api = self.api();
        let handle = call!(
            api,
            clCreateSubBuffer(
                parent.handle,
                device_flags(flags),
                cl::BUFFER_CREATE_TYPE_REGION,
                region.as_ptr().cast(),
                &mut code
            )
        )?;
        check(code)?;
        let (contents, context) = (Contents::Bytes(len), parent.context);
        self.objects.insert(id, Object::Mem(Mem { handle, context, contents, of, plain: None }));
        Ok(())
    }

    fn image(&mut self, request: &Request, body: &Body) -> Result<()> {
        let Request::Image { id, context, flags, format, desc, of, properties } = request else {
            return Err(cl::INVALID_VALUE);
        };
        let (native, mut code) = (self.context(*context)?, 0);
        let of_handle = if *of == 0 { Handle::default() } else { self.mem(*of)?.handle };
        let raw = RawDesc {
            kind: desc.kind,
            extent: desc.extent.map(|n| n as usize),
            pitch: if *of == 0 { [0; 2] } else { desc.pitch.map(|n| n as usize) },
            levels: desc.levels,
            of: of_handle,
        };
        let (api, flags) = (self.api(), device_flags(*flags));
        let raw: *const RawDesc = &raw;
        let format = [format.order, format.data_type];
        let handle = if properties.is_empty() {
            call!(api, clCreateImage(native, flags, format.as_ptr().cast(), raw.cast(), null(), &mut code))?
        } else {
            let list = ended(properties);
            call!(
                api,
                clCreateImageWithProperties(
                    native,
                    list.as_ptr(),
                    flags,
                    format.as_ptr().cast(),
                    raw.cast(),
                    null(),
                    &mut code
                )
            )?
        };
        check(code)?;
        let pixel = word(&query(|n, to, len| call!(api, clGetImageInfo(handle, cl::IMAGE_ELEMENT_SIZE, n, to, len)))?);
        let region = desc.region().map(|n| n as usize);
        let contents = Contents::Pixels { region, pixel };
        self.objects.insert(*id, Object::Mem(Mem { handle, context: *context, contents, of: *of, plain: None }));
        if body.is_empty() {
            return Ok(());
        }
        if body.len() < region.iter().product::<usize>().saturating_mul(pixel) {
            self.release(*id)?;
            return Err(cl::INVALID_HOST_PTR);
        }
        self.contents(*id, 0, body.as_ptr().cast_mut(), body.len(), true)
    }

    fn new_sampler(&mut self, id: Id, context: Id, properties: &[u64], legacy: bool) -> Result<()> {
        let (context, mut code) = (self.context(context)?, 0);
        let api = self.api();
        let handle = if legacy {
            let &[normalized, addressing, filter] = properties else { return Err(cl::INVALID_VALUE) };
            call!(api, clCreateSampler(context, normalized as u32, addressing as u32, filter as u32, &mut code))?
        } else {
            let list = ended(properties);
            call!(api, clCreateSamplerWithProperties(context, pointer(&list), &mut code))?
        };
        check(code)?;
        self.objects.insert(id, Object::Sampler(handle));
        Ok(())
    }

    pub(super) fn set_arg(&self, kernel: Handle, index: u32, arg: &Arg) -> Result<()> {
        let api = &self.device.api;
        let code = match arg {
            Arg::Bytes(bytes) => call!(api, clSetKernelArg(kernel, index, bytes.len(), bytes.as_ptr().cast()))?,
            Arg::Null(len) => call!(api, clSetKernelArg(kernel, index, *len as usize, null()))?,
            Arg::Object(id) => {
                let handle = match self.objects.get(id) {
                    Some(Object::Mem(mem)) => mem.handle,
                    Some(Object::Sampler(handle) | Object::Queue { handle, .. }) => *handle,
                    _ => return Err(cl::INVALID_MEM_OBJECT),
                };
                call!(api, clSetKernelArg(kernel, index, size_of::<Handle>(), (&raw const handle).cast()))?
            }
        };
        check(code)
    }
}
