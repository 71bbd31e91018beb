//! What no policy can beat: relaxations of an experiment.

use crate::experiment::{Experiment, ExperimentError};
use policies::{Demand, Fleet, Time};
use reports::Bound;
use traces::{Trace, TraceJob};

impl Experiment {
    /// Bounds on what any policy can make of this experiment.
    ///
    /// * *goodput* up to the time limit T on C accelerators: in the time before any instant s no more work can be done than on a
    ///   fleet without end, where every job runs whole from its submission, A(s); and after it no more than C (T - s). The least
    ///   sum over all s counts. Placement, types, switch costs and faults are left out. `None` without a time limit, since then
    ///   each policy decides itself how long it takes.
    /// * *attained*, by tier: each job alone on a fleet without end, with this experiment's costs. It is submitted, starts,
    ///   runs, and is neither stopped nor moved: what guarantees it misses, it misses by its own start.
    ///
    /// # Errors
    /// As [`run`](Experiment::run).
    pub fn bound(&self) -> Result<Bound, ExperimentError> {
        let capacity = self.fleet.accelerators();
        let goodput = self.limits.until.and_then(|until| goodput(&self.trace.jobs, capacity, until));
        let attained = match self.tiers.iter().any(|tier| tier.guarantee > 0) {
            true => self.alone().run("fifo", None, &mut |_| {})?.account,
            false => None,
        };
        let share =
            |tier: &policies::ledger::TierAccount| (tier.observed > 0).then(|| tier.attained as f64 / tier.observed as f64);
        Ok(Bound { goodput, attained: attained.iter().flat_map(|account| &account.tiers).map(share).collect() })
    }

    /// The same jobs, each as if it were alone.
    fn alone(&self) -> Experiment {
        let mut trace = Trace { jobs: self.trace.jobs.clone(), ..Trace::default() };
        for job in &mut trace.jobs {
            job.demand = Demand { milli: job.demand.milli, ..Demand::whole(job.demand.accelerators) };
        }
        let all: u64 = trace.jobs.iter().map(|job| u64::from(job.demand.accelerators)).sum();
        Experiment {
            seed: self.seed,
            placement: "pool".into(),
            costs: self.costs.clone(),
            tiers: self.tiers.clone(),
            rules: self.rules.clone(),
            services: self.services.clone(),
            limits: self.limits,
            ..Experiment::new("alone", Fleet::pool(all.min(u64::from(u32::MAX)) as u32), trace)
        }
    }
}

/// The most useful part of the time of `capacity` accelerators from the first submission to `until`.
fn goodput(jobs: &[TraceJob], capacity: u64, until: Time) -> Option<f64> {
    let first = jobs.first()?.submit;
    let micros = u128::from(until.0.checked_sub(first.0).filter(|span| *span > 0)?);
    // Where the number of accelerators that could work changes, and by how many thousandths.
    let mut steps: Vec<(Time, i64)> = Vec::with_capacity(2 * jobs.len());
    for job in jobs.iter().filter(|job| job.submit < until) {
        let milli = job.demand.milli_total() as i64;
        steps.push((job.submit, milli));
        steps.push(((job.submit + job.duration).min(until), -milli));
    }
    steps.sort_unstable();
    let capacity = i128::from(capacity) * i128::from(policies::WHOLE_MILLI);
    let (mut at, mut active, mut done) = (first, 0_i64, 0_i128);
    // At s = the first submission nothing can have been done.
    let mut least = capacity * i128::try_from(micros).ok()?;
    let all = least;
    for (next, change) in steps.into_iter().chain([(until, 0)]) {
        done += i128::from(active) * i128::from(next.since(at).0);
        (at, active) = (next, active + change);
        least = least.min(done + capacity * i128::from(until.since(at).0));
    }
    Some(least as f64 / all as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use policies::Span;

    fn job(submit: u64, duration: u64, accelerators: u32) -> TraceJob {
        TraceJob {
            id: "".into(),
            submit: Time::from_secs(submit),
            duration: Span::from_secs(duration),
            demand: Demand::whole(accelerators),
            tenant: 0,
            priority: 0,
            tier: 0,
            estimate: None,
            outcome: traces::Outcome::Unknown,
            recorded_start: None,
            label: 0,
        }
    }

    #[test]
    fn goodput_by_hand() {
        let until = Time::from_secs(100);
        // Half of the fleet is all that is ever asked for.
        assert_eq!(goodput(&[job(0, 200, 2)], 4, until), Some(0.5));
        // Too much at once, but only for half of the time.
        assert_eq!(goodput(&[job(0, 50, 8)], 4, until), Some(1.0));
        assert_eq!(goodput(&[job(0, 25, 4), job(50, 500, 16)], 4, until), Some(0.75));
        // What comes late cannot be done earlier, and what is left at the end does not count.
        assert_eq!(goodput(&[job(0, 10, 1), job(90, 1000, 100)], 1, until), Some(0.2));
        assert_eq!(goodput(&[], 4, until), None);
    }
}
