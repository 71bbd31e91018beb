//! First fit, best fit and worst fit over the free-count index: no walk over the fleet.

use super::Placement;
use crate::allocation::{Allocation, Grant};
use crate::capacity::{Capacity, Group};
use crate::ids::NodeId;
use crate::idset::IdSet;
use crate::job::{Demand, Level, WHOLE_MILLI};

/// Which of the nodes with room is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeOrder {
    /// The lowest-numbered: first fit.
    Lowest,
    /// The one with the fewest wholly free accelerators, then the lowest-numbered: best fit.
    FewestFree,
    /// The one with the most wholly free accelerators, then the lowest-numbered: worst fit.
    MostFree,
}

/// Takes a gang that fits on a node to one node, chosen by [`NodeOrder`]; a larger one to as many completely free nodes as it
/// fills, lowest-numbered first, and its remainder to one more node chosen like a small gang. Shares prefer accelerators that
/// are shared already, except under worst fit.
///
/// The rule for larger gangs is the "yarn" placement of Tiresias (Gu et al., NSDI '19) and of Philly (Jeon et al., ATC '19).
pub struct Indexed(pub NodeOrder);

impl Placement for Indexed {
    fn place(&mut self, capacity: &Capacity, demand: &Demand) -> Option<Allocation> {
        if let [group] = capacity.groups() {
            return self.in_group(capacity, group, demand);
        }
        let mut best: Option<(u32, NodeId, Allocation)> = None;
        for group in capacity.groups() {
            let Some(allocation) = self.in_group(capacity, group, demand) else { continue };
            let node = allocation[0].node;
            let rank = match self.0 {
                NodeOrder::Lowest => 0,
                NodeOrder::FewestFree => capacity.whole_free(node).count_ones(),
                NodeOrder::MostFree => u32::MAX - capacity.whole_free(node).count_ones(),
            };
            if best.as_ref().is_none_or(|&(r, n, _)| (rank, node) < (r, n)) {
                best = Some((rank, node, allocation));
            }
        }
        best.map(|(_, _, allocation)| allocation)
    }
}

impl Indexed {
    fn in_group(&self, capacity: &Capacity, group: &Group, demand: &Demand) -> Option<Allocation> {
        if demand.accelerators > 0 && !demand.types.contains(group.kind) {
            return None;
        }
        let (size, wanted) = (group.size, demand.accelerators);
        if wanted <= size {
            return self.on_one_node(capacity, group, demand, wanted, None).map(|grant| Allocation::from_buf([grant]));
        }
        if demand.within == Level::Node || size == 0 || group.nodes < wanted.div_ceil(size) {
            return None;
        }
        let whole_nodes = (wanted / size) as usize;
        let free = if group.fungible { group.with_free(0) } else { group.with_free(size) };
        if free.len() < whole_nodes {
            return None;
        }
        let mut grants = free.iter().filter_map(|node| capacity.grant_on(NodeId(node), demand, size));
        let mut allocation: Allocation = grants.by_ref().take(whole_nodes).collect();
        if allocation.len() < whole_nodes {
            return None;
        }
        let rest = wanted % size;
        if rest > 0 {
            // The taken nodes are the lowest completely free ones: a fitting remainder lies behind the last of them, or on
            // a node that is not completely free.
            let last = allocation.last().map(|grant| grant.node);
            allocation.push(self.on_one_node(capacity, group, demand, rest, last)?);
        }
        Some(allocation)
    }

    /// A grant of `count` accelerators on one node; completely free nodes up to `taken` are spoken for.
    fn on_one_node(
        &self,
        capacity: &Capacity,
        group: &Group,
        demand: &Demand,
        count: u32,
        taken: Option<NodeId>,
    ) -> Option<Grant> {
        let grant = |node: u32| {
            let spoken_for = taken.is_some_and(|last| node <= last.0 && group.with_free(group.size).contains(node));
            if spoken_for { None } else { capacity.grant_on(NodeId(node), demand, count) }
        };
        if group.fungible {
            // Few nodes are that large, and their accelerators are not indexed.
            return group
                .with_free(0)
                .iter()
                .filter(|&n| taken.is_none_or(|last| n > last.0))
                .find_map(grant_fungible(capacity, demand, count));
        }
        let shares = demand.milli < WHOLE_MILLI && count > 0;
        let from = if demand.milli == WHOLE_MILLI { count } else { count.min(1) };
        let whole = |n: u32| group.with_free(n);
        match self.0 {
            NodeOrder::Lowest => {
                let mut sets: Vec<&IdSet> = (from..=group.size).map(whole).filter(|set| !set.is_empty()).collect();
                if shares {
                    sets.push(group.with_partial());
                }
                ascending(&sets, grant)
            }
            NodeOrder::FewestFree => {
                let shared = shares
                    .then(|| group.with_partial().iter().filter_map(grant).min_by_key(|g| tightness(capacity, g)))
                    .flatten();
                shared.or_else(|| (from..=group.size).find_map(|n| whole(n).iter().find_map(grant)))
            }
            NodeOrder::MostFree => {
                let roomy = (from..=group.size).rev().find_map(|n| whole(n).iter().find_map(grant));
                roomy.or_else(|| if shares { group.with_partial().iter().find_map(grant) } else { None })
            }
        }
    }
}

fn grant_fungible<'a>(capacity: &'a Capacity, demand: &'a Demand, count: u32) -> impl Fn(u32) -> Option<Grant> + 'a {
    move |node| capacity.grant_on(NodeId(node), demand, count)
}

/// How little the node of a share has left.
fn tightness(capacity: &Capacity, grant: &Grant) -> (u64, NodeId) {
    (capacity.node_free_milli(grant.node), grant.node)
}

/// The first of the ids in the union of `sets`, ascending, for which `grant` succeeds.
fn ascending(sets: &[&IdSet], grant: impl Fn(u32) -> Option<Grant>) -> Option<Grant> {
    let mut from = 0;
    loop {
        let id = sets.iter().filter_map(|set| set.next_from(from)).min()?;
        if let Some(found) = grant(id) {
            return Some(found);
        }
        from = id + 1;
    }
}
