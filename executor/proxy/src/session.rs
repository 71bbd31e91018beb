//! One worker: its messages, in order, to the device.

use crate::answers::{Answers, Reply, Unsent};
use crate::backend::{Backend, Memory, Outcome};
use crate::held::Held;
use crate::journal::{Journal, launched};
use crate::spare::Copied;
use crate::turns::{Activity, Seat};
use ring::{Body, Direction, Error, Interrupt, Partial, Receiver, Region, Sender};
use rustc_hash::{FxHashMap, FxHashSet};
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use wire::{Call, Id, Op, Request, When};

/// The longest message that a worker may send in pieces: program binaries and images, not buffers.
const BODY_MAX: u64 = 1 << 32;

/// One worker's connection and state. It lives in a thread of its own.
pub struct Session {
    pub(crate) region: Arc<Region>,
    receiver: Receiver,
    answers: Arc<Answers>,
    pub(crate) backend: Box<dyn Backend>,
    pub(crate) journal: Journal,
    pub(crate) held: Held,
    /// Ids in use: a worker that makes an object under a name that it has used would confuse a restore.
    live: FxHashSet<Id>,
    /// Reads that were complete at a checkpoint and of which the worker has not been told.
    untold: Arc<Mutex<Vec<u64>>>,
    /// Bytes of device memory under each of its objects.
    pub(crate) sizes: FxHashMap<Id, u64>,
    /// Contents as they were when they were moved to the host last. While `away`, those are all there is.
    pub(crate) copies: BTreeMap<Id, Arc<Copied>>,
    pub(crate) away: Option<Vec<Memory>>,
    activity: Arc<Activity>,
    /// Last, so that what it gives back is free.
    pub(crate) seat: Option<Seat>,
}

/// Something for a session's own thread to do between two messages.
pub type Task = Box<dyn FnOnce(&mut Session) -> After + Send>;

/// What a session does after a [`Task`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// Goes on.
    Continue,
    /// Ends, and frees everything.
    End,
}

/// A handle on a running session.
#[derive(Clone)]
pub struct Remote {
    tasks: mpsc::Sender<Task>,
    interrupt: Interrupt,
}

impl Remote {
    /// Hands over something to do. False if the session has ended.
    pub fn run(&self, task: Task) -> bool {
        let sent = self.tasks.send(task).is_ok();
        self.interrupt.raise();
        sent
    }
}

impl Session {
    /// Takes the ring up where it stands.
    pub fn new(region: Region, backend: Box<dyn Backend>) -> Session {
        Session::resume(region, backend, None, Vec::new(), Vec::new())
    }

    /// The same, at a device that it shares with others.
    pub fn seated(mut self, seat: Option<Seat>) -> Session {
        self.activity = seat.as_ref().map_or_else(Arc::default, Seat::activity);
        self.answers.set_activity(self.activity.clone());
        self.seat = seat;
        self
    }

    /// Takes the ring up with what a checkpoint knows beside it.
    pub(crate) fn resume(
        region: Region,
        backend: Box<dyn Backend>,
        partial: Option<Partial>,
        unsent: Vec<Unsent>,
        untold: Vec<u64>,
    ) -> Session {
        let region = Arc::new(region);
        let mut receiver = Receiver::new(region.clone(), Direction::Requests, BODY_MAX);
        receiver.set_partial(partial);
        let answers = Answers::start(Sender::new(region.clone(), Direction::Responses), unsent);
        let untold = Arc::new(Mutex::new(untold));
        let (carried, finished) = (untold.clone(), backend.news());
        answers.set_probe(Box::new(move || {
            let mut news = finished();
            news.reads.append(&mut carried.lock().unwrap_or_else(PoisonError::into_inner));
            news
        }));
        Session {
            region,
            receiver,
            answers,
            backend,
            journal: Journal::default(),
            held: Held::default(),
            live: FxHashSet::default(),
            untold,
            sizes: FxHashMap::default(),
            copies: BTreeMap::new(),
            away: None,
            activity: Arc::default(),
            seat: None,
        }
    }

    /// Tells the worker that it is served, and serves it until it or a task ends it. Returns why.
    pub fn serve(mut self, ready: impl FnOnce(Remote)) -> Result<(), Error> {
        let (sender, tasks) = mpsc::channel();
        let interrupt = self.receiver.interrupt();
        let remote = Remote { tasks: sender, interrupt: interrupt.clone() };
        self.seat.iter().for_each(|seat| seat.set_remote(remote.clone()));
        ready(remote);
        self.region.attach();
        loop {
            // A message is taken when it can be carried out: until then it belongs to the ring, and so to a checkpoint.
            let may = self.seat.as_ref().is_none_or(Seat::is_mine);
            let received = if may { self.receiver.recv(&|| true).map(Some) } else { self.receiver.ready().map(|()| None) };
            match received {
                Ok(Some(message)) => self.message(&message.head, message.body)?,
                Ok(None) => {
                    if self.wait_for_turn(&tasks) == After::End {
                        return Ok(());
                    }
                }
                Err(Error::Interrupted) => {
                    // Cleared first: a task that comes now raises it again.
                    interrupt.clear();
                    while let Ok(task) = tasks.try_recv() {
                        if task(&mut self) == After::End {
                            return Ok(());
                        }
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn message(&mut self, head: &[u8], body: Body) -> Result<(), Error> {
        let call: Call = wire::decode(head).map_err(|malformed| Error::Corrupt {
            what: "message",
            got: head.len() as u64,
            expected: malformed.to_string(),
        })?;
        self.activity.messages.fetch_add(1, Ordering::Relaxed);
        self.activity.open.fetch_add(i64::from(call.number != 0), Ordering::Relaxed);
        self.accept(call, body);
        Ok(())
    }

    /// Waits until it may use the device, and has its contents there again. Others' tasks come first.
    fn wait_for_turn(&mut self, tasks: &mpsc::Receiver<Task>) -> After {
        let mine = |session: &Session| session.seat.as_ref().is_none_or(Seat::is_mine);
        self.seat.iter().for_each(Seat::ask);
        while !mine(self) {
            let after = tasks.recv().map_or(After::End, |task| task(self));
            if after == After::End {
                return After::End;
            }
        }
        match self.return_to_device() {
            Ok(()) => After::Continue,
            Err(error) => {
                eprintln!("orrery proxy: {}: a worker's contents cannot come back: {error}", self.region.path().display());
                After::End
            }
        }
    }

    /// Carries a call out, or keeps it until the program sets the event that it waits for.
    pub(crate) fn accept(&mut self, call: Call, body: Body) {
        if self.held.must_wait(&call.request) {
            return self.hold(call, body);
        }
        if let Some((code, data)) = self.held.answer(&call.request) {
            return self.reply(&call).send(code, &data);
        }
        let sets_event = matches!(call.request, Request::SetUserEvent { .. });
        self.carry_out(call, body);
        if sets_event {
            for (call, body) in self.held.take() {
                if self.held.must_wait(&call.request) {
                    self.held.hold(call, body);
                } else {
                    self.carry_out_held(call, body);
                }
            }
        }
    }

    /// A launch that is held keeps the arguments of its time; the kernel's later ones must not show in it.
    fn hold(&mut self, mut call: Call, body: Body) {
        let kernel = launched(&call.request);
        if kernel.is_some() {
            self.journal.record(&call.request, Vec::new());
        }
        if let (Some(kernel), Request::Enqueue { op: Op::Kernel { args, .. }, .. }) = (kernel, &mut call.request) {
            *args = self.journal.args(kernel);
        }
        // The program must go on, or it could never set its event. Should the command turn out wrong, its event will say so.
        if matches!(call.request, Request::Enqueue { when: When::Queued, .. }) {
            self.reply(&call).send(0, &[]);
            call.number = 0;
        }
        self.held.hold(call, body.into_vec());
    }

    fn carry_out_held(&mut self, call: Call, body: Vec<u8>) {
        let Some(kernel) = launched(&call.request) else { return self.carry_out(call, Body::Heap(body)) };
        let later = self.journal.args(kernel);
        self.carry_out(call, Body::Heap(body));
        for (index, arg) in later {
            self.carry_out(Call { number: 0, request: Request::SetArg { kernel, index, arg } }, Body::Empty);
        }
    }

    fn carry_out(&mut self, call: Call, body: Body) {
        let reply = self.reply(&call);
        if !self.fresh(&call.request) {
            return reply.send(wire::cl::INVALID_VALUE, &[]);
        }
        let kept = if Journal::keeps_body(&call.request) { body.to_vec() } else { Vec::new() };
        let outcome = self.give(&call.request, body, &reply);
        // A build that failed is state, too: the program can ask for its log.
        if matches!(outcome, Outcome::Later | Outcome::Now(0, _))
            || matches!(call.request, Request::Build { .. } | Request::Compile { .. })
        {
            self.note(&call.request, kept);
        }
        if let Outcome::Now(code, data) = outcome {
            reply.send(code, &self.as_shared(&call.request, data));
        }
    }

    fn fresh(&self, request: &Request) -> bool {
        match request.effect() {
            wire::Effect::Create { ids, .. } => ids.iter().all(|id| *id >= wire::FIRST && !self.live.contains(id)),
            wire::Effect::Command { event, .. } => event == 0 || (event >= wire::FIRST && !self.live.contains(&event)),
            _ => true,
        }
    }

    fn note_ids(&mut self, request: &Request) {
        match request.effect() {
            wire::Effect::Create { ids, .. } => self.live.extend(ids),
            wire::Effect::Command { event, .. } if event != 0 => drop(self.live.insert(event)),
            wire::Effect::Release(id) => {
                self.live.remove(&id);
                self.forget(id);
            }
            _ => {}
        }
    }

    fn reply(&self, call: &Call) -> Reply {
        Reply::new(call.number, self.answers.clone())
    }

    /// For what nobody is told of.
    pub(crate) fn silent(&self) -> Reply {
        Reply::new(0, self.answers.clone())
    }

    /// For a checkpoint, when the worker stands still and the device has nothing to do: what is on the way in each direction.
    pub(crate) fn in_flight(&self) -> (Option<Partial>, Vec<Unsent>) {
        (self.receiver.partial().cloned(), self.answers.unsent())
    }

    /// Reads that are complete and of which the worker has not been told. They will be told with the next answer.
    pub(crate) fn untold_reads(&self) -> Vec<u64> {
        let mut untold = self.untold.lock().unwrap_or_else(PoisonError::into_inner);
        untold.extend((self.backend.news())().reads);
        untold.clone()
    }

    /// Carries a request of a checkpoint out again. OpenCL's error code.
    pub(crate) fn replay(&mut self, request: &Request, body: Vec<u8>) -> i32 {
        let kept = if Journal::keeps_body(request) { body.clone() } else { Vec::new() };
        let outcome = self.give(request, Body::Heap(body), &self.silent());
        let code = if let Outcome::Now(code, _) = outcome { code } else { 0 };
        if code == 0 || matches!(request, Request::Build { .. } | Request::Compile { .. }) {
            self.note(request, kept);
        }
        code
    }

    fn note(&mut self, request: &Request, body: Vec<u8>) {
        self.held.observe(request);
        self.note_ids(request);
        self.journal.record(request, body);
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.answers.stop();
    }
}
