//! The worker's side of the device: connection, errors, objects.

use crate::address::Addresses;
use crate::c::Result;
use link::{Link, link};
use rustc_hash::FxHashMap;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use wire::cuda::{self, Call, Properties};
use wire::{Id, Request};

/// Everything that the process has on the device.
pub(crate) struct State {
    link: &'static Link,
    pub(crate) properties: Properties,
    pub(crate) space: Id,
    addresses: Mutex<Addresses>,
    /// Flags and priorities.
    pub(crate) streams: Mutex<FxHashMap<Id, (u32, i32)>>,
    /// Flags, and whether it was recorded.
    pub(crate) events: Mutex<FxHashMap<Id, (u32, bool)>>,
    /// Host memory that the device may read and write late: start, and bytes.
    pub(crate) pinned: Mutex<BTreeMap<usize, usize>>,
    /// Reads into pinned memory were sent and nobody has waited since.
    pub(crate) reads_on_the_way: AtomicBool,
    /// Held while a command is given, which may take several messages: no other thread's command comes between them, on any stream,
    /// as streams wait for the default one and it for them.
    turn: Mutex<()>,
    /// The error that stays.
    sticky: AtomicI32,
}

static STATE: OnceLock<Result<State>> = OnceLock::new();

thread_local! {
    static LAST_ERROR: Cell<i32> = const { Cell::new(0) };
}

/// The state, made by the first call that needs it.
pub(crate) fn state() -> Result<&'static State> {
    let state = STATE.get_or_init(|| State::connect().inspect_err(|_| ())).as_ref().map_err(|code| *code)?;
    // A fork's child has no device: CUDA does not survive a fork either.
    if link().is_err() {
        return Err(cuda::NOT_INITIALIZED);
    }
    Ok(state)
}

/// Carries an API call out, and notes its error for this thread.
pub(crate) fn api(call: impl FnOnce(&'static State) -> Result<()>) -> i32 {
    noted(state().and_then(|state| {
        state.check()?;
        // As the real runtime does, for programs that use the driver's calls, too.
        crate::driver::have_context();
        call(state)
    }))
}

/// Notes an error for this thread.
pub(crate) fn noted(result: Result<()>) -> i32 {
    let code = result.err().unwrap_or(0);
    if code != 0 {
        LAST_ERROR.set(code);
    }
    code
}

/// This thread's last error; `reset`: it is forgotten, unless it is one that stays.
pub(crate) fn last_error(reset: bool) -> i32 {
    let sticky = STATE.get().and_then(|state| state.as_ref().ok()).map_or(0, |state| state.sticky.load(Ordering::Relaxed));
    let last = if reset { LAST_ERROR.replace(0) } else { LAST_ERROR.get() };
    if sticky != 0 { sticky } else { last }
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl State {
    fn connect() -> Result<State> {
        let link = link::connect(|_| ()).map_err(|sentence| {
            eprintln!("orrery: no CUDA device: {sentence}");
            cuda::NO_DEVICE
        })?;
        let ask = |call| match link.ask(Request::Cuda(call), &[]) {
            Ok((0, data)) => Ok(data),
            Ok((code, said)) => {
                eprintln!("orrery: no CUDA device: {}", String::from_utf8_lossy(&said));
                Err(if code > 0 { code } else { cuda::NO_DEVICE })
            }
            Err(_) => Err(cuda::DEVICES_UNAVAILABLE),
        };
        let properties: Properties = wire::decode(&ask(Call::Describe)?).map_err(|_| cuda::NO_DEVICE)?;
        let (space, base, size) = (link.new_id(), properties.base, properties.size);
        ask(Call::Space { id: space, base, size })?;
        Ok(State {
            link,
            space,
            addresses: Mutex::new(Addresses::new(base, size)),
            properties,
            streams: Mutex::default(),
            events: Mutex::default(),
            pinned: Mutex::default(),
            reads_on_the_way: AtomicBool::new(false),
            turn: Mutex::default(),
            sticky: AtomicI32::new(0),
        })
    }

    /// The error that stays, if there is one.
    pub(crate) fn check(&self) -> Result<()> {
        match self.sticky.load(Ordering::Relaxed) {
            0 => Ok(()),
            code => Err(code),
        }
    }

    pub(crate) fn link(&self) -> &'static Link {
        self.link
    }

    pub(crate) fn new_id(&self) -> Id {
        self.link.new_id()
    }

    pub(crate) fn addresses(&self) -> MutexGuard<'_, Addresses> {
        lock(&self.addresses)
    }

    /// Whether an address is the device's.
    pub(crate) fn is_device(&self, address: u64) -> bool {
        (self.properties.base..self.properties.base + self.properties.size).contains(&address)
    }

    /// Whoever has it gives a command of several messages.
    pub(crate) fn turn(&self) -> MutexGuard<'_, ()> {
        lock(&self.turn)
    }

    /// Sends what needs no answer.
    pub(crate) fn post(&self, call: Call, body: &[u8]) -> Result<()> {
        self.post_in_turn(&self.turn(), call, body)
    }

    /// The same, as a part of something.
    pub(crate) fn post_in_turn(&self, _turn: &MutexGuard<'_, ()>, call: Call, body: &[u8]) -> Result<()> {
        self.link.post(Request::Cuda(call), body, true).map_err(|code| self.code(code))
    }

    /// Lets go of an object.
    pub(crate) fn release(&self, id: Id) -> Result<()> {
        self.link.post(Request::Release { id }, &[], true).map_err(|code| self.code(code))
    }

    /// Sends a call and waits for its answer.
    pub(crate) fn ask(&self, call: Call, body: &[u8]) -> Result<Vec<u8>> {
        let number = self.link.begin(Request::Cuda(call), body).map_err(|code| self.code(code))?;
        self.wait_for(number)
    }

    /// Waits for an answer.
    pub(crate) fn wait_for(&self, number: u64) -> Result<Vec<u8>> {
        match self.link.wait_for(number).map_err(|code| self.code(code))? {
            (0, data) => Ok(data),
            (code, said) => {
                // Once for an error that stays.
                if !said.is_empty() && self.check().is_ok() {
                    eprintln!("orrery: {}", String::from_utf8_lossy(&said));
                }
                Err(self.code(code))
            }
        }
    }

    /// Waits until a stream's work is over, an event's, or with 0 all.
    pub(crate) fn synchronize(&self, id: Id) -> Result<()> {
        let all = id == cuda::DEFAULT_STREAM;
        self.ask(Call::Synchronize { id }, &[])?;
        if all {
            self.reads_on_the_way.store(false, Ordering::SeqCst);
        }
        Ok(())
    }

    /// CUDA's code for what the connection or the proxy says.
    pub(crate) fn code(&self, code: i32) -> i32 {
        let code = match code {
            link::LOST => cuda::DEVICES_UNAVAILABLE,
            link::FULL => cuda::OUT_OF_MEMORY,
            ..0 => cuda::UNKNOWN,
            code => code,
        };
        if cuda::is_sticky(code) {
            let _ = self.sticky.compare_exchange(0, code, Ordering::SeqCst, Ordering::SeqCst);
        }
        code
    }
}
