//! The way back to the worker.

use crate::backend::News;
use crate::turns::Activity;
use ring::{Error, Sender};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use wire::Answer;

/// Takes answers from any thread, the device runtime's own among them, and never makes it wait: what does not fit into the
/// ring now is sent by a thread that exists for that. A worker that does not read its answers therefore holds up nobody else.
pub(crate) struct Answers {
    state: Mutex<State>,
    late: Condvar,
    stop: AtomicBool,
    thread: Mutex<Option<JoinHandle<()>>>,
    /// What has ended, asked when something is answered.
    probe: Mutex<Option<Box<dyn Fn() -> News + Send>>>,
    /// Whose answers these are.
    activity: Mutex<Arc<Activity>>,
}

struct State {
    sender: Sender,
    /// Not yet sent, oldest first; the first one perhaps in part.
    waiting: VecDeque<Unsent>,
}

/// An answer on its way: head and body, or what is left of them.
pub(crate) type Unsent = (Vec<u8>, Vec<u8>);

impl Answers {
    /// Starts the sending thread. `unsent`: answers that a checkpoint carried over.
    pub(crate) fn start(sender: Sender, unsent: Vec<Unsent>) -> Arc<Answers> {
        let state = Mutex::new(State { sender, waiting: unsent.into() });
        let answers = Arc::new(Answers {
            state,
            late: Condvar::new(),
            stop: AtomicBool::new(false),
            thread: Mutex::default(),
            probe: Mutex::new(None),
            activity: Mutex::default(),
        });
        let late = answers.clone();
        *answers.thread.lock().unwrap_or_else(PoisonError::into_inner) = Some(std::thread::spawn(move || late.send_late()));
        answers
    }

    /// Who is asked what has ended.
    pub(crate) fn set_probe(&self, probe: Box<dyn Fn() -> News + Send>) {
        *self.probe.lock().unwrap_or_else(PoisonError::into_inner) = Some(probe);
    }

    /// Where answers are counted.
    pub(crate) fn set_activity(&self, activity: Arc<Activity>) {
        *self.activity.lock().unwrap_or_else(PoisonError::into_inner) = activity;
    }

    /// Ends the sending thread. Nothing is sent any more.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
        drop(self.lock());
        self.late.notify_all();
        // It holds the ring, which must be free for another proxy when this returns.
        if let Some(thread) = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = thread.join();
        }
        *self.probe.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// What could not be sent yet, for a checkpoint: complete while the worker stands still and the device has nothing to do.
    pub(crate) fn unsent(&self) -> Vec<Unsent> {
        self.lock().waiting.iter().cloned().collect()
    }

    fn send(&self, number: u64, code: i32, data: &[u8]) {
        self.activity.lock().unwrap_or_else(PoisonError::into_inner).open.fetch_sub(1, Ordering::Relaxed);
        let News { reads, events } =
            self.probe.lock().unwrap_or_else(PoisonError::into_inner).as_ref().map_or_else(News::default, |probe| probe());
        let mut head = Vec::with_capacity(16);
        wire::encode(&Answer { number, code, reads, events }, &mut head);
        let mut state = self.lock();
        if state.waiting.is_empty() && !self.stop.load(Ordering::SeqCst) {
            let (mut head, mut body) = (&head[..], data);
            match state.sender.send_some(&mut head, &mut body, true) {
                Ok(false) => state.waiting.push_back((head.to_vec(), body.to_vec())),
                Ok(true) | Err(_) => return,
            }
        } else {
            state.waiting.push_back((head, data.to_vec()));
        }
        self.late.notify_all();
    }

    fn send_late(&self) {
        let mut state = self.lock();
        while !self.stop.load(Ordering::SeqCst) {
            let Some((head, body)) = state.waiting.pop_front() else {
                state = self.late.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let (mut head_left, mut body_left) = (&head[..], &body[..]);
            match state.sender.send_some(&mut head_left, &mut body_left, true) {
                Ok(true) => continue,
                Ok(false) => state.waiting.push_front((head_left.to_vec(), body_left.to_vec())),
                Err(_) => return,
            }
            // Without the lock, so that answers can queue up meanwhile.
            let space = state.sender.space();
            drop(state);
            let waited = space.wait(&|| !self.stop.load(Ordering::SeqCst));
            state = self.lock();
            if matches!(waited, Err(Error::Gone)) && self.stop.load(Ordering::SeqCst) {
                return;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The place for the answer to one call.
#[derive(Clone)]
pub struct Reply {
    number: u64,
    answers: Arc<Answers>,
}

impl Reply {
    pub(crate) fn new(number: u64, answers: Arc<Answers>) -> Reply {
        Reply { number, answers }
    }

    /// Whether the worker wants to know.
    pub fn wanted(&self) -> bool {
        self.number != 0
    }

    /// Answers, at once and without waiting, from any thread.
    pub fn send(&self, code: i32, data: &[u8]) {
        if self.wanted() {
            self.answers.send(self.number, code, data);
        }
    }
}
