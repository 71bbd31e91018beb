//! What workers that take turns on one device have in common: a context of the runtime's behind the first of each worker's, so that
//! a buffer can pass from one to the other, and a kernel that sums contents up on the device.

use super::OpenCl;
use super::api::Api;
use super::raw::{Contents, Handle, Mem, Object, call, check};
use crate::backend::Spare;
use std::ffi::c_void;
use std::ptr::{null, null_mut};
use std::sync::{Arc, PoisonError};
use wire::{Id, Request, cl};

const SOURCE: &str = include_str!("checksum.cl");
/// Items that sum up side by side.
const ITEMS: usize = 1024;

/// A context, and what sums up contents in it where the device compiles.
pub(crate) struct Common {
    context: Handle,
    sums: Option<Sums>,
}

struct Sums {
    queue: Handle,
    kernel: Handle,
    /// The parts' sums, two words an item.
    parts: Handle,
}

/// A buffer that nobody owns.
struct Left {
    api: Arc<Api>,
    handle: Option<Handle>,
    flags: u64,
    len: u64,
}

impl Drop for Left {
    fn drop(&mut self) {
        if let Some(handle) = self.handle {
            let _ = call!(self.api, clReleaseMemObject(handle));
        }
    }
}

impl Common {
    fn make(api: &Api, platform: Handle, device: Handle) -> Result<Common, i32> {
        let properties = [cl::CONTEXT_PLATFORM as isize, platform.0 as isize, 0];
        let mut code = 0;
        let context = call!(api, clCreateContext(properties.as_ptr(), 1, &device, null(), null(), &mut code))?;
        check(code)?;
        // A device that takes binaries only has its contents read and summed up by the host.
        Ok(Common { context, sums: Sums::make(api, context, device).ok() })
    }
}

impl Sums {
    fn make(api: &Api, context: Handle, device: Handle) -> Result<Sums, i32> {
        let mut code = 0;
        let (start, len) = (SOURCE.as_ptr().cast(), SOURCE.len());
        let program = call!(api, clCreateProgramWithSource(context, 1, &start, &len, &mut code))?;
        check(code)?;
        let built = call!(api, clBuildProgram(program, 1, &device, null(), None, null_mut())).and_then(check);
        let kernel = built.and_then(|()| {
            let kernel = call!(api, clCreateKernel(program, c"checksum".as_ptr(), &mut code))?;
            check(code).map(|()| kernel)
        });
        let _ = call!(api, clReleaseProgram(program));
        let kernel = kernel?;
        let queue = call!(api, clCreateCommandQueue(context, device, 0, &mut code))?;
        check(code)?;
        let parts = call!(api, clCreateBuffer(context, cl::MEM_READ_WRITE, ITEMS * 16, null(), &mut code))?;
        check(code)?;
        Ok(Sums { queue, kernel, parts })
    }

    fn of(&self, api: &Api, data: Handle, len: u64, keys: [u64; 2], kind: u64) -> Result<[u64; 2], i32> {
        let word = size_of::<u64>();
        let each = (len / 8).div_ceil(ITEMS as u64);
        let (first, step) = if kind & cl::DEVICE_TYPE_GPU != 0 { (1, ITEMS as u64) } else { (each, 1) };
        let args: [(usize, *const c_void); 8] = [
            (word, (&raw const data).cast()),
            (word, (&raw const len).cast()),
            (word, (&raw const keys[0]).cast()),
            (word, (&raw const keys[1]).cast()),
            (word, (&raw const self.parts).cast()),
            (word, (&raw const each).cast()),
            (word, (&raw const first).cast()),
            (word, (&raw const step).cast()),
        ];
        for (index, (len, value)) in args.into_iter().enumerate() {
            check(call!(api, clSetKernelArg(self.kernel, index as u32, len, value))?)?;
        }
        let (items, queue) = (ITEMS, self.queue);
        check(call!(api, clEnqueueNDRangeKernel(queue, self.kernel, 1, null(), &items, null(), 0, null(), null_mut()))?)?;
        let mut parts = vec![[0u64; 2]; ITEMS];
        let to = parts.as_mut_ptr().cast();
        check(call!(api, clEnqueueReadBuffer(queue, self.parts, 1, 0, ITEMS * 16, to, 0, null(), null_mut()))?)?;
        Ok(parts.iter().fold([0; 2], |sums, part| [sums[0].wrapping_add(part[0]), sums[1].wrapping_add(part[1])]))
    }
}

impl OpenCl {
    /// The context that all workers have in common, as this worker's context `id`; none where it has one already, or there can be
    /// none. Only one of a worker's contexts, so that the runtime still sees when two are mixed up.
    pub(super) fn join_common(&mut self, id: Id) -> Option<Handle> {
        if !self.shares || self.in_common.is_some() {
            return None;
        }
        let mut common = self.device.common.lock().unwrap_or_else(PoisonError::into_inner);
        if common.is_none() {
            *common = Common::make(&self.device.api, self.device.platform, self.device.handle).ok();
        }
        let context = common.as_ref()?.context;
        call!(self.device.api, clRetainContext(context)).and_then(check).ok()?;
        self.in_common = Some(id);
        Some(context)
    }

    fn in_common(&self, id: Id) -> Option<&Mem> {
        match self.objects.get(&id) {
            Some(Object::Mem(mem)) if Some(mem.context) == self.in_common => Some(mem),
            _ => None,
        }
    }

    pub(super) fn sums_in_common(&self, id: Id, keys: [u64; 2]) -> Option<[u64; 2]> {
        let &Mem { handle, contents: Contents::Bytes(len), .. } = self.in_common(id)? else { return None };
        let common = self.device.common.lock().unwrap_or_else(PoisonError::into_inner);
        common.as_ref()?.sums.as_ref()?.of(&self.device.api, handle, len, keys, self.device.kind).ok()
    }

    pub(super) fn part_with_buffer(&mut self, id: Id) -> Option<Spare> {
        let &Mem { handle, contents: Contents::Bytes(len), plain: Some(flags), .. } = self.in_common(id)? else { return None };
        self.objects.remove(&id);
        Some(Box::new(Left { api: self.api(), handle: Some(handle), flags, len }))
    }

    pub(super) fn adopt_buffer(&mut self, request: &Request, spare: Spare) -> Result<(), Spare> {
        let mut spare = spare.downcast::<Left>()?;
        let &Request::Buffer { id, context, flags, size, ref properties } = request else { return Err(spare) };
        let flags = super::create::device_flags(flags);
        let fits = properties.is_empty() && (spare.flags, spare.len) == (flags, size);
        if !fits || self.in_common != Some(context) {
            return Err(spare);
        }
        let Some(handle) = spare.handle.take() else { return Err(spare) };
        let contents = Contents::Bytes(size);
        self.objects.insert(id, Object::Mem(Mem { handle, context, contents, of: 0, plain: Some(flags) }));
        Ok(())
    }
}
