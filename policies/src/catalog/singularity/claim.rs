//! Room for a job of a better tier, at the cost of worse ones.

use super::floor::Floor;
use crate::allocation::Allocation;
use crate::capacity::{Capacity, Group};
use crate::ids::{JobId, NodeId, TypeId};
use crate::idset::IdSet;
use crate::job::{Demand, Level};
use crate::plan::Plan;
use crate::view::View;
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// Nodes that are looked at for each one that is chosen: the best of so many, not of the fleet.
const LOOK: usize = 16;

/// Which nodes a gang takes, how many accelerators of each, and how many of these others hold.
pub(super) struct Site {
    pub parts: Vec<(NodeId, u32)>,
    pub missing: u32,
}

/// Whole accelerators of a node that are free to plan with.
fn free_on(capacity: &Capacity, group: &Group, node: NodeId) -> u32 {
    if group.fungible { (capacity.node_free_milli(node) / 1000) as u32 } else { capacity.whole_free(node).count_ones() }
}

/// Where a gang could go if jobs of tiers behind `tier` made way: first where the fewest accelerators are taken from them.
pub(super) fn sites(capacity: &Capacity, floor: &Floor, demand: &Demand, tier: usize) -> Vec<Site> {
    let groups = capacity.groups().iter().enumerate();
    let fitting = groups.filter(|(_, group)| group.size > 0 && demand.types.contains(group.kind));
    let mut families: BTreeMap<(u32, TypeId, u32), Vec<usize>> = BTreeMap::new();
    let mut sites: Vec<Site> = fitting
        .flat_map(|(index, group)| match demand.accelerators {
            count if group.fungible => fungible(capacity, floor, group, count, tier),
            count if count <= group.size => one(capacity, floor, index, count, tier, &[]),
            _ if demand.within == Level::Node => Vec::new(),
            count => {
                families.entry((capacity.area(demand.within, group), group.kind, group.size)).or_default().push(index);
                several(capacity, floor, &[index], count, tier).into_iter().collect()
            }
        })
        .collect();
    // Where gangs keep to domains, or may span clusters, and none of these will do.
    let families = families.values().filter(|family| family.len() > 1);
    sites.extend(families.filter_map(|family| several(capacity, floor, family, demand.accelerators, tier)));
    sites.sort_by_key(|site| (site.missing, site.parts.len()));
    sites
}

fn fungible(capacity: &Capacity, floor: &Floor, group: &Group, count: u32, tier: usize) -> Vec<Site> {
    let nodes = group.with_free(0).iter().map(NodeId);
    let fits = nodes.filter(|&node| floor.claimable_on(node, tier) >= count);
    let site = |node| Site { parts: vec![(node, count)], missing: count.saturating_sub(free_on(capacity, group, node)) };
    fits.map(site).collect()
}

/// One node, that has most free; of equal ones that of which least could be claimed.
fn one(capacity: &Capacity, floor: &Floor, index: usize, count: u32, tier: usize, taken: &[NodeId]) -> Vec<Site> {
    let group = &capacity.groups()[index];
    let nodes = (count..=group.size).flat_map(|claimable| {
        floor.with_claimable(index, tier, claimable).iter().map(NodeId).filter(|node| !taken.contains(node)).take(LOOK)
    });
    let site = |node| Site { parts: vec![(node, count)], missing: count.saturating_sub(free_on(capacity, group, node)) };
    let mut sites: Vec<Site> = nodes.map(site).collect();
    sites.sort_by_key(|site| site.missing);
    sites
}

/// As many whole nodes of groups of one size as the gang fills, those that have most free, and one more for the rest.
fn several(capacity: &Capacity, floor: &Floor, family: &[usize], count: u32, tier: usize) -> Option<Site> {
    let group = &capacity.groups()[family[0]];
    let (nodes, rest) = ((count / group.size) as usize, count % group.size);
    let whole = || family.iter().map(|&index| floor.with_claimable(index, tier, group.size));
    if whole().map(IdSet::len).sum::<usize>() < nodes {
        return None;
    }
    let mut look: Vec<NodeId> = whole().flat_map(IdSet::iter).map(NodeId).take(nodes * 2 + LOOK).collect();
    look.sort_by_key(|&node| Reverse(free_on(capacity, group, node)));
    look.truncate(nodes);
    let missing = look.iter().map(|&node| group.size - free_on(capacity, group, node)).sum();
    let mut site = Site { parts: look.iter().map(|&node| (node, group.size)).collect(), missing };
    if rest > 0 {
        let last = family.iter().find_map(|&index| one(capacity, floor, index, rest, tier, &look).into_iter().next())?;
        site.parts.extend(last.parts);
        site.missing += last.missing;
    }
    Some(site)
}

/// Gives `job`, which waits, or runs and is not on the floor, a place for `size` accelerators at the first of these sites that can be
/// cleared, telling others to stop: `victims(node)` gives those on a node, whom to stop first in front. Returns them, or `None`, and
/// nothing changes, if it cannot be done.
pub(super) fn claim(
    plan: &mut Plan<'_>,
    (job, size): (JobId, u32),
    sites: impl FnOnce(&Plan<'_>, &Demand) -> Vec<Site>,
    mut victims: impl FnMut(&Plan<'_>, NodeId) -> Vec<JobId>,
) -> Option<Vec<JobId>> {
    let demand = plan.job(job).spec.demand.on(size);
    let own = plan.job(job).allocation.clone();
    plan.view.capacity.lend(&own, demand.milli);
    // What a job on its way to elsewhere on the same node holds cannot be had there: then the next site may do.
    let sites = sites(plan, &demand);
    let found = sites.iter().find_map(|site| clear(plan, &demand, site, &mut victims));
    plan.view.capacity.take(&own, demand.milli);
    let (stopped, place) = found?;
    for &victim in &stopped {
        plan.preempt(victim, Some(job));
    }
    if own.is_empty() {
        plan.launch_at(job, place);
    } else {
        plan.relocate_to(job, place);
    }
    Some(stopped)
}

/// Whom to stop at a site, and the place that is there then.
fn clear(
    plan: &mut Plan<'_>,
    demand: &Demand,
    site: &Site,
    victims: &mut impl FnMut(&Plan<'_>, NodeId) -> Vec<JobId>,
) -> Option<(Vec<JobId>, Allocation)> {
    let mut stopped: Vec<JobId> = Vec::new();
    for &(node, count) in &site.parts {
        let group = plan.capacity().group_of(node) as usize;
        let mut free = free_on(plan.capacity(), &plan.capacity().groups()[group], node);
        let on_node = |plan: &Plan<'_>, job: JobId| {
            plan.job(job).allocation.iter().filter(|grant| grant.node == node).map(|grant| grant.count).sum::<u32>()
        };
        free += stopped.iter().map(|&job| on_node(plan, job)).sum::<u32>();
        let mut next = if free < count { victims(plan, node) } else { Vec::new() }.into_iter();
        while free < count {
            let victim = next.next()?;
            if !stopped.contains(&victim) {
                free += on_node(plan, victim);
                stopped.push(victim);
            }
        }
    }
    let place = place_without(plan, demand, &site.parts, &stopped)?;
    Some((stopped, place))
}

/// The place on these nodes if `gone` were not there. Processors or memory may be short where accelerators are not.
pub(super) fn place_without(
    plan: &mut Plan<'_>,
    demand: &Demand,
    parts: &[(NodeId, u32)],
    gone: &[JobId],
) -> Option<Allocation> {
    let View { jobs, capacity, .. } = &mut *plan.view;
    for &job in gone {
        let entry = jobs.get(job).expect("live");
        capacity.lend(&entry.allocation, entry.spec.demand.milli);
    }
    let place = parts.iter().map(|&(node, count)| capacity.grant_on(node, demand, count)).collect();
    for &job in gone {
        let entry = jobs.get(job).expect("live");
        capacity.take(&entry.allocation, entry.spec.demand.milli);
    }
    place
}
