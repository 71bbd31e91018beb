//! Shuffles a trace and tunes its load: how experiments draw many inputs from one recorded trace.

use crate::model::{Trace, TraceJob};
use policies::{Span, Time};
use rand::rngs::Xoshiro256PlusPlus;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use thiserror::Error;

/// What can prevent a trace from being tuned.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum TuneError {
    /// The ratio is no ratio.
    #[error("cannot tune the load to {0} times the capacity: expected a number above 0")]
    BadRatio(f64),
    /// No job asks for an accelerator.
    #[error("cannot tune the load: no job of the trace asks for an accelerator")]
    NoDemand,
}

/// Puts the jobs into random order. The submit times stay where they are and are dealt to the jobs in their new order, so the
/// arrival process is the recorded one. What was recorded of a job's start no longer holds and is dropped.
///
/// Draws by xoshiro256++ from `seed`; tuning the load has a stream of its own.
pub fn shuffle(trace: &mut Trace, seed: u64) {
    let submits: Vec<Time> = trace.jobs.iter().map(|job| job.submit).collect();
    trace.jobs.shuffle(&mut Xoshiro256PlusPlus::seed_from_u64(seed));
    for (job, submit) in trace.jobs.iter_mut().zip(submits) {
        job.submit = submit;
        job.recorded_start = None;
    }
}

/// Removes jobs, or adds copies of jobs, until what they ask for together is `ratio` times `capacity_milli`
/// (accelerator-thousandths, durations left out of account): the load of FGD's experiments (Weng et al., ATC '23, section 6.1),
/// there with `ratio` 1.3.
///
/// Each job that is removed or copied is drawn from the jobs with equal chances, by xoshiro256++ from `seed`. Copies follow the
/// last job at the trace's mean gap between jobs, in the order in which they were drawn; copy number `k` (from 0) of all is
/// named `JOB-tuned-k`. The first copy that would go beyond the ratio is not added; removal ends at or below it.
///
/// # Errors
/// A ratio that is not above 0; jobs to be added to a trace that asks for no accelerators.
pub fn tune(trace: &mut Trace, ratio: f64, capacity_milli: u64, seed: u64) -> Result<(), TuneError> {
    if !(ratio > 0.0 && ratio.is_finite()) {
        return Err(TuneError::BadRatio(ratio));
    }
    // A stream of its own: a shuffle by the same seed draws other numbers.
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed ^ 0x7475_6e65);
    let target = (ratio * capacity_milli as f64) as u64;
    let asked: u64 = trace.jobs.iter().map(|job| job.demand.milli_total()).sum();
    if asked > target {
        remove(trace, asked, target, &mut rng);
        Ok(())
    } else if asked == 0 {
        Err(TuneError::NoDemand)
    } else {
        add(trace, asked, target, &mut rng);
        Ok(())
    }
}

fn remove(trace: &mut Trace, mut asked: u64, target: u64, rng: &mut impl RngExt) {
    // Which jobs go: drawn without putting back, then taken out in one pass that keeps the order.
    let mut order: Vec<usize> = (0..trace.jobs.len()).collect();
    let mut gone = vec![false; trace.jobs.len()];
    while asked > target {
        let job = order.swap_remove(rng.random_range(0..order.len()));
        asked -= trace.jobs[job].demand.milli_total();
        gone[job] = true;
    }
    let mut gone = gone.into_iter();
    trace.jobs.retain(|_| gone.next() == Some(false));
}

fn add(trace: &mut Trace, mut asked: u64, target: u64, rng: &mut impl RngExt) {
    let recorded = trace.jobs.len();
    let (first, last) = (trace.jobs[0].submit, trace.jobs[recorded - 1].submit);
    let gap = Span(last.since(first).0 / recorded as u64);
    let mut submit = last;
    loop {
        let source = &trace.jobs[rng.random_range(0..recorded)];
        asked += source.demand.milli_total();
        if asked > target {
            return;
        }
        submit = submit + gap;
        let id = format!("{}-tuned-{}", source.id, trace.jobs.len() - recorded).into();
        let copy = TraceJob { id, submit, recorded_start: None, ..source.clone() };
        trace.jobs.push(copy);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Outcome;
    use policies::Demand;

    fn trace(sizes: &[u32]) -> Trace {
        let job = |(i, &size): (usize, &u32)| TraceJob {
            id: format!("j{i}").into(),
            submit: Time(10 * i as u64),
            duration: Span(1),
            demand: Demand::whole(size),
            tenant: 0,
            priority: 0,
            tier: 0,
            estimate: None,
            outcome: Outcome::Unknown,
            recorded_start: Some(Time(0)),
            label: 0,
        };
        Trace { jobs: sizes.iter().enumerate().map(job).collect(), ..Trace::default() }
    }

    fn asked(trace: &Trace) -> u64 {
        trace.jobs.iter().map(|job| job.demand.milli_total()).sum()
    }

    #[test]
    fn shuffles_jobs_and_keeps_the_arrival_process() {
        let (mut one, mut two) = (trace(&[1; 100]), trace(&[1; 100]));
        shuffle(&mut one, 7);
        shuffle(&mut two, 7);
        assert_eq!(one, two);
        let ids = |t: &Trace| t.jobs.iter().map(|j| j.id.clone()).collect::<Vec<_>>();
        assert_ne!(ids(&one), ids(&trace(&[1; 100])));
        assert!(one.jobs.iter().enumerate().all(|(i, job)| job.submit == Time(10 * i as u64)));
        shuffle(&mut two, 8);
        assert_ne!(ids(&one), ids(&two));
    }

    #[test]
    fn adds_copies_up_to_the_ratio() {
        let mut tuned = trace(&[1, 2, 4, 0]);
        tune(&mut tuned, 1.5, 1_000_000, 42).unwrap();
        assert!(asked(&tuned) <= 1_500_000 && asked(&tuned) > 1_490_000, "{}", asked(&tuned));
        assert!(tuned.jobs.windows(2).all(|pair| pair[0].submit <= pair[1].submit));
        let mut ids: Vec<_> = tuned.jobs.iter().map(|job| &job.id).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), tuned.jobs.len());
    }

    #[test]
    fn removes_jobs_down_to_the_ratio_and_keeps_the_order() {
        let mut tuned = trace(&[1; 1000]);
        tune(&mut tuned, 0.5, 1_000_000, 42).unwrap();
        assert_eq!(tuned.jobs.len(), 500);
        assert!(tuned.jobs.windows(2).all(|pair| pair[0].submit < pair[1].submit));
    }

    #[test]
    fn says_what_cannot_be_tuned() {
        assert_eq!(tune(&mut trace(&[0, 0]), 1.0, 1000, 1), Err(TuneError::NoDemand));
        assert_eq!(tune(&mut Trace::default(), 1.0, 1000, 1), Err(TuneError::NoDemand));
        assert_eq!(tune(&mut trace(&[1]), -1.0, 1000, 1), Err(TuneError::BadRatio(-1.0)));
        assert!(tune(&mut trace(&[1]), f64::NAN, 1000, 1).is_err());
    }
}
