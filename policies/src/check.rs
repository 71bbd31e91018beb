//! Invariants, recomputed from scratch.

use crate::allocation::Allocation;
use crate::job::{Job, Phase};
use crate::view::View;

/// No oversubscription, no partial gang, no lost job, indexes equal recomputation.
pub(crate) fn check(view: &View) -> Result<(), String> {
    for (id, job) in view.jobs.iter() {
        let sets = (view.pending.contains(id.0), view.assigned.contains(id.0), view.active.contains(id.0));
        let expected = match job.phase {
            Phase::Pending => (true, false, false),
            Phase::Assigned => (false, true, false),
            Phase::Starting | Phase::Running => (false, false, true),
            Phase::Stopping | Phase::Done => (false, false, false),
        };
        if sets != expected {
            return Err(format!("job {} is {:?} but (pending, assigned, active) = {sets:?}", id.0, job.phase));
        }
        gang(view, job).map_err(|what| format!("job {}: {what}", id.0))?;
    }
    let stopping = view.jobs.iter().filter(|(_, job)| job.phase == Phase::Stopping).count();
    if stopping != view.stopping as usize {
        return Err(format!("{stopping} jobs are stopping, {} were counted", view.stopping));
    }
    let planned = |job: &&Job| matches!(job.phase, Phase::Assigned | Phase::Starting | Phase::Running);
    let held = |job: &&Job| matches!(job.phase, Phase::Starting | Phase::Running | Phase::Stopping);
    let jobs = || view.jobs.iter().map(|(_, job)| job);
    let place = |job: &'_ Job| (job.allocation.clone(), job.spec.demand.milli);
    let next = jobs().filter(|job| !job.next.is_empty()).map(|job| (job.next.clone(), job.spec.demand.milli));
    let planned: Vec<_> = jobs().filter(planned).map(place).chain(next).collect();
    let held: Vec<_> = jobs().filter(held).map(place).collect();
    view.capacity.check(planned.iter().map(|(a, m)| (a, *m)), held.iter().map(|(a, m)| (a, *m)))
}

/// A gang holds all that it asked for or nothing, of one acceptable type, near enough together.
fn gang(view: &View, job: &Job) -> Result<(), String> {
    let places = matches!(job.phase, Phase::Assigned | Phase::Starting | Phase::Running | Phase::Stopping);
    if !places {
        return if job.allocation.is_empty() { Ok(()) } else { Err("holds accelerators without running".into()) };
    }
    if !job.next.is_empty() {
        if job.phase != Phase::Stopping {
            return Err(format!("is to be moved, but is {:?}", job.phase));
        }
        whole_gang(view, job, &job.next)?;
    }
    whole_gang(view, job, &job.allocation)
}

fn whole_gang(view: &View, job: &Job, allocation: &Allocation) -> Result<(), String> {
    let demand = &job.spec.demand;
    let count: u32 = allocation.iter().map(|g| g.count).sum();
    if !job.spec.elastic.allows(demand.accelerators, count) || allocation.is_empty() {
        return Err(format!("partial gang: {count} of {}", demand.accelerators));
    }
    let node = |i: usize| view.fleet().node(allocation[i].node);
    for (i, grant) in allocation.iter().enumerate() {
        if demand.accelerators > 0 && (!demand.types.contains(node(i).kind) || node(i).kind != node(0).kind) {
            return Err(format!("node {} has accelerators of a wrong type", grant.node.0));
        }
        if !node(i).is_fungible() && grant.devices.count_ones() != grant.count {
            return Err(format!(
                "node {}: {} accelerators named, {} granted",
                grant.node.0,
                grant.devices.count_ones(),
                grant.count
            ));
        }
        if !view.capacity().near_enough(demand.within, allocation[0].node, grant.node) {
            return Err(format!("the gang is spread beyond its {:?}", demand.within));
        }
    }
    Ok(())
}
