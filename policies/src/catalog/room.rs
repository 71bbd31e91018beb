//! Making room by preemption, with no victim in vain.

use crate::allocation::Allocation;
use crate::ids::JobId;
use crate::job::Demand;
use crate::plan::Plan;
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// With more candidates than this, those away from the place that was found are spared without asking for a better one.
const SPARE_MAX: usize = 256;

/// Launches the pending `job` on accelerators of some of the `victims`, which are preempted. They come least important first
/// and must be assigned, starting or running. Returns whom it hit; `None`, and nothing changes, if stopping all of them would
/// not make room.
///
/// Victims are considered in order until the placement finds room; then each is spared, the most important first, without whom
/// the job still fits. So stopping any fewer of them would not do, wherever on the fleet they run.
pub(super) fn make_room(plan: &mut Plan<'_>, job: JobId, victims: impl Iterator<Item = JobId>) -> Option<Vec<JobId>> {
    let demand = plan.job(job).spec.demand;
    let mut lent = Vec::new();
    let found = lend_until_it_fits(plan, &demand, victims, &mut lent);
    let found = found.map(|place| spare(plan, &demand, place, &mut lent));
    for &victim in &lent {
        take_back(plan, victim);
    }
    let place = found?;
    for &victim in &lent {
        plan.preempt(victim, Some(job));
    }
    plan.launch_at(job, place);
    Some(lent)
}

/// Lends what `victims` hold, one after the other, until there is a place for `demand`.
fn lend_until_it_fits(
    plan: &mut Plan<'_>,
    demand: &Demand,
    victims: impl Iterator<Item = JobId>,
    lent: &mut Vec<JobId>,
) -> Option<Allocation> {
    // Where counts are not enough (fragmentation), the placement is asked each time that the victims have doubled.
    let mut ask_at = 1;
    for victim in victims {
        if !helps(plan, demand, victim) {
            continue;
        }
        lend(plan, victim);
        lent.push(victim);
        if lent.len() >= ask_at && plan.capacity().free_milli_for(demand) >= demand.milli_total() {
            if let Some(place) = plan.find(demand) {
                return Some(place);
            }
            ask_at = 2 * lent.len();
        }
    }
    if lent.is_empty() { None } else { plan.find(demand) }
}

/// Takes back what is not needed. `lent` shrinks to the victims; the place may change.
fn spare(plan: &mut Plan<'_>, demand: &Demand, mut place: Allocation, lent: &mut Vec<JobId>) -> Allocation {
    if lent.len() > SPARE_MAX {
        lent.retain(|&victim| {
            let near = plan.job(victim).allocation.iter().any(|held| place.iter().any(|wanted| wanted.node == held.node));
            if !near {
                take_back(plan, victim);
            }
            near
        });
    }
    for i in (0..lent.len()).rev() {
        take_back(plan, lent[i]);
        match plan.find(demand) {
            Some(other) => {
                place = other;
                lent.remove(i);
            }
            None => lend(plan, lent[i]),
        }
    }
    place
}

fn helps(plan: &Plan<'_>, demand: &Demand, victim: JobId) -> bool {
    let allocation = &plan.job(victim).allocation;
    demand.accelerators == 0 || demand.types.contains(plan.fleet().node(allocation[0].node).kind)
}

fn lend(plan: &mut Plan<'_>, victim: JobId) {
    let job = plan.view.jobs.get(victim).expect("victims are live");
    plan.view.capacity.lend(&job.allocation, job.spec.demand.milli);
}

fn take_back(plan: &mut Plan<'_>, victim: JobId) {
    let job = plan.view.jobs.get(victim).expect("victims are live");
    plan.view.capacity.take(&job.allocation, job.spec.demand.milli);
}

/// The jobs that hold or were promised accelerators, by a key, those of a key by launch, the latest first.
#[derive(Serialize, Deserialize)]
#[serde(bound(deserialize = "K: Ord + Deserialize<'de>"))]
pub(super) struct Holders<K> {
    by_key: BTreeMap<(K, Reverse<u64>), JobId>,
    key_of: BTreeMap<JobId, (K, Reverse<u64>)>,
    launches: u64,
}

impl<K: Ord + Copy> Holders<K> {
    pub fn new() -> Holders<K> {
        Holders { by_key: BTreeMap::new(), key_of: BTreeMap::new(), launches: 0 }
    }

    /// A job was launched.
    pub fn insert(&mut self, key: K, job: JobId) {
        self.launches += 1;
        self.by_key.insert((key, Reverse(self.launches)), job);
        self.key_of.insert(job, (key, Reverse(self.launches)));
    }

    /// A job was preempted or is gone; its key, if it was here.
    pub fn remove(&mut self, job: JobId) -> Option<K> {
        let key = self.key_of.remove(&job)?;
        self.by_key.remove(&key);
        Some(key.0)
    }

    /// The jobs whose key is below `key`, the lowest first.
    pub fn below(&self, key: K) -> impl Iterator<Item = JobId> + '_ {
        self.by_key.range(..(key, Reverse(u64::MAX))).map(|(_, &job)| job)
    }

    /// The jobs of `key`.
    pub fn of(&self, key: K) -> impl Iterator<Item = JobId> + '_ {
        self.by_key.range((key, Reverse(u64::MAX))..=(key, Reverse(0))).map(|(_, &job)| job)
    }
}
