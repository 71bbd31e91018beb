//! Blocking writes. OpenCL says only that their data has been taken when they return; runtimes have written it by then, and programs
//! count on that: they fill a buffer on a queue made for it and use it on another without waiting.
//!
//! As long as there is one queue, and it keeps the order, nobody can tell the difference and no write waits.

use crate::c::Result;
use crate::link::{Link, link};
use crate::object::Object;
use crate::queue::Queue;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use wire::{Id, Op, Request, When};

/// How many queues there are. Not in the state: one may go while an answer is taken in, and the state is locked then.
static QUEUES: AtomicUsize = AtomicUsize::new(0);
static STATE: Mutex<State> = Mutex::new(State { user_events: false, unsettled: None });

struct State {
    /// The program has made some: a queue may then hold commands that end only when it goes on.
    user_events: bool,
    /// The only queue, where it has a blocking write that may still be on its way.
    unsettled: Option<Id>,
}

impl State {
    fn settle(&mut self, link: &Link) {
        if let Some(queue) = self.unsettled.take() {
            let _ = reach_end(link, queue);
        }
    }
}

fn lock() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Waits until all that a queue has now is over. What it came to is for the program's own calls to learn.
///
/// # Errors
/// The proxy is gone.
pub(crate) fn reach_end(link: &Link, queue: Id) -> Result<()> {
    let end = Request::Enqueue { queue, wait: Vec::new(), event: 0, when: When::Complete, op: Op::Marker };
    link.ask(end, &[]).map(drop)
}

/// Before a queue is made: what was written is written before anything runs there.
pub(crate) fn queue_comes(link: &Link) {
    lock().settle(link);
    QUEUES.fetch_add(1, Ordering::SeqCst);
}

/// When the program gives up a queue, as long as it can still be waited for.
pub(crate) fn queue_released(link: &Link, id: Id) {
    let mut state = lock();
    if state.unsettled == Some(id) {
        state.settle(link);
    }
}

/// When a queue is gone, or was not to be made.
pub(crate) fn queue_goes() {
    QUEUES.fetch_sub(1, Ordering::SeqCst);
}

/// Before the first user event is made: from then on a queue's end could wait for the program itself.
pub(crate) fn user_event_comes(link: &Link) {
    let mut state = lock();
    state.settle(link);
    state.user_events = true;
}

/// Whether all that was given to a queue comes to its end without the program's doing.
pub(crate) fn ends_by_itself() -> bool {
    !lock().user_events
}

/// Gives a blocking write: `give` is told whether to see it to its end.
pub(crate) fn write(queue: &Object<Queue>, give: impl FnOnce(bool) -> Result<()>) -> Result<()> {
    let alone = || QUEUES.load(Ordering::SeqCst) == 1 && queue.data.in_order() && ends_by_itself();
    let wait = !alone();
    give(wait)?;
    if !wait {
        lock().unsettled = Some(queue.id);
        // Another thread has made a queue meanwhile.
        if !alone() {
            lock().settle(link()?);
        }
    }
    Ok(())
}
