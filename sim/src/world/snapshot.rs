//! A world's state between two steps. What a world is given (costs, faults, withdrawals, mechanism, network) is not in it: a world
//! that goes on is made as the first one was, and then loaded.

use super::{Happening, Switching, Truth, World};
use crate::events::EventQueue;
use policies::snapshot::{StateError, from_bytes, to_bytes};
use policies::{Attempt, Event, IdTable, JobId, Time};
use serde::{Deserialize, Serialize};

type Ahead = (JobId, Attempt, Happening);

/// Faults that have happened.
type Broken<'a, Lists> = (usize, Lists, std::borrow::Cow<'a, [bool]>);

#[derive(Serialize)]
struct StateRef<'a> {
    jobs: &'a IdTable<Truth>,
    queue: &'a EventQueue<Ahead>,
    at_once: &'a [Event],
    at_once_at: Time,
    live: u32,
    breaks: Option<Broken<'a, &'a [Vec<(JobId, Attempt)>]>>,
    switching: Option<&'a Switching>,
    withdrawals_left: usize,
}

#[derive(Deserialize)]
struct State {
    jobs: IdTable<Truth>,
    queue: EventQueue<Ahead>,
    at_once: Vec<Event>,
    at_once_at: Time,
    live: u32,
    breaks: Option<Broken<'static, Vec<Vec<(JobId, Attempt)>>>>,
    switching: Option<Switching>,
    withdrawals_left: usize,
}

impl World {
    /// The state between two steps, for [`load`](World::load).
    ///
    /// # Errors
    /// None that is known: serde's.
    pub fn save(&self) -> Result<Vec<u8>, StateError> {
        let breaks = self.breaks.as_ref();
        to_bytes(&StateRef {
            jobs: &self.jobs,
            queue: &self.queue,
            at_once: &self.at_once,
            at_once_at: self.at_once_at,
            live: self.live,
            breaks: breaks.map(|breaks| (breaks.next, &breaks.on[..], breaks.down[..].into())),
            switching: self.switching.as_deref(),
            withdrawals_left: self.withdrawals.len(),
        })
    }

    /// Goes on from a state that [`save`](World::save) gave, of a world that was given the same in the same build of this crate. In
    /// this world nothing must have happened yet.
    ///
    /// # Errors
    /// If the bytes cannot be read, or are of a world that was given something else.
    pub fn load(&mut self, state: &[u8]) -> Result<(), StateError> {
        let state: State = from_bytes(state)?;
        let other = |what: &str| StateError::Damaged(format!("it is of a world with other {what}"));
        match (&mut self.breaks, state.breaks) {
            (None, None) => {}
            (Some(breaks), Some((next, on, down))) if on.len() == breaks.on.len() && next <= breaks.changes.len() => {
                (breaks.next, breaks.on, breaks.down) = (next, on, down.into_owned());
            }
            _ => return Err(other("faults")),
        }
        self.switching = match (self.switching.take(), state.switching) {
            (None, None) => None,
            (Some(fresh), Some(saved)) => Some(Box::new(saved.of(*fresh))),
            _ => return Err(other("costs")),
        };
        if state.withdrawals_left > self.withdrawals.len() {
            return Err(other("withdrawals"));
        }
        self.withdrawals.truncate(state.withdrawals_left);
        (self.jobs, self.queue, self.at_once) = (state.jobs, state.queue, state.at_once);
        (self.at_once_at, self.live) = (state.at_once_at, state.live);
        Ok(())
    }
}
