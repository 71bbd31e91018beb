//! Streams and events.

use crate::c::{Handle, Result, put, put_if};
use crate::state::{State, lock};
use std::ffi::c_void;
use wire::Id;
use wire::cuda::{self, Call, Work};

/// The program's names for the default stream: none, the one of all threads, this thread's own. All are one here, which only
/// orders more than they promise.
const DEFAULTS: std::ops::RangeInclusive<usize> = 0..=2;

/// The stream behind a handle.
pub(crate) fn stream(state: &State, handle: Handle) -> Result<Id> {
    if DEFAULTS.contains(&handle.addr()) {
        return Ok(cuda::DEFAULT_STREAM);
    }
    let id = handle.addr() as Id;
    if lock(&state.streams).contains_key(&id) { Ok(id) } else { Err(cuda::INVALID_HANDLE) }
}

fn event(state: &State, handle: Handle) -> Result<(Id, bool)> {
    let id = handle.addr() as Id;
    let events = lock(&state.events);
    events.get(&id).map(|(_, recorded)| (id, *recorded)).ok_or(cuda::INVALID_HANDLE)
}

/// A handle is the name itself: it means the same after a restore.
pub(crate) fn handle(id: Id) -> Handle {
    std::ptr::without_provenance_mut(id as usize)
}

pub(crate) fn create_stream(state: &State, to: *mut Handle, flags: u32, priority: i32) -> Result<()> {
    let id = state.new_id();
    put(to, handle(id))?;
    state.post(Call::Stream { id, space: state.space, flags, priority }, &[])?;
    lock(&state.streams).insert(id, (flags, priority));
    Ok(())
}

pub(crate) fn create_event(state: &State, to: *mut Handle, flags: u32) -> Result<()> {
    let id = state.new_id();
    put(to, handle(id))?;
    state.post(Call::Event { id, space: state.space, flags }, &[])?;
    lock(&state.events).insert(id, (flags, false));
    Ok(())
}

pub(crate) fn destroy_stream(state: &State, handle: Handle) -> Result<()> {
    let id = stream(state, handle)?;
    lock(&state.streams).remove(&id).ok_or(cuda::INVALID_HANDLE)?;
    state.release(id)
}

pub(crate) fn destroy_event(state: &State, handle: Handle) -> Result<()> {
    let (id, _) = event(state, handle)?;
    lock(&state.events).remove(&id);
    state.release(id)
}

pub(crate) fn record(state: &State, handle: Handle, on: Handle) -> Result<()> {
    let ((id, _), stream) = (event(state, handle)?, stream(state, on)?);
    state.post(Call::Command { stream, work: Work::Record { event: id } }, &[])?;
    if let Some(entry) = lock(&state.events).get_mut(&id) {
        entry.1 = true;
    }
    Ok(())
}

pub(crate) fn wait_event(state: &State, on: Handle, handle: Handle) -> Result<()> {
    let (stream, (id, recorded)) = (stream(state, on)?, event(state, handle)?);
    // An event that was never recorded holds nobody up.
    if recorded { state.post(Call::Command { stream, work: Work::Wait { event: id } }, &[]) } else { Ok(()) }
}

pub(crate) fn wait_for_stream(state: &State, handle: Handle) -> Result<()> {
    state.synchronize(stream(state, handle)?)
}

pub(crate) fn wait_for_event(state: &State, handle: Handle) -> Result<()> {
    let (id, recorded) = event(state, handle)?;
    if recorded { state.synchronize(id) } else { Ok(()) }
}

pub(crate) fn query_stream(state: &State, handle: Handle) -> Result<()> {
    state.ask(Call::Query { id: stream(state, handle)? }, &[]).map(drop)
}

pub(crate) fn query_event(state: &State, handle: Handle) -> Result<()> {
    let (id, recorded) = event(state, handle)?;
    if recorded { state.ask(Call::Query { id }, &[]).map(drop) } else { Ok(()) }
}

/// Milliseconds between two events.
pub(crate) fn elapsed(state: &State, to: *mut f32, from: Handle, until: Handle) -> Result<()> {
    const NO_TIMES: u32 = 2;
    let ((first, a), (last, b)) = (event(state, from)?, event(state, until)?);
    let untimed = [first, last].iter().any(|id| lock(&state.events).get(id).is_some_and(|entry| entry.0 & NO_TIMES != 0));
    if !a || !b || untimed {
        return Err(cuda::INVALID_HANDLE);
    }
    let answer = state.ask(Call::Elapsed { from: first, to: last }, &[])?;
    put(to, answer.first_chunk::<4>().map_or(0.0, |bytes| f32::from_ne_bytes(*bytes)))
}

/// Functions of the program's are called from the calling thread once everything before them in the stream is over: what
/// CUDA orders after them is then after them. One that waits for what its own thread does later would wait for ever.
pub(crate) fn call_host(state: &State, on: Handle, function: extern "C" fn(*mut c_void), data: *mut c_void) -> Result<()> {
    wait_for_stream(state, on)?;
    function(data);
    Ok(())
}

macro_rules! calls {
    ($($name:ident($($arg:ident: $type:ty),*) |$state:ident| $body:expr;)*) => { $(
        /// # Safety
        /// As CUDA's documentation has it.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name($($arg: $type),*) -> i32 {
            $crate::state::api(|$state| $body)
        }
    )* };
}
pub(crate) use calls;

calls! {
    cudaStreamCreate(to: *mut Handle) |state| create_stream(state, to, 0, 0);
    cudaStreamCreateWithFlags(to: *mut Handle, flags: u32) |state| create_stream(state, to, flags, 0);
    cudaStreamCreateWithPriority(to: *mut Handle, flags: u32, priority: i32) |state| create_stream(state, to, flags, priority);
    cudaStreamDestroy(stream: Handle) |state| destroy_stream(state, stream);
    cudaStreamSynchronize(stream: Handle) |state| wait_for_stream(state, stream);
    cudaStreamSynchronize_ptsz(stream: Handle) |state| wait_for_stream(state, stream);
    cudaStreamQuery(stream: Handle) |state| query_stream(state, stream);
    cudaStreamQuery_ptsz(stream: Handle) |state| query_stream(state, stream);
    cudaStreamWaitEvent(stream: Handle, event: Handle, _flags: u32) |state| wait_event(state, stream, event);
    cudaStreamWaitEvent_ptsz(stream: Handle, event: Handle, _flags: u32) |state| wait_event(state, stream, event);
    cudaStreamGetFlags(stream_: Handle, to: *mut u32) |state| {
        let id = stream(state, stream_)?;
        put(to, lock(&state.streams).get(&id).map_or(0, |entry| entry.0))
    };
    cudaStreamGetPriority(stream_: Handle, to: *mut i32) |state| {
        let id = stream(state, stream_)?;
        put(to, lock(&state.streams).get(&id).map_or(0, |entry| entry.1))
    };
    cudaStreamGetId(stream_: Handle, to: *mut u64) |state| put(to, stream(state, stream_)?);
    cudaStreamGetDevice(stream_: Handle, to: *mut i32) |state| stream(state, stream_).and_then(|_| put(to, 0));
    cudaStreamIsCapturing(stream_: Handle, to: *mut i32) |state| stream(state, stream_).and_then(|_| put(to, 0));
    cudaStreamIsCapturing_ptsz(stream_: Handle, to: *mut i32) |state| stream(state, stream_).and_then(|_| put(to, 0));
    cudaStreamGetCaptureInfo(stream_: Handle, status: *mut i32, id: *mut u64) |state| {
        stream(state, stream_)?;
        put_if(id, 0);
        put(status, 0)
    };
    cudaThreadExchangeStreamCaptureMode(_mode: *mut i32) |_state| Ok(());
    cudaStreamAttachMemAsync(stream_: Handle, _start: *mut c_void, _len: usize, _flags: u32) |state| {
        stream(state, stream_).and(Err(cuda::NOT_SUPPORTED))
    };
    cudaStreamAddCallback(stream: Handle, function: extern "C" fn(Handle, i32, *mut c_void), data: *mut c_void, _flags: u32)
        |state| {
            wait_for_stream(state, stream)?;
            function(stream, 0, data);
            Ok(())
        };
    cudaLaunchHostFunc(stream: Handle, function: extern "C" fn(*mut c_void), data: *mut c_void)
        |state| call_host(state, stream, function, data);
    cudaLaunchHostFunc_ptsz(stream: Handle, function: extern "C" fn(*mut c_void), data: *mut c_void)
        |state| call_host(state, stream, function, data);
    cudaEventCreate(to: *mut Handle) |state| create_event(state, to, 0);
    cudaEventCreateWithFlags(to: *mut Handle, flags: u32) |state| create_event(state, to, flags);
    cudaEventDestroy(event: Handle) |state| destroy_event(state, event);
    cudaEventRecord(event: Handle, stream: Handle) |state| record(state, event, stream);
    cudaEventRecord_ptsz(event: Handle, stream: Handle) |state| record(state, event, stream);
    cudaEventRecordWithFlags(event: Handle, stream: Handle, _flags: u32) |state| record(state, event, stream);
    cudaEventRecordWithFlags_ptsz(event: Handle, stream: Handle, _flags: u32) |state| record(state, event, stream);
    cudaEventSynchronize(event: Handle) |state| wait_for_event(state, event);
    cudaEventQuery(event: Handle) |state| query_event(state, event);
    cudaEventElapsedTime(to: *mut f32, from: Handle, until: Handle) |state| elapsed(state, to, from, until);
}
