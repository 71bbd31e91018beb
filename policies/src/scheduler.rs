//! The state machine that both worlds drive.

use crate::allocation::Allocation;
use crate::elastic::FULL_SPEED;
use crate::event::{Event, NodeState, Note, Order};
use crate::fleet::Fleet;
use crate::ids::{Attempt, JobId, NodeId};
use crate::idtable::IdTable;
use crate::job::{Job, JobSpec, Phase};
use crate::ledger::Ledger;
use crate::placement::Placement;
use crate::plan::{Plan, start_if_vacant};
use crate::policy::Policy;
use crate::tier::Tiers;
use crate::time::{Span, Time};
use crate::view::View;

/// What came of one step.
#[derive(Clone, Copy, Debug)]
pub struct Decision<'a> {
    /// To be carried out in this order.
    pub orders: &'a [Order],
    /// Why jobs wait, where that changed.
    pub notes: &'a [Note],
}

/// What an event did.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Effect {
    /// Nothing: it crossed with something newer.
    Stale,
    /// An attempt runs; there is nothing to decide.
    Underway,
    /// A job waits, or a node has changed.
    Waiting,
    /// A job is done.
    Over,
}

/// The scheduler: facts enter by [`handle`](Scheduler::handle), orders leave by [`decide`](Scheduler::decide).
///
/// # Contract
/// A driver repeats one step: it takes the next instant (an event's, or [`next_wakeup`](Scheduler::next_wakeup)'s, whichever
/// is earlier), hands every event of that instant to `handle` in the order in which they happened, calls `decide` once with
/// the same time, and carries the orders out. Time never runs backwards. Neither call can fail, blocks, or reads anything but
/// its arguments, so equal inputs give equal orders in every world.
///
/// The scheduler never assumes that an order was carried out: a job runs, and an accelerator is free, when an event says so.
/// Events of an older attempt are stale and change nothing, so orders and events may cross.
pub struct Scheduler {
    pub(crate) view: View,
    pub(crate) policy: Box<dyn Policy>,
    pub(crate) placement: Box<dyn Placement>,
    orders: Vec<Order>,
    /// Something happened that the policy has not decided about yet.
    pub(crate) dirty: bool,
    /// Something happened since the policy was asked when it wants to be woken.
    pub(crate) stirred: bool,
    pub(crate) wakeup: Option<Time>,
    /// Accelerators were vacated since the last decision.
    pub(crate) vacated: bool,
}

impl Scheduler {
    /// A scheduler for an empty fleet without jobs.
    pub fn new(fleet: Fleet, policy: Box<dyn Policy>, placement: Box<dyn Placement>) -> Scheduler {
        Scheduler {
            view: View::new(fleet),
            policy,
            placement,
            orders: Vec::new(),
            dirty: false,
            stirred: true,
            wakeup: None,
            vacated: false,
        }
    }

    /// The same scheduler, which keeps books of what it owes each tier and of what becomes of every accelerator. Without tiers
    /// it keeps none.
    pub fn with_tiers(mut self, tiers: &Tiers) -> Scheduler {
        self.view.ledger = (!tiers.is_empty()).then(|| Box::new(Ledger::new(self.view.fleet(), tiers)));
        self.know_tiers(tiers);
        self
    }

    /// Tells the tier table, for policies that ask; no books are kept.
    pub(crate) fn know_tiers(&mut self, tiers: &Tiers) {
        self.view.tiers = tiers.clone();
    }

    /// What the scheduler knows.
    pub fn view(&self) -> &View {
        &self.view
    }

    /// Takes in one fact.
    ///
    /// # Panics
    /// If time runs backwards or a job is submitted out of turn: the driver is broken.
    #[inline(always)]
    pub fn handle(&mut self, now: Time, event: &Event) {
        assert!(now >= self.view.now, "time runs backwards: {} after {}", now, self.view.now);
        self.view.now = now;
        if let Some(ledger) = &mut self.view.ledger {
            ledger.handle(now, event);
        }
        let effect = match *event {
            Event::Submit { job, ref spec } => self.submit(job, spec),
            Event::Started { job, attempt } => self.started(job, attempt),
            Event::Stopped { job, attempt, progress } => self.stopped(job, attempt, progress),
            Event::Finished { job, attempt } => self.finished(job, attempt),
            Event::Failed { job, attempt, progress, lost } => self.failed(job, attempt, progress, lost),
            Event::Withdrawn { job } => self.withdrawn(job),
            Event::Node { node, state } => self.node(node, state),
        };
        if effect == Effect::Stale {
            return;
        }
        self.policy.observe(&self.view, event);
        if effect == Effect::Over
            && let Some(job) = event.job()
        {
            self.view.jobs.retire(job);
        }
        self.stirred = true;
        self.dirty |= effect != Effect::Underway;
    }

    /// Asks the policy what to do, if anything happened since it was last asked or its wake-up is due.
    #[inline(always)]
    pub fn decide(&mut self, now: Time) -> Decision<'_> {
        assert!(now >= self.view.now, "time runs backwards: {} after {}", now, self.view.now);
        self.view.now = now;
        self.orders.clear();
        self.view.notes.clear();
        if self.vacated && !self.view.assigned.is_empty() {
            self.start_assigned();
        }
        self.vacated = false;
        if self.dirty || self.is_woken(now) {
            self.dirty = false;
            let mut plan = Plan { view: &mut self.view, placement: &mut *self.placement, orders: &mut self.orders };
            self.policy.decide(&mut plan);
            self.wakeup = self.policy.next_wakeup(&self.view);
            self.stirred = false;
        }
        if let Some(ledger) = &mut self.view.ledger {
            ledger.decided(now, &self.orders, &self.view.notes);
        }
        Decision { orders: &self.orders, notes: &self.view.notes }
    }

    #[inline]
    fn is_woken(&mut self, now: Time) -> bool {
        if self.stirred {
            self.wakeup = self.policy.next_wakeup(&self.view);
            self.stirred = false;
        }
        self.wakeup.is_some_and(|at| at <= now)
    }

    /// When `decide` wants to be called if nothing happens until then; known after a call of `decide`.
    #[inline]
    pub fn next_wakeup(&self) -> Option<Time> {
        self.wakeup
    }

    /// Recomputes every index from scratch and compares.
    ///
    /// # Errors
    /// The first broken invariant, in words.
    pub fn check(&self) -> Result<(), String> {
        self.view.ledger.as_ref().map_or(Ok(()), |ledger| ledger.check())?;
        crate::check::check(&self.view)
    }

    #[inline(always)]
    fn submit(&mut self, job: JobId, spec: &JobSpec) -> Effect {
        assert_eq!(job.0, self.view.jobs.len(), "jobs are submitted in id order");
        let class = self.view.intern(&spec.demand);
        self.placement.observe(&spec.demand);
        let now = self.view.now;
        self.view.jobs.push_with(|| Job {
            spec: *spec,
            class,
            submit: now,
            phase: Phase::Pending,
            attempt: Attempt(0),
            failures: 0,
            preemptions: 0,
            running_since: Time::MAX,
            executed: Span::ZERO,
            progress: Span::ZERO,
            allocation: Allocation::new(),
            last_reason: 0,
            next: Allocation::new(),
            speed: FULL_SPEED,
        });
        self.view.pending.insert(job.0);
        Effect::Waiting
    }

    /// Takes in a job that lived in another scheduler before: it waits here with what it has behind it, as old as it is. Its number
    /// here.
    pub(crate) fn adopt(&mut self, now: Time, job: &Job) -> JobId {
        self.view.now = now;
        let id = JobId(self.view.jobs.len());
        self.submit(id, &job.spec);
        let entry = self.view.jobs.get_mut(id).expect("just pushed");
        (entry.submit, entry.attempt, entry.failures) = (job.submit, job.attempt, job.failures);
        (entry.preemptions, entry.executed, entry.progress) = (job.preemptions, job.executed, job.progress);
        self.policy.observe(&self.view, &Event::Submit { job: id, spec: job.spec });
        (self.stirred, self.dirty) = (true, true);
        id
    }

    /// Takes what others use out of what is free to plan with, or puts it back.
    pub(crate) fn lend(&mut self, allocation: &Allocation, milli: u16, lent: bool) {
        if lent {
            self.view.capacity.take(allocation, milli);
        } else {
            self.view.capacity.give(allocation, milli);
            self.dirty = true;
        }
    }

    /// After it was loaded and what others use was taken out again: only what had changed by the time it was saved has.
    pub(crate) fn begin_again(&mut self, changes: u64) {
        self.view.capacity.begin_again(changes);
    }

    /// When the policy wants to be asked next, as things stand since it was asked last.
    pub(crate) fn wakeup_now(&self) -> Option<Time> {
        self.policy.next_wakeup(&self.view)
    }

    /// The job, if `attempt` is its newest one and holds accelerators: else the message is stale.
    #[inline]
    fn current(jobs: &mut IdTable<Job>, job: JobId, attempt: Attempt) -> Option<&mut Job> {
        let entry = jobs.get_mut(job)?;
        let holds = matches!(entry.phase, Phase::Starting | Phase::Running | Phase::Stopping);
        if holds && entry.attempt == attempt { Some(entry) } else { None }
    }

    #[inline(always)]
    fn started(&mut self, job: JobId, attempt: Attempt) -> Effect {
        let Some(entry) = Self::current(&mut self.view.jobs, job, attempt) else { return Effect::Stale };
        // Told twice, it still started when it was told first.
        if entry.running_since != Time::MAX {
            return Effect::Stale;
        }
        // A job that was told to stop before its start was confirmed ran all the same.
        if entry.phase == Phase::Starting {
            entry.phase = Phase::Running;
        }
        entry.running_since = self.view.now;
        Effect::Underway
    }

    #[inline(never)]
    fn stopped(&mut self, job: JobId, attempt: Attempt, progress: Span) -> Effect {
        self.leave(job, attempt, |entry| {
            // Stopped on the way to somewhere else.
            entry.phase = if entry.next.is_empty() { Phase::Pending } else { Phase::Assigned };
            entry.preemptions += u32::from(entry.next.is_empty());
            entry.progress = progress;
        })
    }

    #[inline(always)]
    fn finished(&mut self, job: JobId, attempt: Attempt) -> Effect {
        self.leave(job, attempt, |entry| entry.phase = Phase::Done)
    }

    #[inline(never)]
    fn failed(&mut self, job: JobId, attempt: Attempt, progress: Span, lost: bool) -> Effect {
        self.leave(job, attempt, |entry| {
            entry.failures += u16::from(!lost);
            entry.progress = progress;
            let spent = !lost && entry.failures >= entry.spec.attempts_max;
            entry.phase = if spent { Phase::Done } else { Phase::Pending };
        })
    }

    /// The attempt is over: its accelerators are vacated, and `change` says what becomes of the job.
    #[inline(always)]
    fn leave(&mut self, job: JobId, attempt: Attempt, change: impl FnOnce(&mut Job)) -> Effect {
        let View { now, jobs, capacity, pending, active, assigned, stopping, .. } = &mut self.view;
        let Some(entry) = Self::current(jobs, job, attempt) else { return Effect::Stale };
        entry.executed = entry.executed_at(*now);
        entry.running_since = Time::MAX;
        let milli = entry.spec.demand.milli;
        // What was told to stop is free to plan with since then.
        if entry.phase == Phase::Stopping {
            *stopping -= 1;
            capacity.vacate(&entry.allocation, milli);
        } else {
            active.remove(job.0);
            capacity.release(&entry.allocation, milli);
        }
        entry.allocation.clear();
        change(entry);
        self.vacated = true;
        if entry.phase == Phase::Assigned {
            entry.allocation = std::mem::take(&mut entry.next);
            assigned.insert(job.0);
            return Effect::Waiting;
        }
        // It ended by itself before it could be moved.
        if !entry.next.is_empty() {
            let next = std::mem::take(&mut entry.next);
            capacity.give(&next, milli);
        }
        if entry.phase == Phase::Done {
            return Effect::Over;
        }
        pending.insert(job.0);
        Effect::Waiting
    }

    /// Whatever the job holds or was promised is free.
    #[cold]
    fn withdrawn(&mut self, job: JobId) -> Effect {
        let View { jobs, capacity, pending, assigned, .. } = &mut self.view;
        let Some(entry) = jobs.get_mut(job) else { return Effect::Stale };
        match entry.phase {
            Phase::Done => return Effect::Stale,
            Phase::Pending => {
                pending.remove(job.0);
                entry.phase = Phase::Done;
            }
            Phase::Assigned => {
                assigned.remove(job.0);
                capacity.give(&entry.allocation, entry.spec.demand.milli);
                entry.allocation.clear();
                entry.phase = Phase::Done;
            }
            Phase::Starting | Phase::Running | Phase::Stopping => {
                let attempt = entry.attempt;
                // It was to go on elsewhere: it will not.
                let next = std::mem::take(&mut entry.next);
                capacity.give(&next, entry.spec.demand.milli);
                return self.leave(job, attempt, |entry| entry.phase = Phase::Done);
            }
        }
        Effect::Over
    }

    #[cold]
    fn node(&mut self, node: NodeId, state: NodeState) -> Effect {
        if self.view.capacity.set_state(node, state) { Effect::Waiting } else { Effect::Stale }
    }

    fn start_assigned(&mut self) {
        let mut next = self.view.assigned.first();
        while let Some(id) = next {
            if start_if_vacant(&mut self.view, &mut self.orders, JobId(id)) {
                self.view.assigned.remove(id);
            }
            next = self.view.assigned.next_from(id + 1);
        }
    }
}
