//! Giving commands to a queue.

use crate::c::{Handle, Result, code, list, put, triple};
use crate::event::{Event, expect, waits};
use crate::link::link;
use crate::memory::Mem;
use crate::object::{Object, borrow, into_handle, share};
use crate::queue::Queue;
use std::ffi::c_void;
use std::sync::atomic::AtomicI32;
use wire::{Id, Op, Rect, Request, When, cl};

/// Whether the device's runtime has seen that such a command is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Checked {
    /// It has: no need to wait for its word.
    Before,
    /// It must be asked now: the call returns its error code.
    Now,
    /// The call returns when the command is complete.
    AtEnd,
}

/// A command.
pub(crate) struct Command<'a> {
    pub(crate) queue: &'a Object<Queue>,
    pub(crate) op: Op,
    /// OpenCL's `CL_EVENT_COMMAND_TYPE`.
    pub(crate) kind: u32,
    pub(crate) checked: Checked,
}

/// The wait list and the place for an event, as OpenCL passes them.
pub(crate) type Events = (u32, *const Handle, *mut Handle);

/// Gives a command to its queue.
pub(crate) fn enqueue(command: Command<'_>, body: &[u8], (count, list, out): Events) -> Result<()> {
    let wait = waits(count, list, &command.queue.data.context)?;
    let event = if out.is_null() { 0 } else { link()?.new_id() };
    let (queue, kind, at_end) = (command.queue, command.kind, command.checked == Checked::AtEnd);
    give(command, body, wait, event)?;
    if event != 0 {
        put(out, new_event(queue, event, kind, at_end)?);
    }
    Ok(())
}

/// An event for the program.
pub(crate) fn new_event(queue: &Object<Queue>, id: Id, kind: u32, complete: bool) -> Result<Handle> {
    let queue = share::<Queue>(queue.handle())?;
    let status = AtomicI32::new(if complete { cl::COMPLETE } else { cl::QUEUED });
    let event = Object::new(id, Event { context: queue.data.context.clone(), queue: Some(queue), kind, status });
    if !complete {
        expect(&event);
    }
    Ok(into_handle(event))
}

/// Gives a command to its queue, under a name for its event (0: none).
fn give(command: Command<'_>, body: &[u8], wait: Vec<Id>, event: Id) -> Result<()> {
    let queue = command.queue;
    let turn = queue.data.turn();
    let sent = send(command, body, wait, event);
    drop(turn);
    outcome(sent?)
}

/// Sends a command, in the queue's [turn](Queue::turn): the number of its answer, if that is to be waited for.
pub(crate) fn send(command: Command<'_>, body: &[u8], wait: Vec<Id>, event: Id) -> Result<Option<u64>> {
    let when = if command.checked == Checked::AtEnd { When::Complete } else { When::Queued };
    let request = Request::Enqueue { queue: command.queue.id, wait, event, when, op: command.op };
    match command.checked {
        Checked::Before => link()?.post(request, body, true).map(|()| None),
        Checked::Now | Checked::AtEnd => link()?.begin(request, body).map(Some),
    }
}

/// Waits for the answer, after the turn.
pub(crate) fn outcome(sent: Option<u64>) -> Result<()> {
    let Some(number) = sent else { return Ok(()) };
    let (code, _) = link()?.wait_for(number)?;
    if code == 0 { Ok(()) } else { Err(code) }
}

fn simple(queue: Handle, op: impl FnOnce() -> Result<Op>, kind: u32, checked: Checked, events: Events) -> i32 {
    code(borrow::<Queue>(queue).and_then(|queue| enqueue(Command { queue, op: op()?, kind, checked }, &[], events)))
}

pub(crate) fn mem_id(mem: Handle) -> Result<Id> {
    borrow::<Mem>(mem).map(|mem| mem.id)
}

/// Whether a range lies in a buffer: then the runtime cannot object to it.
pub(crate) fn inside(mem: Handle, offset: usize, len: usize) -> bool {
    let fits = |mem: &Object<Mem>| offset.checked_add(len).is_some_and(|end| end <= mem.data.size) && mem.data.image.is_none();
    len > 0 && borrow::<Mem>(mem).is_ok_and(fits)
}

/// Known right if all of these hold.
pub(crate) fn known_if(right: bool) -> Checked {
    if right { Checked::Before } else { Checked::Now }
}

pub(crate) extern "C" fn clEnqueueCopyBuffer(
    queue: Handle,
    from: Handle,
    to: Handle,
    from_offset: usize,
    to_offset: usize,
    size: usize,
    waits: u32,
    wait: *const Handle,
    event: *mut Handle,
) -> i32 {
    // Within one buffer the ranges must not overlap: the runtime's to say.
    let right = from != to && inside(from, from_offset, size) && inside(to, to_offset, size);
    let op = || {
        let (from, to) = (mem_id(from)?, mem_id(to)?);
        Ok(Op::CopyBuffer { from, to, from_offset: from_offset as u64, to_offset: to_offset as u64, size: size as u64 })
    };
    simple(queue, op, cl::COMMAND_COPY_BUFFER, known_if(right), (waits, wait, event))
}

/// A rectangle's place in a buffer.
pub(crate) fn rect(origin: *const usize, row: usize, slice: usize) -> Result<Rect> {
    Ok(Rect { origin: triple(origin)?, pitch: [row as u64, slice as u64] })
}

pub(crate) extern "C" fn clEnqueueCopyBufferRect(
    queue: Handle,
    from: Handle,
    to: Handle,
    from_origin: *const usize,
    to_origin: *const usize,
    region: *const usize,
    from_row: usize,
    from_slice: usize,
    to_row: usize,
    to_slice: usize,
    waits: u32,
    wait: *const Handle,
    event: *mut Handle,
) -> i32 {
    let op = || {
        let (from_rect, to_rect) = (rect(from_origin, from_row, from_slice)?, rect(to_origin, to_row, to_slice)?);
        Ok(Op::CopyRect { from: mem_id(from)?, to: mem_id(to)?, from_rect, to_rect, region: triple(region)? })
    };
    simple(queue, op, cl::COMMAND_COPY_BUFFER_RECT, Checked::Now, (waits, wait, event))
}

pub(crate) extern "C" fn clEnqueueFillBuffer(
    queue: Handle,
    mem: Handle,
    pattern: *const c_void,
    pattern_size: usize,
    offset: usize,
    size: usize,
    waits: u32,
    wait: *const Handle,
    event: *mut Handle,
) -> i32 {
    let known = matches!(pattern_size, 1 | 2 | 4 | 8 | 16 | 32 | 64 | 128);
    let whole = known && offset.is_multiple_of(pattern_size) && size.is_multiple_of(pattern_size);
    let right = whole && !pattern.is_null() && inside(mem, offset, size);
    let op = || {
        let pattern = list(pattern.cast(), pattern_size).to_vec();
        Ok(Op::FillBuffer { mem: mem_id(mem)?, pattern, offset: offset as u64, size: size as u64 })
    };
    simple(queue, op, cl::COMMAND_FILL_BUFFER, known_if(right), (waits, wait, event))
}

pub(crate) extern "C" fn clEnqueueFillImage(
    queue: Handle,
    image: Handle,
    color: *const [u32; 4],
    origin: *const usize,
    region: *const usize,
    waits: u32,
    wait: *const Handle,
    event: *mut Handle,
) -> i32 {
    let op = || {
        let color = *list(color, 1).first().ok_or(cl::INVALID_VALUE)?;
        Ok(Op::FillImage { mem: mem_id(image)?, color, origin: triple(origin)?, region: triple(region)? })
    };
    simple(queue, op, cl::COMMAND_FILL_IMAGE, Checked::Now, (waits, wait, event))
}

pub(crate) extern "C" fn clEnqueueCopyImage(
    queue: Handle,
    from: Handle,
    to: Handle,
    from_origin: *const usize,
    to_origin: *const usize,
    region: *const usize,
    waits: u32,
    wait: *const Handle,
    event: *mut Handle,
) -> i32 {
    let op = || {
        let (from_origin, to_origin, region) = (triple(from_origin)?, triple(to_origin)?, triple(region)?);
        Ok(Op::CopyImage { from: mem_id(from)?, to: mem_id(to)?, from_origin, to_origin, region })
    };
    simple(queue, op, cl::COMMAND_COPY_IMAGE, Checked::Now, (waits, wait, event))
}

pub(crate) extern "C" fn clEnqueueCopyImageToBuffer(
    queue: Handle,
    from: Handle,
    to: Handle,
    origin: *const usize,
    region: *const usize,
    offset: usize,
    waits: u32,
    wait: *const Handle,
    event: *mut Handle,
) -> i32 {
    let op = || {
        let (origin, region) = (triple(origin)?, triple(region)?);
        Ok(Op::ImageToBuffer { from: mem_id(from)?, to: mem_id(to)?, origin, region, offset: offset as u64 })
    };
    simple(queue, op, cl::COMMAND_COPY_IMAGE_TO_BUFFER, Checked::Now, (waits, wait, event))
}

pub(crate) extern "C" fn clEnqueueCopyBufferToImage(
    queue: Handle,
    from: Handle,
    to: Handle,
    offset: usize,
    origin: *const usize,
    region: *const usize,
    waits: u32,
    wait: *const Handle,
    event: *mut Handle,
) -> i32 {
    let op = || {
        let (origin, region) = (triple(origin)?, triple(region)?);
        Ok(Op::BufferToImage { from: mem_id(from)?, to: mem_id(to)?, offset: offset as u64, origin, region })
    };
    simple(queue, op, cl::COMMAND_COPY_BUFFER_TO_IMAGE, Checked::Now, (waits, wait, event))
}

pub(crate) extern "C" fn clEnqueueMigrateMemObjects(
    queue: Handle,
    count: u32,
    mems: *const Handle,
    flags: u64,
    waits: u32,
    wait: *const Handle,
    event: *mut Handle,
) -> i32 {
    let op = || {
        let mems = list(mems, count as usize).iter().map(|mem| mem_id(*mem)).collect::<Result<Vec<Id>>>()?;
        if mems.is_empty() { Err(cl::INVALID_VALUE) } else { Ok(Op::Migrate { mems, flags }) }
    };
    simple(queue, op, cl::COMMAND_MIGRATE_MEM_OBJECTS, Checked::Now, (waits, wait, event))
}

pub(crate) extern "C" fn clEnqueueMarkerWithWaitList(
    queue: Handle,
    waits: u32,
    wait: *const Handle,
    event: *mut Handle,
) -> i32 {
    simple(queue, || Ok(Op::Marker), cl::COMMAND_MARKER, Checked::Before, (waits, wait, event))
}

pub(crate) extern "C" fn clEnqueueBarrierWithWaitList(
    queue: Handle,
    waits: u32,
    wait: *const Handle,
    event: *mut Handle,
) -> i32 {
    simple(queue, || Ok(Op::Barrier), cl::COMMAND_BARRIER, Checked::Before, (waits, wait, event))
}

pub(crate) extern "C" fn clEnqueueMarker(queue: Handle, event: *mut Handle) -> i32 {
    if event.is_null() { cl::INVALID_VALUE } else { clEnqueueMarkerWithWaitList(queue, 0, std::ptr::null(), event) }
}

pub(crate) extern "C" fn clEnqueueWaitForEvents(queue: Handle, count: u32, events: *const Handle) -> i32 {
    clEnqueueBarrierWithWaitList(queue, count, events, std::ptr::null_mut())
}

pub(crate) extern "C" fn clEnqueueBarrier(queue: Handle) -> i32 {
    clEnqueueBarrierWithWaitList(queue, 0, std::ptr::null(), std::ptr::null_mut())
}
