//! Who holds what, who waits, and who left which accelerators last.

use super::Ending;
use crate::lives::{Cause, Move, Phase};
use policies::{Allocation, Demand, Fleet, Grant, IdSet, JobId, NodeId, Time, WHOLE_MILLI};
use std::collections::{BTreeMap, VecDeque};

/// A job that holds accelerators.
#[derive(Clone, Debug)]
pub(super) struct Holding {
    pub allocation: Allocation,
    /// Thousandths of each accelerator.
    pub milli: u16,
    pub since: Time,
}

/// Somebody who left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Leaver {
    pub job: JobId,
    pub at: Time,
    pub ending: Ending,
    count: u32,
}

/// The floor between two moves.
pub(super) struct Floor {
    fleet: Fleet,
    pub holdings: BTreeMap<JobId, Holding>,
    pub pending: IdSet,
    free_milli: Vec<u64>,
    first_device: Vec<usize>,
    /// Who left each named accelerator last.
    left_device: Vec<Option<Leaver>>,
    /// Who left each node whose accelerators are only counted, the latest last; as many as could fill it.
    left_node: BTreeMap<NodeId, VecDeque<Leaver>>,
}

/// What is free for a demand.
pub(super) struct Free {
    pub acceptable_milli: u64,
    pub milli: u64,
    pub nodes: u64,
    pub on_one_node: u64,
}

impl Floor {
    pub fn new(fleet: &Fleet) -> Floor {
        let mut devices = 0;
        let mut first = |named: u32| {
            devices += named as usize;
            devices - named as usize
        };
        let first_device = fleet.nodes.iter().map(|n| first(if n.is_fungible() { 0 } else { n.accelerators })).collect();
        Floor {
            fleet: fleet.clone(),
            holdings: BTreeMap::new(),
            pending: IdSet::new(),
            free_milli: fleet.nodes.iter().map(|n| u64::from(n.accelerators) * 1000).collect(),
            first_device,
            left_device: vec![None; devices],
            left_node: BTreeMap::new(),
        }
    }

    /// Takes in a move. `milli` is the mover's share of each accelerator.
    pub fn moved(&mut self, moved: &Move<'_>, milli: u16) {
        if moved.to == Phase::Waiting {
            self.pending.insert(moved.job.0);
        } else {
            self.pending.remove(moved.job.0);
        }
        match (moved.cause, moved.allocation) {
            (Cause::Ordered, Some(allocation)) => {
                for grant in allocation {
                    let free = &mut self.free_milli[grant.node.index()];
                    *free = free.saturating_sub(u64::from(grant.count) * u64::from(milli));
                }
                let holding = Holding { allocation: allocation.clone(), milli, since: moved.now };
                self.holdings.insert(moved.job, holding);
            }
            (Cause::Stopped, _) => self.leave(moved, Ending::Preempted),
            (Cause::Failed, _) => self.leave(moved, Ending::Failed),
            (Cause::Lost, _) => self.leave(moved, Ending::Lost),
            (Cause::Withdrawn, _) => self.leave(moved, Ending::Withdrawn),
            (Cause::Finished, _) => self.leave(moved, Ending::Finished),
            _ => {}
        }
    }

    fn leave(&mut self, moved: &Move<'_>, ending: Ending) {
        let Some(holding) = self.holdings.remove(&moved.job) else { return };
        for grant in &holding.allocation {
            self.free_milli[grant.node.index()] += u64::from(grant.count) * u64::from(holding.milli);
            let leaver = Leaver { job: moved.job, at: moved.now, ending, count: grant.count };
            for device in devices(grant) {
                self.left_device[self.first_device[grant.node.index()] + device] = Some(leaver);
            }
            if grant.devices == 0 && grant.count > 0 {
                let size = self.fleet.node(grant.node).accelerators;
                let leavers = self.left_node.entry(grant.node).or_default();
                leavers.push_back(leaver);
                while leavers.iter().skip(1).map(|l| l.count).fold(0, u32::saturating_add) >= size {
                    leavers.pop_front();
                }
            }
        }
    }

    /// Who left the accelerators of a grant last, the latest first.
    pub fn leavers(&self, grant: &Grant) -> Vec<Leaver> {
        let mut leavers: Vec<Leaver> = Vec::new();
        let first = self.first_device[grant.node.index()];
        for leaver in devices(grant).filter_map(|device| self.left_device[first + device]) {
            if !leavers.contains(&leaver) {
                leavers.push(leaver);
            }
        }
        if let Some(counted) = self.left_node.get(&grant.node) {
            let mut missing = grant.count;
            for leaver in counted.iter().rev() {
                if missing == 0 {
                    break;
                }
                leavers.push(*leaver);
                missing = missing.saturating_sub(leaver.count);
            }
        }
        leavers.sort_by_key(|l| (std::cmp::Reverse(l.at), l.job));
        leavers
    }

    /// Whether anybody holds a part of an accelerator: then thousandths that are free may belong to no whole one.
    pub fn shares(&self) -> bool {
        self.holdings.values().any(|holding| holding.milli < WHOLE_MILLI)
    }

    /// What is free of the types that `demand` accepts.
    pub fn free(&self, demand: &Demand) -> Free {
        let mut free = Free { acceptable_milli: 0, milli: 0, nodes: 0, on_one_node: 0 };
        for (node, &milli) in self.fleet.nodes.iter().zip(&self.free_milli) {
            if demand.types.contains(node.kind) {
                free.acceptable_milli += u64::from(node.accelerators) * 1000;
                free.milli += milli;
                free.nodes += u64::from(milli > 0);
                free.on_one_node = free.on_one_node.max(milli);
            }
        }
        free
    }
}

fn devices(grant: &Grant) -> impl Iterator<Item = usize> + '_ {
    (0..64).filter(|device| grant.devices >> device & 1 == 1)
}
