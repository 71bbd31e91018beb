//! Work for a CUDA device's streams.
#![allow(unsafe_code, reason = "calls into CUDA's driver")]

use super::Result;
use super::mapped::ok;
use super::real::{Object, Real};
use cudarc::driver::sys;
use ring::{Body, Region};
use std::ffi::c_void;
use std::ptr::null_mut;
use wire::Stage;
use wire::cuda::{self, Span, Work};

impl Real {
    pub(crate) fn work(&mut self, stream: sys::CUstream, work: &Work, body: &Body, region: &Region) -> Result<()> {
        match work {
            Work::Launch { function, grid, block, shared, params } => {
                const BUFFER: usize = 1;
                const BUFFER_SIZE: usize = 2;
                let function = self.function(*function)?;
                let (mut params, mut len) = (params.clone(), params.len());
                let name = std::ptr::without_provenance_mut::<c_void>;
                let mut extra =
                    [name(BUFFER), params.as_mut_ptr().cast(), name(BUFFER_SIZE), (&raw mut len).cast(), null_mut()];
                let ([gx, gy, gz], [bx, by, bz]) = (*grid, *block);
                // SAFETY: the list ends with a null, and names a buffer and its length; the driver copies them.
                ok(unsafe {
                    sys::cuLaunchKernel(function, gx, gy, gz, bx, by, bz, *shared, stream, null_mut(), extra.as_mut_ptr())
                })?;
            }
            Work::Read { from, stage } => self.read_out(stream, *from, stage, region)?,
            Work::Write { to } => {
                let (to, len) = self.place(*to)?;
                if len != body.len() as u64 {
                    return Err(cuda::INVALID_VALUE.into());
                }
                // The driver takes pageable memory before it returns, so the body need not be kept.
                box_copy(Side::Host(body.as_ptr().cast_mut()), Side::Device(to), to, stream)?;
            }
            Work::Copy { from, to } => {
                let ((from, len), (to, room)) = (self.place(*from)?, self.place(*to)?);
                if len != room || (from.row, from.rows) != (to.row, to.rows) {
                    return Err(cuda::INVALID_VALUE.into());
                }
                box_copy(Side::Device(from), Side::Device(to), to, stream)?;
            }
            Work::Set { to, value, width } => self.set(stream, *to, *value, *width)?,
            Work::Record { event } => {
                let own = self.event(*event)?.0;
                // SAFETY: handles are the driver's.
                ok(unsafe { sys::cuEventRecord(own, stream) })?;
                self.objects.insert(*event, Object::Event(own, true, None));
            }
            Work::Wait { event } => {
                let (event, recorded, _) = self.event(*event)?;
                if recorded {
                    // SAFETY: handles are the driver's.
                    ok(unsafe { sys::cuStreamWaitEvent(stream, event, 0) })?;
                }
            }
        }
        Ok(())
    }

    fn read_out(&self, stream: sys::CUstream, from: Span, stage: &Stage, region: &Region) -> Result<()> {
        let (from, len) = self.place(from)?;
        let end = stage.offset.checked_add(stage.len).ok_or(cuda::INVALID_VALUE)?;
        if end > region.layout().staging || len != stage.len {
            return Err(cuda::INVALID_VALUE.into());
        }
        // SAFETY: the range was just checked to lie in the staging area.
        let to = unsafe { region.staging().add(stage.offset as usize) };
        box_copy(Side::Device(from), Side::Host(to), from, stream)?;
        // SAFETY: the handle is the driver's.
        ok(unsafe { sys::cuStreamSynchronize(stream) })?;
        self.reads.push(stage.ticket);
        Ok(())
    }

    fn set(&self, stream: sys::CUstream, to: Span, value: u32, width: u8) -> Result<()> {
        let (to, len) = self.place(to)?;
        if !matches!(width, 1 | 2 | 4)
            || !to.row.is_multiple_of(u64::from(width))
            || !to.address.is_multiple_of(u64::from(width))
        {
            return Err(cuda::INVALID_VALUE.into());
        }
        if len == 0 {
            return Ok(());
        }
        let (row, rows, pitch) = (to.row as usize / usize::from(width), to.rows as usize, to.pitch as usize);
        // SAFETY: the span was just checked to lie in this worker's memory.
        Ok(ok(unsafe {
            match width {
                1 => sys::cuMemsetD2D8Async(to.address, pitch, value as u8, row, rows, stream),
                2 => sys::cuMemsetD2D16Async(to.address, pitch, value as u16, row, rows, stream),
                _ => sys::cuMemsetD2D32Async(to.address, pitch, value, row, rows, stream),
            }
        })?)
    }
}

/// One end of a copy. The host's rows are packed.
#[derive(Clone, Copy)]
enum Side {
    Host(*mut u8),
    Device(Span),
}

fn box_copy(from: Side, to: Side, sizes: Span, stream: sys::CUstream) -> std::result::Result<(), i32> {
    if sizes.is_empty() {
        return Ok(());
    }
    // SAFETY: zeros are a value of every field of this structure.
    let mut all: sys::CUDA_MEMCPY2D = unsafe { std::mem::zeroed() };
    (all.WidthInBytes, all.Height) = (sizes.row as usize, sizes.rows as usize);
    let pitch = |side: Side| if let Side::Device(span) = side { span.pitch.max(span.row) } else { sizes.row } as usize;
    (all.srcPitch, all.dstPitch) = (pitch(from), pitch(to));
    (all.srcMemoryType, all.dstMemoryType) = (sys::CUmemorytype::CU_MEMORYTYPE_HOST, sys::CUmemorytype::CU_MEMORYTYPE_HOST);
    match from {
        Side::Host(start) => all.srcHost = start.cast_const().cast(),
        Side::Device(span) => (all.srcMemoryType, all.srcDevice) = (sys::CUmemorytype::CU_MEMORYTYPE_DEVICE, span.address),
    }
    match to {
        Side::Host(start) => all.dstHost = start.cast(),
        Side::Device(span) => (all.dstMemoryType, all.dstDevice) = (sys::CUmemorytype::CU_MEMORYTYPE_DEVICE, span.address),
    }
    // SAFETY: callers have checked that both ends lie in memory of this worker's or its ring's.
    ok(unsafe { sys::cuMemcpy2DAsync_v2(&all, stream) })
}
