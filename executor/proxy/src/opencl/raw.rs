//! Objects of the device's runtime, by type.

use super::api::Api;
use std::sync::Arc;
use std::sync::atomic::AtomicI32;
use wire::cl;

/// A runtime's object, or null. Only the runtime looks behind it.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Handle(pub(crate) usize);

/// OpenCL's `size_t`.
pub(crate) type Size = usize;

/// Calls a function of the runtime; `Err(INVALID_OPERATION)` where it lacks it.
macro_rules! call {
    ($api:expr, $name:ident($($arg:expr),* $(,)?)) => {
        match $api.$name {
            // SAFETY: the table's types are the specification's; handles come from this runtime and live (they are in the
            // object table), and pointers are to buffers of the lengths passed with them.
            Some(function) => Ok(unsafe { function($($arg),*) }),
            None => Err(wire::cl::INVALID_OPERATION),
        }
    };
}
pub(crate) use call;

/// Turns an error code into a result.
pub(crate) fn check(code: i32) -> Result<(), i32> {
    if code == 0 { Ok(()) } else { Err(code) }
}

/// What a name stands for.
#[derive(Debug)]
pub(crate) enum Object {
    Device(Handle),
    Context {
        handle: Handle,
        device: Handle,
    },
    Queue {
        handle: Handle,
        late: Arc<AtomicI32>,
    },
    Mem(Mem),
    Sampler(Handle),
    Program {
        handle: Handle,
        devices: usize,
    },
    Kernel(Handle),
    Event {
        handle: Handle,
        queue: Handle,
    },
    /// A command that was over before a checkpoint, or that the runtime refused after the worker had gone on.
    Past {
        status: i32,
        times: Vec<u64>,
    },
}

/// A memory object.
#[derive(Clone, Debug)]
pub(crate) struct Mem {
    pub(crate) handle: Handle,
    pub(crate) context: wire::Id,
    pub(crate) contents: Contents,
    /// What it is a part or a view of; 0: of nothing.
    pub(crate) of: wire::Id,
    /// A buffer without more to it than these flags, which another worker could take over.
    pub(crate) plain: Option<u64>,
}

/// What a checkpoint has to know about a memory object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Contents {
    /// So many bytes.
    Bytes(u64),
    /// Pixels: width, height, depth as a region, and bytes of one.
    Pixels { region: [usize; 3], pixel: usize },
    /// A pipe's, which nobody outside the device can read.
    Opaque,
}

impl Object {
    /// Gives it back to the runtime.
    pub(crate) fn release(&self, api: &Api) {
        let _ = match self {
            Object::Device(handle) => call!(api, clReleaseDevice(*handle)),
            Object::Context { handle, .. } => call!(api, clReleaseContext(*handle)),
            Object::Queue { handle, .. } => call!(api, clReleaseCommandQueue(*handle)),
            Object::Mem(mem) => call!(api, clReleaseMemObject(mem.handle)),
            Object::Sampler(handle) => call!(api, clReleaseSampler(*handle)),
            Object::Program { handle, .. } => call!(api, clReleaseProgram(*handle)),
            Object::Kernel(handle) => call!(api, clReleaseKernel(*handle)),
            Object::Event { handle, .. } => call!(api, clReleaseEvent(*handle)),
            Object::Past { .. } => Ok(0),
        };
    }

    /// Users before what they use.
    pub(crate) fn release_order(&self) -> u8 {
        match self {
            Object::Event { .. } | Object::Past { .. } => 0,
            Object::Kernel(_) => 1,
            Object::Program { .. } | Object::Sampler(_) => 2,
            Object::Mem(mem) if mem.of != 0 => 3,
            Object::Mem(_) => 4,
            Object::Queue { .. } => 5,
            Object::Context { .. } => 6,
            Object::Device(_) => 7,
        }
    }
}

impl Mem {
    /// Bytes of one pixel, 1 for buffers.
    pub(crate) fn pixel(&self) -> usize {
        match self.contents {
            Contents::Bytes(_) | Contents::Opaque => 1,
            Contents::Pixels { pixel, .. } => pixel,
        }
    }
}

/// Asks the runtime for a value of unknown length.
pub(crate) fn query(ask: impl Fn(Size, *mut std::ffi::c_void, *mut Size) -> Result<i32, i32>) -> Result<Vec<u8>, i32> {
    let mut len = 0;
    check(ask(0, std::ptr::null_mut(), &mut len)?)?;
    // No runtime has an answer this long; a length from a broken one must not end the proxy.
    if len > 1 << 32 {
        return Err(cl::OUT_OF_HOST_MEMORY);
    }
    let mut data = vec![0; len];
    if len > 0 {
        check(ask(len, data.as_mut_ptr().cast(), std::ptr::null_mut())?)?;
    }
    Ok(data)
}

/// A fixed-size value in an answer, if it is long enough.
pub(crate) fn word(data: &[u8]) -> usize {
    data.first_chunk::<8>().map_or(0, |bytes| usize::from_ne_bytes(*bytes))
}
