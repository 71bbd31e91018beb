//! Room for a job whose turn is due, at the cost of others of its tier who can wait.

use super::Singularity;
use super::claim::{self, Site};
use super::floor::Floor;
use crate::ids::{JobId, NodeId};
use crate::job::{Demand, Level, Phase};
use crate::plan::Plan;
use std::collections::BTreeMap;

/// Sites that are tried for one job.
const SITES: usize = 16;

impl Singularity {
    /// Gives a job that waits, or runs on fewer accelerators than it asked for, all that it asked for where worse tiers and these
    /// others of its own, who can wait, leave it when they stop. Returns whether it has it.
    pub(super) fn make_room(&mut self, plan: &mut Plan<'_>, job: JobId, waiters: &[JobId]) -> bool {
        let (rank, demand) = (self.row(job).tier, plan.job(job).spec.demand);
        if waiters.is_empty() || !demand.is_whole() || demand.accelerators == 0 {
            return false;
        }
        let since = self.row(job).since;
        let runs = plan.job(job).phase == Phase::Running;
        if runs {
            self.rise(job);
        }
        let Singularity { floor, rows, .. } = &*self;
        let floor = floor.as_ref().expect("made at the first decision");
        let victims = |plan: &Plan<'_>, node: NodeId| {
            let stops = |&other: &JobId| {
                let settled = matches!(plan.job(other).phase, Phase::Assigned | Phase::Starting | Phase::Running);
                settled && rows.get(other).expect("live").tier > rank || waiters.contains(&other)
            };
            let mut jobs: Vec<JobId> = floor.jobs_on(node).iter().copied().filter(stops).collect();
            // The worst tier first; of its own the smallest, so that no more than needed make way.
            jobs.sort_by_key(|&other| {
                let tier = rows.get(other).expect("live").tier;
                (std::cmp::Reverse(tier), if tier > rank { 0 } else { plan.job(other).size() }, other)
            });
            jobs
        };
        let sites = |plan: &Plan<'_>, demand: &Demand| sites(plan, floor, demand, rank.into(), waiters);
        let Some(stopped) = claim::claim(plan, (job, demand.accelerators), sites, victims) else {
            if runs {
                self.sit_again(plan, job, since);
            }
            return false;
        };
        for other in stopped {
            self.uproot(plan, other);
        }
        if !runs {
            let (class, submit) = (plan.job(job).class, plan.job(job).submit);
            self.waiting[usize::from(rank)].remove(class, submit, job);
        }
        self.sit(plan, job);
        true
    }
}

/// Where a gang could go if worse tiers and `waiters` made way: first where the fewest accelerators are taken from these.
fn sites(plan: &Plan<'_>, floor: &Floor, demand: &Demand, rank: usize, waiters: &[JobId]) -> Vec<Site> {
    let capacity = plan.capacity();
    // By group and node: what could be had without waiters, and with them.
    let mut room: BTreeMap<(u32, NodeId), (u32, u32)> = BTreeMap::new();
    for grant in waiters.iter().flat_map(|&waiter| &plan.job(waiter).allocation) {
        let without = floor.claimable_on(grant.node, rank);
        let entry = room.entry((capacity.group_of(grant.node), grant.node)).or_insert((without, without));
        entry.1 += grant.count;
    }
    let count = demand.accelerators;
    let mut sites: Vec<Site> = Vec::new();
    let mut nodes: Vec<_> = room.into_iter().collect();
    for nodes in nodes.chunk_by_mut(|a, b| a.0.0 == b.0.0) {
        let index = nodes[0].0.0 as usize;
        let group = &capacity.groups()[index];
        if !demand.types.contains(group.kind) {
            continue;
        }
        if group.fungible || count <= group.size {
            let fits = nodes.iter().filter(|(_, (_, room))| *room >= count);
            let site = |&((_, node), (without, _)): &((u32, NodeId), (u32, u32))| Site {
                parts: vec![(node, count)],
                missing: count.saturating_sub(without),
            };
            sites.extend(fits.map(site));
        } else if demand.within != Level::Node && count.is_multiple_of(group.size) {
            let wanted = (count / group.size) as usize;
            let free = floor.with_claimable(index, rank, group.size).iter().map(|node| (NodeId(node), 0));
            nodes.sort_by_key(|&((_, node), (without, _))| (std::cmp::Reverse(without), node));
            let cleared = nodes.iter().filter(|(_, (without, room))| *without < group.size && *room >= group.size);
            let cleared = cleared.map(|&((_, node), (without, _))| (node, group.size - without));
            let chosen: Vec<(NodeId, u32)> = free.chain(cleared).take(wanted).collect();
            if chosen.len() == wanted {
                let missing = chosen.iter().map(|(_, missing)| missing).sum();
                sites.push(Site { parts: chosen.into_iter().map(|(node, _)| (node, group.size)).collect(), missing });
            }
        }
    }
    sites.sort_by_key(|site| (site.missing, site.parts[0].0));
    sites.truncate(SITES);
    sites
}
