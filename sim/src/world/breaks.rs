//! Nodes that break and are repaired, and what becomes of attempts on them.

use super::{IdTable, Truth, World};
use policies::{Allocation, Attempt, Event, JobId, NodeState, Time};
use traces::faults::Change;

/// Nodes that break, where any do.
pub(super) struct Breaks {
    /// By time; those before `next` have happened.
    pub changes: Vec<Change>,
    pub next: usize,
    /// Attempts that hold something of a node, and some that did.
    pub on: Vec<Vec<(JobId, Attempt)>>,
    pub down: Vec<bool>,
}

impl World {
    /// Nodes break and are repaired.
    #[cold]
    pub(super) fn change_nodes(&mut self, now: Time, events: &mut Vec<Event>) {
        let Some(mut breaks) = self.breaks.take() else { return };
        let first = breaks.next;
        // All of them first: what goes down together cannot save each other.
        while let Some(&Change { node, state, .. }) = breaks.changes.get(breaks.next).filter(|change| change.at <= now) {
            breaks.next += 1;
            breaks.down[node.index()] = state == NodeState::Down;
        }
        for change in first..breaks.next {
            let Change { node, state, .. } = breaks.changes[change];
            if state == NodeState::Down {
                for (job, attempt) in std::mem::take(&mut breaks.on[node.index()]) {
                    self.lose(now, job, attempt, &breaks.down, events);
                }
                self.lose_uploads(now, node);
            }
            self.tell(Event::Node { node, state }, events);
        }
        self.breaks = Some(breaks);
    }

    /// The attempt breaks with a node that it is on, unless it is over.
    pub(super) fn lose(&mut self, now: Time, job: JobId, attempt: Attempt, down: &[bool], events: &mut Vec<Event>) {
        let Some(truth) = self.jobs.get_mut(job) else { return };
        if truth.attempt != attempt || !truth.state.holds() {
            return;
        }
        let progress = match self.switching.take() {
            None => {
                truth.break_off(now, self.recovery);
                truth.progress()
            }
            Some(mut switching) => {
                let progress = switching.break_off(self, now, job, down);
                self.switching = Some(switching);
                progress
            }
        };
        self.tell(Event::Failed { job, attempt, progress, lost: true }, events);
    }

    /// Notes on which nodes an attempt is. False if one of them is down.
    #[cold]
    pub(super) fn settle(
        breaks: &mut Breaks,
        jobs: &IdTable<Truth>,
        job: JobId,
        attempt: Attempt,
        allocation: &Allocation,
    ) -> bool {
        if allocation.iter().any(|grant| breaks.down[grant.node.index()]) {
            return false;
        }
        for grant in allocation {
            let on = &mut breaks.on[grant.node.index()];
            if on.len() == on.capacity() {
                on.retain(|&(job, attempt)| jobs.get(job).is_some_and(|t| t.attempt == attempt && t.state.holds()));
            }
            on.push((job, attempt));
        }
        true
    }
}
