//! A CUDA device without hardware: memory of the host's under device addresses, and kernels that are Rust functions
//! registered under the names of those in the program's binary. Work is carried out when it is given. It serves programs built by
//! `nvcc` on machines without a GPU, and everything around them: messages, errors, checkpoints.

use crate::answers::Reply;
use crate::backend::{Backend, DeviceError, Memory as Contents, News, Outcome, PastEvent, Reads, Spare};
use crate::cuda::kernels::{self, Kernel, Launch, Params};
use crate::cuda::libraries::{Called, Libraries, Site};
use crate::cuda::memory::Memory;
use crate::cuda::{Failure, Result, Worker, carry_out, encoded, now, properties};
use crate::spare::sums;
use ring::{Body, Region};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use wire::cuda::{self, Call, FunctionInfo, Span, Work};
use wire::libraries::Value;
use wire::{DEVICE, Id, Request, Stage};

/// Bytes of memory that each worker has.
pub const MEMORY: u64 = 4 << 30;
/// Where addresses begin: far from what Linux gives out in the worker.
pub(crate) const BASE: u64 = 0x2000_0000_0000;
/// Room for addresses: more than memory, so that fragments do no harm.
pub(crate) const SIZE: u64 = 8 * MEMORY;
/// Bytes that checkpoints read and write at a time.
const PIECE: u64 = 1 << 20;

enum Object {
    Space,
    Stream,
    /// When it was last recorded, in nanoseconds since 1970: a restore does not set it back.
    Event(Option<u64>),
    Module(BTreeMap<String, Id>),
    Function {
        module: Id,
        name: String,
        /// Bytes of its parameters.
        params: usize,
        kernel: Kernel,
    },
    /// A variable, and the module that it belongs to; its memory is under the same id.
    Global(Id, String),
    Memory,
}

/// One worker's objects on a simulated CUDA device.
#[derive(Default)]
pub struct Simulated {
    objects: BTreeMap<Id, Object>,
    memory: Memory,
    libraries: Libraries,
    /// Reads that are complete and not yet told.
    reads: Reads,
    /// The first error of work whose sender had gone on; one that stays, if it is of that kind.
    failed: Option<Failure>,
}

impl Simulated {
    fn call(&mut self, call: &Call, body: Body, region: &Region) -> Result<Vec<u8>> {
        if let Some(failed) = self.failed.as_ref().filter(|failed| cuda::is_sticky(failed.code)) {
            return Err(failed.clone());
        }
        match call {
            Call::Describe => return Ok(encoded(&properties::properties())),
            Call::Space { id, base, size } => {
                if (*base, *size) != (BASE, SIZE) || self.objects.values().any(|object| matches!(object, Object::Space)) {
                    return Err(cuda::INVALID_VALUE.into());
                }
                self.objects.insert(*id, Object::Space);
            }
            Call::Alloc { id, space, address, size } => {
                self.space(*space)?;
                self.allocate(*id, *address, *size)?;
                self.objects.insert(*id, Object::Memory);
            }
            Call::Stream { id, space, .. } => self.make(*id, *space, Object::Stream)?,
            Call::Event { id, space, .. } => self.make(*id, *space, Object::Event(None))?,
            Call::Module { id, space } => self.make(*id, *space, Object::Module(BTreeMap::new()))?,
            Call::Function { id, module, name } => {
                let (params, kernel) = kernels::find(name).ok_or_else(|| unknown_kernel(name))?;
                self.globals(*module)?;
                self.objects.insert(*id, Object::Function { module: *module, name: name.clone(), params, kernel });
                return Ok(encoded(&FunctionInfo { attributes: vec![(0, 1024), (4, 16), (5, 90), (6, 90)], params: None }));
            }
            Call::Attribute { function, .. } => match self.objects.get(function) {
                Some(Object::Function { .. }) => {}
                _ => return Err(cuda::INVALID_DEVICE_FUNCTION.into()),
            },
            Call::Global { id, module, name, address, size } => {
                self.globals(*module)?;
                self.allocate(*id, *address, *size)?;
                self.globals(*module)?.insert(name.clone(), *id);
                self.objects.insert(*id, Object::Global(*module, name.clone()));
            }
            Call::Command { stream, work } => {
                self.stream(*stream)?;
                self.work(work, body, region)?;
            }
            Call::Synchronize { .. } | Call::Query { .. } => {
                self.waitable(call)?;
                if let Some(failed) = self.failed.take() {
                    return Err(failed);
                }
            }
            Call::Elapsed { from, to } => {
                let (from, to) = (self.recorded(*from)?, self.recorded(*to)?);
                let milliseconds = (to as i64 - from as i64) as f32 / 1e6;
                return Ok(milliseconds.to_ne_bytes().to_vec());
            }
            // Answered on its own.
            Call::Library { .. } => return Err(cuda::NOT_SUPPORTED.into()),
            Call::Memory => return Ok([MEMORY - self.memory.used(), MEMORY].map(u64::to_ne_bytes).concat()),
        }
        Ok(Vec::new())
    }

    fn make(&mut self, id: Id, space: Id, object: Object) -> Result<()> {
        self.space(space)?;
        self.objects.insert(id, object);
        Ok(())
    }

    fn space(&self, id: Id) -> Result<()> {
        if matches!(self.objects.get(&id), Some(Object::Space)) { Ok(()) } else { Err(cuda::INVALID_CONTEXT.into()) }
    }

    fn stream(&self, id: Id) -> Result<()> {
        let known = id == cuda::DEFAULT_STREAM || matches!(self.objects.get(&id), Some(Object::Stream));
        if known { Ok(()) } else { Err(cuda::INVALID_HANDLE.into()) }
    }

    fn waitable(&self, call: &Call) -> Result<()> {
        let (Call::Synchronize { id } | Call::Query { id }) = call else { return Ok(()) };
        if matches!(self.objects.get(id), Some(Object::Event(_))) { Ok(()) } else { self.stream(*id) }
    }

    fn globals(&mut self, module: Id) -> Result<&mut BTreeMap<String, Id>> {
        match self.objects.get_mut(&module) {
            Some(Object::Module(globals)) => Ok(globals),
            _ => Err(cuda::INVALID_HANDLE.into()),
        }
    }

    fn recorded(&self, event: Id) -> Result<u64> {
        match self.objects.get(&event) {
            Some(Object::Event(Some(time))) => Ok(*time),
            _ => Err(cuda::INVALID_HANDLE.into()),
        }
    }

    fn allocate(&mut self, id: Id, address: u64, size: u64) -> Result<()> {
        let end = address.checked_add(size).ok_or(cuda::INVALID_VALUE)?;
        if address < BASE || end > BASE + SIZE {
            return Err(cuda::INVALID_VALUE.into());
        }
        Ok(self.memory.allocate(id, address, size, MEMORY)?)
    }

    fn release(&mut self, id: Id) -> Result<()> {
        match self.objects.remove(&id) {
            Some(Object::Memory) => drop(self.memory.free(id)),
            Some(Object::Global(module, name)) => {
                self.memory.free(id);
                if let Ok(globals) = self.globals(module) {
                    globals.remove(&name);
                }
            }
            Some(_) => {}
            None if self.libraries.get(id).is_some() => self.libraries.release(id),
            None => return Err(cuda::INVALID_HANDLE.into()),
        }
        Ok(())
    }

    fn work(&mut self, work: &Work, body: Body, region: &Region) -> Result<()> {
        match work {
            Work::Launch { function, grid, block, shared, params } => self.launch(*function, *grid, *block, *shared, params)?,
            Work::Read { from, stage } => self.stage(region, stage, *from)?,
            Work::Write { to } => self.memory.scatter(*to, &body.into_vec())?,
            Work::Copy { from, to } => {
                let data = self.memory.gather(*from)?;
                self.memory.scatter(*to, &data)?;
            }
            Work::Set { to, value, width } => self.memory.set(*to, *value, *width)?,
            Work::Record { event } => match self.objects.get_mut(event) {
                Some(Object::Event(time)) => *time = Some(now()),
                _ => return Err(cuda::INVALID_HANDLE.into()),
            },
            Work::Wait { event } => match self.objects.get(event) {
                Some(Object::Event(_)) => {}
                _ => return Err(cuda::INVALID_HANDLE.into()),
            },
        }
        Ok(())
    }

    fn launch(&mut self, function: Id, grid: [u32; 3], block: [u32; 3], shared: u32, params: &[u8]) -> Result<()> {
        let Some(Object::Function { module, name, params: expected, kernel }) = self.objects.get(&function) else {
            return Err(cuda::INVALID_DEVICE_FUNCTION.into());
        };
        if params.len() != *expected {
            let said = format!("kernel `{name}` has {} bytes of parameters; the simulated one has {expected}", params.len());
            return Err(Failure { code: cuda::INVALID_DEVICE_FUNCTION, said });
        }
        let product = |sizes: [u32; 3]| sizes.into_iter().try_fold(1u64, |product, n| product.checked_mul(u64::from(n)));
        let (blocks, in_block) = product(grid).zip(product(block)).ok_or(cuda::INVALID_CONFIGURATION)?;
        let threads = blocks.checked_mul(in_block).filter(|threads| *threads > 0 && in_block <= 1024);
        let threads = threads.ok_or(cuda::INVALID_CONFIGURATION)?;
        let Some(Object::Module(globals)) = self.objects.get(module) else { return Err(cuda::INVALID_HANDLE.into()) };
        let addresses: BTreeMap<&str, u64> =
            globals.iter().filter_map(|(name, id)| Some((name.as_str(), self.memory.address(*id)?))).collect();
        let globals = |name: &str| addresses.get(name).copied();
        let memory = &mut self.memory;
        let result = kernel(&mut Launch { threads, blocks, shared, params: Params::new(params), memory, globals: &globals });
        result.map_err(|code| {
            let what = cuda::describe(code).map_or("error", |(_, text)| text);
            Failure { code, said: format!("kernel `{name}`: {what}") }
        })
    }

    /// Copies rows to the staging area, packed, without a stop between.
    #[allow(unsafe_code, reason = "writes to the memory that the worker shares")]
    fn stage(&self, region: &Region, stage: &Stage, from: Span) -> Result<()> {
        let end = stage.offset.checked_add(stage.len).ok_or(cuda::INVALID_VALUE)?;
        if end > region.layout().staging || self.memory.check(from)? != stage.len {
            return Err(cuda::INVALID_VALUE.into());
        }
        let mut offset = stage.offset as usize;
        for start in from.starts().filter(|_| !from.is_empty()) {
            let row = self.memory.bytes(start, from.row)?;
            // SAFETY: the rows are as long as the stage, whose range was just checked to lie in the staging area.
            unsafe { std::ptr::copy_nonoverlapping(row.as_ptr(), region.staging().add(offset), row.len()) };
            offset += row.len();
        }
        self.reads.push(stage.ticket);
        Ok(())
    }
}

fn unknown_kernel(name: &str) -> Failure {
    let known: Vec<&str> = kernels::KERNELS.iter().map(|(name, ..)| *name).collect();
    let said = format!("the simulated device has no kernel `{name}`; it has: {}", known.join(", "));
    Failure { code: cuda::INVALID_DEVICE_FUNCTION, said }
}

/// What library calls see of the device: all streams are the default one, on which nothing runs.
struct View<'a>(&'a BTreeMap<Id, Object>);

impl Site for View<'_> {
    fn stream(&self, id: Id) -> std::result::Result<u64, i32> {
        let known = id == cuda::DEFAULT_STREAM || matches!(self.0.get(&id), Some(Object::Stream));
        if known { Ok(0) } else { Err(cuda::INVALID_HANDLE) }
    }

    fn stream_name(&self, _stream: u64) -> Id {
        cuda::DEFAULT_STREAM
    }

    fn address(&self, address: u64) -> std::result::Result<u64, i32> {
        if (BASE..BASE + SIZE).contains(&address) { Ok(address) } else { Err(cuda::INVALID_VALUE) }
    }
}

impl Worker for Simulated {
    fn ask(&mut self, call: &Call, body: Body, region: &Region) -> Result<Vec<u8>> {
        self.call(call, body, region)
    }

    fn free(&mut self, id: Id) -> Result<()> {
        self.release(id)
    }

    fn last_recorded(&mut self, id: Id) -> Option<&mut Option<u64>> {
        match self.objects.get_mut(&id) {
            Some(Object::Event(time)) => Some(time),
            _ => None,
        }
    }

    fn library(&mut self, function: u16, values: &[Value]) -> Result<Called> {
        if let Some(failed) = self.failed.as_ref().filter(|failed| cuda::is_sticky(failed.code)) {
            return Err(failed.clone());
        }
        let view = View(&self.objects);
        for value in values {
            if let Value::Stream(id) = value {
                view.stream(*id)?;
            }
        }
        if let Some((library, known)) = wire::libraries::function(function)
            && let Some(result) = self.libraries.simulated(&mut self.memory, library, known, values)
        {
            return result;
        }
        self.libraries.call(&view, function, values)
    }

    fn failed(&mut self) -> &mut Option<Failure> {
        &mut self.failed
    }
}

impl Backend for Simulated {
    fn execute(&mut self, request: &Request, body: Body, region: &Arc<Region>, reply: &Reply) -> Outcome {
        carry_out(self, request, body, region, reply)
    }

    fn news(&self) -> Box<dyn Fn() -> News + Send> {
        self.reads.news()
    }

    fn drain(&mut self, _patience: Duration) -> std::result::Result<bool, DeviceError> {
        Ok(true)
    }

    fn memory(&self) -> Vec<Contents> {
        self.memory.all().map(|(id, len)| Contents { id, len, piece: PIECE }).collect()
    }

    fn read(&mut self, id: Id, offset: u64, to: &mut [u8]) -> std::result::Result<(), DeviceError> {
        let failed = |code| DeviceError { what: "reading memory", code };
        let address = self.memory.address(id).ok_or(failed(cuda::INVALID_HANDLE))?.saturating_add(offset);
        to.copy_from_slice(self.memory.bytes(address, to.len() as u64).map_err(failed)?);
        Ok(())
    }

    fn write(&mut self, id: Id, offset: u64, from: &[u8]) -> std::result::Result<(), DeviceError> {
        let failed = |code| DeviceError { what: "writing memory", code };
        let address = self.memory.address(id).ok_or(failed(cuda::INVALID_HANDLE))?.saturating_add(offset);
        self.memory.bytes_mut(address, from.len() as u64).map_err(failed)?.copy_from_slice(from);
        Ok(())
    }

    fn sums(&mut self, id: Id, keys: [u64; 2]) -> Option<[u64; 2]> {
        let (address, len) = self.memory.address(id).zip(self.memory.all().find(|(own, _)| *own == id).map(|(_, len)| len))?;
        Some(sums(self.memory.bytes(address, len).ok()?, keys))
    }

    fn part_with(&mut self, id: Id) -> Option<Spare> {
        if !matches!(self.objects.get(&id), Some(Object::Memory)) {
            return None;
        }
        self.objects.remove(&id);
        Some(Box::new(self.memory.take(id)?))
    }

    fn adopt(&mut self, request: &Request, spare: Spare) -> std::result::Result<(), Spare> {
        let bytes = spare.downcast::<Vec<u8>>()?;
        let &Request::Cuda(Call::Alloc { id, space, address, size }) = request else { return Err(bytes) };
        if size != bytes.len() as u64 || self.space(space).is_err() || self.allocate(id, address, size).is_err() {
            return Err(bytes);
        }
        self.objects.insert(id, Object::Memory);
        self.memory.replace(id, *bytes);
        Ok(())
    }

    fn past_events(&self) -> Vec<PastEvent> {
        let failed = self.failed.iter().map(|failed| PastEvent { id: DEVICE, status: failed.code, times: Vec::new() });
        let event = |(id, object): (&Id, &Object)| match object {
            Object::Event(Some(time)) => Some(PastEvent { id: *id, status: 0, times: vec![*time] }),
            _ => None,
        };
        failed.chain(self.objects.iter().filter_map(event)).collect()
    }
}
