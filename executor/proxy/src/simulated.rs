//! A device without hardware: buffers in host memory, and kernels that are Rust functions registered by name.
//!
//! It serves tests of everything around a device on machines that have none. Commands are carried out when they are given.
//! What it lacks (images, sub-devices, binaries) it refuses with OpenCL's code for that.

use crate::answers::Reply;
use crate::backend::{Backend, DeviceError, Memory, News, Outcome, PastEvent, Reads};
use ring::{Body, Region};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use wire::{Arg, DEVICE, Id, Info, Op, Request, Stage, cl};

type Result<T> = std::result::Result<T, i32>;

/// A kernel: its arguments and the number of work items. Buffers are given as their bytes.
pub type Kernel = fn(&mut [Value], items: usize) -> Result<()>;

/// An argument as a kernel gets it. A buffer's bytes go back to the buffer afterwards.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A value's bytes.
    Plain(Vec<u8>),
    /// A buffer's bytes.
    Buffer(Vec<u8>),
}

/// The kernels that every simulated device has.
pub const KERNELS: [(&str, Kernel); 2] = [("add", add), ("scale", scale)];

/// `out[i] = a[i] + b[i]`, 32-bit floats.
fn add(args: &mut [Value], items: usize) -> Result<()> {
    let [Value::Buffer(a), Value::Buffer(b), Value::Buffer(out)] = args else { return Err(cl::INVALID_KERNEL_ARGS) };
    for ((a, b), out) in a.chunks_exact(4).zip(b.chunks_exact(4)).zip(out.chunks_exact_mut(4)).take(items) {
        out.copy_from_slice(&(float(a) + float(b)).to_ne_bytes());
    }
    Ok(())
}

/// `x[i] *= factor`, 32-bit floats.
fn scale(args: &mut [Value], items: usize) -> Result<()> {
    let [Value::Buffer(x), Value::Plain(factor)] = args else { return Err(cl::INVALID_KERNEL_ARGS) };
    for x in x.chunks_exact_mut(4).take(items) {
        let scaled = float(x) * float(factor);
        x.copy_from_slice(&scaled.to_ne_bytes());
    }
    Ok(())
}

fn float(bytes: &[u8]) -> f32 {
    bytes.first_chunk::<4>().map_or(0.0, |bytes| f32::from_ne_bytes(*bytes))
}

enum Object {
    Context,
    Queue,
    Buffer(Vec<u8>),
    Part { of: Id, start: usize, len: usize },
    Program,
    Kernel { function: Kernel, args: BTreeMap<u32, Arg> },
    Event(i32),
}

/// One worker's objects on a simulated device.
#[derive(Default)]
pub struct Simulated {
    objects: BTreeMap<Id, Object>,
    /// Reads that are complete and not yet told.
    reads: Reads,
    /// The first error of a command whose sender had gone on.
    late: i32,
}

impl Simulated {
    fn create(&mut self, request: &Request, body: Body) -> Result<()> {
        let (id, object) = match request {
            Request::Context { id, .. } => (id, Object::Context),
            Request::Queue { id, context, .. } => (self.is(*context, cl::INVALID_CONTEXT).map(|()| id)?, Object::Queue),
            Request::Buffer { id, context, size, .. } => {
                if !matches!(self.objects.get(context), Some(Object::Context)) {
                    return Err(cl::INVALID_CONTEXT);
                }
                let mut bytes = body.into_vec();
                if *size == 0 || *size > 1 << 32 || (!bytes.is_empty() && bytes.len() as u64 != *size) {
                    return Err(cl::INVALID_BUFFER_SIZE);
                }
                bytes.resize(*size as usize, 0);
                (id, Object::Buffer(bytes))
            }
            Request::SubBuffer { id, parent, origin, size, .. } => {
                self.range(*parent, *origin, *size)?;
                (id, Object::Part { of: *parent, start: *origin as usize, len: *size as usize })
            }
            Request::ProgramSource { id, .. } => (id, Object::Program),
            Request::Build { .. } => return Ok(()),
            Request::Kernel { id, program, name } => {
                if !matches!(self.objects.get(program), Some(Object::Program)) {
                    return Err(cl::INVALID_PROGRAM);
                }
                let known = KERNELS.iter().find(|(known, _)| known == name).ok_or(cl::INVALID_KERNEL_NAME)?;
                (id, Object::Kernel { function: known.1, args: BTreeMap::new() })
            }
            Request::SetArg { kernel, index, arg } => return self.set_arg(*kernel, *index, arg),
            Request::UserEvent { id, .. } => (id, Object::Event(cl::SUBMITTED)),
            Request::PastEvent { id, status, .. } => (id, Object::Event(*status)),
            Request::SetUserEvent { id, status } => {
                self.is(*id, cl::INVALID_EVENT)?;
                (id, Object::Event(*status))
            }
            Request::Release { id } => return self.objects.remove(id).map(drop).ok_or(cl::INVALID_VALUE),
            Request::Flush { queue } => return self.is(*queue, cl::INVALID_COMMAND_QUEUE),
            _ => return Err(cl::INVALID_OPERATION),
        };
        self.objects.insert(*id, object);
        Ok(())
    }

    fn is(&self, id: Id, otherwise: i32) -> Result<()> {
        if self.objects.contains_key(&id) { Ok(()) } else { Err(otherwise) }
    }

    fn set_arg(&mut self, kernel: Id, index: u32, arg: &Arg) -> Result<()> {
        if let Arg::Object(object) = arg {
            self.is(*object, cl::INVALID_MEM_OBJECT)?;
        }
        match self.objects.get_mut(&kernel) {
            Some(Object::Kernel { args, .. }) if index < 64 => drop(args.insert(index, arg.clone())),
            Some(Object::Kernel { .. }) => return Err(cl::INVALID_ARG_INDEX),
            _ => return Err(cl::INVALID_KERNEL),
        }
        Ok(())
    }

    /// A range of a buffer or a part of one.
    fn range(&mut self, id: Id, offset: u64, len: u64) -> Result<&mut [u8]> {
        let end = offset.checked_add(len).ok_or(cl::INVALID_VALUE)?;
        match self.objects.get(&id) {
            Some(Object::Part { of, start, len: whole }) if end <= *whole as u64 => {
                let (of, start) = (*of, *start as u64);
                self.range(of, start + offset, len)
            }
            Some(Object::Buffer(bytes)) if end <= bytes.len() as u64 => match self.objects.get_mut(&id) {
                Some(Object::Buffer(bytes)) => Ok(&mut bytes[offset as usize..end as usize]),
                _ => Err(cl::INVALID_MEM_OBJECT),
            },
            Some(Object::Buffer(_) | Object::Part { .. }) => Err(cl::INVALID_VALUE),
            _ => Err(cl::INVALID_MEM_OBJECT),
        }
    }

    fn whole(&mut self, id: Id) -> Result<&mut [u8]> {
        let len = match self.objects.get(&id) {
            Some(Object::Buffer(bytes)) => bytes.len(),
            Some(Object::Part { len, .. }) => *len,
            _ => return Err(cl::INVALID_MEM_OBJECT),
        };
        self.range(id, 0, len as u64)
    }

    fn enqueue(&mut self, queue: Id, wait: &[Id], op: &Op, body: &Body, region: &Region) -> Result<()> {
        if !matches!(self.objects.get(&queue), Some(Object::Queue)) {
            return Err(cl::INVALID_COMMAND_QUEUE);
        }
        for event in wait {
            match self.objects.get(event) {
                Some(Object::Event(status)) if *status < 0 => return Err(cl::EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST),
                Some(Object::Event(_)) => {}
                _ => return Err(cl::INVALID_EVENT_WAIT_LIST),
            }
        }
        match op {
            Op::Kernel { kernel, args, global, .. } => {
                args.iter().try_for_each(|(index, arg)| self.set_arg(*kernel, *index, arg))?;
                let items =
                    global.iter().try_fold(1u64, |product, n| product.checked_mul(*n)).ok_or(cl::INVALID_GLOBAL_WORK_SIZE)?;
                self.launch(*kernel, items as usize)
            }
            Op::ReadBuffer { mem, offset, stage } => {
                let bytes = self.range(*mem, *offset, stage.len)?.to_vec();
                self.stage(region, stage, &bytes)
            }
            Op::WriteBuffer { mem, offset } => {
                let bytes = body.to_vec();
                self.range(*mem, *offset, bytes.len() as u64).map(|range| range.copy_from_slice(&bytes))
            }
            Op::CopyBuffer { from, to, from_offset, to_offset, size } => {
                let bytes = self.range(*from, *from_offset, *size)?.to_vec();
                self.range(*to, *to_offset, *size).map(|range| range.copy_from_slice(&bytes))
            }
            Op::FillBuffer { mem, pattern, offset, size } => {
                if pattern.is_empty() || !size.is_multiple_of(pattern.len() as u64) {
                    return Err(cl::INVALID_VALUE);
                }
                self.range(*mem, *offset, *size)?
                    .chunks_exact_mut(pattern.len())
                    .for_each(|part| part.copy_from_slice(pattern));
                Ok(())
            }
            Op::Marker | Op::Barrier => Ok(()),
            _ => Err(cl::INVALID_OPERATION),
        }
    }

    #[allow(unsafe_code, reason = "writes to the memory that the worker shares")]
    fn stage(&self, region: &Region, stage: &Stage, bytes: &[u8]) -> Result<()> {
        let end = stage.offset.checked_add(stage.len).ok_or(cl::INVALID_VALUE)?;
        if end > region.layout().staging || bytes.len() as u64 != stage.len {
            return Err(cl::INVALID_VALUE);
        }
        // SAFETY: the range was just checked to lie in the staging area.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), region.staging().add(stage.offset as usize), bytes.len()) };
        self.reads.push(stage.ticket);
        Ok(())
    }

    fn launch(&mut self, kernel: Id, items: usize) -> Result<()> {
        let Some(Object::Kernel { function, args }) = self.objects.get(&kernel) else { return Err(cl::INVALID_KERNEL) };
        let (function, args) = (*function, args.clone());
        let mut values = Vec::new();
        for arg in args.values() {
            values.push(match arg {
                Arg::Bytes(bytes) => Value::Plain(bytes.clone()),
                Arg::Null(_) => return Err(cl::INVALID_KERNEL_ARGS),
                Arg::Object(id) => Value::Buffer(self.whole(*id)?.to_vec()),
            });
        }
        function(&mut values, items)?;
        for (arg, value) in args.values().zip(values) {
            if let (Arg::Object(id), Value::Buffer(bytes)) = (arg, value) {
                self.whole(*id)?.copy_from_slice(&bytes);
            }
        }
        Ok(())
    }

    fn info(&self, info: Info, id: Id, param: u32) -> Result<Vec<u8>> {
        match (info, param) {
            (Info::Platform, cl::PLATFORM_NAME) => Ok(b"Orrery simulated\0".to_vec()),
            (Info::Device, cl::DEVICE_NAME) if id == DEVICE => Ok(b"simulated\0".to_vec()),
            (Info::Device, cl::DEVICE_TYPE) if id == DEVICE => Ok(cl::DEVICE_TYPE_ACCELERATOR.to_ne_bytes().to_vec()),
            (Info::Event, cl::EVENT_COMMAND_EXECUTION_STATUS) => match self.objects.get(&id) {
                Some(Object::Event(status)) => Ok(status.to_ne_bytes().to_vec()),
                _ => Err(cl::INVALID_EVENT),
            },
            _ => Err(cl::INVALID_VALUE),
        }
    }

    fn wait(&self, events: &[Id]) -> i32 {
        let status = |id: &Id| match self.objects.get(id) {
            Some(Object::Event(status)) if *status < 0 => cl::EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST,
            Some(Object::Event(_)) => 0,
            _ => cl::INVALID_EVENT,
        };
        events.iter().map(status).find(|code| *code != 0).unwrap_or(0)
    }
}

impl Backend for Simulated {
    fn execute(&mut self, request: &Request, body: Body, region: &Arc<Region>, reply: &Reply) -> Outcome {
        match request {
            Request::Enqueue { queue, wait, event, op, .. } => {
                let code = self.enqueue(*queue, wait, op, &body, region).err().unwrap_or(0);
                if reply.wanted() && code != 0 {
                    return Outcome::Now(code, Vec::new());
                }
                if *event != 0 {
                    self.objects.insert(*event, Object::Event(code));
                }
                if self.late == 0 {
                    self.late = code;
                }
                Outcome::Now(0, Vec::new())
            }
            Request::Finish { queue } => {
                let is_queue = matches!(self.objects.get(queue), Some(Object::Queue));
                let code = if is_queue { std::mem::take(&mut self.late) } else { cl::INVALID_COMMAND_QUEUE };
                Outcome::Now(code, Vec::new())
            }
            Request::Wait { events } => Outcome::Now(self.wait(events), Vec::new()),
            Request::Reached { event, .. } => Outcome::Now(self.wait(std::slice::from_ref(event)), Vec::new()),
            Request::Info { info, id, param, .. } => match self.info(*info, *id, *param) {
                Ok(data) => Outcome::Now(0, data),
                Err(code) => Outcome::Now(code, Vec::new()),
            },
            _ => Outcome::Now(self.create(request, body).err().unwrap_or(0), Vec::new()),
        }
    }

    fn news(&self) -> Box<dyn Fn() -> News + Send> {
        self.reads.news()
    }

    fn drain(&mut self, _patience: Duration) -> std::result::Result<bool, DeviceError> {
        Ok(true)
    }

    fn memory(&self) -> Vec<Memory> {
        let buffer = |(id, object): (&Id, &Object)| match object {
            Object::Buffer(bytes) => Some(Memory { id: *id, len: bytes.len() as u64, piece: 1 << 20 }),
            _ => None,
        };
        self.objects.iter().filter_map(buffer).collect()
    }

    fn read(&mut self, id: Id, offset: u64, to: &mut [u8]) -> std::result::Result<(), DeviceError> {
        let from = self.range(id, offset, to.len() as u64).map_err(|code| DeviceError { what: "reading memory", code })?;
        to.copy_from_slice(from);
        Ok(())
    }

    fn write(&mut self, id: Id, offset: u64, from: &[u8]) -> std::result::Result<(), DeviceError> {
        let to = self.range(id, offset, from.len() as u64).map_err(|code| DeviceError { what: "writing memory", code })?;
        to.copy_from_slice(from);
        Ok(())
    }

    fn past_events(&self) -> Vec<PastEvent> {
        let event = |(id, object): (&Id, &Object)| match object {
            // A user event that is not set is made again by its own request.
            Object::Event(status) if *status <= 0 => Some(PastEvent { id: *id, status: *status, times: Vec::new() }),
            _ => None,
        };
        self.objects.iter().filter_map(event).collect()
    }
}
