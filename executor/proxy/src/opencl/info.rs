//! Information queries: the runtime's answers, as they are. What names an object is answered by the client.

use super::OpenCl;
use super::raw::{Handle, Object, Size, call, check, query, word};
use std::ffi::c_void;
use wire::{Id, Info, cl};

type Result<T> = std::result::Result<T, i32>;

impl OpenCl {
    pub(super) fn info(&self, info: Info, id: Id, param: u32, device: Id, input: &[u8]) -> Result<Vec<u8>> {
        let api = &self.device.api;
        // The program may leave the device out where there is only one.
        let of_device = || if device == 0 { Ok(Handle::default()) } else { self.device(device) };
        match info {
            Info::Platform => query(|n, to, len| call!(api, clGetPlatformInfo(self.device.platform, param, n, to, len))),
            Info::Device => {
                let handle = self.device(id)?;
                query(|n, to, len| call!(api, clGetDeviceInfo(handle, param, n, to, len)))
            }
            Info::Queue => {
                let handle = self.queue(id)?;
                query(|n, to, len| call!(api, clGetCommandQueueInfo(handle, param, n, to, len)))
            }
            Info::Mem => {
                let handle = self.mem(id)?.handle;
                query(|n, to, len| call!(api, clGetMemObjectInfo(handle, param, n, to, len)))
            }
            Info::Image => {
                let handle = self.mem(id)?.handle;
                query(|n, to, len| call!(api, clGetImageInfo(handle, param, n, to, len)))
            }
            Info::Sampler => {
                let handle = self.sampler(id)?;
                query(|n, to, len| call!(api, clGetSamplerInfo(handle, param, n, to, len)))
            }
            Info::Program if param == cl::PROGRAM_BINARIES => self.binaries(id),
            Info::Program => {
                let (handle, _) = self.program(id)?;
                query(|n, to, len| call!(api, clGetProgramInfo(handle, param, n, to, len)))
            }
            Info::Build => {
                let ((handle, _), device) = (self.program(id)?, of_device()?);
                query(|n, to, len| call!(api, clGetProgramBuildInfo(handle, device, param, n, to, len)))
            }
            Info::Kernel => {
                let handle = self.kernel(id)?;
                query(|n, to, len| call!(api, clGetKernelInfo(handle, param, n, to, len)))
            }
            Info::WorkGroup => {
                let (handle, device) = (self.kernel(id)?, of_device()?);
                query(|n, to, len| call!(api, clGetKernelWorkGroupInfo(handle, device, param, n, to, len)))
            }
            Info::Arg => {
                let handle = self.kernel(id)?;
                let index = input.first_chunk::<4>().map(|bytes| u32::from_ne_bytes(*bytes)).ok_or(cl::INVALID_ARG_INDEX)?;
                query(|n, to, len| call!(api, clGetKernelArgInfo(handle, index, param, n, to, len)))
            }
            Info::SubGroup => self.sub_group(self.kernel(id)?, of_device()?, param, input),
            Info::Event | Info::Profiling => self.event_info(info, id, param),
        }
    }

    fn event_info(&self, info: Info, id: Id, param: u32) -> Result<Vec<u8>> {
        let api = &self.device.api;
        match (self.objects.get(&id), info) {
            (Some(Object::Event { handle, .. }), Info::Event) => {
                query(|n, to, len| call!(api, clGetEventInfo(*handle, param, n, to, len)))
            }
            (Some(Object::Event { handle, .. }), _) => {
                query(|n, to, len| call!(api, clGetEventProfilingInfo(*handle, param, n, to, len)))
            }
            (Some(Object::Past { status, .. }), Info::Event) if param == cl::EVENT_COMMAND_EXECUTION_STATUS => {
                Ok(status.to_ne_bytes().to_vec())
            }
            (Some(Object::Past { times, .. }), Info::Profiling) => {
                let which = param.wrapping_sub(cl::PROFILING_COMMAND_QUEUED) as usize;
                if which > 4 {
                    return Err(cl::INVALID_VALUE);
                }
                times.get(which).map(|time| time.to_ne_bytes().to_vec()).ok_or(cl::PROFILING_INFO_NOT_AVAILABLE)
            }
            (Some(Object::Past { .. }), _) => Err(cl::INVALID_VALUE),
            _ => Err(cl::INVALID_EVENT),
        }
    }

    fn sub_group(&self, kernel: Handle, device: Handle, param: u32, input: &[u8]) -> Result<Vec<u8>> {
        let api = &self.device.api;
        let (len_in, data_in) = (input.len(), input.as_ptr().cast());
        // This query alone may have an answer whose length the runtime does not tell: the caller's, at most three sizes.
        let mut data = vec![0u8; 3 * size_of::<Size>()];
        let (mut len, to) = (0, data.as_mut_ptr().cast::<c_void>());
        check(call!(api, clGetKernelSubGroupInfo(kernel, device, param, len_in, data_in, data.len(), to, &mut len))?)?;
        data.truncate(if len == 0 { data.len() } else { len });
        Ok(data)
    }

    /// The binaries one after the other; their lengths are another query.
    fn binaries(&self, id: Id) -> Result<Vec<u8>> {
        let ((handle, _), api) = (self.program(id)?, &self.device.api);
        let lengths = query(|n, to, len| call!(api, clGetProgramInfo(handle, cl::PROGRAM_BINARY_SIZES, n, to, len)))?;
        let lengths: Vec<usize> = lengths.chunks_exact(size_of::<Size>()).map(word).collect();
        let mut data: Vec<Vec<u8>> = lengths.iter().map(|len| vec![0; *len]).collect();
        let mut starts: Vec<*mut u8> =
            data.iter_mut().map(|one| if one.is_empty() { std::ptr::null_mut() } else { one.as_mut_ptr() }).collect();
        let (n, to) = (starts.len() * size_of::<*mut u8>(), starts.as_mut_ptr().cast());
        check(call!(api, clGetProgramInfo(handle, cl::PROGRAM_BINARIES, n, to, std::ptr::null_mut()))?)?;
        Ok(data.concat())
    }

    pub(super) fn image_formats(&self, context: Id, flags: u64, kind: u32) -> Result<Vec<u8>> {
        let (context, api, mut count) = (self.context(context)?, &self.device.api, 0);
        check(call!(api, clGetSupportedImageFormats(context, flags, kind, 0, std::ptr::null_mut(), &mut count))?)?;
        let mut data = vec![0u8; count as usize * 8];
        if count > 0 {
            let to = data.as_mut_ptr().cast();
            check(call!(api, clGetSupportedImageFormats(context, flags, kind, count, to, std::ptr::null_mut()))?)?;
        }
        Ok(data)
    }

    pub(super) fn timers(&self, device: Id) -> Result<Vec<u8>> {
        let (device, mut on_device, mut on_host) = (self.device(device)?, 0u64, 0u64);
        check(call!(self.device.api, clGetDeviceAndHostTimer(device, &mut on_device, &mut on_host))?)?;
        Ok([on_device.to_ne_bytes(), on_host.to_ne_bytes()].concat())
    }
}
