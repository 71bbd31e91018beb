//! Gangs that no single node holds.
//!
//! A gang takes as many completely free nodes as it fills and one more node for its remainder: the "yarn" rule of Tiresias (Gu
//! et al., NSDI '19, section 4) and of Philly (Jeon et al., ATC '19, section 3). All nodes are of one type and size. They come
//! from one cluster where one has enough; a gang that may span a region or the fleet is spread over several clusters only when
//! none has. Where gangs keep to [domains](crate::fleet::Domain), the smallest one that has enough comes first, then the next larger
//! level. [`Scatter`](super::Scatter) splits gangs in any other way.

use crate::allocation::{Allocation, Grant};
use crate::capacity::{Capacity, Group};
use crate::ids::{NodeId, TypeId};
use crate::idset::IdSet;
use crate::job::{Demand, Level};
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// Which group of nodes is tried first, among those where a gang takes equally many nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum GroupOrder {
    /// The one with the lowest-numbered completely free node.
    Lowest,
    /// The one with the fewest completely free nodes.
    FewestFree,
    /// The one with the most completely free nodes.
    MostFree,
}

/// Whether the type of the group's accelerators will do.
pub(super) fn accepts(demand: &Demand, group: &Group) -> bool {
    demand.accelerators == 0 || demand.types.contains(group.kind)
}

/// Splits a gang over several nodes. `rest` finds a grant of so many accelerators in a group, on a node that is not among the
/// taken ones (ascending).
pub(super) fn spread(
    capacity: &Capacity,
    demand: &Demand,
    order: GroupOrder,
    mut rest: impl FnMut(&Group, u32, &[NodeId]) -> Option<Grant>,
) -> Option<Allocation> {
    let wanted = demand.accelerators;
    let larger = |group: &&Group| group.size > 0 && group.size < wanted && accepts(demand, group);
    if demand.within == Level::Node {
        return None;
    }
    let mut groups: Vec<&Group> = capacity.groups().iter().filter(larger).collect();
    groups.sort_by_key(|group| {
        let free = completely_free(group);
        let rank = match order {
            GroupOrder::Lowest => free.first().unwrap_or(u32::MAX),
            GroupOrder::FewestFree => free.len() as u32,
            GroupOrder::MostFree => u32::MAX - free.len() as u32,
        };
        (wanted.div_ceil(group.size), rank)
    });
    let in_one = groups.iter().find_map(|group| fill(capacity, demand, &[group], &mut rest));
    in_one.or_else(|| {
        let mut wider = wider_levels(capacity, demand.within);
        wider.find_map(|level| families(capacity, level, &groups).iter().find_map(|f| fill(capacity, demand, f, &mut rest)))
    })
}

/// The levels, smallest first and up to `within`, at which several groups stand.
fn wider_levels(capacity: &Capacity, within: Level) -> impl Iterator<Item = Level> {
    let domains = capacity.fleet().gang_levels();
    let cluster = capacity.fleet().gang_levels().next().map(|_| Level::Cluster);
    let whole = (within > Level::Cluster).then_some(within);
    domains.skip(1).chain(cluster).filter(move |level| *level <= within).chain(whole)
}

/// Groups of one type and size that stand together at `level`, those with most to give first.
fn families<'a>(capacity: &Capacity, level: Level, groups: &[&'a Group]) -> Vec<Vec<&'a Group>> {
    let mut families: BTreeMap<(u32, Reverse<u32>, TypeId), Vec<&Group>> = BTreeMap::new();
    for &group in groups {
        let key = (capacity.area(level, group), Reverse(group.size), group.kind);
        families.entry(key).or_default().push(group);
    }
    let mut families: Vec<_> = families.into_values().filter(|family| family.len() > 1).collect();
    for family in &mut families {
        family.sort_by_key(|group| Reverse(completely_free(group).len()));
    }
    families
}

fn completely_free(group: &Group) -> &IdSet {
    group.with_free(if group.fungible { 0 } else { group.size })
}

/// Completely free nodes of `groups` in order and one more for the remainder. A node that has room for a full share of the
/// gang has room for the remainder too, so taking the lowest-numbered ones misses nothing.
fn fill(
    capacity: &Capacity,
    demand: &Demand,
    groups: &[&Group],
    rest: &mut impl FnMut(&Group, u32, &[NodeId]) -> Option<Grant>,
) -> Option<Allocation> {
    let size = groups[0].size;
    let (nodes, remainder) = ((demand.accelerators / size) as usize, demand.accelerators % size);
    if groups.iter().map(|group| completely_free(group).len()).sum::<usize>() < nodes {
        return None;
    }
    let free = groups.iter().flat_map(|group| completely_free(group).iter());
    let whole = free.filter_map(|node| capacity.grant_on(NodeId(node), demand, size));
    let mut allocation: Allocation = whole.take(nodes).collect();
    if allocation.len() < nodes {
        return None;
    }
    if remainder > 0 {
        let mut taken: Vec<NodeId> = allocation.iter().map(|grant| grant.node).collect();
        taken.sort_unstable();
        allocation.push(groups.iter().find_map(|group| rest(group, remainder, &taken))?);
    }
    Some(allocation)
}
