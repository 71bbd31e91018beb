//! What the simulator is told of the trace's jobs.

use super::Experiment;
use policies::{Elastic, JobId, JobSpec, Span, TenantId, Time};
use sim::{Arrival, BadEnd};
use traces::TraceJob;

impl Experiment {
    /// Arrivals from the job with that number on.
    pub(super) fn arrivals(&self, from: usize) -> impl Iterator<Item = Arrival> + '_ {
        let estimator = self.estimates.with_seed(self.seed);
        self.trace.jobs[from..].iter().map(move |job| self.arrival(job, estimator.estimate(job)))
    }

    fn is_replica(&self, job: &TraceJob) -> bool {
        self.services.iter().any(|service| service.tenant == job.tenant)
    }

    /// When each replica is not needed any more, in order of time.
    pub(super) fn withdrawals(&self) -> Vec<(Time, JobId)> {
        let jobs = self.trace.jobs.iter().enumerate().filter(|(_, job)| self.is_replica(job));
        let mut withdrawals: Vec<_> = jobs.map(|(id, job)| (job.submit + job.duration, JobId(id as u32))).collect();
        withdrawals.sort_unstable();
        withdrawals
    }

    /// The jobs that fail or are cancelled.
    pub(super) fn bad_ends(&self) -> impl Iterator<Item = (JobId, BadEnd, Span)> {
        let jobs = self.trace.jobs.iter().enumerate().filter(|(_, job)| !self.is_replica(job));
        jobs.filter_map(|(id, job)| {
            let end = match self.rules.bad_end(job)? {
                traces::Outcome::Failed => BadEnd::Fails,
                _ => BadEnd::Cancelled,
            };
            Some((JobId(id as u32), end, job.duration))
        })
    }

    fn arrival(&self, job: &TraceJob, estimate: Option<Span>) -> Arrival {
        if self.is_replica(job) {
            let spec = JobSpec {
                demand: job.demand,
                tenant: TenantId(job.tenant),
                priority: self.rules.priority(job, job.tier),
                tier: job.tier,
                attempts_max: u16::MAX,
                estimate: None,
                elastic: Elastic::RIGID,
                deadline_s: 0,
            };
            return Arrival { submit: job.submit, spec, duration: sim::ENDLESS };
        }
        let tier = self.rules.tier(job);
        let spec = JobSpec {
            demand: job.demand,
            tenant: TenantId(job.tenant),
            priority: self.rules.priority(job, tier),
            tier,
            attempts_max: if self.rules.bad_end(job).is_some() { 1 } else { self.attempts_max },
            estimate,
            elastic: self.rules.elastic(job),
            deadline_s: self.rules.deadline_s(job),
        };
        Arrival { submit: job.submit, spec, duration: job.duration }
    }
}
