//! The fleet as room for the walk.

use super::Ranked;
use super::walk::{Outcome, Room};
use crate::allocation::{Allocation, Grant};
use crate::capacity::{Capacity, bits};
use crate::event::Reason;
use crate::ids::JobId;
use crate::job::{Phase, WHOLE_MILLI};
use crate::plan::Plan;
use crate::time::Time;

/// Places as the plan's placement finds them. What it takes and frees is provisional until [`apply`](Places::apply).
pub(crate) struct Places<'p, 'a> {
    plan: &'p mut Plan<'a>,
    taken: Vec<Taken>,
}

/// A place that was found in this walk.
struct Taken {
    job: JobId,
    milli: u16,
    allocation: Allocation,
}

impl<'p, 'a> Places<'p, 'a> {
    pub fn new(plan: &'p mut Plan<'a>) -> Places<'p, 'a> {
        Places { plan, taken: Vec::new() }
    }

    pub fn now(&self) -> Time {
        self.plan.now()
    }

    fn capacity(&mut self) -> &mut Capacity {
        &mut self.plan.view.capacity
    }

    fn held(&self, job: JobId) -> (Allocation, u16) {
        let entry = self.plan.job(job);
        (entry.allocation.clone(), entry.spec.demand.milli)
    }

    /// Turns what the walk changed into orders: displaced jobs are preempted, chosen ones launched, in order of rank.
    ///
    /// Returns the displaced ones that had not been started: they wait again at once, no event will say so.
    pub fn apply(mut self, out: &Outcome) -> Vec<JobId> {
        let taken = std::mem::take(&mut self.taken);
        for place in &taken {
            self.capacity().give(&place.allocation, place.milli);
        }
        for &(job, _) in &out.displaced {
            let (allocation, milli) = self.held(job);
            self.capacity().take(&allocation, milli);
        }
        for &(job, by) in &out.displaced {
            self.plan.preempt(job, by);
        }
        for place in taken {
            self.plan.launch_at(place.job, place.allocation);
        }
        let waits = |job: &JobId| self.plan.job(*job).phase == Phase::Pending;
        out.displaced.iter().map(|&(job, _)| job).filter(waits).collect()
    }

    /// Makes room for `held`, which whole accelerators hold, by moving jobs that took some of them in this walk to others of the
    /// same node. Which accelerators of a node a job starts on is nobody's concern; being stopped for it would be.
    fn clear(&mut self, held: &Grant) -> bool {
        let whole = self.capacity().whole_free(held.node);
        let lost = held.devices & !whole;
        let spare = whole & !held.devices;
        if spare.count_ones() < lost.count_ones() {
            return false;
        }
        for (from, to) in bits(lost).zip(bits(spare)) {
            let uses = |t: &&mut Taken| {
                t.milli == WHOLE_MILLI && t.allocation.iter().any(|g| g.node == held.node && g.devices >> from & 1 == 1)
            };
            let Some(taken) = self.taken.iter_mut().find(uses) else { return false };
            let capacity = &mut self.plan.view.capacity;
            capacity.give(&taken.allocation, WHOLE_MILLI);
            for grant in taken.allocation.iter_mut().filter(|g| g.node == held.node) {
                grant.devices = grant.devices & !(1 << from) | 1 << to;
            }
            capacity.take(&taken.allocation, WHOLE_MILLI);
        }
        true
    }
}

impl Room for Places<'_, '_> {
    fn free_milli(&self) -> u64 {
        self.plan.capacity().free_milli()
    }

    fn take(&mut self, job: JobId, _milli: u64) -> bool {
        let demand = self.plan.job(job).spec.demand;
        let Some(allocation) = self.plan.find(&demand) else { return false };
        self.capacity().take(&allocation, demand.milli);
        self.taken.push(Taken { job, milli: demand.milli, allocation });
        true
    }

    fn lift(&mut self, job: JobId, _milli: u64) {
        let (allocation, milli) = self.held(job);
        self.capacity().give(&allocation, milli);
    }

    fn put_back(&mut self, job: JobId, _milli: u64) -> bool {
        let (allocation, milli) = self.held(job);
        let enough = allocation.iter().all(|grant| has_room(self.capacity(), grant, milli));
        let cleared = enough && allocation.iter().all(|grant| is_free(self.capacity(), grant, milli) || self.clear(grant));
        if cleared {
            self.capacity().take(&allocation, milli);
        }
        cleared
    }
}

/// A number of accelerator-thousandths, wherever they are.
pub(crate) struct Counted {
    /// Those that nobody holds.
    pub free: u64,
}

impl Room for Counted {
    fn free_milli(&self) -> u64 {
        self.free
    }

    fn take(&mut self, _job: JobId, milli: u64) -> bool {
        let enough = milli <= self.free;
        self.free -= if enough { milli } else { 0 };
        enough
    }

    fn lift(&mut self, _job: JobId, milli: u64) {
        self.free += milli;
    }

    fn put_back(&mut self, job: JobId, milli: u64) -> bool {
        self.take(job, milli)
    }
}

/// Whether as much as `grant` has is free on its node.
fn has_room(capacity: &Capacity, grant: &Grant, milli: u16) -> bool {
    capacity.node_free_milli(grant.node) >= u64::from(grant.count) * u64::from(milli)
        && capacity.node_free_cpu_milli(grant.node) >= grant.cpu_milli
        && capacity.node_free_memory_mib(grant.node) >= grant.memory_mib
}

/// Whether the very accelerators that `grant` names are free.
fn is_free(capacity: &Capacity, grant: &Grant, milli: u16) -> bool {
    let rest = grant.devices & !capacity.whole_free(grant.node);
    if rest == 0 || milli == WHOLE_MILLI {
        return rest == 0;
    }
    let free = capacity.device_free_milli(grant.node);
    bits(rest).all(|device| free[device] >= milli)
}

impl Ranked {
    /// Records for jobs that wait what they wait behind.
    pub fn explain(&self, plan: &mut Plan<'_>, jobs: impl IntoIterator<Item = JobId>) {
        let now = plan.now();
        let outranked = Reason::Outranked { by: None }.kind();
        for job in jobs {
            let waits = plan.get(job).is_some_and(|j| j.phase == Phase::Pending && j.last_reason != outranked);
            if waits {
                let by = self.just_ahead(job, now);
                plan.hold(job, Reason::Outranked { by });
            }
        }
    }
}
