//! One large place out of several small ones, by moving who sits in between.

use super::Singularity;
use super::claim::place_without;
use crate::capacity::Group;
use crate::ids::{JobId, NodeId};
use crate::job::{Level, Phase};
use crate::plan::Plan;

/// Jobs that are moved for one at most.
const MOVED: usize = 8;
/// Nodes that are looked at for one that is chosen.
const LOOK: usize = 8;

impl Singularity {
    /// Gives the pending `job` a place for `size` accelerators on the nodes that have most free, moving the jobs there to other
    /// nodes: only if enough is free in all, each of them fits elsewhere, and none was moved lately. Returns whether it did.
    pub(super) fn consolidate(&mut self, plan: &mut Plan<'_>, job: JobId, size: u32) -> bool {
        let demand = plan.job(job).spec.demand.on(size);
        let enough = plan.capacity().free_milli_for(&demand) >= demand.milli_total();
        if !self.style.migrate || !demand.is_whole() || size < 2 || !enough {
            return false;
        }
        for index in 0..plan.capacity().groups().len() {
            let group = &plan.capacity().groups()[index];
            let spans = size > group.size;
            if group.fungible || !demand.types.contains(group.kind) || spans && demand.within == Level::Node {
                continue;
            }
            // The remainder of a larger gang is small: it is left to the next decision's luck.
            if spans && !size.is_multiple_of(group.size) || free_in(group) < size {
                continue;
            }
            let Some((nodes, moved)) = self.site(plan, index, size) else { continue };
            let each = size.min(plan.capacity().groups()[index].size);
            let parts: Vec<(NodeId, u32)> = nodes.into_iter().map(|node| (node, each)).collect();
            let Some(place) = place_without(plan, &demand, &parts, &moved) else { continue };
            for &other in &moved {
                plan.preempt(other, Some(job));
            }
            plan.launch_at(job, place);
            for other in moved {
                self.uproot(plan, other);
            }
            return true;
        }
        false
    }

    /// The nodes and who has to move off them.
    fn site(&self, plan: &Plan<'_>, index: usize, size: u32) -> Option<(Vec<NodeId>, Vec<JobId>)> {
        let capacity = plan.capacity();
        let group = &capacity.groups()[index];
        let (wanted, each) = (size.div_ceil(group.size) as usize, size.min(group.size));
        let (mut nodes, mut moved) = (Vec::new(), Vec::new());
        let by_free = (0..=group.size).rev().flat_map(|free| group.with_free(free).iter().map(NodeId));
        for node in by_free.take(wanted + LOOK) {
            let missing = each.saturating_sub(capacity.whole_free(node).count_ones());
            let Some(jobs) = self.movable(plan, node, missing) else { continue };
            nodes.push(node);
            moved.extend(jobs);
            if moved.len() > MOVED {
                return None;
            }
            if nodes.len() == wanted {
                let elsewhere = |job: &JobId| fits_elsewhere(group, plan.job(*job).size(), &nodes);
                return (!moved.is_empty() && moved.iter().all(elsewhere)).then_some((nodes, moved));
            }
        }
        None
    }

    /// The smallest jobs on `node` that leave `missing` accelerators when they move; `None` if those that may be moved are not
    /// enough. Gangs on several nodes stay.
    fn movable(&self, plan: &Plan<'_>, node: NodeId, missing: u32) -> Option<Vec<JobId>> {
        let floor = self.floor.as_ref().expect("made at the first decision");
        let may = |job: &JobId| {
            let entry = plan.job(*job);
            let settled = entry.phase == Phase::Running && self.row(*job).since + self.style.quiet <= plan.now();
            settled && entry.allocation.len() == 1
        };
        let mut jobs: Vec<JobId> = floor.jobs_on(node).iter().copied().filter(may).collect();
        jobs.sort_by_key(|&job| (plan.job(job).size(), job));
        let mut left = missing;
        let mut moved = Vec::new();
        for job in jobs {
            if left == 0 {
                break;
            }
            left = left.saturating_sub(plan.job(job).size());
            moved.push(job);
        }
        (left == 0).then_some(moved)
    }
}

/// Wholly free accelerators of a group.
fn free_in(group: &Group) -> u32 {
    (1..=group.size).map(|free| free * group.with_free(free).len() as u32).sum()
}

fn fits_elsewhere(group: &Group, size: u32, not: &[NodeId]) -> bool {
    (size..=group.size)
        .any(|free| group.with_free(free).iter().map(NodeId).take(not.len() + 1).any(|node| !not.contains(&node)))
}
