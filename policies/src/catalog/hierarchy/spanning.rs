//! Gangs that no part could hold.

use super::part::Part;
use super::{Hierarchy, Place};
use crate::allocation::Allocation;
use crate::ids::{JobId, NodeId};
use crate::job::Job;
use crate::plan::Plan;
use crate::view::View;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Default, Serialize, Deserialize)]
pub(super) struct Spanning {
    waiting: BTreeSet<JobId>,
    holds: BTreeMap<JobId, Allocation>,
    /// Of the fleet's capacity when they did not fit.
    generation: Option<u64>,
}

impl Spanning {
    pub fn wait(&mut self, job: JobId) {
        self.waiting.insert(job);
        self.generation = None;
    }

    pub fn forget(&mut self, job: JobId) {
        self.waiting.remove(&job);
    }

    /// Takes what they hold out of the hands of parts that have just been made again.
    pub fn lend_again(&self, view: &View, parts: &mut [Part], part_of: &[(u16, NodeId)]) {
        for (&job, held) in &self.holds {
            lend(held, view.job(job).spec.demand.milli, parts, part_of, true);
        }
    }

    /// The parts get back what the job held.
    pub fn give_back(&mut self, job: JobId, entry: &Job, parts: &mut [Part], part_of: &[(u16, NodeId)]) {
        if let Some(held) = self.holds.remove(&job) {
            lend(&held, entry.spec.demand.milli, parts, part_of, false);
        }
    }
}

fn lend(allocation: &Allocation, milli: u16, parts: &mut [Part], part_of: &[(u16, NodeId)], lent: bool) {
    for (index, part) in parts.iter_mut().enumerate() {
        let own = allocation.iter().map(|&grant| (grant, part_of[grant.node.index()]));
        let own = own.filter(|(_, (part, _))| usize::from(*part) == index).map(|(grant, (_, node))| (grant, node));
        part.lend(own, milli, lent);
    }
}

impl Hierarchy {
    /// Starts those that fit into what the parts leave free, in order of arrival.
    pub(super) fn start_spanning(&mut self, plan: &mut Plan<'_>) {
        let generation = Some(plan.capacity().generation());
        if self.spanning.waiting.is_empty() || self.spanning.generation == generation {
            return;
        }
        self.spanning.generation = generation;
        for job in self.spanning.waiting.clone() {
            if !plan.launch(job) {
                continue;
            }
            let entry = plan.job(job);
            lend(&entry.allocation, entry.spec.demand.milli, &mut self.parts, &self.part_of, true);
            self.spanning.holds.insert(job, entry.allocation.clone());
            self.spanning.waiting.remove(&job);
            self.put(job, Place::Spanning);
        }
    }
}
