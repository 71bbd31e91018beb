//! Gangs over whatever is free.

use super::Placement;
use super::gang::accepts;
use super::indexed::{Indexed, NodeOrder};
use crate::allocation::Allocation;
use crate::capacity::{Capacity, Group};
use crate::ids::{NodeId, TypeId};
use crate::idset::IdSet;
use crate::job::{Demand, Level, WHOLE_MILLI};
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::str::FromStr;

/// Which nodes give their accelerators first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ScatterOrder {
    /// Those with the most wholly free, and the last part on the fullest node that holds it: few nodes, small remnants.
    FewestNodes,
    /// Those with the most wholly free: few nodes, and what is left is spread.
    MostFree,
    /// Those with the fewest free: remnants are used up first, over as many nodes as that takes.
    FewestFree,
}

impl FromStr for ScatterOrder {
    type Err = ();

    fn from_str(text: &str) -> Result<ScatterOrder, ()> {
        match text {
            "fewest-nodes" => Ok(ScatterOrder::FewestNodes),
            "most-free" => Ok(ScatterOrder::MostFree),
            "fewest-free" => Ok(ScatterOrder::FewestFree),
            _ => Err(()),
        }
    }
}

/// Splits a gang over any nodes that its [`Level`] allows, taking all that a node has before the next: it fails only when the
/// level holds too little. Small gangs go to one node where one has room ([`ScatterOrder::FewestFree`] too, if the gang must
/// stay on a node). All accelerators are of one type. The place with the fewest nodes by count is tried first.
#[derive(Serialize, Deserialize)]
pub struct Scatter(pub ScatterOrder);

impl Placement for Scatter {
    crate::saved_by_serde!();

    fn place(&mut self, capacity: &Capacity, demand: &Demand) -> Option<Allocation> {
        let splits = demand.within != Level::Node && demand.accelerators > 1;
        if !splits || self.0 != ScatterOrder::FewestFree {
            let order = if self.0 == ScatterOrder::MostFree { NodeOrder::MostFree } else { NodeOrder::FewestFree };
            let one = Indexed(order).place(capacity, &Demand { within: Level::Node, ..*demand });
            if one.is_some() || !splits {
                return one;
            }
        }
        let mut domains = domains(capacity, demand);
        domains.sort_by_cached_key(|domain| nodes_needed(capacity, domain, demand));
        domains.iter().find_map(|domain| self.fill(capacity, domain, demand))
    }

    fn fork(&self) -> Box<dyn Placement> {
        Box::new(Scatter(self.0))
    }
}

/// The groups of one type within each part of the fleet that may hold a gang.
fn domains<'a>(capacity: &'a Capacity, demand: &Demand) -> Vec<Vec<&'a Group>> {
    let mut domains: BTreeMap<(u32, TypeId), Vec<&Group>> = BTreeMap::new();
    for group in capacity.groups().iter().filter(|group| group.size > 0 && accepts(demand, group)) {
        domains.entry((capacity.area(demand.within, group), group.kind)).or_default().push(group);
    }
    domains.into_values().collect()
}

/// How many nodes a gang of whole accelerators takes if those with most free give first, by the counts alone; `usize::MAX` if
/// there is too little. For shares a node counts as its wholly free accelerators, so too little means only that it comes last.
fn nodes_needed(capacity: &Capacity, domain: &[&Group], demand: &Demand) -> usize {
    let mut left = u64::from(demand.accelerators);
    let mut nodes = 0;
    for level in (1..=top(domain)).rev() {
        for node in fungible_at(capacity, domain, level) {
            nodes += usize::from(left > 0);
            left = left.saturating_sub(whole_on_fungible(capacity, node));
        }
        let have: u64 = with_free(domain, level).map(|nodes| nodes.len() as u64).sum();
        let used = have.min(left.div_ceil(u64::from(level)));
        nodes += used as usize;
        left = left.saturating_sub(used * u64::from(level));
    }
    if left == 0 { nodes } else { usize::MAX }
}

/// The highest level of free accelerators: on it are the completely free nodes of the largest named kind, and fungible nodes
/// with as much free or more.
fn top(domain: &[&Group]) -> u32 {
    domain.iter().filter(|group| !group.fungible).map(|group| group.size).max().unwrap_or(1)
}

/// Nodes with exactly `level` named accelerators wholly free.
fn with_free<'a>(domain: &'a [&'a Group], level: u32) -> impl Iterator<Item = &'a IdSet> {
    domain.iter().filter(move |group| !group.fungible && level <= group.size).map(move |group| group.with_free(level))
}

/// Fungible nodes on that level, those with most free first. There are few, so no index is kept.
fn fungible_at(capacity: &Capacity, domain: &[&Group], level: u32) -> Vec<u32> {
    let top = u64::from(top(domain));
    let all = domain.iter().filter(|group| group.fungible).flat_map(|group| group.with_free(0).iter());
    let on_level = |&node: &u32| whole_on_fungible(capacity, node).clamp(1, top) == u64::from(level);
    let mut nodes: Vec<u32> = all.filter(on_level).collect();
    nodes.sort_by_key(|&node| Reverse(whole_on_fungible(capacity, node)));
    nodes
}

fn whole_on_fungible(capacity: &Capacity, node: u32) -> u64 {
    capacity.node_free_milli(NodeId(node)) / u64::from(WHOLE_MILLI)
}

impl Scatter {
    fn fill(&self, capacity: &Capacity, domain: &[&Group], demand: &Demand) -> Option<Allocation> {
        let mut allocation = Allocation::new();
        let mut left = demand.accelerators;
        let shares = demand.milli < WHOLE_MILLI;
        for node in self.candidates(capacity, domain, demand) {
            if left == 0 {
                break;
            }
            if self.0 == ScatterOrder::FewestNodes && self.finish(capacity, domain, demand, left, &mut allocation) {
                return Some(allocation);
            }
            // A node with shared accelerators may be named more than once.
            if shares && allocation.iter().any(|grant| grant.node == node) {
                continue;
            }
            let room = room(capacity, node, demand).min(left);
            if let Some(grant) = (room > 0).then(|| capacity.grant_on(node, demand, room)).flatten() {
                allocation.push(grant);
                left -= room;
            }
        }
        (left == 0).then_some(allocation)
    }

    /// Puts all that is left on the fullest node that holds it, if there is one.
    fn finish(&self, capacity: &Capacity, domain: &[&Group], demand: &Demand, left: u32, allocation: &mut Allocation) -> bool {
        if left > domain.iter().map(|group| group.size).max().unwrap_or(0) {
            return false;
        }
        let mut taken: Vec<NodeId> = allocation.iter().map(|grant| grant.node).collect();
        taken.sort_unstable();
        let tight = Indexed(NodeOrder::FewestFree);
        let found = domain.iter().filter_map(|group| tight.on_one_node(capacity, group, demand, left, &taken));
        let best = found.min_by_key(|&(rank, grant)| (rank, grant.node));
        allocation.extend(best.map(|(_, grant)| grant));
        best.is_some()
    }

    /// Nodes that may have room, in the order in which they give.
    fn candidates<'a>(
        &self,
        capacity: &'a Capacity,
        domain: &'a [&'a Group],
        demand: &Demand,
    ) -> Box<dyn Iterator<Item = NodeId> + 'a> {
        let milli = demand.milli;
        let named = move |level| with_free(domain, level).flat_map(IdSet::iter);
        let pools = move |level| fungible_at(capacity, domain, level).into_iter();
        let shared = domain.iter().filter(move |_| milli < WHOLE_MILLI);
        let shared = shared.flat_map(move |group| group.with_shared(milli).flat_map(|(_, nodes)| nodes.iter()));
        let levels = 1..=top(domain);
        match self.0 {
            ScatterOrder::FewestFree => {
                Box::new(shared.chain(levels.flat_map(move |n| named(n).chain(pools(n).rev()))).map(NodeId))
            }
            _ => Box::new(levels.rev().flat_map(move |n| pools(n).chain(named(n))).chain(shared).map(NodeId)),
        }
    }
}

/// How many accelerators of the gang `node` can hold now.
fn room(capacity: &Capacity, node: NodeId, demand: &Demand) -> u32 {
    let devices = if capacity.fleet().node(node).is_fungible() {
        (capacity.node_free_milli(node) / u64::from(demand.milli.max(1))) as u32
    } else if demand.milli == WHOLE_MILLI {
        capacity.whole_free(node).count_ones()
    } else {
        capacity.device_free_milli(node).iter().filter(|&&free| free >= demand.milli).count() as u32
    };
    let of = |free: u32, asked: u32| match asked {
        0 => u32::MAX,
        _ => (u64::from(free) * u64::from(demand.accelerators) / u64::from(asked)).min(u64::from(u32::MAX)) as u32,
    };
    let cpu = of(capacity.node_free_cpu_milli(node), demand.cpu_milli);
    let memory = of(capacity.node_free_memory_mib(node), demand.memory_mib);
    devices.min(cpu).min(memory).min(demand.accelerators)
}
