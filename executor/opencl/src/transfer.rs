//! Reading and writing buffers and images.

use crate::c::{Handle, Result, code, list, put, triple};
use crate::command::{Checked, Command, Events, enqueue, inside, known_if, new_event, outcome, rect, send};
use crate::event::waits;
use crate::link::{Link, Target, link};
use crate::memory::{Image, Mem};
use crate::object::{Object, borrow};
use crate::queue::Queue;
use crate::settle;
use std::ffi::c_void;
use wire::{Id, Op, Request, Stage, cl};

/// Longer reads go in pieces of this, so that copying out overlaps with reading.
const PIECE: usize = 1 << 20;
/// Pieces of one read that are on the way at a time.
const AHEAD: usize = 4;
/// When reads that do not block come to more, a further one first waits for them where it can: the memory between the two processes
/// is not to grow with what a program asks for, and memory that was used before is quicker.
const AWAITED_MAX: u64 = 256 << 20;

pub(crate) extern "C" fn clEnqueueReadBuffer(
    queue: Handle,
    buffer: Handle,
    blocking: u32,
    offset: usize,
    size: usize,
    to: *mut c_void,
    waits: u32,
    wait: *const Handle,
    event: *mut Handle,
) -> i32 {
    code(borrow::<Queue>(queue).and_then(|queue| {
        let mem = borrow::<Mem>(buffer)?;
        if to.is_null() {
            return Err(cl::INVALID_VALUE);
        }
        if !mem.data.readable() {
            return Err(cl::INVALID_OPERATION);
        }
        let checked = known_if(inside(buffer, offset, size));
        let transfer = Transfer { queue, kind: cl::COMMAND_READ_BUFFER, blocking: blocking != 0, checked };
        let (target, events) = (Target::flat(to.cast(), size), (waits, wait, event));
        transfer.read_buffer(mem.id, offset, target, events).map(drop)
    }))
}

/// A read or a write about to be given.
pub(crate) struct Transfer<'a> {
    pub(crate) queue: &'a Object<Queue>,
    pub(crate) kind: u32,
    pub(crate) blocking: bool,
    pub(crate) checked: Checked,
}

impl Transfer<'_> {
    /// Gives a read. Its ticket, for who wants to know whether the data has come.
    pub(crate) fn read(&self, target: Target, op: impl FnOnce(Stage) -> Op, events: Events) -> Result<u64> {
        let link = link()?;
        let awaited = link.awaited();
        if awaited > 0 && awaited + target.len() as u64 > AWAITED_MAX && settle::ends_by_itself() {
            settle::reach_end(link, self.queue.id)?;
        }
        let stage = link.expect_read(target)?;
        let checked = if self.blocking { Checked::AtEnd } else { self.checked };
        let command = Command { queue: self.queue, op: op(stage), kind: self.kind, checked };
        match enqueue(command, &[], events) {
            Ok(()) if self.blocking => link.hand_out(stage.ticket),
            Ok(()) => {}
            Err(code) => {
                link.forget_read(stage.ticket);
                return Err(code);
            }
        }
        Ok(stage.ticket)
    }

    /// Gives a read of a range of a buffer. Its ticket, as above; 0: the data is there.
    pub(crate) fn read_buffer(&self, mem: Id, offset: usize, target: Target, events: Events) -> Result<u64> {
        let long = self.blocking && self.checked == Checked::Before && target.row > PIECE;
        // Whoever reads in pieces keeps others from the queue until they are there, so nothing else may be needed for that.
        if long && self.queue.data.in_order() && settle::ends_by_itself() {
            return read_in_pieces(self, mem, offset, target, events).map(|()| 0);
        }
        self.read(target, |stage| Op::ReadBuffer { mem, offset: offset as u64, stage }, events)
    }

    fn checked_write(&self) -> Checked {
        if self.blocking { Checked::AtEnd } else { self.checked }
    }

    /// Gives a write of packed data that the ring takes in one message.
    fn write(&self, data: &[u8], op: Op, events: Events) -> Result<()> {
        enqueue(Command { queue: self.queue, op, kind: self.kind, checked: self.checked_write() }, data, events)
    }
}

/// Reads a long range of a queue that keeps the order as a row of short reads, of which a few are always on the way.
fn read_in_pieces(transfer: &Transfer<'_>, mem: Id, offset: usize, target: Target, (count, list, out): Events) -> Result<()> {
    let link = link()?;
    let mut wait = waits(count, list, &transfer.queue.data.context)?;
    let event = if out.is_null() { 0 } else { link.new_id() };
    let mut ahead = std::collections::VecDeque::new();
    let _turn = transfer.queue.data.turn();
    for start in (0..target.row).step_by(PIECE) {
        let len = PIECE.min(target.row - start);
        let last = start + len == target.row;
        if ahead.len() == AHEAD {
            arrive(link, &mut ahead)?;
        }
        let stage = match link.expect_read(Target::flat(target.start.wrapping_add(start), len)) {
            Ok(stage) => stage,
            Err(code) => {
                while !ahead.is_empty() {
                    arrive(link, &mut ahead)?;
                }
                return Err(code);
            }
        };
        let op = Op::ReadBuffer { mem, offset: (offset + start) as u64, stage };
        let piece = Command { queue: transfer.queue, op, kind: transfer.kind, checked: Checked::AtEnd };
        let number = send(piece, &[], std::mem::take(&mut wait), if last { event } else { 0 })?;
        ahead.extend(number.map(|number| (number, stage.ticket)));
    }
    while !ahead.is_empty() {
        arrive(link, &mut ahead)?;
    }
    if event != 0 {
        put(out, new_event(transfer.queue, event, transfer.kind, true)?);
    }
    Ok(())
}

/// Waits for the oldest piece. When one fails the others must still not be written to the program's memory later.
fn arrive(link: &Link, ahead: &mut std::collections::VecDeque<(u64, u64)>) -> Result<()> {
    let Some((number, ticket)) = ahead.pop_front() else { return Ok(()) };
    let (code, _) = link.wait_for(number)?;
    if code == 0 {
        link.hand_out(ticket);
        return Ok(());
    }
    for (number, ticket) in std::iter::once((0, ticket)).chain(ahead.drain(..)) {
        if number != 0 {
            link.wait_for(number)?;
        }
        link.forget_read(ticket);
    }
    Err(code)
}

pub(crate) extern "C" fn clEnqueueWriteBuffer(
    queue: Handle,
    buffer: Handle,
    blocking: u32,
    offset: usize,
    size: usize,
    from: *const c_void,
    waits: u32,
    wait: *const Handle,
    event: *mut Handle,
) -> i32 {
    code(borrow::<Queue>(queue).and_then(|queue| {
        let mem = borrow::<Mem>(buffer)?;
        if from.is_null() {
            return Err(cl::INVALID_VALUE);
        }
        if !mem.data.writable() {
            return Err(cl::INVALID_OPERATION);
        }
        let checked = known_if(inside(buffer, offset, size));
        write_as(queue, blocking, |blocking| {
            let transfer = Transfer { queue, kind: cl::COMMAND_WRITE_BUFFER, blocking, checked };
            write_buffer(&transfer, mem.id, offset, list(from.cast(), size), (waits, wait, event))
        })
    }))
}

/// Gives a write, which is told whether it is to be over when it returns.
fn write_as(queue: &Object<Queue>, blocking: u32, give: impl FnOnce(bool) -> Result<()>) -> Result<()> {
    if blocking == 0 { give(false) } else { settle::write(queue, give) }
}

/// Writes a range of a buffer. The data is in the ring when this returns, so the program may change it at once.
pub(crate) fn write_buffer(transfer: &Transfer<'_>, mem: Id, offset: usize, data: &[u8], events: Events) -> Result<()> {
    let link = link()?;
    let piece = link.body_max();
    if data.len() <= piece || transfer.checked != Checked::Before {
        return transfer.write(data, Op::WriteBuffer { mem, offset: offset as u64 }, events);
    }
    let (count, list, out) = events;
    let wait = waits(count, list, &transfer.queue.data.context)?;
    let event = if out.is_null() { 0 } else { link.new_id() };
    let in_order = transfer.queue.data.in_order();
    let (mut parts, mut sent) = (Vec::new(), None);
    let turn = transfer.queue.data.turn();
    for (i, chunk) in data.chunks(piece).enumerate() {
        let last = (i + 1) * piece >= data.len();
        // Where commands may overtake each other, every piece waits for what the whole waits for, and all of them make it up.
        let wait = if i == 0 || !in_order { wait.clone() } else { Vec::new() };
        let part = if in_order { if last { event } else { 0 } } else { link.new_id() };
        let op = Op::WriteBuffer { mem, offset: (offset + i * piece) as u64 };
        let checked = if last && in_order { transfer.checked_write() } else { Checked::Before };
        sent = send(Command { queue: transfer.queue, op, kind: transfer.kind, checked }, chunk, wait, part)?;
        parts.push(part);
    }
    if !in_order {
        let checked = transfer.checked_write();
        let whole = Command { queue: transfer.queue, op: Op::Marker, kind: transfer.kind, checked };
        sent = send(whole, &[], parts.clone(), event)?;
        for id in parts {
            link.post(Request::Release { id }, &[], false)?;
        }
    }
    drop(turn);
    outcome(sent)?;
    if event != 0 {
        put(out, new_event(transfer.queue, event, transfer.kind, transfer.blocking)?);
    }
    Ok(())
}

/// A box in the program's memory: rows of `row` bytes, as OpenCL counts pitches (0: packed).
fn host_box(start: *mut u8, origin: [u64; 3], region: [u64; 3], pitch: [usize; 2]) -> Result<Target> {
    let [row, rows, slices] = region.map(|n| n as usize);
    let row_pitch = if pitch[0] == 0 { row } else { pitch[0] };
    let slice_pitch = if pitch[1] == 0 { row_pitch * rows } else { pitch[1] };
    let wrong =
        region.contains(&0) || row_pitch < row || slice_pitch < row_pitch * rows || !slice_pitch.is_multiple_of(row_pitch);
    if start.is_null() || wrong {
        return Err(cl::INVALID_VALUE);
    }
    let offset = origin[2] as usize * slice_pitch + origin[1] as usize * row_pitch + origin[0] as usize;
    Ok(Target { start: start.wrapping_add(offset), row, rows, slices, pitch: [row_pitch, slice_pitch] })
}

/// The box's bytes without gaps.
fn pack(source: Target) -> Vec<u8> {
    source.row_starts().flat_map(|start| list(start.cast_const(), source.row)).copied().collect()
}

pub(crate) extern "C" fn clEnqueueReadBufferRect(
    queue: Handle,
    buffer: Handle,
    blocking: u32,
    origin: *const usize,
    host_origin: *const usize,
    region: *const usize,
    row: usize,
    slice: usize,
    host_row: usize,
    host_slice: usize,
    to: *mut c_void,
    waits: u32,
    wait: *const Handle,
    event: *mut Handle,
) -> i32 {
    code(borrow::<Queue>(queue).and_then(|queue| {
        let mem = borrow::<Mem>(buffer)?;
        let (from, region) = (rect(origin, row, slice)?, triple(region)?);
        let target = host_box(to.cast(), triple(host_origin)?, region, [host_row, host_slice])?;
        if !mem.data.readable() {
            return Err(cl::INVALID_OPERATION);
        }
        let transfer = Transfer { queue, kind: cl::COMMAND_READ_BUFFER_RECT, blocking: blocking != 0, checked: Checked::Now };
        transfer.read(target, |stage| Op::ReadRect { mem: mem.id, from, region, stage }, (waits, wait, event)).map(drop)
    }))
}

pub(crate) extern "C" fn clEnqueueWriteBufferRect(
    queue: Handle,
    buffer: Handle,
    blocking: u32,
    origin: *const usize,
    host_origin: *const usize,
    region: *const usize,
    row: usize,
    slice: usize,
    host_row: usize,
    host_slice: usize,
    from: *const c_void,
    waits: u32,
    wait: *const Handle,
    event: *mut Handle,
) -> i32 {
    code(borrow::<Queue>(queue).and_then(|queue| {
        let mem = borrow::<Mem>(buffer)?;
        let (to, region) = (rect(origin, row, slice)?, triple(region)?);
        let source = host_box(from.cast_mut().cast(), triple(host_origin)?, region, [host_row, host_slice])?;
        if !mem.data.writable() {
            return Err(cl::INVALID_OPERATION);
        }
        write_as(queue, blocking, |blocking| {
            let transfer = Transfer { queue, kind: cl::COMMAND_WRITE_BUFFER_RECT, blocking, checked: Checked::Now };
            transfer.write(&pack(source), Op::WriteRect { mem: mem.id, to, region }, (waits, wait, event))
        })
    }))
}

/// The program's memory for a part of an image.
fn image_box(image: Image, start: *mut u8, region: [u64; 3], pitch: [usize; 2]) -> Result<Target> {
    let in_bytes = [region[0].saturating_mul(image.pixel as u64), region[1], region[2]];
    let pitch = if region[2] <= 1 && region[1] <= 1 { [0, 0] } else { pitch };
    // In an array of lines the second dimension has the slice pitch.
    let pitch = if region[2] <= 1 && pitch[0] == 0 && pitch[1] != 0 { [pitch[1], 0] } else { pitch };
    host_box(start, [0; 3], in_bytes, pitch)
}

fn image_of(mem: &Object<Mem>) -> Result<Image> {
    mem.data.image.ok_or(cl::INVALID_MEM_OBJECT)
}

pub(crate) extern "C" fn clEnqueueReadImage(
    queue: Handle,
    image: Handle,
    blocking: u32,
    origin: *const usize,
    region: *const usize,
    row: usize,
    slice: usize,
    to: *mut c_void,
    waits: u32,
    wait: *const Handle,
    event: *mut Handle,
) -> i32 {
    code(borrow::<Queue>(queue).and_then(|queue| {
        let mem = borrow::<Mem>(image)?;
        let (origin, region) = (triple(origin)?, triple(region)?);
        let target = image_box(image_of(mem)?, to.cast(), region, [row, slice])?;
        if !mem.data.readable() {
            return Err(cl::INVALID_OPERATION);
        }
        let transfer = Transfer { queue, kind: cl::COMMAND_READ_IMAGE, blocking: blocking != 0, checked: Checked::Now };
        transfer.read(target, |stage| Op::ReadImage { mem: mem.id, origin, region, stage }, (waits, wait, event)).map(drop)
    }))
}

pub(crate) extern "C" fn clEnqueueWriteImage(
    queue: Handle,
    image: Handle,
    blocking: u32,
    origin: *const usize,
    region: *const usize,
    row: usize,
    slice: usize,
    from: *const c_void,
    waits: u32,
    wait: *const Handle,
    event: *mut Handle,
) -> i32 {
    code(borrow::<Queue>(queue).and_then(|queue| {
        let mem = borrow::<Mem>(image)?;
        let (origin, region) = (triple(origin)?, triple(region)?);
        let source = image_box(image_of(mem)?, from.cast_mut().cast(), region, [row, slice])?;
        if !mem.data.writable() {
            return Err(cl::INVALID_OPERATION);
        }
        write_as(queue, blocking, |blocking| {
            let transfer = Transfer { queue, kind: cl::COMMAND_WRITE_IMAGE, blocking, checked: Checked::Now };
            transfer.write(&pack(source), Op::WriteImage { mem: mem.id, origin, region }, (waits, wait, event))
        })
    }))
}

/// A new image's contents from the program's memory.
pub(crate) fn initial_image(image: Image, host: *mut c_void, pitch: [usize; 2]) -> Result<Vec<u8>> {
    image_box(image, host.cast(), image.extent.map(|n| n as u64), pitch).map(pack)
}
