//! Commands that move contents: between device and worker, and on the device.

use super::OpenCl;
use super::commands::Command;
use super::raw::{Contents, Mem, call};
use ring::Region;
use std::ffi::c_void;
use wire::{Id, Op, Rect, Stage, cl};

type Result<T> = std::result::Result<T, i32>;

impl OpenCl {
    pub(super) fn move_buffer(&self, op: &Op, command: &Command<'_>) -> Result<i32> {
        let &Command { queue, body, waits, region, out } = command;
        let (api, (n, list)) = (&self.device.api, waits.list());
        let data: *const c_void = body.as_ptr().cast();
        match op {
            Op::ReadBuffer { mem, offset, stage } => {
                let (mem, to) = (self.mem(*mem)?.handle, place(region, stage, stage.len)?);
                call!(api, clEnqueueReadBuffer(queue, mem, 0, *offset as usize, stage.len as usize, to, n, list, out))
            }
            Op::WriteBuffer { mem, offset } => {
                let mem = self.mem(*mem)?.handle;
                call!(api, clEnqueueWriteBuffer(queue, mem, 0, *offset as usize, body.len(), data, n, list, out))
            }
            Op::ReadRect { mem, from, region: size, stage } => {
                let (mem, bytes) = (self.mem(*mem)?.handle, volume(size, 1)?);
                let to = place(region, stage, bytes)?;
                let (origin, size, zero) = (sizes(from.origin), sizes(*size), [0usize; 3]);
                let [row, slice] = pitches(from);
                let (o, h, r) = (origin.as_ptr(), zero.as_ptr(), size.as_ptr());
                call!(api, clEnqueueReadBufferRect(queue, mem, 0, o, h, r, row, slice, 0, 0, to, n, list, out))
            }
            Op::WriteRect { mem, to, region: size } => {
                let (mem, bytes) = (self.mem(*mem)?.handle, volume(size, 1)?);
                if (body.len() as u64) < bytes {
                    return Err(cl::INVALID_VALUE);
                }
                let (origin, size, zero) = (sizes(to.origin), sizes(*size), [0usize; 3]);
                let [row, slice] = pitches(to);
                let (o, h, r) = (origin.as_ptr(), zero.as_ptr(), size.as_ptr());
                call!(api, clEnqueueWriteBufferRect(queue, mem, 0, o, h, r, row, slice, 0, 0, data, n, list, out))
            }
            _ => Err(cl::INVALID_OPERATION),
        }
    }

    pub(super) fn work_on_buffer(&self, op: &Op, command: &Command<'_>) -> Result<i32> {
        let &Command { queue, waits, out, .. } = command;
        let (api, (n, list)) = (&self.device.api, waits.list());
        match op {
            Op::CopyBuffer { from, to, from_offset, to_offset, size } => {
                let (from, to) = (self.mem(*from)?.handle, self.mem(*to)?.handle);
                let (a, b) = (*from_offset as usize, *to_offset as usize);
                call!(api, clEnqueueCopyBuffer(queue, from, to, a, b, *size as usize, n, list, out))
            }
            Op::CopyRect { from, to, from_rect, to_rect, region } => {
                let (from, to) = (self.mem(*from)?.handle, self.mem(*to)?.handle);
                let (a, b, r) = (sizes(from_rect.origin), sizes(to_rect.origin), sizes(*region));
                let ([from_row, from_slice], [to_row, to_slice]) = (pitches(from_rect), pitches(to_rect));
                let (a, b, r) = (a.as_ptr(), b.as_ptr(), r.as_ptr());
                call!(
                    api,
                    clEnqueueCopyBufferRect(queue, from, to, a, b, r, from_row, from_slice, to_row, to_slice, n, list, out)
                )
            }
            Op::FillBuffer { mem, pattern, offset, size } => {
                let (mem, at, len) = (self.mem(*mem)?.handle, *offset as usize, *size as usize);
                call!(api, clEnqueueFillBuffer(queue, mem, pattern.as_ptr().cast(), pattern.len(), at, len, n, list, out))
            }
            _ => Err(cl::INVALID_OPERATION),
        }
    }

    pub(super) fn image_command(&self, op: &Op, command: &Command<'_>) -> Result<i32> {
        let &Command { queue, body, waits, region, out } = command;
        let (api, (n, list)) = (&self.device.api, waits.list());
        match op {
            Op::ReadImage { mem, origin, region: size, stage } => {
                let mem = self.image_of(*mem)?;
                let to = place(region, stage, volume(size, mem.pixel())?)?;
                let (o, r) = (sizes(*origin), sizes(*size));
                call!(api, clEnqueueReadImage(queue, mem.handle, 0, o.as_ptr(), r.as_ptr(), 0, 0, to, n, list, out))
            }
            Op::WriteImage { mem, origin, region: size } => {
                let mem = self.image_of(*mem)?;
                if (body.len() as u64) < volume(size, mem.pixel())? {
                    return Err(cl::INVALID_VALUE);
                }
                let (o, r, data) = (sizes(*origin), sizes(*size), body.as_ptr().cast());
                call!(api, clEnqueueWriteImage(queue, mem.handle, 0, o.as_ptr(), r.as_ptr(), 0, 0, data, n, list, out))
            }
            Op::CopyImage { from, to, from_origin, to_origin, region } => {
                let (from, to) = (self.mem(*from)?.handle, self.mem(*to)?.handle);
                let (a, b, r) = (sizes(*from_origin), sizes(*to_origin), sizes(*region));
                call!(api, clEnqueueCopyImage(queue, from, to, a.as_ptr(), b.as_ptr(), r.as_ptr(), n, list, out))
            }
            Op::FillImage { mem, color, origin, region } => {
                let (mem, o, r) = (self.mem(*mem)?.handle, sizes(*origin), sizes(*region));
                call!(api, clEnqueueFillImage(queue, mem, color.as_ptr().cast(), o.as_ptr(), r.as_ptr(), n, list, out))
            }
            Op::ImageToBuffer { from, to, origin, region, offset } => {
                let (from, to) = (self.mem(*from)?.handle, self.mem(*to)?.handle);
                let (o, r) = (sizes(*origin), sizes(*region));
                call!(api, clEnqueueCopyImageToBuffer(queue, from, to, o.as_ptr(), r.as_ptr(), *offset as usize, n, list, out))
            }
            Op::BufferToImage { from, to, offset, origin, region } => {
                let (from, to) = (self.mem(*from)?.handle, self.mem(*to)?.handle);
                let (o, r) = (sizes(*origin), sizes(*region));
                call!(api, clEnqueueCopyBufferToImage(queue, from, to, *offset as usize, o.as_ptr(), r.as_ptr(), n, list, out))
            }
            _ => Err(cl::INVALID_OPERATION),
        }
    }

    /// An image: a buffer's pixel would be too small a unit to check lengths with.
    fn image_of(&self, id: Id) -> Result<&Mem> {
        let mem = self.mem(id)?;
        match mem.contents {
            Contents::Pixels { .. } => Ok(mem),
            _ => Err(cl::INVALID_MEM_OBJECT),
        }
    }
}

fn sizes(of: [u64; 3]) -> [usize; 3] {
    of.map(|n| n as usize)
}

fn pitches(rect: &Rect) -> [usize; 2] {
    rect.pitch.map(|n| n as usize)
}

/// Bytes of a region, if that is a number.
fn volume(region: &[u64; 3], unit: usize) -> Result<u64> {
    region.iter().try_fold(unit as u64, |product, n| product.checked_mul(*n)).ok_or(cl::INVALID_VALUE)
}

/// Where in the staging area a read goes, if its `bytes` fit where the worker said.
fn place(region: &Region, stage: &Stage, bytes: u64) -> Result<*mut c_void> {
    let end = stage.offset.checked_add(stage.len).ok_or(cl::INVALID_VALUE)?;
    if end > region.layout().staging || bytes > stage.len {
        return Err(cl::INVALID_VALUE);
    }
    // SAFETY: `offset` was just checked to lie in the staging area.
    Ok(unsafe { region.staging().add(stage.offset as usize) }.cast())
}
