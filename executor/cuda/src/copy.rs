//! Copies and fills.

use crate::c::{Handle, Result, bytes, get};
use crate::memory::{Extent, Pitched, is_pinned};
use crate::register::variable;
use crate::state::State;
use crate::stream::{calls, stream};
use link::Target;
use std::ffi::c_void;
use std::sync::MutexGuard;
use std::sync::atomic::Ordering;
use wire::cuda::{self, Call, Span, Work};
use wire::{Id, Request};

/// Bytes of a read that go through the staging area at a time: few enough for the same pages to be used again while hot.
const PIECE: u64 = 1 << 20;

const HOST_TO_HOST: i32 = 0;
const HOST_TO_DEVICE: i32 = 1;
const DEVICE_TO_HOST: i32 = 2;
const DEVICE_TO_DEVICE: i32 = 3;
/// Which it is, the addresses say.
const DEFAULT: i32 = 4;

/// Rows of bytes, here or on the device.
#[derive(Clone, Copy)]
pub(crate) struct Rows {
    pub(crate) start: Handle,
    pub(crate) pitch: usize,
}

/// A box of bytes.
#[derive(Clone, Copy)]
pub(crate) struct Sizes {
    pub(crate) width: usize,
    pub(crate) height: usize,
}

impl Rows {
    pub(crate) fn flat(start: *const c_void) -> Rows {
        Rows { start: start.cast_mut(), pitch: 0 }
    }

    fn span(self, sizes: Sizes) -> Span {
        let (row, rows) = (sizes.width as u64, sizes.height as u64);
        Span { address: self.start.addr() as u64, row, rows, pitch: if rows == 1 { row } else { self.pitch as u64 } }
    }

    fn target(self, sizes: Sizes) -> Target {
        let (row, rows) = (sizes.width, sizes.height);
        let pitch = if rows == 1 { row } else { self.pitch };
        Target { start: self.start.cast(), row, rows, slices: 1, pitch: [pitch, 0] }
    }
}

/// How a copy is ordered with what the program does next.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wait {
    /// The call returns when it is over.
    Yes,
    /// It may return before.
    No,
}

impl State {
    /// Checks that a span lies in one allocation.
    fn inside(&self, span: Span) -> Result<()> {
        if span.rows > 1 && span.pitch < span.row {
            return Err(cuda::INVALID_PITCH);
        }
        let end = span.end().ok_or(cuda::INVALID_VALUE)?;
        self.addresses().holding(span.address, end - span.address).map(drop)
    }

    fn command(&self, stream: Id, work: Work, body: &[u8]) -> Result<()> {
        self.post(Call::Command { stream, work }, body)
    }
}

/// Any copy. `height` 1: `pitch`es play no part.
pub(crate) fn copy(state: &State, to: Rows, from: Rows, sizes: Sizes, kind: i32, on: Id, wait: Wait) -> Result<()> {
    if sizes.width == 0 || sizes.height == 0 {
        return Ok(());
    }
    let device = |rows: Rows| state.is_device(rows.start.addr() as u64);
    let kind = match kind {
        DEFAULT => i32::from(device(to)) + 2 * i32::from(device(from)),
        HOST_TO_HOST..DEFAULT => kind,
        _ => return Err(cuda::INVALID_DIRECTION),
    };
    if to.start.is_null() || from.start.is_null() {
        return Err(cuda::INVALID_VALUE);
    }
    match kind {
        HOST_TO_DEVICE => write(state, to.span(sizes), from, sizes, on),
        DEVICE_TO_HOST => read(state, to.target(sizes), from.span(sizes), on, wait),
        DEVICE_TO_DEVICE => {
            let (from, to) = (from.span(sizes), to.span(sizes));
            state.inside(from)?;
            state.inside(to)?;
            state.command(on, Work::Copy { from, to }, &[])
        }
        _ => {
            state.synchronize(on)?;
            let (from, to) = (from.target(sizes), to.target(sizes));
            for (from, to) in from.row_starts().zip(to.row_starts()) {
                // SAFETY: the program promises both boxes of memory.
                unsafe { std::ptr::copy(from, to, sizes.width) };
            }
            Ok(())
        }
    }
}

/// The data are taken now: the call may return as soon as they are in the ring.
fn write(state: &State, to: Span, from: Rows, sizes: Sizes, on: Id) -> Result<()> {
    state.inside(to)?;
    if state.reads_on_the_way.load(Ordering::SeqCst) && is_pinned(state, from.start.addr(), 1) {
        // What is written may be what a read before it has still to bring.
        state.synchronize(cuda::DEFAULT_STREAM)?;
    }
    if sizes.height == 1 {
        let data = bytes(from.start, sizes.width);
        let (mut address, turn) = (to.address, state.turn());
        return data.chunks(state.link().body_max()).try_for_each(|piece| {
            let work = Work::Write { to: Span::flat(address, piece.len() as u64) };
            address += piece.len() as u64;
            state.post_in_turn(&turn, Call::Command { stream: on, work }, piece)
        });
    }
    let mut packed = Vec::with_capacity(sizes.width * sizes.height);
    for row in from.target(sizes).row_starts() {
        packed.extend_from_slice(bytes(row.cast(), sizes.width));
    }
    state.command(on, Work::Write { to }, &packed)
}

fn read(state: &State, to: Target, from: Span, on: Id, wait: Wait) -> Result<()> {
    state.inside(from)?;
    if wait == Wait::No && to.rows == 1 && is_pinned(state, to.start.addr(), to.row) {
        let stage = state.link().expect_read(to).map_err(|code| state.code(code))?;
        state.reads_on_the_way.store(true, Ordering::SeqCst);
        return state.command(on, Work::Read { from, stage }, &[]);
    }
    if to.rows > 1 || from.row <= PIECE {
        let reading = begin(state, &state.turn(), to, from, on)?;
        return finish(state, reading);
    }
    // Others wait while the pieces come, so not also for what the stream has to do before.
    state.synchronize(on)?;
    let turn = state.turn();
    // The next piece is read while this one is copied out.
    let mut before = None;
    for offset in (0..from.row).step_by(PIECE as usize) {
        let len = PIECE.min(from.row - offset);
        let target = Target::flat(to.start.wrapping_add(offset as usize), len as usize);
        let next = begin(state, &turn, target, Span::flat(from.address + offset, len), on)?;
        if let Some(reading) = before.replace(next) {
            finish(state, reading)?;
        }
    }
    before.map_or(Ok(()), |reading| finish(state, reading))
}

/// A read whose answer is to come: its number, and the read's name.
type Reading = (u64, u64);

fn begin(state: &State, _turn: &MutexGuard<'_, ()>, to: Target, from: Span, on: Id) -> Result<Reading> {
    let stage = state.link().expect_read(to).map_err(|code| state.code(code))?;
    let request = Request::Cuda(Call::Command { stream: on, work: Work::Read { from, stage } });
    let number = state.link().begin(request, &[]).map_err(|code| state.code(code))?;
    Ok((number, stage.ticket))
}

fn finish(state: &State, (number, ticket): Reading) -> Result<()> {
    state.wait_for(number).map(drop).inspect_err(|_| state.link().forget_read(ticket))
}

/// Sets elements of `width` bytes.
pub(crate) fn fill(state: &State, rows: Rows, sizes: Sizes, value: u32, width: u8, on: Id) -> Result<()> {
    if sizes.width == 0 || sizes.height == 0 {
        return Ok(());
    }
    let to = rows.span(sizes);
    state.inside(to)?;
    state.command(on, Work::Set { to, value, width }, &[])
}

/// A variable's part on the device.
fn part(state: &State, symbol: *const c_void, offset: usize, count: usize) -> Result<Rows> {
    let variable = variable(symbol)?;
    if offset.checked_add(count).is_none_or(|end| end as u64 > variable.size) {
        return Err(cuda::INVALID_VALUE);
    }
    let address = variable.address(state)? as usize + offset;
    Ok(Rows::flat(std::ptr::without_provenance(address)))
}

/// CUDA's `cudaPos` and `cudaMemcpy3DParms`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Copy3D {
    from_array: Handle,
    from_at: [usize; 3],
    from: Pitched,
    to_array: Handle,
    to_at: [usize; 3],
    to: Pitched,
    extent: Extent,
    kind: i32,
}

/// Slice by slice.
fn copy_3d(state: &State, all: *const Copy3D, on: Id, wait: Wait) -> Result<()> {
    let all = get(all)?;
    if !all.from_array.is_null() || !all.to_array.is_null() {
        return Err(cuda::NOT_SUPPORTED);
    }
    let slice = |side: Pitched, at: [usize; 3], z: usize| {
        let offset = ((at[2] + z) * side.height + at[1]) * side.pitch + at[0];
        Rows { start: side.start.wrapping_byte_add(offset), pitch: side.pitch }
    };
    let sizes = Sizes { width: all.extent.width, height: all.extent.height };
    (0..all.extent.depth)
        .try_for_each(|z| copy(state, slice(all.to, all.to_at, z), slice(all.from, all.from_at, z), sizes, all.kind, on, wait))
}

fn fill_3d(state: &State, all: Pitched, value: i32, extent: Extent, on: Id) -> Result<()> {
    let sizes = Sizes { width: extent.width, height: extent.height };
    (0..extent.depth).try_for_each(|z| {
        let rows = Rows { start: all.start.wrapping_byte_add(z * all.height * all.pitch), pitch: all.pitch };
        fill(state, rows, sizes, value.cast_unsigned(), 1, on)
    })
}

const fn row(width: usize) -> Sizes {
    Sizes { width, height: 1 }
}

/// The same functions under the names that wait, that do not, and those for programs with a default stream a thread.
macro_rules! copies {
    ($($wait:ident $async:ident $default:ident $stream:ident ($($arg:ident: $type:ty),*)
        |$state:ident, $on:ident, $when:ident| $body:expr;)*) => { calls! { $(
        $wait($($arg: $type),*) |$state| { let ($on, $when) = (cuda::DEFAULT_STREAM, Wait::Yes); $body };
        $default($($arg: $type),*) |$state| { let ($on, $when) = (cuda::DEFAULT_STREAM, Wait::Yes); $body };
        $async($($arg: $type,)* on: Handle) |$state| { let ($on, $when) = (stream($state, on)?, Wait::No); $body };
        $stream($($arg: $type,)* on: Handle) |$state| { let ($on, $when) = (stream($state, on)?, Wait::No); $body };
    )* } };
}

copies! {
    cudaMemcpy cudaMemcpyAsync cudaMemcpy_ptds cudaMemcpyAsync_ptsz
        (to: Handle, from: *const c_void, count: usize, kind: i32)
        |state, on, when| copy(state, Rows::flat(to), Rows::flat(from), row(count), kind, on, when);
    cudaMemcpy2D cudaMemcpy2DAsync cudaMemcpy2D_ptds cudaMemcpy2DAsync_ptsz
        (to: Handle, to_pitch: usize, from: *const c_void, from_pitch: usize, width: usize, height: usize, kind: i32)
        |state, on, when| {
            if height > 1 && (to_pitch < width || from_pitch < width) {
                return Err(cuda::INVALID_PITCH);
            }
            let (to, from) = (Rows { start: to, pitch: to_pitch }, Rows { start: from.cast_mut(), pitch: from_pitch });
            copy(state, to, from, Sizes { width, height }, kind, on, when)
        };
    cudaMemcpy3D cudaMemcpy3DAsync cudaMemcpy3D_ptds cudaMemcpy3DAsync_ptsz (all: *const Copy3D)
        |state, on, when| copy_3d(state, all, on, when);
    cudaMemcpyToSymbol cudaMemcpyToSymbolAsync cudaMemcpyToSymbol_ptds cudaMemcpyToSymbolAsync_ptsz
        (symbol: *const c_void, from: *const c_void, count: usize, offset: usize, kind: i32)
        |state, on, when| copy(state, part(state, symbol, offset, count)?, Rows::flat(from), row(count), kind, on, when);
    cudaMemcpyFromSymbol cudaMemcpyFromSymbolAsync cudaMemcpyFromSymbol_ptds cudaMemcpyFromSymbolAsync_ptsz
        (to: Handle, symbol: *const c_void, count: usize, offset: usize, kind: i32)
        |state, on, when| copy(state, Rows::flat(to), part(state, symbol, offset, count)?, row(count), kind, on, when);
    cudaMemset cudaMemsetAsync cudaMemset_ptds cudaMemsetAsync_ptsz (to: Handle, value: i32, count: usize)
        |state, on, _when| fill(state, Rows::flat(to), row(count), value.cast_unsigned(), 1, on);
    cudaMemset2D cudaMemset2DAsync cudaMemset2D_ptds cudaMemset2DAsync_ptsz
        (to: Handle, pitch: usize, value: i32, width: usize, height: usize)
        |state, on, _when| fill(state, Rows { start: to, pitch }, Sizes { width, height }, value.cast_unsigned(), 1, on);
    cudaMemset3D cudaMemset3DAsync cudaMemset3D_ptds cudaMemset3DAsync_ptsz (all: Pitched, value: i32, extent: Extent)
        |state, on, _when| fill_3d(state, all, value, extent, on);
}

/// There is one device, so a copy between peers is one within it.
fn peer(state: &State, to: Handle, from: *const c_void, count: usize, devices: (i32, i32), on: Id) -> Result<()> {
    if devices != (0, 0) {
        return Err(cuda::INVALID_DEVICE);
    }
    copy(state, Rows::flat(to), Rows::flat(from), row(count), DEVICE_TO_DEVICE, on, Wait::No)
}

calls! {
    cudaMemcpyPeer(to: Handle, to_device: i32, from: *const c_void, from_device: i32, count: usize)
        |state| peer(state, to, from, count, (to_device, from_device), cuda::DEFAULT_STREAM);
    cudaMemcpyPeerAsync(to: Handle, to_device: i32, from: *const c_void, from_device: i32, count: usize, on: Handle)
        |state| peer(state, to, from, count, (to_device, from_device), stream(state, on)?);
    cudaGetSymbolAddress(to: *mut Handle, symbol: *const c_void)
        |state| crate::c::put(to, part(state, symbol, 0, 0)?.start);
    cudaGetSymbolSize(to: *mut usize, symbol: *const c_void)
        |_state| crate::c::put(to, variable(symbol)?.size as usize);
}
