//! Command queues.

use crate::c::{Handle, Result, answer, bytes, code, ended, made};
use crate::context::{Context, ask};
use crate::device::Device;
use crate::link::link;
use crate::object::{Kind, Object, Ref, borrow, count, into_handle, release, retain, share};
use crate::settle;
use std::ffi::c_void;
use std::sync::{Mutex, MutexGuard, PoisonError};
use wire::{Id, Info, Request, cl};

/// A command queue.
pub(crate) struct Queue {
    pub(crate) context: Ref<Context>,
    device: Ref<Device>,
    /// As the program gave them, with the final 0; none where it used the older call.
    properties: Option<Vec<u64>>,
    bits: u64,
    turn: Mutex<()>,
}

impl Kind for Queue {
    const TAG: u32 = 0x0DE0_0007;
    const INVALID: i32 = cl::INVALID_COMMAND_QUEUE;
    const ARGUMENT: bool = true;

    fn given_up(&self, _id: Id) {
        settle::queue_goes();
    }
}

impl Queue {
    /// Whether commands are carried out in the order in which they are given.
    pub(crate) fn in_order(&self) -> bool {
        self.bits & cl::QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE == 0
    }

    /// Held while a command is given, which may take several messages: no other thread's command comes between them. Nobody may
    /// hold it and wait for what only the program can bring about.
    pub(crate) fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn create(context: Handle, device: Handle, asked: Option<Vec<u64>>, shown: Option<Vec<u64>>) -> Result<Handle> {
    let (context, device) = (share::<Context>(context)?, share::<Device>(device)?);
    context.data.check(std::slice::from_ref(&device))?;
    let link = link()?;
    let id = link.new_id();
    let of_bits = asked.iter().flat_map(|list| list.chunks(2)).find(|pair| pair[0] == u64::from(cl::QUEUE_PROPERTIES));
    let bits = of_bits.map_or(0, |pair| pair[1]);
    settle::queue_comes(link);
    let made = link.call(Request::Queue { id, context: context.id, device: device.id, properties: asked }, &[]);
    made.inspect_err(|_| settle::queue_goes())?;
    Ok(into_handle(Object::new(id, Queue { context, device, properties: shown, bits, turn: Mutex::new(()) })))
}

pub(crate) extern "C" fn clCreateCommandQueue(context: Handle, device: Handle, bits: u64, errcode: *mut i32) -> Handle {
    made(create(context, device, Some(vec![cl::QUEUE_PROPERTIES.into(), bits]), None), errcode)
}

pub(crate) extern "C" fn clCreateCommandQueueWithProperties(
    context: Handle,
    device: Handle,
    properties: *const u64,
    errcode: *mut i32,
) -> Handle {
    let given = (!properties.is_null()).then(|| ended(properties, 2).to_vec());
    let shown = given.as_ref().map(|list| list.iter().copied().chain([0]).collect());
    made(create(context, device, given, shown), errcode)
}

pub(crate) extern "C" fn clRetainCommandQueue(queue: Handle) -> i32 {
    code(retain::<Queue>(queue))
}

pub(crate) extern "C" fn clReleaseCommandQueue(queue: Handle) -> i32 {
    code(borrow::<Queue>(queue).and_then(|own| {
        settle::queue_released(link()?, own.id);
        // Giving a queue up flushes it.
        flush(own).and_then(|()| release::<Queue>(queue))
    }))
}

pub(crate) extern "C" fn clSetCommandQueueProperty(queue: Handle, _bits: u64, _enable: u32, _old: *mut u64) -> i32 {
    code(borrow::<Queue>(queue).and(Err(cl::INVALID_OPERATION)))
}

pub(crate) extern "C" fn clSetDefaultDeviceCommandQueue(context: Handle, device: Handle, queue: Handle) -> i32 {
    code(borrow::<Context>(context).and_then(|context| {
        let (device, queue) = (borrow::<Device>(device)?.id, borrow::<Queue>(queue)?.id);
        link()?.call(Request::DefaultQueue { context: context.id, device, queue }, &[]).map(drop)
    }))
}

pub(crate) extern "C" fn clGetCommandQueueInfo(
    queue: Handle,
    param: u32,
    size: usize,
    value: *mut c_void,
    len: *mut usize,
) -> i32 {
    code(borrow::<Queue>(queue).and_then(|queue| {
        let own = &queue.data;
        let data = match param {
            cl::QUEUE_CONTEXT => bytes(&[own.context.handle() as usize]).to_vec(),
            cl::QUEUE_DEVICE => bytes(&[own.device.handle() as usize]).to_vec(),
            cl::QUEUE_REFERENCE_COUNT => bytes(&[count(queue)?]).to_vec(),
            cl::QUEUE_PROPERTIES_ARRAY => bytes(own.properties.as_deref().unwrap_or_default()).to_vec(),
            cl::QUEUE_DEVICE_DEFAULT => bytes(&[0usize]).to_vec(),
            _ => ask(Info::Queue, queue.id, param)?,
        };
        answer(&data, size, value, len)
    }))
}

fn flush(queue: &Object<Queue>) -> Result<()> {
    link()?.post(Request::Flush { queue: queue.id }, &[], true)
}

pub(crate) extern "C" fn clFlush(queue: Handle) -> i32 {
    code(borrow::<Queue>(queue).and_then(flush))
}

pub(crate) extern "C" fn clFinish(queue: Handle) -> i32 {
    code(borrow::<Queue>(queue).and_then(|queue| link()?.call(Request::Finish { queue: queue.id }, &[]).map(drop)))
}
