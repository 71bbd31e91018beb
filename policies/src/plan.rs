//! How a policy says what it wants.

use crate::allocation::Allocation;
use crate::capacity::Capacity;
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
        let View { jobs, capacity, notes, .. } = &mut *self.view;
        let entry = jobs.get_mut(job).unwrap_or_else(|| panic!("job {} is not live", job.0));
        let demand = &entry.spec.demand;
        if demand.milli_total() <= capacity.free_milli()
            && let Some(allocation) = self.placement.place(capacity, demand)
        {
            self.launch_at(job, allocation);
            return true;
        }
        let reason = no_room(capacity, demand);
        note(notes, job, entry, reason);
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

    /// Gives a pending job a place for `size` accelerators, one of its [legal sizes](crate::job::JobSpec::sizes), like
    /// [`launch`](Plan::launch).
    pub fn launch_on(&mut self, job: JobId, size: u32) -> bool {
        let demand = self.view.job(job).spec.demand.on(size);
        if let Some(allocation) = self.find(&demand) {
            self.launch_at(job, allocation);
            return true;
        }
        let reason = no_room(&self.view.capacity, &demand);
        self.hold(job, reason);
        false
    }

    /// Moves a job that is starting or runs to another place or size, by the placement: it is told to stop, its work saved, and
    /// starts again on what is found now, as soon as that is vacant. What it holds is free to plan with at once, and counts as
    /// free when its next place is sought. Returns whether there is one; else nothing changes.
    ///
    /// # Panics
    /// If the job neither starts nor runs, or the size is not [legal](crate::job::JobSpec::sizes).
    pub fn relocate(&mut self, job: JobId, size: u32) -> bool {
        let entry = self.view.job(job);
        let demand = entry.spec.demand.on(size);
        let old = entry.allocation.clone();
        assert!(matches!(entry.phase, Phase::Starting | Phase::Running), "job {} does not run: it cannot be moved", job.0);
        self.view.capacity.lend(&old, demand.milli);
        let found = self.find(&demand);
        self.view.capacity.take(&old, demand.milli);
        let Some(allocation) = found else { return false };
        self.relocate_to(job, allocation);
        true
    }

    /// Like [`relocate`](Plan::relocate), to exactly this place.
    ///
    /// # Panics
    /// As `relocate`, or if the place is not free to plan with beside what others hold.
    pub fn relocate_to(&mut self, job: JobId, allocation: Allocation) {
        let (size, spec) = (allocation.iter().map(|grant| grant.count).sum(), self.view.job(job).spec);
        assert!(spec.elastic.allows(spec.demand.accelerators, size), "job {} cannot run on {size} accelerators", job.0);
        self.stop(job);
        self.view.capacity.take(&allocation, spec.demand.milli);
        self.view.jobs.get_mut(job).expect("live").next = allocation;
        self.hold(job, Reason::Moving { accelerators: size });
    }

    /// Gives a job that was told to stop, to wait, a place for `size` accelerators to go on at when it has stopped, if the
    /// placement finds one; else nothing changes.
    ///
    /// # Panics
    /// If the size is not [legal](crate::JobSpec::sizes).
    pub fn redirect(&mut self, job: JobId, size: u32) -> bool {
        let entry = self.view.job(job);
        let (spec, stopping) = (entry.spec, entry.phase == Phase::Stopping && entry.next.is_empty());
        assert!(spec.elastic.allows(spec.demand.accelerators, size), "job {} cannot run on {size} accelerators", job.0);
        let Some(allocation) = self.find(&spec.demand.on(size)).filter(|_| stopping) else { return false };
        self.view.capacity.take(&allocation, spec.demand.milli);
        self.view.jobs.get_mut(job).expect("live").next = allocation;
        self.hold(job, Reason::Moving { accelerators: size });
        true
    }

    /// Gives a pending job exactly this place.
    ///
    /// # Panics
    /// If the job is not pending, the place is not free to plan with, or its size is not [legal](crate::job::JobSpec::sizes).
    #[inline(always)]
    pub fn launch_at(&mut self, job: JobId, allocation: Allocation) {
        let View { jobs, capacity, pending, active, assigned, stopping, .. } = &mut *self.view;
        let taken = pending.remove(job.0);
        assert!(taken, "job {} was launched but is not pending", job.0);
        let entry = jobs.get_mut(job).expect("pending jobs are live");
        let milli = entry.spec.demand.milli;
        entry.allocation = allocation;
        entry.speed = entry.speed_here();
        debug_assert!(entry.spec.elastic.allows(entry.spec.demand.accelerators, entry.size()), "job {}", job.0);
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
    /// for [`Reason::Preempted`]. A job that was assigned but not started simply waits again, and one that was being moved will
    /// wait when it has stopped. Jobs that are pending or already stopping are left alone.
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
            Phase::Starting | Phase::Running => self.stop(job),
            Phase::Stopping if !entry.next.is_empty() => {
                let next = std::mem::take(&mut entry.next);
                self.view.capacity.give(&next, milli);
            }
            Phase::Pending | Phase::Stopping | Phase::Done => return,
        }
        self.hold(job, Reason::Preempted { by });
    }

    /// Orders the stop of a job that starts or runs; what it holds is free to plan with.
    pub(crate) fn stop(&mut self, job: JobId) {
        let View { jobs, capacity, active, stopping, .. } = &mut *self.view;
        let entry = jobs.get_mut(job).expect("live");
        assert!(matches!(entry.phase, Phase::Starting | Phase::Running), "job {} does not run", job.0);
        entry.phase = Phase::Stopping;
        self.orders.push(Order::Preempt { job, attempt: entry.attempt });
        active.remove(job.0);
        *stopping += 1;
        capacity.give(&entry.allocation, entry.spec.demand.milli);
    }

    /// Records why a job waits. Written to the run log only when the kind of reason differs from the last one.
    #[inline]
    pub fn hold(&mut self, job: JobId, reason: Reason) {
        let entry = self.view.jobs.get_mut(job).expect("live");
        note(&mut self.view.notes, job, entry, reason);
    }
}

#[inline]
fn note(notes: &mut Vec<Note>, job: JobId, entry: &mut Job, reason: Reason) {
    if entry.last_reason != reason.kind() {
        entry.last_reason = reason.kind();
        notes.push(Note { job, reason });
    }
}

#[inline]
fn no_room(capacity: &Capacity, demand: &Demand) -> Reason {
    let needed_milli = demand.milli_total();
    let free_milli = capacity.free_milli_for(demand);
    if needed_milli > free_milli {
        Reason::NoCapacity { needed_milli, free_milli }
    } else {
        Reason::Fragmented { needed_milli, free_milli }
    }
}

/// Orders the start of an assigned job, if nobody holds its place any more.
pub(crate) fn start_if_vacant(view: &mut View, orders: &mut Vec<Order>, job: JobId) -> bool {
    let entry = view.jobs.get_mut(job).expect("live");
    let milli = entry.spec.demand.milli;
    if view.stopping > 0 && !view.capacity.is_vacant(&entry.allocation, milli) {
        return false;
    }
    entry.speed = entry.speed_here();
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
