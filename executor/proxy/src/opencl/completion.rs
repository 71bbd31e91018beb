//! What happens when a command ends: the runtime calls, and whoever waits is told.

use super::api::Api;
use super::raw::{Handle, call, check, query};
use crate::answers::Reply;
use crate::backend::News;
use ring::Body;
use std::collections::BTreeMap;
use std::ffi::c_void;
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use wire::{Id, cl};

/// How many completions the runtime still owes.
#[derive(Default)]
pub(crate) struct Outstanding {
    count: Mutex<usize>,
    none: Condvar,
}

impl Outstanding {
    fn add(&self) {
        *self.count.lock().unwrap_or_else(PoisonError::into_inner) += 1;
    }

    fn done(&self) {
        let mut count = self.count.lock().unwrap_or_else(PoisonError::into_inner);
        *count -= 1;
        if *count == 0 {
            self.none.notify_all();
        }
    }

    /// Waits until the runtime has called back for every command. False: it has not, for so long.
    pub(crate) fn wait_for_none(&self, patience: Duration) -> bool {
        let count = self.count.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.none.wait_timeout_while(count, patience, |count| *count > 0);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }
}

/// How many events are looked at for one answer.
const LOOKS_MAX: usize = 32;

/// Commands of whose end the worker is to be told with the next answer.
pub(crate) struct Watched {
    api: Arc<Api>,
    pending: Mutex<Pending>,
}

#[derive(Default)]
struct Pending {
    /// Reads whose data is not yet in the staging area, by ticket.
    reads: Vec<(u64, Handle)>,
    /// Events that the program holds, oldest first.
    events: BTreeMap<Id, Handle>,
}

impl Watched {
    pub(crate) fn new(api: Arc<Api>) -> Watched {
        Watched { api, pending: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Watches a read. Takes over one reference to the event.
    pub(crate) fn read(&self, ticket: u64, event: Handle) {
        self.lock().reads.push((ticket, event));
    }

    /// Watches an event. Takes over one reference to it.
    pub(crate) fn event(&self, id: Id, event: Handle) {
        self.lock().events.insert(id, event);
    }

    /// The program does not want to know any more.
    pub(crate) fn forget(&self, id: Id) {
        if let Some(event) = self.lock().events.remove(&id) {
            let _ = call!(self.api, clReleaseEvent(event));
        }
    }

    /// What has ended since. A read that failed is over, too: its event says so.
    pub(crate) fn news(&self) -> News {
        let mut pending = self.lock();
        let mut news = News::default();
        let over = |event: Handle| status(&self.api, event).filter(|status| *status <= cl::COMPLETE);
        pending.reads.retain(|(ticket, event)| {
            let over = over(*event).is_some();
            if over {
                news.reads.push(*ticket);
                let _ = call!(self.api, clReleaseEvent(*event));
            }
            !over
        });
        let looked_at = pending.events.iter().take(LOOKS_MAX);
        news.events = looked_at.filter_map(|(id, event)| Some((*id, over(*event)?))).collect();
        for (id, _) in &news.events {
            if let Some(event) = pending.events.remove(id) {
                let _ = call!(self.api, clReleaseEvent(event));
            }
        }
        news
    }

    pub(crate) fn clear(&self) {
        let pending = std::mem::take(&mut *self.lock());
        for event in pending.reads.into_iter().map(|(_, event)| event).chain(pending.events.into_values()) {
            let _ = call!(self.api, clReleaseEvent(event));
        }
    }
}

/// A command's execution status.
pub(crate) fn status(api: &Api, event: Handle) -> Option<i32> {
    let data = query(|n, to, len| call!(api, clGetEventInfo(event, cl::EVENT_COMMAND_EXECUTION_STATUS, n, to, len))).ok()?;
    data.first_chunk::<4>().map(|bytes| i32::from_ne_bytes(*bytes))
}

/// Who waits for how many events, and what it is told when the last one is over.
pub(crate) struct Gathering {
    left: AtomicUsize,
    failed: AtomicI32,
    reply: Reply,
    /// Answer with the status that was reached rather than with success or failure.
    tell_status: bool,
}

impl Gathering {
    pub(crate) fn new(events: usize, reply: Reply, tell_status: bool) -> Arc<Gathering> {
        Arc::new(Gathering { left: AtomicUsize::new(events), failed: AtomicI32::new(0), reply, tell_status })
    }

    fn one_over(&self, status: i32) {
        if status < 0 {
            self.failed.store(status, Ordering::SeqCst);
        }
        if self.left.fetch_sub(1, Ordering::SeqCst) == 1 {
            let failed = self.failed.load(Ordering::SeqCst);
            let code = match failed {
                _ if self.tell_status => status,
                0 => 0,
                _ => cl::EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST,
            };
            self.reply.send(code, &[]);
        }
    }
}

/// What the runtime's callback gets.
struct Completion {
    api: Arc<Api>,
    event: Handle,
    waiter: Option<Arc<Gathering>>,
    /// Read by the device until now.
    body: Body,
    outstanding: Arc<Outstanding>,
}

impl Completion {
    fn over(self, status: i32) {
        let Completion { api, event, waiter, body, outstanding } = self;
        drop(body);
        if let Some(waiter) = waiter {
            waiter.one_over(status);
        }
        let _ = call!(api, clReleaseEvent(event));
        outstanding.done();
    }
}

/// Keeps `body` until `event` has reached `at`, then tells the waiter. Takes over one reference to the event.
pub(crate) fn when_over(
    api: &Arc<Api>,
    outstanding: &Arc<Outstanding>,
    event: Handle,
    at: i32,
    waiter: Option<Arc<Gathering>>,
    body: Body,
) -> Result<(), i32> {
    outstanding.add();
    let completion = Box::new(Completion { api: api.clone(), event, waiter, body, outstanding: outstanding.clone() });
    let data = Box::into_raw(completion).cast::<c_void>();
    let result = call!(api, clSetEventCallback(event, at, over, data)).and_then(check);
    if result.is_err() {
        // SAFETY: the runtime refused the callback, so this is the only owner.
        let completion = unsafe { Box::from_raw(data.cast::<Completion>()) };
        completion.over(cl::INVALID_EVENT);
    }
    result
}

/// Called by the runtime, from a thread of its own.
unsafe extern "C" fn over(_event: Handle, status: i32, data: *mut c_void) {
    // SAFETY: `data` is the box that `when_over` gave away, and the runtime calls once.
    let completion = unsafe { Box::from_raw(data.cast::<Completion>()) };
    completion.over(status);
}
