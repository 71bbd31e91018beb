//! First fit, best fit and worst fit over the free-count indexes: no walk over the fleet.

use super::Placement;
use super::gang::{self, GroupOrder};
use crate::allocation::{Allocation, Grant};
use crate::capacity::{Capacity, Group};
use crate::ids::NodeId;
use crate::idset::IdSet;
use crate::job::{Demand, WHOLE_MILLI};
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;

/// Which of the nodes with room is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum NodeOrder {
    /// The lowest-numbered: first fit.
    Lowest,
    /// The one with the fewest wholly free accelerators, then the lowest-numbered: best fit. A share goes to the fullest shared
    /// accelerator that has room for it, else to such a node.
    FewestFree,
    /// The one with the most wholly free accelerators, then the lowest-numbered: worst fit. A share goes to the emptiest
    /// shared accelerator where none is wholly free.
    MostFree,
}

/// Takes a gang that fits on a node to one node, chosen by [`NodeOrder`]; a larger one to as many completely free nodes as it
/// fills, lowest-numbered first, and its remainder to one more node chosen like a small gang (see [`gang`]).
///
/// A demand for nothing but accelerators costs one look into an index a group. One that also asks for processors or memory
/// may have to pass over nodes whose accelerators are free but whose processors are not.
#[derive(Serialize, Deserialize)]
pub struct Indexed(pub NodeOrder);

impl Placement for Indexed {
    crate::saved_by_serde!();

    fn place(&mut self, capacity: &Capacity, demand: &Demand) -> Option<Allocation> {
        // A pool needs no comparison.
        match capacity.groups() {
            [group] if group.fungible && group.nodes == 1 && gang::accepts(demand, group) => {
                capacity.grant_on(group.first, demand, demand.accelerators).map(|grant| Allocation::from_elem(grant, 1))
            }
            _ => self.on_nodes(capacity, demand),
        }
    }

    fn fork(&self) -> Box<dyn Placement> {
        Box::new(Indexed(self.0))
    }
}

/// Makes the ranks of wholly free accelerators and of shared ones comparable.
const MIDDLE: u32 = 1 << 31;

impl Indexed {
    #[inline(never)]
    fn on_nodes(&self, capacity: &Capacity, demand: &Demand) -> Option<Allocation> {
        let one = capacity.groups().iter().filter(|group| gang::accepts(demand, group));
        let one = one.filter_map(|group| self.on_one_node(capacity, group, demand, demand.accelerators, &[]));
        if let Some((_, grant)) = one.min_by_key(|&(rank, grant)| (rank, grant.node)) {
            return Some(Allocation::from_elem(grant, 1));
        }
        gang::spread(capacity, demand, self.group_order(), |group, count, taken| {
            self.on_one_node(capacity, group, demand, count, taken).map(|(_, grant)| grant)
        })
    }

    fn group_order(&self) -> GroupOrder {
        match self.0 {
            NodeOrder::Lowest => GroupOrder::Lowest,
            NodeOrder::FewestFree => GroupOrder::FewestFree,
            NodeOrder::MostFree => GroupOrder::MostFree,
        }
    }

    /// A grant of `count` accelerators on one node of `group` that is not in `taken` (ascending), and its rank: less is better.
    pub(super) fn on_one_node(
        &self,
        capacity: &Capacity,
        group: &Group,
        demand: &Demand,
        count: u32,
        taken: &[NodeId],
    ) -> Option<(u32, Grant)> {
        let shares = demand.milli < WHOLE_MILLI && count > 0;
        let grant = |node: u32| {
            let node = NodeId(node);
            if taken.binary_search(&node).is_ok() {
                return None;
            }
            if shares && self.0 == NodeOrder::MostFree && !group.fungible {
                return capacity.grant_devices(node, demand, most_free(&capacity.device_free_milli(node), count));
            }
            capacity.grant_on(node, demand, count)
        };
        if group.fungible {
            return self.on_fungible(capacity, group, grant);
        }
        if count > group.size {
            return None;
        }
        let least = if shares { 1 } else { count };
        let with_free = |n: u32| group.with_free(n).iter().find_map(grant).map(|grant| (n, grant));
        let in_set = |(free, set): (u16, &IdSet)| set.iter().find_map(grant).map(|grant| (u32::from(free), grant));
        let shared = || if shares { Some(group.with_shared(demand.milli)) } else { None };
        match self.0 {
            NodeOrder::Lowest => {
                let sets = |from: u32| {
                    let whole = (least..=group.size).filter_map(|n| group.with_free(n).next_from(from)).min();
                    let shared = shared().into_iter().flatten().filter_map(|(_, set)| set.next_from(from));
                    shared.chain(whole).min()
                };
                ascending(sets, grant).map(|grant| (0, grant))
            }
            NodeOrder::FewestFree => {
                let whole = || (least..=group.size).find_map(with_free).map(|(n, grant)| (MIDDLE + n, grant));
                shared().and_then(|mut sets| sets.find_map(in_set)).or_else(whole)
            }
            NodeOrder::MostFree => {
                let whole = (least..=group.size).rev().find_map(with_free).map(|(n, grant)| (MIDDLE - n, grant));
                let shared = || shared()?.rev().find_map(in_set);
                whole.or_else(|| shared().map(|(free, grant)| (MIDDLE + u32::from(WHOLE_MILLI) - free, grant)))
            }
        }
    }

    /// Fungible nodes are few and large; what is free on them is not indexed.
    fn on_fungible(&self, capacity: &Capacity, group: &Group, grant: impl Fn(u32) -> Option<Grant>) -> Option<(u32, Grant)> {
        let rank = |grant: &Grant| {
            let free = (capacity.node_free_milli(grant.node) / u64::from(WHOLE_MILLI)) as u32;
            match self.0 {
                NodeOrder::Lowest => 0,
                NodeOrder::FewestFree => MIDDLE + free,
                // Only shares are left: less than on any accelerator of its own.
                NodeOrder::MostFree if free == 0 => MIDDLE + u32::from(WHOLE_MILLI),
                NodeOrder::MostFree => MIDDLE - free,
            }
        };
        let all = group.with_free(0).iter().filter_map(grant).map(|grant| (rank(&grant), grant));
        all.min_by_key(|&(rank, grant)| (rank, grant.node))
    }
}

/// The `count` accelerators with most free, the lowest-numbered of equal ones.
fn most_free(free: &[u16], count: u32) -> u64 {
    let mut order: Vec<usize> = (0..free.len()).collect();
    order.sort_by_key(|&d| Reverse(free[d]));
    order.into_iter().take(count as usize).fold(0, |set, d| set | 1 << d)
}

/// The first id, ascending, for which `grant` succeeds; `next` gives the first candidate that is at least its argument.
fn ascending(next: impl Fn(u32) -> Option<u32>, grant: impl Fn(u32) -> Option<Grant>) -> Option<Grant> {
    let mut from = 0;
    loop {
        let id = next(from)?;
        if let Some(found) = grant(id) {
            return Some(found);
        }
        from = id.checked_add(1)?;
    }
}
