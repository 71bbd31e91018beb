//! How a policy says what it wants.

use crate::allocation::Allocation;
use crate::event::{Note, Order, Reason};
use crate::ids::{Attempt, JobId};
use crate::job::{Demand, Job, Phase};
use crate::placement::Placement;
use crate::view::View;
use std::ops::Deref;

/// One decision in the making. It is a [`View`] that changes as the policy plans: what is launched is no longer free, what is
/// preempted is free to plan with.
pub struct Plan<'a> {
    pub(crate) view: &'a mut View,
    pub(crate) placement: &'a mut dyn Placement,
    pub(crate) orders: &'a mut Vec<Order>,
}

impl Deref for Plan<'_> {
    type Target = View;
    fn deref(&self) -> &View {
        self.view
    }
}

impl Plan<'_> {
    /// Gives a pending job a place, if the placement finds one in what is free to plan with. On accelerators that others are
    /// still vacating it starts as soon as events say that they left. On failure the reason is recorded and nothing changes.
    ///
    /// # Panics
    /// If the job is not pending.
    #[inline(always)]
    pub fn launch(&mut self, job: JobId) -> bool {
        let demand = &self.view.job(job).spec.demand;
        if demand.milli_total() <= self.view.capacity.free_milli()
            && let Some(allocation) = self.placement.place(&self.view.capacity, demand)
        {
            self.launch_at(job, allocation);
            return true;
        }
        let reason = self.no_room(demand);
        self.hold(job, reason);
        false
    }

    /// Where the placement would put `demand` now. Nothing is changed or recorded.
    #[inline]
    pub fn find(&mut self, demand: &Demand) -> Option<Allocation> {
        if demand.milli_total() > self.view.capacity.free_milli() {
            return None;
        }
        self.placement.place(&self.view.capacity, demand)
    }

    /// Gives a pending job exactly this place.
    ///
    /// # Panics
    /// If the job is not pending or the place is not free to plan with.
    #[inline(always)]
    pub fn launch_at(&mut self, job: JobId, allocation: Allocation) {
        let View { jobs, capacity, pending, active, assigned, stopping, .. } = &mut *self.view;
        let taken = pending.remove(job.0);
        assert!(taken, "job {} was launched but is not pending", job.0);
        let entry = jobs.get_mut(job).expect("pending jobs are live");
        let milli = entry.spec.demand.milli;
        entry.allocation = allocation;
        // While nobody is on the way out, what is free to plan with is free.
        if *stopping == 0 || capacity.is_vacant(&entry.allocation, milli) {
            capacity.occupy(&entry.allocation, milli);
            active.insert(job.0);
            self.orders.push(start(job, entry));
        } else {
            capacity.take(&entry.allocation, milli);
            entry.phase = Phase::Assigned;
            assigned.insert(job.0);
            self.hold(job, Reason::Vacating);
        }
    }

    /// Tells a job to save its work and stop; its accelerators are free to plan with from here on. `by` is who needs the room,
    /// for [`Reason::Preempted`]. A job that was assigned but not started simply waits again. Jobs that are pending or already
    /// stopping are left alone.
    pub fn preempt(&mut self, job: JobId, by: Option<JobId>) {
        let entry = self.view.jobs.get_mut(job).unwrap_or_else(|| panic!("job {} is not live", job.0));
        let milli = entry.spec.demand.milli;
        match entry.phase {
            Phase::Assigned => {
                entry.phase = Phase::Pending;
                let allocation = std::mem::take(&mut entry.allocation);
                self.view.assigned.remove(job.0);
                self.view.pending.insert(job.0);
                self.view.capacity.give(&allocation, milli);
            }
            Phase::Starting | Phase::Running => {
                entry.phase = Phase::Stopping;
                self.orders.push(Order::Preempt { job, attempt: entry.attempt });
                self.view.active.remove(job.0);
                self.view.stopping += 1;
                self.view.capacity.give(&entry.allocation, milli);
            }
            Phase::Pending | Phase::Stopping | Phase::Done => return,
        }
        self.hold(job, Reason::Preempted { by });
    }

    /// Records why a job waits. Written to the run log only when the kind of reason differs from the last one.
    #[inline]
    pub fn hold(&mut self, job: JobId, reason: Reason) {
        let entry = self.view.jobs.get_mut(job).expect("live");
        if entry.last_reason != reason.kind() {
            entry.last_reason = reason.kind();
            self.view.notes.push(Note { job, reason });
        }
    }

    #[inline]
    fn no_room(&self, demand: &Demand) -> Reason {
        let needed_milli = demand.milli_total();
        let free_milli = self.view.capacity.free_milli_for(demand);
        if needed_milli > free_milli {
            Reason::NoCapacity { needed_milli, free_milli }
        } else {
            Reason::Fragmented { needed_milli, free_milli }
        }
    }
}

/// Orders the start of an assigned job, if nobody holds its place any more.
pub(crate) fn start_if_vacant(view: &mut View, orders: &mut Vec<Order>, job: JobId) -> bool {
    let entry = view.jobs.get_mut(job).expect("live");
    let milli = entry.spec.demand.milli;
    if view.stopping > 0 && !view.capacity.is_vacant(&entry.allocation, milli) {
        return false;
    }
    view.capacity.hold(&entry.allocation, milli);
    view.active.insert(job.0);
    orders.push(start(job, entry));
    true
}

/// Makes a job start a new attempt.
#[inline]
fn start(job: JobId, entry: &mut Job) -> Order {
    entry.phase = Phase::Starting;
    entry.attempt = Attempt(entry.attempt.0 + 1);
    entry.last_reason = 0;
    let allocation = match entry.allocation[..] {
        [grant] => Allocation::from_buf([grant]),
        ref grants => Allocation::from_slice(grants),
    };
    Order::Start { job, attempt: entry.attempt, allocation }
}
