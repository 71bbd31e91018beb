//! Invariants, recomputed from scratch.

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
    let planned: Vec<_> = jobs().filter(planned).map(place).collect();
    let held: Vec<_> = jobs().filter(held).map(place).collect();
    view.capacity.check(planned.iter().map(|(a, m)| (a, *m)), held.iter().map(|(a, m)| (a, *m)))
}

/// A gang holds all that it asked for or nothing, of one acceptable type, near enough together.
fn gang(view: &View, job: &Job) -> Result<(), String> {
    let places = matches!(job.phase, Phase::Assigned | Phase::Starting | Phase::Running | Phase::Stopping);
    if !places {
        return if job.allocation.is_empty() { Ok(()) } else { Err("holds accelerators without running".into()) };
    }
    let demand = &job.spec.demand;
    let count: u32 = job.allocation.iter().map(|g| g.count).sum();
    if count != demand.accelerators || job.allocation.is_empty() {
        return Err(format!("partial gang: {count} of {}", demand.accelerators));
    }
    let node = |i: usize| view.fleet().node(job.allocation[i].node);
    for (i, grant) in job.allocation.iter().enumerate() {
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
        if !crate::placement::near_enough(view.fleet(), demand.within, job.allocation[0].node, grant.node) {
            return Err(format!("the gang is spread beyond its {:?}", demand.within));
        }
    }
    Ok(())
}
