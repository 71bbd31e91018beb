//! One device, several workers: who may use it, for how long, and how much of its memory each has taken.
//!
//! With a quantum, workers take turns. A turn ends when its quantum is over and somebody else waits, or sooner when its worker
//! asks for nothing; what was given to the device is finished first. A worker whose turn it is has the whole memory: others'
//! contents are moved to the host when, and only when, they are in the way (`swap.rs`). Without a quantum workers run side by side.

mod seat;

use crate::session::{After, Remote, Session};
use crate::spare::Spares;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::{Duration, Instant};

/// How a device is shared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sharing {
    /// Microseconds of a turn; none: workers run side by side.
    pub quantum_us: Option<u64>,
    /// Bytes of device memory that workers are given, where that is less than the device has.
    pub memory: Option<u64>,
}

/// What taking turns came to so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Switching {
    /// Turns that were given to another worker than the last.
    pub switches: u64,
    /// Seconds of all turns.
    pub turn_s: f64,
    /// Seconds in which work that was given to the device was finished at the end of turns.
    pub drain_s: f64,
    /// Seconds in which contents were compared and moved: what switching costs.
    pub move_s: f64,
    /// Bytes moved from the device to the host.
    pub out_bytes: u64,
    /// Bytes moved to the device.
    pub in_bytes: u64,
    /// Bytes that were not moved, because equal contents were where they had to go, of this worker or of another.
    pub equal_bytes: u64,
}

/// How much a worker does: whether its turn is of use to it.
#[derive(Default)]
pub(crate) struct Activity {
    /// Messages so far.
    pub(crate) messages: AtomicU64,
    /// Answers that it waits for.
    pub(crate) open: AtomicI64,
}

/// One device's turns.
pub struct Turns {
    quantum: Option<Duration>,
    /// Bytes of memory to share.
    memory: u64,
    /// Whether that is less than the device has, so that workers must be told.
    limited: bool,
    /// Whose turn it is; 0: nobody's.
    holder: AtomicU64,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    seats: BTreeMap<u64, Place>,
    waiting: VecDeque<u64>,
    next: u64,
    /// Turns so far, who had the last one, when it began, and whether its holder was asked to end it.
    turn: u64,
    last: u64,
    since: Option<Instant>,
    asked: bool,
    /// Whether a thread watches the time.
    clock: bool,
    spares: Spares,
    sums: Switching,
}

struct Place {
    remote: Option<Remote>,
    activity: Arc<Activity>,
    /// Bytes that it has on the device.
    used: u64,
    /// Its last turn.
    turn: u64,
}

/// A worker's place among those who share a device. Dropping it gives everything back.
pub struct Seat {
    id: u64,
    turns: Arc<Turns>,
}

impl Turns {
    /// `memory`: bytes that the device has.
    pub fn new(sharing: Sharing, memory: u64) -> Arc<Turns> {
        let limit = sharing.memory.unwrap_or(u64::MAX);
        Arc::new(Turns {
            quantum: sharing.quantum_us.map(|quantum| Duration::from_micros(quantum.max(1))),
            memory: memory.min(limit),
            limited: limit < memory,
            holder: AtomicU64::new(0),
            state: Mutex::new(State { next: 1, ..State::default() }),
            changed: Condvar::new(),
        })
    }

    /// How it is shared.
    pub fn sharing(&self) -> Sharing {
        let quantum_us = self.quantum.map(|quantum| quantum.as_micros() as u64);
        Sharing { quantum_us, memory: self.limited.then_some(self.memory) }
    }

    /// Whether workers take turns.
    pub fn on(&self) -> bool {
        self.quantum.is_some()
    }

    /// What taking turns came to; none where workers run side by side.
    pub fn switching(&self) -> Option<Switching> {
        self.on().then(|| {
            let state = self.lock();
            let running = state.since.map_or(0.0, |since| since.elapsed().as_secs_f64());
            Switching { turn_s: state.sums.turn_s + running, ..state.sums }
        })
    }

    /// A place for a worker.
    pub fn join(self: &Arc<Turns>) -> Seat {
        let mut state = self.lock();
        let id = state.next;
        state.next += 1;
        state.seats.insert(id, Place { remote: None, activity: Arc::default(), used: 0, turn: 0 });
        Seat { id, turns: self.clone() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the turn to whoever has waited longest.
    fn grant_next(&self, state: &mut State) {
        if let Some(since) = state.since.take() {
            state.sums.turn_s += since.elapsed().as_secs_f64();
        }
        let next = state.waiting.pop_front().unwrap_or(0);
        self.grant(state, next);
        if let Some(remote) = state.seats.get(&next).and_then(|place| place.remote.as_ref()) {
            remote.run(Box::new(|_| After::Continue));
        }
        self.changed.notify_all();
    }

    fn grant(&self, state: &mut State, to: u64) {
        if let Some(place) = state.seats.get_mut(&to) {
            state.turn += 1;
            place.turn = state.turn;
            state.sums.switches += u64::from(state.last != to && state.last != 0);
            (state.last, state.since, state.asked) = (to, Some(Instant::now()), false);
        }
        self.holder.store(to, Ordering::SeqCst);
    }

    /// Watches the time of turns while somebody waits for one.
    fn watch(self: Arc<Turns>, quantum: Duration) {
        let mut seen = (0, 0);
        let mut state = self.lock();
        while !state.waiting.is_empty() {
            // Who pauses is waited for about as long as a switch takes: then waiting costs at most twice what knowing better would.
            let switch = Duration::from_secs_f64(state.sums.move_s / state.sums.switches.max(1) as f64);
            let look = switch.clamp(quantum / 8, quantum);
            let holder = self.holder.load(Ordering::SeqCst);
            let left = quantum.saturating_sub(state.since.map_or(Duration::ZERO, |since| since.elapsed()));
            if let Some(place) = state.seats.get(&holder).filter(|_| !state.asked) {
                let now = (state.turn, place.activity.messages.load(Ordering::Relaxed));
                let idle = now == seen && place.activity.open.load(Ordering::Relaxed) <= 0;
                seen = now;
                if (idle || left.is_zero())
                    && let Some(remote) = &place.remote
                {
                    state.asked = remote.run(Box::new(Session::pass_on));
                }
            }
            let pause = if left.is_zero() { look } else { look.min(left) };
            state = self.changed.wait_timeout(state, pause).unwrap_or_else(PoisonError::into_inner).0;
        }
        state.clock = false;
    }

    /// Whom to move out, so that others have room: of those who have something there, the one whose turn was longest ago.
    fn victim(state: &State, but: u64) -> Option<(u64, Remote)> {
        let others = state.seats.iter().filter(|(id, place)| **id != but && place.used > 0);
        let (id, place) = others.min_by_key(|(id, place)| (place.turn, **id))?;
        Some((*id, place.remote.clone()?))
    }

    /// Has a worker's contents moved to the host, by its own thread, and waits for that. False: that was not possible.
    fn move_out(&self, (id, remote): (u64, Remote)) -> bool {
        let (told, result) = mpsc::channel();
        remote.run(Box::new(move |session| {
            let left = session.leave_device();
            if let Err(error) = &left {
                eprintln!("orrery proxy: moving a worker's contents to the host: {error}");
            }
            let _ = told.send(left.is_ok());
            After::Continue
        }));
        // One that has ended meanwhile has given back everything.
        result.recv().unwrap_or_else(|_| self.lock().seats.get(&id).is_none_or(|place| place.used == 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turns(quantum_us: Option<u64>, memory: Option<u64>) -> Arc<Turns> {
        Turns::new(Sharing { quantum_us, memory }, 1000)
    }

    #[test]
    fn turns_go_round_and_are_given_back() {
        let turns = turns(Some(1000), None);
        let (a, b, c) = (turns.join(), turns.join(), turns.join());
        a.ask();
        b.ask();
        c.ask();
        assert!(a.is_mine() && !b.is_mine() && !c.is_mine());
        a.pass(Duration::ZERO);
        assert!(b.is_mine() && !a.is_mine());
        a.ask();
        drop(b);
        assert!(c.is_mine(), "who ends gives its turn back");
        c.pass(Duration::ZERO);
        assert!(a.is_mine());
        assert_eq!(turns.switching().unwrap().switches, 3);
    }

    #[test]
    fn side_by_side_everybody_may_and_memory_is_shared() {
        let turns = turns(None, Some(600));
        let (a, b) = (turns.join(), turns.join());
        assert!(a.is_mine() && b.is_mine());
        assert!(a.take(400) && !b.take(201) && b.take(200));
        a.give_back(400);
        assert!(b.take(400) && !b.take(1));
        assert_eq!((b.used(), b.memory()), (600, Some(600)));
        assert_eq!(turns.switching(), None);
    }
}
