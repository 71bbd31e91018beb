//! A hierarchy's state as bytes.

use super::knowledge::{Knowledge, Report, TIERS};
use super::part::{self, Member, Part};
use super::spanning::Spanning;
use super::{Hierarchy, Letter, Row};
use crate::ids::JobId;
use crate::idtable::IdTable;
use crate::placement::Placement;
use crate::snapshot::{SchedulerStateError, StateError, from_bytes, to_bytes};
use crate::time::Time;
use crate::view::View;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, VecDeque};

#[derive(Serialize)]
struct StateRef<'a> {
    parts: Vec<PartState>,
    rows: &'a IdTable<Row>,
    knowledge: &'a Knowledge,
    letters: &'a VecDeque<(Time, Letter)>,
    fresh: &'a [JobId],
    spanning: &'a Spanning,
    touched: &'a BTreeSet<usize>,
    wakeups: &'a BTreeSet<(Time, usize)>,
    next_look: Time,
}

#[derive(Deserialize)]
struct State {
    parts: Vec<PartState>,
    rows: IdTable<Row>,
    knowledge: Knowledge,
    letters: VecDeque<(Time, Letter)>,
    fresh: Vec<JobId>,
    spanning: Spanning,
    touched: BTreeSet<usize>,
    wakeups: BTreeSet<(Time, usize)>,
    next_look: Time,
}

/// A part without what is made from the fleet.
#[derive(Serialize, Deserialize)]
pub(super) struct PartState {
    pub scheduler: Vec<u8>,
    pub wakeup: Option<Time>,
    pub jobs: IdTable<Member>,
    pub small: BTreeSet<JobId>,
    pub wanted: Vec<[u64; TIERS]>,
    pub said: Report,
}

/// Why a part cannot be saved or loaded, as the policy's reason.
pub(super) fn of_part(error: SchedulerStateError) -> StateError {
    match error {
        SchedulerStateError::Policy(error) | SchedulerStateError::Placement(error) | SchedulerStateError::Scheduler(error) => {
            error
        }
    }
}

impl Hierarchy {
    pub(super) fn to_bytes(&self) -> Result<Vec<u8>, StateError> {
        to_bytes(&StateRef {
            parts: self.parts.iter().map(Part::to_state).collect::<Result<_, _>>()?,
            rows: &self.rows,
            knowledge: &self.knowledge,
            letters: &self.letters,
            fresh: &self.fresh,
            spanning: &self.spanning,
            touched: &self.touched,
            wakeups: &self.wakeups,
            next_look: self.next_look,
        })
    }

    /// Becomes what was loaded.
    pub(super) fn make_again(&mut self, view: &View, placement: &dyn Placement) -> Result<(), StateError> {
        let Some(loaded) = self.loaded.take() else { return Ok(()) };
        let state: State = from_bytes(&loaded)?;
        if !state.parts.is_empty() {
            (self.parts, self.part_of) = part::split(view, placement, &self.style);
        }
        if state.parts.len() != self.parts.len() {
            return Err(StateError::Damaged(format!("{} parts instead of {}", state.parts.len(), self.parts.len())));
        }
        for (part, state) in self.parts.iter_mut().zip(state.parts) {
            part.become_again(state)?;
        }
        let changes = |part: &Part| part.scheduler.view().capacity().journal().changes();
        let changes: Vec<u64> = self.parts.iter().map(changes).collect();
        state.spanning.lend_again(view, &mut self.parts, &self.part_of);
        for (part, changes) in self.parts.iter_mut().zip(changes) {
            part.scheduler.begin_again(changes);
        }
        (self.rows, self.knowledge, self.letters) = (state.rows, state.knowledge, state.letters);
        (self.fresh, self.spanning, self.touched) = (state.fresh, state.spanning, state.touched);
        (self.wakeups, self.next_look) = (state.wakeups, state.next_look);
        // What is made again of a touched part may differ from what it said; but then it is asked.
        self.restless = (0..self.parts.len()).filter(|&part| self.parts[part].is_restless()).collect();
        Ok(())
    }
}
