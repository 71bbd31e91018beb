//! Results from steps: a row per job and a few integrals.

use super::{Observer, StepView};
use policies::{Attempt, Event, JobId, JobSpec, Order, Span, Time};

/// What became of one job. 64 bytes, one cache line: ten million of them fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(align(64))]
pub struct JobRecord {
    /// When it was submitted.
    pub submit: Time,
    /// When its first attempt ran; [`Time::MAX`] if none did.
    pub first_start: Time,
    /// When it was done; [`Time::MAX`] if it was not.
    pub end: Time,
    /// Time spent running, over all attempts.
    pub executed: Span,
    running_since: Time,
    /// Accelerator-thousandths that it asked for.
    pub milli: u32,
    /// Whose it was.
    pub tenant: u32,
    /// Attempts that were stopped on order.
    pub preemptions: u32,
    /// Attempts that were ordered to start.
    pub attempts: u32,
    /// Attempts that failed.
    pub failures: u16,
    failures_max: u16,
    holding: bool,
}

impl JobRecord {
    /// Whether it is done.
    pub fn is_done(&self) -> bool {
        self.end != Time::MAX
    }

    /// Whether it is done because it used up its attempts.
    pub fn is_failed(&self) -> bool {
        self.is_done() && self.failures >= self.failures_max
    }

    /// Job completion time: from submission to the end.
    pub fn jct(&self) -> Span {
        self.end.since(self.submit)
    }

    /// Time from submission to the end in which it did not run: queueing, start-up, and waiting after preemptions.
    pub fn wait(&self) -> Span {
        self.jct().saturating_sub(self.executed)
    }
}

/// Follows a run and keeps what results are made of.
#[derive(Clone, Debug)]
pub struct Tracker {
    jobs: Vec<JobRecord>,
    capacity_milli: u64,
    used_milli: u64,
    /// Integral of `used_milli` over time.
    used_area: u128,
    last: Time,
    /// Events that were seen.
    pub events: u64,
    /// Orders that were seen.
    pub orders: u64,
    /// Steps that were seen.
    pub steps: u64,
    /// Attempts stopped on order.
    pub preemptions: u64,
    /// Jobs that are done.
    pub done: u64,
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
            used_area: 0,
            last: Time::ZERO,
            events: 0,
            orders: 0,
            steps: 0,
            preemptions: 0,
            done: 0,
            first_submit: Time::MAX,
            last_end: Time::ZERO,
        }
    }

    /// A row per submitted job, by id.
    pub fn jobs(&self) -> &[JobRecord] {
        &self.jobs
    }

    /// From the first submission to the last end.
    pub fn makespan(&self) -> Span {
        self.last_end.since(self.first_submit)
    }

    /// Accelerator-time held by jobs over accelerator-time there was, from the first submission to the last end. 0 to 1.
    pub fn allocation(&self) -> f64 {
        let capacity = u128::from(self.capacity_milli) * u128::from(self.makespan().0);
        if capacity == 0 { 0.0 } else { self.used_area as f64 / capacity as f64 }
    }

    /// Accelerator-thousandths held at the last step.
    pub fn used_milli(&self) -> u64 {
        self.used_milli
    }

    #[inline]
    fn event(&mut self, now: Time, event: &Event) {
        match *event {
            Event::Submit { ref spec, .. } => self.submit(now, spec),
            Event::Started { job, attempt } => {
                if let Some(row) = self.current(job, attempt).filter(|row| row.running_since == Time::MAX) {
                    row.running_since = now;
                    row.first_start = row.first_start.min(now);
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
                    row.end = now;
                    self.end(now);
                }
            }
            Event::Failed { job, attempt, .. } => {
                if let Some(row) = self.leave(now, job, attempt) {
                    row.failures += 1;
                    if row.failures >= row.failures_max {
                        row.end = now;
                        self.end(now);
                    }
                }
            }
        }
    }

    #[inline]
    fn submit(&mut self, now: Time, spec: &JobSpec) {
        self.first_submit = self.first_submit.min(now);
        self.jobs.push(JobRecord {
            submit: now,
            first_start: Time::MAX,
            end: Time::MAX,
            executed: Span::ZERO,
            running_since: Time::MAX,
            milli: spec.demand.milli_total().min(u32::MAX.into()) as u32,
            tenant: spec.tenant.0,
            preemptions: 0,
            attempts: 0,
            failures: 0,
            failures_max: spec.attempts_max,
            holding: false,
        });
    }

    /// The row of a job, if the attempt is its newest and holds accelerators; else the message crossed with something newer.
    #[inline]
    fn current(&mut self, job: JobId, attempt: Attempt) -> Option<&mut JobRecord> {
        let row = &mut self.jobs[job.index()];
        if row.holding && row.attempts == attempt.0 { Some(row) } else { None }
    }

    #[inline]
    fn leave(&mut self, now: Time, job: JobId, attempt: Attempt) -> Option<&mut JobRecord> {
        let row = &mut self.jobs[job.index()];
        if !row.holding || row.attempts != attempt.0 {
            return None;
        }
        self.used_milli -= u64::from(row.milli);
        row.executed += now.since(row.running_since);
        row.running_since = Time::MAX;
        row.holding = false;
        Some(row)
    }

    #[inline]
    fn end(&mut self, now: Time) {
        self.done += 1;
        self.last_end = self.last_end.max(now);
    }
}

impl Observer for Tracker {
    #[inline]
    fn step(&mut self, step: StepView<'_>) {
        if step.now > self.last {
            self.used_area += u128::from(self.used_milli) * u128::from(step.now.since(self.last).0);
            self.last = step.now;
        }
        self.steps += 1;
        self.events += step.events.len() as u64;
        self.orders += step.orders.len() as u64;
        for event in step.events {
            self.event(step.now, event);
        }
        for order in step.orders {
            if let Order::Start { job, attempt, .. } = *order {
                let row = &mut self.jobs[job.index()];
                (row.attempts, row.holding) = (attempt.0, true);
                self.used_milli += u64::from(row.milli);
            }
        }
    }
}
