//! What a worker does at its place among those who share a device.

use super::{Activity, Seat, Switching, Turns};
use crate::session::Remote;
use crate::spare::Spares;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

impl Seat {
    /// Who is to be told when its turn comes.
    pub(crate) fn set_remote(&self, remote: Remote) {
        if let Some(place) = self.turns.lock().seats.get_mut(&self.id) {
            place.remote = Some(remote);
        }
    }

    pub(crate) fn activity(&self) -> Arc<Activity> {
        self.turns.lock().seats.get(&self.id).map_or_else(Arc::default, |place| place.activity.clone())
    }

    /// Whether this worker may use the device now.
    pub(crate) fn is_mine(&self) -> bool {
        !self.turns.on() || self.turns.holder.load(Ordering::SeqCst) == self.id
    }

    /// Asks for a turn. When it comes, the worker's thread is given a task.
    pub(crate) fn ask(&self) {
        let Some(quantum) = self.turns.quantum else { return };
        let mut state = self.turns.lock();
        match self.turns.holder.load(Ordering::SeqCst) {
            0 => self.turns.grant(&mut state, self.id),
            holder if holder == self.id || state.waiting.contains(&self.id) => {}
            _ => {
                state.waiting.push_back(self.id);
                if !std::mem::replace(&mut state.clock, true) {
                    let turns = self.turns.clone();
                    std::thread::spawn(move || turns.watch(quantum));
                }
            }
        }
    }

    /// Waits for a turn, for a worker that has no thread yet.
    pub fn wait(&self) {
        self.ask();
        let mut state = self.turns.lock();
        while !self.is_mine() {
            state = self.turns.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// How long a turn is.
    pub(crate) fn quantum(&self) -> Duration {
        self.turns.quantum.unwrap_or_default()
    }

    /// Goes on with the turn until it is asked again whether somebody waits.
    pub(crate) fn keep(&self) {
        self.turns.lock().asked = false;
    }

    /// Ends the turn. `drained`: how long the device's work took to finish.
    pub(crate) fn pass(&self, drained: Duration) {
        let mut state = self.turns.lock();
        if self.turns.holder.load(Ordering::SeqCst) == self.id {
            state.sums.drain_s += drained.as_secs_f64();
            self.turns.grant_next(&mut state);
        }
    }

    /// Whether somebody waits for a turn. If not, this one goes on, and its holder will be asked again.
    pub(crate) fn awaited(&self) -> bool {
        let mut state = self.turns.lock();
        state.asked = !state.waiting.is_empty();
        state.asked
    }

    /// Takes so much of the device's memory; moves others out of the way where turns allow that. False: it is not there.
    pub(crate) fn take(&self, bytes: u64) -> bool {
        self.have_room(bytes, true)
    }

    /// Sees to it that so much more fits beside what this worker has, if spares are dropped or claimed.
    pub(crate) fn make_room(&self, bytes: u64) -> bool {
        self.have_room(bytes, false)
    }

    fn have_room(&self, bytes: u64, take: bool) -> bool {
        let mut state = self.turns.lock();
        loop {
            let used: u64 = state.seats.values().map(|place| place.used).sum();
            let spare = if take { state.spares.bytes() } else { 0 };
            if used.saturating_add(bytes).saturating_add(spare) <= self.turns.memory {
                if let Some(place) = state.seats.get_mut(&self.id).filter(|_| take) {
                    place.used += bytes;
                }
                return true;
            }
            if take && state.spares.drop_oldest() {
                continue;
            }
            let Some(victim) = self.turns.on().then(|| Turns::victim(&state, self.id)).flatten() else { return false };
            drop(state);
            if !self.turns.move_out(victim) {
                return false;
            }
            state = self.turns.lock();
        }
    }

    /// Moves everybody else out, when the device's runtime has no room although there should be some. False: nobody was there.
    pub(crate) fn clear(&self) -> bool {
        let mut state = self.turns.lock();
        let mut moved = state.spares.drop_oldest();
        while let Some(victim) = self.turns.on().then(|| Turns::victim(&state, self.id)).flatten() {
            drop(state);
            if !self.turns.move_out(victim) {
                return moved;
            }
            moved = true;
            state = self.turns.lock();
        }
        while state.spares.drop_oldest() {}
        moved
    }

    /// Gives memory back.
    pub(crate) fn give_back(&self, bytes: u64) {
        if let Some(place) = self.turns.lock().seats.get_mut(&self.id) {
            place.used = place.used.saturating_sub(bytes);
        }
    }

    /// Bytes that this worker has on the device.
    pub(crate) fn used(&self) -> u64 {
        self.turns.lock().seats.get(&self.id).map_or(0, |place| place.used)
    }

    /// Bytes that it may have, where it must be told: where the device's own figure is another.
    pub(crate) fn memory(&self) -> Option<u64> {
        (self.turns.limited || self.turns.on()).then_some(self.turns.memory)
    }

    /// Adds to the account.
    pub(crate) fn count(&self, add: impl FnOnce(&mut Switching)) {
        add(&mut self.turns.lock().sums);
    }

    /// What others have left behind.
    pub(crate) fn with_spares<T>(&self, use_them: impl FnOnce(&mut Spares) -> T) -> T {
        use_them(&mut self.turns.lock().spares)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut state = self.turns.lock();
        state.seats.remove(&self.id);
        state.waiting.retain(|id| *id != self.id);
        if self.turns.holder.load(Ordering::SeqCst) == self.id {
            self.turns.grant_next(&mut state);
        }
    }
}
