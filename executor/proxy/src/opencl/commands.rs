//! Queues: commands, and waiting for them.

use super::OpenCl;
use super::completion::{Gathering, status, when_over};
use super::raw::{Handle, Object, call, check, query};
use crate::answers::Reply;
use crate::backend::{Outcome, PastEvent};
use ring::{Body, Region};
use std::ptr::{null, null_mut};
use std::sync::atomic::Ordering;
use wire::{Id, Op, Stage, When, cl};

type Result<T> = std::result::Result<T, i32>;

/// A body up to this length is copied out of the ring at once, so that its space goes back before the device has run.
const SMALL: usize = 16 << 10;

/// The events that a command waits for.
pub(super) struct Waits {
    handles: Vec<Handle>,
    /// One of them is over and has failed.
    failed: bool,
}

impl Waits {
    pub(super) fn list(&self) -> (u32, *const Handle) {
        (self.handles.len() as u32, if self.handles.is_empty() { null() } else { self.handles.as_ptr() })
    }
}

/// What commands of all kinds are given to a queue with.
pub(super) struct Command<'a> {
    pub(super) queue: Handle,
    pub(super) body: &'a Body,
    pub(super) waits: &'a Waits,
    pub(super) region: &'a Region,
    /// Where the event goes; null: none is wanted.
    pub(super) out: *mut Handle,
}

impl OpenCl {
    #[allow(clippy::too_many_arguments, reason = "the fields of one message")]
    pub(super) fn enqueue(
        &mut self,
        queue_id: Id,
        wait: &[Id],
        event_id: Id,
        when: When,
        op: &Op,
        body: Body,
        region: &Region,
        reply: &Reply,
    ) -> Outcome {
        let body = if matches!(body, Body::Queue(_)) && body.len() <= SMALL { Body::Heap(body.to_vec()) } else { body };
        match self.try_enqueue(queue_id, wait, event_id, when, op, body, region, reply) {
            Ok(true) => Outcome::Later,
            Ok(false) => Outcome::Now(0, Vec::new()),
            Err(code) if reply.wanted() => Outcome::Now(code, Vec::new()),
            Err(code) => {
                // The program has gone on. It learns of it from the event, and when it finishes the queue.
                if let Some(Object::Queue { late, .. }) = self.objects.get(&queue_id) {
                    let _ = late.compare_exchange(0, code, Ordering::SeqCst, Ordering::SeqCst);
                }
                if event_id != 0 {
                    self.objects.insert(event_id, Object::Past { status: code, times: Vec::new() });
                }
                Outcome::Now(0, Vec::new())
            }
        }
    }

    /// True: the completion answers.
    #[allow(clippy::too_many_arguments, reason = "the fields of one message")]
    fn try_enqueue(
        &mut self,
        queue_id: Id,
        wait: &[Id],
        event_id: Id,
        when: When,
        op: &Op,
        body: Body,
        region: &Region,
        reply: &Reply,
    ) -> Result<bool> {
        let queue = self.queue(queue_id)?;
        let waits = self.waits(wait)?;
        if waits.failed {
            return Err(cl::EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST);
        }
        let stage = staged(op);
        let answers_later = when == When::Complete && reply.wanted();
        let mut event = Handle::default();
        let wanted = event_id != 0 || stage.is_some() || answers_later || !body.is_empty();
        let out = if wanted { &raw mut event } else { null_mut() };
        check(self.give(op, &Command { queue, body: &body, waits: &waits, region, out })?)?;
        if event_id != 0 {
            self.retain(event);
            self.objects.insert(event_id, Object::Event { handle: event, queue });
            self.retain(event);
            self.watched.event(event_id, event);
        }
        if let Some(stage) = stage {
            self.retain(event);
            self.watched.read(stage.ticket, event);
        }
        let api = self.api();
        let must_flush = answers_later || matches!(body, Body::Queue(_));
        if answers_later || !body.is_empty() {
            let waiter = answers_later.then(|| Gathering::new(1, reply.clone(), false));
            when_over(&api, &self.outstanding, event, cl::COMPLETE, waiter, body)?;
        } else if wanted {
            let _ = call!(api, clReleaseEvent(event));
        }
        if must_flush {
            let _ = call!(api, clFlush(queue));
        }
        Ok(answers_later)
    }

    fn retain(&self, event: Handle) {
        let _ = call!(self.device.api, clRetainEvent(event));
    }

    fn waits(&self, ids: &[Id]) -> Result<Waits> {
        let mut waits = Waits { handles: Vec::with_capacity(ids.len()), failed: false };
        for id in ids {
            match self.objects.get(id) {
                Some(Object::Event { handle, .. }) => waits.handles.push(*handle),
                Some(Object::Past { status, .. }) => waits.failed |= *status < 0,
                _ => return Err(cl::INVALID_EVENT_WAIT_LIST),
            }
        }
        Ok(waits)
    }

    fn give(&mut self, op: &Op, command: &Command<'_>) -> Result<i32> {
        let &Command { queue, waits, out, .. } = command;
        let (api, (n, list)) = (self.api(), waits.list());
        match op {
            Op::Kernel { kernel, args, offset, global, local } => {
                let kernel = self.kernel(*kernel)?;
                for (index, arg) in args {
                    self.set_arg(kernel, *index, arg)?;
                }
                if global.is_empty() {
                    return call!(api, clEnqueueTask(queue, kernel, n, list, out));
                }
                let dims = global.len();
                let sizes = |list: &[u64]| list.iter().map(|n| *n as usize).collect::<Vec<usize>>();
                let (offset, global, local) = (sizes(offset), sizes(global), sizes(local));
                if [&offset, &local].iter().any(|list| !list.is_empty() && list.len() != dims) {
                    return Err(cl::INVALID_WORK_DIMENSION);
                }
                let or_null = |list: &Vec<usize>| if list.is_empty() { null() } else { list.as_ptr() };
                let (o, g, l) = (or_null(&offset), global.as_ptr(), or_null(&local));
                call!(api, clEnqueueNDRangeKernel(queue, kernel, dims as u32, o, g, l, n, list, out))
            }
            Op::Marker => call!(api, clEnqueueMarkerWithWaitList(queue, n, list, out)),
            Op::Barrier => call!(api, clEnqueueBarrierWithWaitList(queue, n, list, out)),
            Op::Migrate { mems, flags } => {
                let mems: Vec<Handle> = mems.iter().map(|id| Ok(self.mem(*id)?.handle)).collect::<Result<_>>()?;
                call!(api, clEnqueueMigrateMemObjects(queue, mems.len() as u32, mems.as_ptr(), *flags, n, list, out))
            }
            Op::ReadBuffer { .. } | Op::WriteBuffer { .. } | Op::ReadRect { .. } | Op::WriteRect { .. } => {
                self.move_buffer(op, command)
            }
            Op::CopyBuffer { .. } | Op::CopyRect { .. } | Op::FillBuffer { .. } => self.work_on_buffer(op, command),
            _ => self.image_command(op, command),
        }
    }

    pub(super) fn flush(&self, queue: Id) -> Result<Vec<u8>> {
        check(call!(self.device.api, clFlush(self.queue(queue)?))?).map(|()| Vec::new())
    }

    /// Answered by the runtime's callback for a marker, so that this thread never waits.
    pub(super) fn finish(&mut self, id: Id, reply: &Reply) -> Outcome {
        let late = match self.objects.get(&id) {
            Some(Object::Queue { late, .. }) => late.swap(0, Ordering::SeqCst),
            _ => cl::INVALID_COMMAND_QUEUE,
        };
        let result = if late != 0 { Err(late) } else { self.queue(id).and_then(|queue| self.mark_end(queue, Some(reply))) };
        match result {
            Ok(()) => Outcome::Later,
            Err(code) => Outcome::Now(code, Vec::new()),
        }
    }

    /// Has the runtime call back, and whoever waits be answered, when all that the queue has now is over.
    pub(super) fn mark_end(&self, queue: Handle, reply: Option<&Reply>) -> Result<()> {
        let (api, mut event) = (self.api(), Handle::default());
        check(call!(api, clEnqueueMarkerWithWaitList(queue, 0, null(), &mut event))?)?;
        // Told by its status, so that failed commands do not fail the finish: they have their own events.
        let waiter = reply.map(|reply| Gathering::new(1, reply.clone(), true));
        when_over(&api, &self.outstanding, event, cl::COMPLETE, waiter, Body::Empty)?;
        check(call!(api, clFlush(queue))?)
    }

    pub(super) fn wait(&mut self, ids: &[Id], reply: &Reply) -> Outcome {
        let waits = match self.waits(ids) {
            Ok(waits) => waits,
            Err(_) => return Outcome::Now(cl::INVALID_EVENT, Vec::new()),
        };
        if waits.handles.is_empty() || waits.failed {
            let code = if waits.failed { cl::EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST } else { 0 };
            return Outcome::Now(code, Vec::new());
        }
        self.gather(ids, waits.handles, cl::COMPLETE, reply, false)
    }

    pub(super) fn reached(&mut self, id: Id, at: i32, reply: &Reply) -> Outcome {
        match self.objects.get(&id) {
            Some(Object::Event { handle, .. }) => self.gather(&[id], vec![*handle], at, reply, true),
            Some(Object::Past { status, .. }) => Outcome::Now(*status, Vec::new()),
            _ => Outcome::Now(cl::INVALID_EVENT, Vec::new()),
        }
    }

    fn gather(&self, ids: &[Id], handles: Vec<Handle>, at: i32, reply: &Reply, tell_status: bool) -> Outcome {
        let api = self.api();
        // Waiting for an event implies that its queue is flushed.
        let mut queues: Vec<Handle> = Vec::new();
        for id in ids {
            if let Some(Object::Event { queue, .. }) = self.objects.get(id)
                && queue.0 != 0
                && !queues.contains(queue)
            {
                queues.push(*queue);
            }
        }
        let gathering = Gathering::new(handles.len(), reply.clone(), tell_status);
        for handle in handles {
            self.retain(handle);
            // A refused callback counts as over: the answer must come.
            let _ = when_over(&api, &self.outstanding, handle, at, Some(gathering.clone()), Body::Empty);
        }
        for queue in queues {
            let _ = call!(api, clFlush(queue));
        }
        Outcome::Later
    }

    pub(super) fn past_event(&self, id: Id, object: &Object) -> Option<PastEvent> {
        match object {
            Object::Past { status, times } => Some(PastEvent { id, status: *status, times: times.clone() }),
            Object::Event { handle, queue } if queue.0 != 0 => {
                let api = &self.device.api;
                let time = |param| query(|n, to, len| call!(api, clGetEventProfilingInfo(*handle, param, n, to, len))).ok();
                let times: Option<Vec<u64>> = (cl::PROFILING_COMMAND_QUEUED..cl::PROFILING_COMMAND_QUEUED + 5)
                    .map(|param| time(param)?.first_chunk::<8>().map(|bytes| u64::from_ne_bytes(*bytes)))
                    .collect();
                Some(PastEvent { id, status: status(api, *handle).unwrap_or(0), times: times.unwrap_or_default() })
            }
            _ => None,
        }
    }
}

fn staged(op: &Op) -> Option<Stage> {
    match op {
        Op::ReadBuffer { stage, .. } | Op::ReadRect { stage, .. } | Op::ReadImage { stage, .. } => Some(*stage),
        _ => None,
    }
}
