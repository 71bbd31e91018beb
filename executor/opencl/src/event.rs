//! Events.

use crate::c::{Handle, Result, answer, bytes, code, list, made};
use crate::context::{Context, ask};
use crate::link::link;
use crate::object::{Kind, Object, Ref, borrow, count, into_handle, release, retain, share};
use crate::queue::Queue;
use rustc_hash::FxHashMap;
use std::ffi::c_void;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};
use wire::{Id, Info, Request, cl};

type Notify = extern "C" fn(Handle, i32, *mut c_void);

/// An event.
pub(crate) struct Event {
    pub(crate) context: Ref<Context>,
    /// None for user events.
    pub(crate) queue: Option<Ref<Queue>>,
    /// OpenCL's `CL_EVENT_COMMAND_TYPE`.
    pub(crate) kind: u32,
    /// The status as last heard of.
    pub(crate) status: AtomicI32,
}

impl Kind for Event {
    const TAG: u32 = 0x0DE0_0008;
    const INVALID: i32 = cl::INVALID_EVENT;

    fn given_up(&self, id: Id) {
        OPEN.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }
}

/// Commands' events whose end is not known, so that the proxy can tell it without being asked.
static OPEN: LazyLock<Mutex<FxHashMap<Id, Weak<Object<Event>>>>> = LazyLock::new(Mutex::default);

/// An event that the proxy will tell of.
pub(crate) fn expect(event: &Ref<Event>) {
    OPEN.lock().unwrap_or_else(PoisonError::into_inner).insert(event.id, Arc::downgrade(event));
}

/// The proxy has told that these are over.
pub(crate) fn told(events: &[(Id, i32)]) {
    for (id, status) in events {
        let event = OPEN.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
        // Without the lock: this may be the event's last reference.
        if let Some(event) = event.and_then(|event| event.upgrade()) {
            event.note(*status);
        }
    }
}

impl Object<Event> {
    fn note(&self, status: i32) {
        self.data.status.store(status, Ordering::SeqCst);
    }

    fn known_status(&self) -> i32 {
        self.data.status.load(Ordering::SeqCst)
    }
}

/// The events that a command or the program waits for.
pub(crate) fn waits(count: u32, events: *const Handle, context: &Ref<Context>) -> Result<Vec<Id>> {
    if (count == 0) != events.is_null() {
        return Err(cl::INVALID_EVENT_WAIT_LIST);
    }
    let mut ids = Vec::with_capacity(count as usize);
    for event in list(events, count as usize) {
        let event = borrow::<Event>(*event).map_err(|_| cl::INVALID_EVENT_WAIT_LIST)?;
        if event.data.context.id != context.id {
            return Err(cl::INVALID_CONTEXT);
        }
        ids.push(event.id);
    }
    Ok(ids)
}

pub(crate) extern "C" fn clWaitForEvents(count: u32, events: *const Handle) -> i32 {
    let events = list(events, count as usize);
    if events.is_empty() { cl::INVALID_VALUE } else { code(wait(events)) }
}

fn wait(events: &[Handle]) -> Result<()> {
    let events: Vec<&Object<Event>> = events.iter().map(|event| borrow::<Event>(*event)).collect::<Result<_>>()?;
    let context = events[0].data.context.id;
    if events.iter().any(|event| event.data.context.id != context) {
        return Err(cl::INVALID_CONTEXT);
    }
    let open: Vec<Id> = events.iter().filter(|event| event.known_status() != cl::COMPLETE).map(|event| event.id).collect();
    if open.is_empty() {
        return Ok(());
    }
    link()?.call(Request::Wait { events: open }, &[])?;
    events.iter().for_each(|event| event.note(cl::COMPLETE));
    Ok(())
}

pub(crate) extern "C" fn clCreateUserEvent(context: Handle, errcode: *mut i32) -> Handle {
    let result = share::<Context>(context).and_then(|context| {
        let link = link()?;
        let id = link.new_id();
        crate::settle::user_event_comes(link);
        link.call(Request::UserEvent { id, context: context.id }, &[])?;
        let event = Event { context, queue: None, kind: cl::COMMAND_USER, status: AtomicI32::new(cl::SUBMITTED) };
        Ok(into_handle(Object::new(id, event)))
    });
    made(result, errcode)
}

pub(crate) extern "C" fn clSetUserEventStatus(event: Handle, status: i32) -> i32 {
    code(borrow::<Event>(event).and_then(|event| {
        if event.data.queue.is_some() {
            return Err(cl::INVALID_EVENT);
        }
        if status > cl::COMPLETE {
            return Err(cl::INVALID_VALUE);
        }
        let set = event.data.status.compare_exchange(cl::SUBMITTED, status, Ordering::SeqCst, Ordering::SeqCst);
        set.map_err(|_| cl::INVALID_OPERATION)?;
        link()?.call(Request::SetUserEvent { id: event.id, status }, &[]).map(drop)
    }))
}

pub(crate) extern "C" fn clRetainEvent(event: Handle) -> i32 {
    code(retain::<Event>(event))
}

pub(crate) extern "C" fn clReleaseEvent(event: Handle) -> i32 {
    code(release::<Event>(event))
}

pub(crate) extern "C" fn clGetEventInfo(event: Handle, param: u32, size: usize, value: *mut c_void, len: *mut usize) -> i32 {
    code(borrow::<Event>(event).and_then(|event| {
        let data = match param {
            cl::EVENT_COMMAND_QUEUE => bytes(&[event.data.queue.as_ref().map_or(0, |queue| queue.handle() as usize)]).to_vec(),
            cl::EVENT_CONTEXT => bytes(&[event.data.context.handle() as usize]).to_vec(),
            cl::EVENT_COMMAND_TYPE => bytes(&[event.data.kind]).to_vec(),
            cl::EVENT_REFERENCE_COUNT => bytes(&[count(event)?]).to_vec(),
            cl::EVENT_COMMAND_EXECUTION_STATUS => bytes(&[status(event)?]).to_vec(),
            _ => return Err(cl::INVALID_VALUE),
        };
        answer(&data, size, value, len)
    }))
}

fn status(event: &Object<Event>) -> Result<i32> {
    let known = event.known_status();
    if known <= cl::COMPLETE || event.data.queue.is_none() {
        return Ok(known);
    }
    let data = ask(Info::Event, event.id, cl::EVENT_COMMAND_EXECUTION_STATUS)?;
    let status = data.first_chunk::<4>().map_or(known, |status| i32::from_ne_bytes(*status));
    event.note(status);
    Ok(status)
}

pub(crate) extern "C" fn clGetEventProfilingInfo(
    event: Handle,
    param: u32,
    size: usize,
    value: *mut c_void,
    len: *mut usize,
) -> i32 {
    code(borrow::<Event>(event).and_then(|event| {
        if event.data.queue.is_none() {
            return Err(cl::PROFILING_INFO_NOT_AVAILABLE);
        }
        answer(&ask(Info::Profiling, event.id, param)?, size, value, len)
    }))
}

pub(crate) extern "C" fn clSetEventCallback(event: Handle, at: i32, notify: Option<Notify>, data: *mut c_void) -> i32 {
    code(share::<Event>(event).and_then(|event| {
        let notify = notify.ok_or(cl::INVALID_VALUE)?;
        if ![cl::SUBMITTED, cl::RUNNING, cl::COMPLETE].contains(&at) {
            return Err(cl::INVALID_VALUE);
        }
        // Asked from here, so that the order of calls is the order in which the program made them.
        let link = link()?;
        let number = link.begin(Request::Reached { event: event.id, status: at }, &[])?;
        let data = data as usize;
        let waiting = move || {
            let status = link.wait_for(number).map_or_else(|lost| lost, |(status, _)| status);
            if status <= cl::COMPLETE {
                event.note(status);
            }
            // Above `at` cannot be; below is told as it is, as natively.
            notify(event.handle(), if status < 0 { status } else { at }, data as *mut c_void);
        };
        let thread = std::thread::Builder::new().name("orrery-callback".into()).stack_size(256 << 10);
        thread.spawn(waiting).map(drop).map_err(|_| cl::OUT_OF_HOST_MEMORY)
    }))
}
