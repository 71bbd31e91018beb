//! Mapping: memory of the program's own that stands for a part of an object, read when it is mapped, written back when unmapped.

use crate::c::{Handle, Result, code, list, made, put, triple};
use crate::command::{Checked, Command, Events, enqueue, inside, known_if};
use crate::link::{Pages, Target, link};
use crate::memory::Mem;
use crate::object::{Object, borrow};
use crate::queue::Queue;
use crate::transfer::{Transfer, write_buffer};
use std::ffi::c_void;
use std::sync::PoisonError;
use wire::{Op, Request, cl};

/// What of an object is mapped.
#[derive(Default)]
pub(crate) struct Maps {
    /// Stands for the whole object while anything of it is mapped, so that overlapping maps are the same memory.
    shadow: Option<Pages>,
    active: Vec<Active>,
}

/// One map.
struct Active {
    address: usize,
    what: Part,
    write: bool,
    /// The read that fills it.
    ticket: u64,
}

#[derive(Clone, Copy)]
enum Part {
    Range { offset: usize, len: usize },
    Box { origin: [u64; 3], region: [u64; 3] },
}

impl Maps {
    /// How many maps there are.
    pub(crate) fn count(&self) -> u32 {
        self.active.len() as u32
    }

    fn base(&mut self, mem: &Mem, len: usize) -> Result<*mut u8> {
        if let Some(host) = mem.host {
            return Ok(host as *mut u8);
        }
        if self.shadow.is_none() {
            self.shadow = Some(Pages::new(len).ok_or(cl::MAP_FAILURE)?);
        }
        self.shadow.as_ref().map(Pages::start).ok_or(cl::MAP_FAILURE)
    }
}

fn check_access(mem: &Mem, flags: u64) -> Result<()> {
    let writes = cl::MAP_WRITE | cl::MAP_WRITE_INVALIDATE_REGION;
    if flags & !(writes | cl::MAP_READ) != 0
        || flags & cl::MAP_WRITE_INVALIDATE_REGION != 0 && flags != cl::MAP_WRITE_INVALIDATE_REGION
    {
        return Err(cl::INVALID_VALUE);
    }
    let refused = flags & cl::MAP_READ != 0 && !mem.readable() || flags & writes != 0 && !mem.writable();
    if refused { Err(cl::INVALID_OPERATION) } else { Ok(()) }
}

/// Fills what is mapped from the device by `read`, unless the program said that it overwrites all of it. The read's ticket.
fn fill(transfer: &Transfer<'_>, flags: u64, events: Events, read: impl FnOnce(Events) -> Result<u64>) -> Result<u64> {
    if flags & cl::MAP_WRITE_INVALIDATE_REGION == 0 {
        return read(events);
    }
    let checked = if transfer.blocking { Checked::AtEnd } else { Checked::Before };
    enqueue(Command { queue: transfer.queue, op: Op::Marker, kind: transfer.kind, checked }, &[], events).map(|()| 0)
}

pub(crate) extern "C" fn clEnqueueMapBuffer(
    queue: Handle,
    buffer: Handle,
    blocking: u32,
    flags: u64,
    offset: usize,
    size: usize,
    waits: u32,
    wait: *const Handle,
    event: *mut Handle,
    errcode: *mut i32,
) -> *mut c_void {
    let result = borrow::<Queue>(queue).and_then(|queue| {
        let mem = borrow::<Mem>(buffer)?;
        if !inside(buffer, offset, size) {
            return Err(cl::INVALID_VALUE);
        }
        check_access(&mem.data, flags)?;
        let mut maps = mem.data.maps.lock().unwrap_or_else(PoisonError::into_inner);
        let start = maps.base(&mem.data, mem.data.size)?.wrapping_add(offset);
        let transfer = Transfer { queue, kind: cl::COMMAND_MAP_BUFFER, blocking: blocking != 0, checked: known_if(true) };
        let read = |events| transfer.read_buffer(mem.id, offset, Target::flat(start, size), events);
        let ticket = fill(&transfer, flags, (waits, wait, event), read)?;
        let what = Part::Range { offset, len: size };
        maps.active.push(Active { address: start as usize, what, write: flags != cl::MAP_READ, ticket });
        Ok(start.cast())
    });
    made(result, errcode)
}

pub(crate) extern "C" fn clEnqueueMapImage(
    queue: Handle,
    image: Handle,
    blocking: u32,
    flags: u64,
    origin: *const usize,
    region: *const usize,
    row: *mut usize,
    slice: *mut usize,
    waits: u32,
    wait: *const Handle,
    event: *mut Handle,
    errcode: *mut i32,
) -> *mut c_void {
    let result = borrow::<Queue>(queue).and_then(|queue| {
        let mem = borrow::<Mem>(image)?;
        let of = mem.data.image.ok_or(cl::INVALID_MEM_OBJECT)?;
        let (origin, region) = (triple(origin)?, triple(region)?);
        check_access(&mem.data, flags)?;
        let fits = |i: usize| origin[i].checked_add(region[i]).is_some_and(|end| region[i] > 0 && end <= of.extent[i] as u64);
        if row.is_null() || !(0..3).all(fits) {
            return Err(cl::INVALID_VALUE);
        }
        let (row_pitch, slice_pitch) = (of.extent[0] * of.pixel, of.extent[0] * of.extent[1] * of.pixel);
        let mut maps = mem.data.maps.lock().unwrap_or_else(PoisonError::into_inner);
        let at = origin[0] as usize * of.pixel + origin[1] as usize * row_pitch + origin[2] as usize * slice_pitch;
        let start = maps.base(&mem.data, slice_pitch * of.extent[2])?.wrapping_add(at);
        let [width, rows, slices] = region.map(|n| n as usize);
        let target = Target { start, row: width * of.pixel, rows, slices, pitch: [row_pitch, slice_pitch] };
        let transfer = Transfer { queue, kind: cl::COMMAND_MAP_IMAGE, blocking: blocking != 0, checked: Checked::Now };
        let op = |stage| Op::ReadImage { mem: mem.id, origin, region, stage };
        let ticket = fill(&transfer, flags, (waits, wait, event), |events| transfer.read(target, op, events))?;
        let what = Part::Box { origin, region };
        maps.active.push(Active { address: start as usize, what, write: flags != cl::MAP_READ, ticket });
        put(row, row_pitch);
        put(slice, if of.extent[2] > 1 { slice_pitch } else { 0 });
        Ok(start.cast())
    });
    made(result, errcode)
}

pub(crate) extern "C" fn clEnqueueUnmapMemObject(
    queue: Handle,
    mem: Handle,
    address: *mut c_void,
    waits: u32,
    wait: *const Handle,
    event: *mut Handle,
) -> i32 {
    code(borrow::<Queue>(queue).and_then(|queue| unmap(queue, borrow::<Mem>(mem)?, address, (waits, wait, event))))
}

fn unmap(queue: &Object<Queue>, mem: &Object<Mem>, address: *mut c_void, events: Events) -> Result<()> {
    let mut maps = mem.data.maps.lock().unwrap_or_else(PoisonError::into_inner);
    let at = maps.active.iter().position(|map| map.address == address as usize).ok_or(cl::INVALID_VALUE)?;
    let map = maps.active.remove(at);
    let link = link()?;
    // Mapped without waiting, and unmapped before the data came: it must not come after it was written back.
    if link.is_pending(map.ticket) {
        link.call(Request::Finish { queue: queue.id }, &[])?;
        link.hand_out(map.ticket);
    }
    let transfer = Transfer { queue, kind: cl::COMMAND_UNMAP_MEM_OBJECT, blocking: false, checked: Checked::Before };
    match map.what {
        Part::Range { offset, len } if map.write => {
            write_buffer(&transfer, mem.id, offset, list(address.cast(), len), events)?;
        }
        Part::Box { origin, region } if map.write => {
            let data = box_data(mem, address.cast(), region)?;
            let op = Op::WriteImage { mem: mem.id, origin, region };
            enqueue(Command { queue, op, kind: transfer.kind, checked: Checked::Now }, &data, events)?;
        }
        _ => enqueue(Command { queue, op: Op::Marker, kind: transfer.kind, checked: Checked::Before }, &[], events)?,
    }
    if maps.active.is_empty() {
        maps.shadow = None;
    }
    Ok(())
}

fn box_data(mem: &Object<Mem>, start: *mut u8, region: [u64; 3]) -> Result<Vec<u8>> {
    let of = mem.data.image.ok_or(cl::INVALID_MEM_OBJECT)?;
    let [width, rows, slices] = region.map(|n| n as usize);
    let (row, slice) = (of.extent[0] * of.pixel, of.extent[0] * of.extent[1] * of.pixel);
    let source = Target { start, row: width * of.pixel, rows, slices, pitch: [row, slice] };
    Ok(source.row_starts().flat_map(|start| list(start.cast_const(), source.row)).copied().collect())
}
