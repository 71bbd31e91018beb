//! Who sits where, and what each tier could claim of each node.

use crate::allocation::{Allocation, Grant};
use crate::capacity::Capacity;
use crate::ids::{JobId, NodeId};
use crate::idset::IdSet;
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

/// Tiers that are told apart; worse ones count as the last of these.
pub(super) const TIERS: usize = 5;
/// The rank of the worst tier. That before it is for jobs of that tier which have waited too long.
pub(super) const WORST: usize = TIERS - 1;

/// Jobs on one node.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Row {
    group: u32,
    size: u32,
    open: bool,
    /// Whole accelerators planned, by tier.
    held: [u32; TIERS],
    jobs: SmallVec<[JobId; 4]>,
}

impl Row {
    /// Accelerators that are free or held by tiers behind `tier`.
    fn claimable(&self, tier: usize) -> u32 {
        self.size - self.held[..=tier].iter().sum::<u32>().min(self.size)
    }
}

/// The nodes of the fleet as a tier sees them. Only gangs of whole accelerators sit here.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Floor {
    rows: Vec<Row>,
    /// Per group of like nodes and tier: nodes by how much of them the tier could claim. Empty for fungible nodes.
    claimable: Vec<[Vec<IdSet>; TIERS]>,
}

impl Floor {
    pub fn new(capacity: &Capacity) -> Floor {
        let empty = |size: u32| std::array::from_fn(|_| vec![IdSet::new(); size as usize + 1]);
        let claimable = capacity.groups().iter().map(|g| empty(if g.fungible { 0 } else { g.size })).collect();
        let mut floor = Floor { rows: Vec::new(), claimable };
        for (id, node) in capacity.fleet().nodes.iter().enumerate() {
            let (group, size) = (capacity.group_of(NodeId(id as u32)), node.accelerators);
            floor.rows.push(Row { group, size, open: true, held: [0; TIERS], jobs: SmallVec::new() });
            floor.list(id, true);
        }
        floor
    }

    fn list(&mut self, node: usize, listed: bool) {
        let row = &self.rows[node];
        if !row.open {
            return;
        }
        for (tier, sets) in self.claimable[row.group as usize].iter_mut().enumerate() {
            // Fungible nodes are few and large: nobody looks for one in an index.
            if sets.len() == row.size as usize + 1 {
                let set = &mut sets[row.claimable(tier) as usize];
                if listed {
                    set.insert(node as u32)
                } else {
                    set.remove(node as u32)
                };
            }
        }
    }

    fn change(&mut self, job: JobId, tier: usize, grant: &Grant, enters: bool) {
        let node = grant.node.index();
        self.list(node, false);
        let row = &mut self.rows[node];
        if enters {
            row.held[tier] += grant.count;
            row.jobs.push(job);
        } else {
            row.held[tier] -= grant.count;
            row.jobs.retain(|other| *other != job);
        }
        self.list(node, true);
    }

    /// A job of `tier` has this place.
    pub fn enter(&mut self, job: JobId, tier: usize, place: &Allocation) {
        place.iter().for_each(|grant| self.change(job, tier, grant, true));
    }

    /// It has it no more.
    pub fn leave(&mut self, job: JobId, tier: usize, place: &Allocation) {
        place.iter().for_each(|grant| self.change(job, tier, grant, false));
    }

    /// A node takes jobs, or does not.
    pub fn set_open(&mut self, node: NodeId, open: bool) {
        if self.rows[node.index()].open != open {
            self.list(node.index(), false);
            self.rows[node.index()].open = open;
            self.list(node.index(), true);
        }
    }

    /// The jobs that sit on a node.
    pub fn jobs_on(&self, node: NodeId) -> &[JobId] {
        &self.rows[node.index()].jobs
    }

    /// How much of a node `tier` could claim.
    pub fn claimable_on(&self, node: NodeId, tier: usize) -> u32 {
        let row = &self.rows[node.index()];
        if row.open { row.claimable(tier) } else { 0 }
    }

    /// The open nodes of a group of which `tier` could claim exactly `count`.
    pub fn with_claimable(&self, group: usize, tier: usize, count: u32) -> &IdSet {
        &self.claimable[group][tier][count as usize]
    }
}
