//! The backend over a real OpenCL runtime, loaded when the proxy starts.
#![allow(unsafe_code, reason = "calls into the device's runtime")]

mod api;
mod commands;
mod common;
mod completion;
mod create;
mod info;
mod program;
mod raw;
mod transfer;

use crate::answers::Reply;
use crate::backend::{Backend, DeviceError, Memory, News, Outcome, PastEvent, Spare};
use api::Api;
use common::Common;
use completion::{Outstanding, Watched};
use raw::{Contents, Handle, Mem, Object, call, check, query, word};
use ring::{Body, Region};
use rustc_hash::FxHashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;
use wire::{DEVICE, Id, Request, cl};

/// How long work may go on that nobody waits for any more.
const LAST_PATIENCE: Duration = Duration::from_secs(10);
/// Bytes that a checkpoint reads from a buffer at a time.
const PIECE: u64 = 4 << 20;

/// The system's OpenCL.
#[derive(Clone)]
pub struct Runtime {
    api: Arc<Api>,
}

/// A device of the system's OpenCL.
#[derive(Clone)]
pub struct Device {
    api: Arc<Api>,
    platform: Handle,
    handle: Handle,
    /// Its platform's number and its own on that platform.
    pub place: (usize, usize),
    /// What its runtime calls it.
    pub name: String,
    /// What its platform is called.
    pub platform_name: String,
    /// OpenCL's `CL_DEVICE_TYPE` bits.
    pub kind: u64,
    /// Bytes of memory.
    pub memory: u64,
    /// What workers have in common that share it, once one of them has made a context.
    common: Arc<Mutex<Option<Common>>>,
}

impl Runtime {
    /// Loads it.
    ///
    /// # Errors
    /// A sentence that says what to install.
    pub fn load() -> Result<Runtime, String> {
        // Once: runtimes do not take it well to be initialised from two threads, or to be unloaded.
        static LOADED: OnceLock<Result<Runtime, String>> = OnceLock::new();
        LOADED.get_or_init(|| Ok(Runtime { api: Arc::new(Api::load()?) })).clone()
    }

    /// All devices of all platforms, in the runtime's order.
    pub fn devices(&self) -> Vec<Device> {
        static LISTING: Mutex<()> = Mutex::new(());
        let _one_at_a_time = LISTING.lock().unwrap_or_else(PoisonError::into_inner);
        let mut devices = Vec::new();
        let list = |ask: &dyn Fn(u32, *mut Handle, *mut u32) -> Result<i32, i32>| {
            let mut count = 0;
            if ask(0, std::ptr::null_mut(), &mut count) != Ok(0) {
                return Vec::new();
            }
            let mut handles = vec![Handle::default(); count as usize];
            if ask(count, handles.as_mut_ptr(), std::ptr::null_mut()) == Ok(0) { handles } else { Vec::new() }
        };
        for (p, platform) in list(&|n, out, count| call!(self.api, clGetPlatformIDs(n, out, count))).into_iter().enumerate() {
            let of_platform =
                list(&|n, out, count| call!(self.api, clGetDeviceIDs(platform, cl::DEVICE_TYPE_ALL, n, out, count)));
            let name = |param| query(|n, to, len| call!(self.api, clGetPlatformInfo(platform, param, n, to, len)));
            for (d, handle) in of_platform.into_iter().enumerate() {
                let ask =
                    |param| query(|n, to, len| call!(self.api, clGetDeviceInfo(handle, param, n, to, len))).unwrap_or_default();
                devices.push(Device {
                    api: self.api.clone(),
                    platform,
                    handle,
                    place: (p, d),
                    name: text(ask(cl::DEVICE_NAME)),
                    platform_name: text(name(cl::PLATFORM_NAME).unwrap_or_default()),
                    kind: word(&ask(cl::DEVICE_TYPE)) as u64,
                    memory: word(&ask(cl::DEVICE_GLOBAL_MEM_SIZE)) as u64,
                    common: Arc::default(),
                });
            }
        }
        devices
    }
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8_lossy(&bytes).trim_end_matches('\0').trim().to_owned()
}

impl Device {
    /// A worker's view of it, without objects yet.
    pub fn open(&self) -> OpenCl {
        let objects = FxHashMap::from_iter([(DEVICE, Object::Device(self.handle))]);
        let watched = Arc::new(Watched::new(self.api.clone()));
        let (outstanding, savers) = (Arc::default(), FxHashMap::default());
        OpenCl { device: self.clone(), objects, watched, outstanding, savers, shares: false, in_common: None }
    }
}

/// One worker's objects on a device.
pub struct OpenCl {
    device: Device,
    objects: FxHashMap<Id, Object>,
    watched: Arc<Watched>,
    outstanding: Arc<Outstanding>,
    /// A queue of the proxy's own in each context, for checkpoints.
    savers: FxHashMap<Id, Handle>,
    /// Whether contents may pass to other workers.
    shares: bool,
    /// This worker's context that is all workers' behind the scenes.
    in_common: Option<Id>,
}

/// Getters that answer with OpenCL's code for an unfitting name.
macro_rules! getter {
    ($($name:ident: $pattern:pat => $value:expr, $ret:ty, $error:ident;)*) => {
        $(fn $name(&self, id: Id) -> Result<$ret, i32> {
            match self.objects.get(&id) {
                Some($pattern) => Ok($value),
                _ => Err(cl::$error),
            }
        })*
    };
}

impl OpenCl {
    getter! {
        device: Object::Device(handle) => *handle, Handle, INVALID_DEVICE;
        context: Object::Context { handle, .. } => *handle, Handle, INVALID_CONTEXT;
        queue: Object::Queue { handle, .. } => *handle, Handle, INVALID_COMMAND_QUEUE;
        mem: Object::Mem(mem) => mem, &Mem, INVALID_MEM_OBJECT;
        sampler: Object::Sampler(handle) => *handle, Handle, INVALID_SAMPLER;
        program: Object::Program { handle, devices } => (*handle, *devices), (Handle, usize), INVALID_PROGRAM;
        kernel: Object::Kernel(handle) => *handle, Handle, INVALID_KERNEL;
    }

    fn api(&self) -> Arc<Api> {
        self.device.api.clone()
    }

    fn devices(&self, ids: &[Id]) -> Result<Vec<Handle>, i32> {
        ids.iter().map(|id| self.device(*id)).collect()
    }

    fn saver(&mut self, context: Id) -> Result<Handle, i32> {
        if let Some(queue) = self.savers.get(&context) {
            return Ok(*queue);
        }
        let Some(Object::Context { handle, device }) = self.objects.get(&context) else { return Err(cl::INVALID_CONTEXT) };
        let mut code = 0;
        let queue = call!(self.device.api, clCreateCommandQueue(*handle, *device, 0, &mut code))?;
        check(code)?;
        self.savers.insert(context, queue);
        Ok(queue)
    }

    fn contents(&mut self, id: Id, offset: u64, data: *mut u8, len: usize, write: bool) -> Result<(), i32> {
        let mem = self.mem(id)?.clone();
        let queue = self.saver(mem.context)?;
        let (api, offset) = (self.api(), offset as usize);
        let none = (0, std::ptr::null(), std::ptr::null_mut());
        let code = match (&mem.contents, write) {
            (Contents::Pixels { region, .. }, _) => {
                let (origin, region) = ([0usize; 3], region);
                let (o, r) = (origin.as_ptr(), region.as_ptr());
                if write {
                    call!(api, clEnqueueWriteImage(queue, mem.handle, 1, o, r, 0, 0, data.cast(), none.0, none.1, none.2))?
                } else {
                    call!(api, clEnqueueReadImage(queue, mem.handle, 1, o, r, 0, 0, data.cast(), none.0, none.1, none.2))?
                }
            }
            (_, true) => {
                call!(api, clEnqueueWriteBuffer(queue, mem.handle, 1, offset, len, data.cast(), none.0, none.1, none.2))?
            }
            (_, false) => {
                call!(api, clEnqueueReadBuffer(queue, mem.handle, 1, offset, len, data.cast(), none.0, none.1, none.2))?
            }
        };
        check(code)?;
        if write {
            // A blocking write has only taken the data when it returns. Other queues' kernels are not to run before it is done, and on
            // some devices it is not even begun until somebody sees to it.
            check(call!(api, clFinish(queue))?)?;
        }
        Ok(())
    }
}

impl Backend for OpenCl {
    fn execute(&mut self, request: &Request, body: Body, region: &Arc<Region>, reply: &Reply) -> Outcome {
        let result = match request {
            Request::Enqueue { queue, wait, event, when, op } => {
                return self.enqueue(*queue, wait, *event, *when, op, body, region, reply);
            }
            Request::Flush { queue } => self.flush(*queue),
            Request::Finish { queue } => return self.finish(*queue, reply),
            Request::Wait { events } => return self.wait(events, reply),
            Request::Reached { event, status } => return self.reached(*event, *status, reply),
            Request::Release { id } => self.release(*id),
            Request::Info { info, id, param, device, input } => self.info(*info, *id, *param, *device, input),
            Request::ImageFormats { context, flags, kind } => self.image_formats(*context, *flags, *kind),
            Request::Timers { device } => self.timers(*device),
            _ => self.create(request, body),
        };
        match result {
            Ok(data) => Outcome::Now(0, data),
            Err(code) => Outcome::Now(code, Vec::new()),
        }
    }

    fn news(&self) -> Box<dyn Fn() -> News + Send> {
        let watched = self.watched.clone();
        Box::new(move || watched.news())
    }

    fn drain(&mut self, patience: Duration) -> Result<bool, DeviceError> {
        for object in self.objects.values() {
            if let Object::Queue { handle, .. } = object {
                self.mark_end(*handle, None).map_err(|code| DeviceError { what: "finishing a queue", code })?;
            }
        }
        if !self.outstanding.wait_for_none(patience) {
            return Ok(false);
        }
        // The markers only say that this will not take long: a callback need not mean that all before it can be seen.
        for object in self.objects.values() {
            if let Object::Queue { handle, .. } = object {
                let code = call!(self.device.api, clFinish(*handle)).unwrap_or_else(|code| code);
                check(code).map_err(|code| DeviceError { what: "finishing a queue", code })?;
            }
        }
        Ok(true)
    }

    fn memory(&self) -> Vec<Memory> {
        let mut memory: Vec<Memory> = Vec::new();
        for (&id, object) in &self.objects {
            let Object::Mem(mem) = object else { continue };
            // A part's contents are its whole's, as long as the worker has that.
            if self.objects.contains_key(&mem.of) {
                continue;
            }
            match &mem.contents {
                Contents::Bytes(len) => memory.push(Memory { id, len: *len, piece: PIECE }),
                Contents::Pixels { region, pixel } => {
                    let len = (region.iter().product::<usize>() * pixel) as u64;
                    memory.push(Memory { id, len, piece: len });
                }
                Contents::Opaque => {}
            }
        }
        memory.sort_by_key(|memory| memory.id);
        memory
    }

    fn read(&mut self, id: Id, offset: u64, to: &mut [u8]) -> Result<(), DeviceError> {
        self.contents(id, offset, to.as_mut_ptr(), to.len(), false).map_err(|code| DeviceError { what: "reading memory", code })
    }

    fn write(&mut self, id: Id, offset: u64, from: &[u8]) -> Result<(), DeviceError> {
        // The runtime only reads from it.
        let data = from.as_ptr().cast_mut();
        self.contents(id, offset, data, from.len(), true).map_err(|code| DeviceError { what: "writing memory", code })
    }

    fn share(&mut self) {
        self.shares = true;
    }

    fn sums(&mut self, id: Id, keys: [u64; 2]) -> Option<[u64; 2]> {
        self.sums_in_common(id, keys)
    }

    fn part_with(&mut self, id: Id) -> Option<Spare> {
        self.part_with_buffer(id)
    }

    fn adopt(&mut self, request: &Request, spare: Spare) -> Result<(), Spare> {
        self.adopt_buffer(request, spare)
    }

    fn past_events(&self) -> Vec<PastEvent> {
        let mut events: Vec<PastEvent> = self.objects.iter().filter_map(|(id, object)| self.past_event(*id, object)).collect();
        events.sort_by_key(|event| event.id);
        events
    }
}

impl Drop for OpenCl {
    fn drop(&mut self) {
        // What still runs uses what would be freed. Should it never end, then nothing is.
        if let Ok(false) = self.drain(LAST_PATIENCE) {
            eprintln!("orrery proxy: work of a worker that is gone does not end; what it uses is not freed");
            return;
        }
        for queue in self.savers.values() {
            let _ = call!(self.device.api, clReleaseCommandQueue(*queue));
        }
        self.watched.clear();
        self.objects.remove(&DEVICE);
        let mut objects: Vec<Object> = self.objects.drain().map(|(_, object)| object).collect();
        objects.sort_by_key(Object::release_order);
        for object in objects {
            object.release(&self.device.api);
        }
    }
}
