//! Results from steps: a row per job and a few integrals.

use super::serving::{ServiceInfo, Serving};
use super::{Observer, StepView};
use policies::{Allocation, Attempt, Event, JobId, JobSpec, Order, Reason, Span, Time, WHOLE_MILLI};
use std::collections::BTreeMap;

/// What became of one job. 64 bytes, one cache line: ten million of them fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(align(64))]
pub struct JobRecord {
    /// When it was submitted.
    pub submit: Time,
    /// When its first attempt ran; [`Time::MAX`] if none did.
    pub first_start: Time,
    /// Since when it runs, while it does; then when it was done or withdrawn. [`Time::MAX`] otherwise.
    mark: Time,
    /// Time spent running, over all attempts.
    pub executed: Span,
    /// Accelerator-thousandths times microseconds that it ran on; saturating.
    service: u64,
    /// Accelerator-thousandths that it asked for.
    pub milli: u32,
    /// Accelerator-thousandths that it holds, [`HOLDS_NOTHING`], or [`WITHDRAWN`].
    held_milli: u32,
    /// Whose it was.
    pub tenant: u32,
    /// Attempts that were stopped on order, be it to wait or to go on elsewhere.
    pub preemptions: u32,
    /// Attempts that were ordered to start.
    pub attempts: u32,
    /// Attempts that failed.
    pub failures: u16,
    failures_max: u16,
}

const HOLDS_NOTHING: u32 = u32::MAX;
/// Holds nothing, and never will.
const WITHDRAWN: u32 = u32::MAX - 1;

impl JobRecord {
    #[inline]
    fn holds(&self) -> bool {
        self.held_milli < WITHDRAWN
    }

    /// Whether it is done, well or badly.
    pub fn is_done(&self) -> bool {
        self.mark != Time::MAX && self.held_milli == HOLDS_NOTHING
    }

    /// Whether its owner withdrew it before it was done.
    pub fn is_withdrawn(&self) -> bool {
        self.held_milli == WITHDRAWN
    }

    /// When it was done or withdrawn; [`Time::MAX`] if it was not.
    pub fn end(&self) -> Time {
        if self.holds() { Time::MAX } else { self.mark }
    }

    /// Since when it runs; [`Time::MAX`] while it does not.
    pub fn running_since(&self) -> Time {
        if self.holds() { self.mark } else { Time::MAX }
    }

    /// Whether it is done because it used up its attempts.
    pub fn is_failed(&self) -> bool {
        self.is_done() && self.failures >= self.failures_max
    }

    /// Job completion time: from submission to the end.
    pub fn jct(&self) -> Span {
        self.end().since(self.submit)
    }

    /// Time from submission to the end in which it did not run: queueing, start-up, and waiting after preemptions.
    pub fn wait(&self) -> Span {
        self.jct().saturating_sub(self.executed)
    }

    /// Accelerator-thousandths times microseconds that it ran on.
    pub fn service(&self) -> u128 {
        self.service.into()
    }
}

/// Follows a run and keeps what results are made of.
#[derive(Clone, Debug)]
pub struct Tracker {
    jobs: Vec<JobRecord>,
    capacity_milli: u64,
    used_milli: u64,
    /// Integral of `used_milli` over time, as if what is held now had been given back at time zero.
    returned_area: i128,
    last: Time,
    /// Events that were seen.
    pub events: u64,
    /// Orders that were seen.
    pub orders: u64,
    /// Steps that were seen.
    pub steps: u64,
    /// Attempts stopped on order, to wait.
    pub preemptions: u64,
    /// Attempts stopped on order, to go on elsewhere or on more or fewer accelerators.
    pub moves: u64,
    /// Jobs that are done.
    pub done: u64,
    /// Jobs that were withdrawn before they were done.
    pub withdrawn: u64,
    /// Jobs that were submitted with a deadline.
    pub deadlines: u64,
    /// Of these, jobs that were done in time and did not fail.
    pub deadlines_met: u64,
    /// Of those that are not done.
    due: BTreeMap<u32, Time>,
    serving: Serving,
    first_submit: Time,
    last_end: Time,
}

impl Tracker {
    /// For a fleet of that many accelerator-thousandths.
    pub fn new(capacity_milli: u64) -> Tracker {
        Tracker {
            jobs: Vec::new(),
            capacity_milli,
            used_milli: 0,
            returned_area: 0,
            last: Time::ZERO,
            events: 0,
            orders: 0,
            steps: 0,
            preemptions: 0,
            moves: 0,
            done: 0,
            withdrawn: 0,
            deadlines: 0,
            deadlines_met: 0,
            due: BTreeMap::new(),
            serving: Serving::default(),
            first_submit: Time::MAX,
            last_end: Time::ZERO,
        }
    }

    /// The same, which also follows the replicas of these services.
    pub fn with_services(mut self, services: &[ServiceInfo]) -> Tracker {
        self.serving = Serving::new(services);
        self
    }

    /// What became of the services' replicas, so far.
    pub fn serving(&self) -> &Serving {
        &self.serving
    }

    /// When the last step was.
    pub fn last(&self) -> Time {
        self.last
    }

    /// Makes room for so many jobs more, where that is known beforehand: rows need not be moved then as they grow in number.
    pub fn expect_jobs(&mut self, jobs: usize) {
        self.jobs.reserve(jobs);
    }

    /// A row per submitted job, by id.
    pub fn jobs(&self) -> &[JobRecord] {
        &self.jobs
    }

    /// From the first submission to the last end, or withdrawal.
    pub fn makespan(&self) -> Span {
        self.last_end.since(self.first_submit)
    }

    /// Accelerator-time held by jobs over accelerator-time there was, from the first submission to the last end. 0 to 1.
    pub fn allocation(&self) -> f64 {
        let capacity = u128::from(self.capacity_milli) * u128::from(self.makespan().0);
        let area = self.returned_area + area(self.used_milli, self.last);
        if capacity == 0 { 0.0 } else { area as f64 / capacity as f64 }
    }

    /// Accelerator-thousandths held at the last step.
    pub fn used_milli(&self) -> u64 {
        self.used_milli
    }

    /// Begins a step.
    #[inline]
    pub(super) fn step_of(&mut self, step: &StepView<'_>) {
        self.last = step.now;
        self.steps += 1;
        self.events += step.events.len() as u64;
        self.orders += step.orders.len() as u64;
        for note in step.notes {
            self.moves += u64::from(matches!(note.reason, Reason::Moving { .. }));
        }
    }

    #[inline(always)]
    pub(super) fn event(&mut self, now: Time, event: &Event) {
        match *event {
            Event::Submit { ref spec, .. } => self.submit(now, spec),
            Event::Started { job, attempt } => {
                if let Some(row) = self.current(job, attempt).filter(|row| row.mark == Time::MAX) {
                    row.mark = now;
                    let first = row.first_start == Time::MAX;
                    row.first_start = row.first_start.min(now);
                    if first {
                        let (tenant, submit) = (row.tenant, row.submit);
                        self.serving.first_start(tenant, now.since(submit));
                    }
                }
            }
            Event::Stopped { job, attempt, .. } => {
                if let Some(row) = self.leave(now, job, attempt) {
                    row.preemptions += 1;
                    self.preemptions += 1;
                }
            }
            Event::Finished { job, attempt } => {
                if let Some(row) = self.leave(now, job, attempt) {
                    row.mark = now;
                    self.end(now);
                    if !self.due.is_empty() {
                        self.deadlines_met += u64::from(self.due.remove(&job.0).is_some_and(|due| now <= due));
                    }
                }
            }
            Event::Failed { job, attempt, lost, .. } => {
                if let Some(row) = self.leave(now, job, attempt) {
                    row.failures += u16::from(!lost);
                    if !lost && row.failures >= row.failures_max {
                        row.mark = now;
                        self.end(now);
                    }
                }
            }
            Event::Withdrawn { job } => self.withdraw(now, job),
            Event::Node { .. } => {}
        }
    }

    #[inline(always)]
    pub(super) fn order(&mut self, now: Time, order: &Order) {
        if let Order::Start { job, attempt, ref allocation } = *order {
            let row = &mut self.jobs[job.index()];
            row.attempts = attempt.0;
            row.held_milli = held_milli(row.milli.into(), allocation) as u32;
            let held = u64::from(row.held_milli);
            self.used_milli += held;
            self.returned_area -= area(held, now);
        }
    }

    #[cold]
    fn withdraw(&mut self, now: Time, job: JobId) {
        let row = self.jobs[job.index()];
        if row.is_done() || row.is_withdrawn() {
            return;
        }
        self.leave(now, job, Attempt(row.attempts));
        self.serving.withdrawn(row.tenant, now, (row.first_start == Time::MAX).then(|| now.since(row.submit)));
        let row = &mut self.jobs[job.index()];
        (row.mark, row.held_milli) = (now, WITHDRAWN);
        self.withdrawn += 1;
        self.last_end = self.last_end.max(now);
    }

    #[inline]
    fn submit(&mut self, now: Time, spec: &JobSpec) {
        self.first_submit = self.first_submit.min(now);
        self.serving.submitted(spec.tenant.0, now);
        if spec.deadline_s > 0 {
            self.deadlines += 1;
            self.due.insert(self.jobs.len() as u32, now + Span::from_secs(spec.deadline_s.into()));
        }
        self.jobs.push(JobRecord {
            submit: now,
            first_start: Time::MAX,
            mark: Time::MAX,
            executed: Span::ZERO,
            service: 0,
            milli: spec.demand.milli_total().min(u32::MAX.into()) as u32,
            tenant: spec.tenant.0,
            preemptions: 0,
            attempts: 0,
            failures: 0,
            failures_max: spec.attempts_max,
            held_milli: HOLDS_NOTHING,
        });
    }

    /// The row of a job, if the attempt is its newest and holds accelerators; else the message crossed with something newer.
    #[inline]
    fn current(&mut self, job: JobId, attempt: Attempt) -> Option<&mut JobRecord> {
        let row = &mut self.jobs[job.index()];
        if row.holds() && row.attempts == attempt.0 { Some(row) } else { None }
    }

    #[inline(always)]
    fn leave(&mut self, now: Time, job: JobId, attempt: Attempt) -> Option<&mut JobRecord> {
        let row = &mut self.jobs[job.index()];
        if !row.holds() || row.attempts != attempt.0 {
            return None;
        }
        let (held, ran) = (u64::from(row.held_milli), now.since(row.mark));
        self.used_milli -= held;
        self.returned_area += area(held, now);
        self.serving.left(row.tenant, row.mark, now);
        row.executed += ran;
        row.service = row.service.saturating_add(held.saturating_mul(ran.0));
        row.mark = Time::MAX;
        row.held_milli = HOLDS_NOTHING;
        Some(row)
    }

    #[inline]
    fn end(&mut self, now: Time) {
        self.done += 1;
        self.last_end = self.last_end.max(now);
    }
}

/// What `milli` amount to that are held from time zero to `now`.
#[inline]
fn area(milli: u64, now: Time) -> i128 {
    i128::from(milli) * i128::from(now.0)
}

/// What a job that asked for `milli` thousandths in all holds with an allocation, in thousandths.
#[inline]
pub fn held_milli(milli: u64, allocation: &Allocation) -> u64 {
    let count: u64 = match allocation[..] {
        [grant] => grant.count.into(),
        ref grants => grants.iter().map(|grant| u64::from(grant.count)).sum(),
    };
    // Jobs that share accelerators are not resized.
    (count * u64::from(WHOLE_MILLI)).min(milli)
}

impl Observer for Tracker {
    #[inline]
    fn step(&mut self, step: StepView<'_>) {
        self.step_of(&step);
        for event in step.events {
            self.event(step.now, event);
        }
        for order in step.orders {
            self.order(step.now, order);
        }
    }
}
