//! A CUDA device through its driver.
//!
//! **It was compiled, and not run on a GPU.** Its tests are the same as the simulated device's (`executor/proxy/tests/cuda.rs`,
//! `executor/tests/gpu.sh`).
//!
//! Each worker has a context of its own, so that one worker's illegal address does not end another's. Reads wait for their
//! stream, because the staging area is memory that the driver does not know.
#![allow(unsafe_code, reason = "calls into CUDA's driver")]

mod backend;

use super::device::{Device, describe};
use super::libraries::{Libraries, Site};
use super::mapped::{Mapped, ok};
use super::{Failure, Result, encoded, now};
use crate::backend::Reads;
use cudarc::driver::sys;
use ring::{Body, Region};
use std::collections::BTreeMap;
use std::ffi::CString;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicU64, Ordering};
use wire::Id;
use wire::cuda::{self, Call, Span};

/// Bytes that checkpoints read and write at a time.
const PIECE: u64 = 16 << 20;
/// Where the first worker's addresses are asked for, and how far apart workers' are: far from what Linux gives out.
const BASE: u64 = 0x2000_0000_0000;
const APART: u64 = 1 << 42;

/// What a worker's name stands for.
pub(crate) enum Object {
    Space,
    Stream(sys::CUstream),
    /// The driver's event, whether it was recorded, and when, if that was before a restore (nanoseconds).
    Event(sys::CUevent, bool, Option<u64>),
    Module(sys::CUmodule),
    Function(sys::CUfunction),
    /// The address that the worker knows, the driver's, and bytes.
    Global(u64, u64, u64),
    Memory,
}

/// One worker's objects on a CUDA device.
pub struct Real {
    device: Device,
    context: sys::CUcontext,
    mapped: Option<Mapped>,
    pub(crate) objects: BTreeMap<Id, Object>,
    /// An event, and when it was, in nanoseconds since 1970: what ties events' times to those of before a restore.
    reference: Option<(sys::CUevent, u64)>,
    pub(crate) libraries: Libraries,
    /// Reads that are complete and not yet told.
    pub(crate) reads: Reads,
    failed: Option<Failure>,
}

// SAFETY: handles of CUDA's driver may be used from any thread; the context is made current with every request.
unsafe impl Send for Real {}

impl Real {
    pub(crate) fn new(device: Device) -> Real {
        Real {
            device,
            context: null_mut(),
            mapped: None,
            objects: BTreeMap::new(),
            reference: None,
            libraries: Libraries::default(),
            reads: Reads::default(),
            failed: None,
        }
    }

    /// Makes this worker's context current, and it itself if there is none.
    fn enter(&mut self) -> Result<()> {
        // SAFETY: pointers are to fields or values of this function; the context is this worker's.
        unsafe {
            if self.context.is_null() {
                ok(sys::cuCtxCreate_v4(&mut self.context, null_mut(), 0, self.device.number))?;
            }
            ok(sys::cuCtxSetCurrent(self.context))?;
            if self.reference.is_none() {
                let mut event = null_mut();
                ok(sys::cuEventCreate(&mut event, 0))?;
                ok(sys::cuEventRecord(event, null_mut()))?;
                ok(sys::cuEventSynchronize(event))?;
                self.reference = Some((event, now()));
            }
        }
        Ok(())
    }

    /// The range of addresses, at `wanted` where there is none yet.
    fn space(&mut self, wanted: Option<u64>) -> Result<&mut Mapped> {
        static WORKERS: AtomicU64 = AtomicU64::new(0);
        if self.mapped.is_none() {
            let wanted = wanted.unwrap_or_else(|| BASE + WORKERS.fetch_add(1, Ordering::Relaxed) % 16 * APART);
            let size = (4 * self.device.memory).next_multiple_of(1 << 30);
            self.mapped = Some(Mapped::reserve(self.device.number, wanted, size)?);
        }
        self.mapped.as_mut().ok_or(cuda::INVALID_CONTEXT.into())
    }

    fn call(&mut self, call: &Call, body: Body, region: &Region) -> Result<Vec<u8>> {
        if let Some(failed) = self.failed.as_ref().filter(|failed| cuda::is_sticky(failed.code)) {
            return Err(failed.clone());
        }
        match call {
            Call::Describe => {
                let range = self.space(None)?.range();
                return Ok(encoded(&self.device.properties(range)));
            }
            Call::Space { id, base, size } => {
                if self.objects.values().any(|object| matches!(object, Object::Space)) {
                    return Err(cuda::INVALID_VALUE.into());
                }
                let range = self.space(Some(*base))?.range();
                if range.0 != *base || range.1 < *size {
                    let said = "the driver does not give this job its addresses again; restore it on another device".into();
                    return Err(Failure { code: cuda::OUT_OF_MEMORY, said });
                }
                self.objects.insert(*id, Object::Space);
            }
            Call::Alloc { id, space, address, size } => {
                if !matches!(self.objects.get(space), Some(Object::Space)) {
                    return Err(cuda::INVALID_CONTEXT.into());
                }
                self.space(None)?.allocate(*id, *address, *size)?;
                self.objects.insert(*id, Object::Memory);
            }
            Call::Command { stream, work } => {
                let stream = self.stream(*stream)?;
                self.work(stream, work, &body, region)?;
            }
            Call::Synchronize { id } | Call::Query { id } => {
                self.wait(*id, matches!(call, Call::Query { .. }))?;
                if let Some(failed) = self.failed.take() {
                    return Err(failed);
                }
            }
            Call::Elapsed { from, to } => return Ok(self.elapsed(*from, *to)?.to_ne_bytes().to_vec()),
            // Answered on its own.
            Call::Library { .. } => return Err(cuda::NOT_SUPPORTED.into()),
            Call::Memory => {
                let (mut free, mut total) = (0, 0);
                // SAFETY: pointers are to values of this function.
                ok(unsafe { sys::cuMemGetInfo_v2(&mut free, &mut total) })?;
                return Ok([free as u64, total as u64].map(u64::to_ne_bytes).concat());
            }
            _ => return self.make(call, body),
        }
        Ok(Vec::new())
    }

    /// Streams, events, modules and what is in them.
    fn make(&mut self, call: &Call, body: Body) -> Result<Vec<u8>> {
        let mut answer = Vec::new();
        let (id, object) = match call {
            Call::Stream { id, flags, priority, .. } => {
                let mut stream = null_mut();
                // SAFETY: the pointer is to a value of this function; the driver checks the flags.
                ok(unsafe { sys::cuStreamCreateWithPriority(&mut stream, *flags, *priority) })?;
                (id, Object::Stream(stream))
            }
            Call::Event { id, flags, .. } => {
                let mut event = null_mut();
                // SAFETY: as above.
                ok(unsafe { sys::cuEventCreate(&mut event, *flags) })?;
                (id, Object::Event(event, false, None))
            }
            Call::Module { id, .. } => {
                let mut image = body.into_vec();
                // Text must end; after a binary it does no harm.
                image.push(0);
                let mut module = null_mut();
                // SAFETY: the image is the worker's: a wrong one can only hurt the proxy if the driver's parser does.
                ok(unsafe { sys::cuModuleLoadData(&mut module, image.as_ptr().cast()) })?;
                (id, Object::Module(module))
            }
            Call::Function { id, module, name } => {
                let name = CString::new(name.as_str()).map_err(|_| cuda::INVALID_VALUE)?;
                let mut function = null_mut();
                // SAFETY: the module is the driver's, and the name ends with a 0.
                ok(unsafe { sys::cuModuleGetFunction(&mut function, self.module(*module)?, name.as_ptr()) })
                    .map_err(|code| if code == cuda::NOT_FOUND { cuda::INVALID_DEVICE_FUNCTION } else { code })?;
                answer = encoded(&describe(function));
                (id, Object::Function(function))
            }
            Call::Attribute { function, attribute, value } => {
                // The two that programs set; other numbers might be none of the bindings' enumeration.
                let attribute = match attribute {
                    8 => sys::CUfunction_attribute::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES,
                    9 => sys::CUfunction_attribute::CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT,
                    _ => return Err(cuda::NOT_SUPPORTED.into()),
                };
                // SAFETY: the function is the driver's.
                ok(unsafe { sys::cuFuncSetAttribute(self.function(*function)?, attribute, *value) })?;
                return Ok(answer);
            }
            Call::Global { id, module, name, address, size } => {
                let name = CString::new(name.as_str()).map_err(|_| cuda::INVALID_VALUE)?;
                let (mut own, mut len) = (0, 0);
                // SAFETY: pointers are to values of this function, the module is the driver's, and the name ends with a 0.
                ok(unsafe { sys::cuModuleGetGlobal_v2(&mut own, &mut len, self.module(*module)?, name.as_ptr()) })?;
                (id, Object::Global(*address, own, (*size).min(len as u64)))
            }
            _ => return Err(cuda::NOT_SUPPORTED.into()),
        };
        self.objects.insert(*id, object);
        Ok(answer)
    }

    fn module(&self, id: Id) -> std::result::Result<sys::CUmodule, i32> {
        if let Some(Object::Module(module)) = self.objects.get(&id) { Ok(*module) } else { Err(cuda::INVALID_HANDLE) }
    }

    pub(crate) fn function(&self, id: Id) -> std::result::Result<sys::CUfunction, i32> {
        let Some(Object::Function(function)) = self.objects.get(&id) else { return Err(cuda::INVALID_DEVICE_FUNCTION) };
        Ok(*function)
    }

    fn stream(&self, id: Id) -> std::result::Result<sys::CUstream, i32> {
        match self.objects.get(&id) {
            Some(Object::Stream(stream)) => Ok(*stream),
            _ if id == cuda::DEFAULT_STREAM => Ok(null_mut()),
            _ => Err(cuda::INVALID_HANDLE),
        }
    }

    pub(crate) fn event(&self, id: Id) -> std::result::Result<(sys::CUevent, bool, Option<u64>), i32> {
        match self.objects.get(&id) {
            Some(Object::Event(event, recorded, past)) => Ok((*event, *recorded, *past)),
            _ => Err(cuda::INVALID_HANDLE),
        }
    }

    /// A span in the driver's addresses, and bytes of its data.
    pub(crate) fn place(&self, span: Span) -> std::result::Result<(Span, u64), i32> {
        let (len, end) = span.len().zip(span.end()).ok_or(cuda::INVALID_VALUE)?;
        let global = self.objects.values().find_map(|object| match object {
            Object::Global(known, own, size) if (*known..known + size).contains(&span.address) => Some((*known, *own, *size)),
            _ => None,
        });
        match global {
            Some((known, own, size)) if end <= known + size => {
                Ok((Span { address: own + (span.address - known), ..span }, len))
            }
            Some(_) => Err(cuda::INVALID_VALUE),
            None => Ok((span, self.mapped.as_ref().ok_or(cuda::INVALID_CONTEXT)?.check(span)?)),
        }
    }

    fn wait(&self, id: Id, only_ask: bool) -> std::result::Result<(), i32> {
        // SAFETY: handles are the driver's.
        ok(unsafe {
            match (self.objects.get(&id), only_ask) {
                (Some(Object::Event(_, false, _)), _) => return Ok(()),
                (Some(Object::Event(event, ..)), false) => sys::cuEventSynchronize(*event),
                (Some(Object::Event(event, ..)), true) => sys::cuEventQuery(*event),
                (_, false) if id == cuda::DEFAULT_STREAM => sys::cuCtxSynchronize(),
                (_, false) => sys::cuStreamSynchronize(self.stream(id)?),
                (_, true) => sys::cuStreamQuery(self.stream(id)?),
            }
        })
    }

    /// Milliseconds.
    fn elapsed(&self, from: Id, to: Id) -> std::result::Result<f32, i32> {
        match (self.event(from)?, self.event(to)?) {
            ((from, true, _), (to, true, _)) => between(from, to),
            _ => Ok((self.time(to)? as i64 - self.time(from)? as i64) as f32 / 1e6),
        }
    }

    /// When an event was, in nanoseconds since 1970. Of one from before a restore only that is left.
    fn time(&self, id: Id) -> std::result::Result<u64, i32> {
        match (self.event(id)?, self.reference) {
            ((event, true, _), Some((reference, at))) => {
                Ok(at.saturating_add_signed((f64::from(between(reference, event)?) * 1e6) as i64))
            }
            ((_, _, Some(past)), _) => Ok(past),
            _ => Err(cuda::INVALID_HANDLE),
        }
    }

    fn release(&mut self, id: Id) -> Result<()> {
        if self.libraries.get(id).is_some() {
            self.libraries.release(id);
            return Ok(());
        }
        let object = self.objects.remove(&id).ok_or(cuda::INVALID_HANDLE)?;
        // SAFETY: the handle was this object's alone.
        ok(unsafe {
            match object {
                Object::Stream(stream) => sys::cuStreamDestroy_v2(stream),
                Object::Event(event, ..) => sys::cuEventDestroy_v2(event),
                Object::Module(module) => sys::cuModuleUnload(module),
                Object::Memory => {
                    // As `cudaFree` does: work that uses it may still run.
                    let waited = sys::cuCtxSynchronize();
                    if let Some(mapped) = &mut self.mapped {
                        mapped.free(id);
                    }
                    waited
                }
                Object::Space | Object::Function(_) | Object::Global(..) => return Ok(()),
            }
        })?;
        Ok(())
    }

    /// Where a thing with contents is, in the driver's addresses.
    fn contents(&self, id: Id) -> Option<(u64, u64)> {
        if let Some(Object::Global(_, own, size)) = self.objects.get(&id) {
            return Some((*own, *size));
        }
        self.mapped.as_ref()?.all().find(|(own, ..)| *own == id).map(|(_, address, size)| (address, size))
    }

    /// A part of it, for the proxy's own copies.
    fn part(&mut self, id: Id, offset: u64, len: usize) -> std::result::Result<u64, i32> {
        self.enter().map_err(|failure| failure.code)?;
        let (address, size) = self.contents(id).ok_or(cuda::INVALID_HANDLE)?;
        let end = offset.checked_add(len as u64).filter(|end| *end <= size);
        end.map(|_| address + offset).ok_or(cuda::INVALID_VALUE)
    }
}

/// What library calls see of the device.
pub(crate) struct View<'a> {
    pub(crate) objects: &'a BTreeMap<Id, Object>,
    pub(crate) mapped: Option<&'a Mapped>,
}

impl Site for View<'_> {
    fn stream(&self, id: Id) -> std::result::Result<u64, i32> {
        match self.objects.get(&id) {
            Some(Object::Stream(stream)) => Ok(stream.addr() as u64),
            _ if id == cuda::DEFAULT_STREAM => Ok(0),
            _ => Err(cuda::INVALID_HANDLE),
        }
    }

    fn stream_name(&self, stream: u64) -> Id {
        let own = |object: &Object| matches!(object, Object::Stream(own) if own.addr() as u64 == stream);
        self.objects.iter().find(|(_, object)| own(object)).map_or(cuda::DEFAULT_STREAM, |(id, _)| *id)
    }

    /// Anywhere in the worker's range: what lies there is the device's to check, in a context that has nothing else.
    fn address(&self, address: u64) -> std::result::Result<u64, i32> {
        let global = self.objects.values().find_map(|object| match object {
            Object::Global(known, own, size) if (*known..known + size).contains(&address) => Some(own + (address - known)),
            _ => None,
        });
        let (base, size) = self.mapped.map_or((0, 0), Mapped::range);
        let within = (base..base + size).contains(&address).then_some(address);
        global.or(within).ok_or(cuda::INVALID_VALUE)
    }
}

/// Milliseconds between two of the driver's events.
fn between(from: sys::CUevent, to: sys::CUevent) -> std::result::Result<f32, i32> {
    let mut milliseconds = 0.0;
    // SAFETY: the pointer is to a value of this function, events are the driver's.
    ok(unsafe { sys::cuEventElapsedTime_v2(&mut milliseconds, from, to) }).map(|()| milliseconds)
}
