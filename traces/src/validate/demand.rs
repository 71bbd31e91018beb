//! Demand against capacity over time, if every job ran at once when submitted: what an unlimited fleet would see.
//!
//! Jobs that accept several types could run on any of them. For each set of types that some job insists on, the demand of
//! all jobs that accept nothing outside the set is held against the set's capacity; no placement can do better (Hall's
//! condition for a transport problem).

use crate::import::NEVER_ENDS;
use crate::model::Trace;
use policies::{Fleet, Time, TypeId, TypeSet, WHOLE_MILLI};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

const HOUR_US: u64 = 3_600_000_000;
/// Idle gaps that are kept.
const GAPS: usize = 10;

/// Demand for a set of accelerator types.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TypeDemand {
    /// Which types: `all`, or names joined by `|`.
    pub types: String,
    /// Accelerators of these types.
    pub capacity: u64,
    /// Demand over capacity from the first submission to the last.
    pub mean_ratio: f64,
    /// Demand over capacity in the busiest hour.
    pub peak_ratio: f64,
    /// Which hour that is, from the trace's beginning.
    pub peak_hour: u64,
    /// Hours in which more is asked for than there is.
    pub hours_above: u64,
    /// Mean demand by hour: runs of equal hours. Hours without demand are left out.
    pub hours: Vec<Hours>,
}

/// Consecutive hours with the same demand.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hours {
    /// The first hour, from the trace's beginning.
    pub from: u64,
    /// How many.
    pub count: u64,
    /// Accelerators asked for on average.
    pub accelerators: f64,
}

/// A span in which nothing is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Gap {
    /// When it begins, seconds from the trace's beginning.
    pub from_s: f64,
    /// How long it is, seconds.
    pub length_s: f64,
}

/// Demand of all jobs, then of each set of types that some jobs insist on; and the longest gaps.
pub(super) fn over_time(trace: &Trace, fleet: &Fleet) -> (Vec<TypeDemand>, Vec<Gap>) {
    let all = TypeSet(known(fleet));
    let sets: BTreeSet<TypeSet> = trace.jobs.iter().map(|job| TypeSet(job.demand.types.0 & all.0)).collect();
    let steps = steps(trace, all, all);
    let gaps = gaps(&steps);
    let mut demand = vec![type_demand(trace, fleet, all, steps_hours(&steps))];
    // Jobs that accept no type of the fleet are misfits, not demand.
    for set in sets.into_iter().filter(|set| *set != all && set.0 != 0) {
        demand.push(type_demand(trace, fleet, set, steps_hours(&self::steps(trace, all, set))));
    }
    (demand, gaps)
}

/// The fleet's types as a bit set.
fn known(fleet: &Fleet) -> u64 {
    if fleet.types.len() >= 64 { u64::MAX } else { (1 << fleet.types.len()) - 1 }
}

/// The level of demand (accelerator-thousandths) from each instant on, of jobs that accept nothing outside `set`.
fn steps(trace: &Trace, all: TypeSet, set: TypeSet) -> Vec<(Time, u64)> {
    let inside = |types: TypeSet| types.0 & all.0 & !set.0 == 0 && (types.0 & all.0 != 0);
    let mut changes: Vec<(Time, i64)> = Vec::new();
    for job in trace.jobs.iter().filter(|job| job.demand.accelerators > 0 && inside(job.demand.types)) {
        changes.push((job.submit, job.demand.milli_total() as i64));
        if job.duration < NEVER_ENDS {
            changes.push((job.submit + job.duration, -(job.demand.milli_total() as i64)));
        }
    }
    changes.sort_unstable_by_key(|change| change.0);
    let mut steps: Vec<(Time, u64)> = Vec::new();
    let mut level = 0i64;
    for same in changes.chunk_by(|a, b| a.0 == b.0) {
        level += same.iter().map(|change| change.1).sum::<i64>();
        steps.push((same[0].0, level as u64));
    }
    steps
}

/// Spans at level zero between two steps, longest first.
fn gaps(steps: &[(Time, u64)]) -> Vec<Gap> {
    let idle = steps.windows(2).filter(|pair| pair[0].1 == 0);
    let mut gaps: Vec<Gap> =
        idle.map(|pair| Gap { from_s: pair[0].0.as_secs_f64(), length_s: pair[1].0.since(pair[0].0).as_secs_f64() }).collect();
    gaps.sort_by(|a, b| b.length_s.total_cmp(&a.length_s).then(a.from_s.total_cmp(&b.from_s)));
    gaps.truncate(GAPS);
    gaps
}

/// Accelerator-thousandths times microseconds by hour, as runs of equal hours without empty ones.
fn steps_hours(steps: &[(Time, u64)]) -> Vec<Hours> {
    let mut runs: Vec<Hours> = Vec::new();
    let mut push = |from: u64, count: u64, area: u128| {
        let accelerators = area as f64 / (HOUR_US as f64 * f64::from(WHOLE_MILLI));
        match runs.last_mut() {
            _ if area == 0 || count == 0 => {}
            Some(last) if last.from + last.count == from && last.accelerators == accelerators => last.count += count,
            _ => runs.push(Hours { from, count, accelerators }),
        }
    };
    // The hour that is being filled, and what it has so far.
    let (mut hour, mut area) = (0, 0u128);
    for pair in steps.windows(2) {
        let ((from, level), (to, _)) = (pair[0], pair[1]);
        let (first, last) = (from.0 / HOUR_US, to.0 / HOUR_US);
        if first != hour {
            push(hour, 1, area);
            (hour, area) = (first, 0);
        }
        if first == last {
            area += u128::from(level) * u128::from(to.0 - from.0);
            continue;
        }
        push(hour, 1, area + u128::from(level) * u128::from((first + 1) * HOUR_US - from.0));
        push(first + 1, last - first - 1, u128::from(level) * u128::from(HOUR_US));
        (hour, area) = (last, u128::from(level) * u128::from(to.0 - last * HOUR_US));
    }
    push(hour, 1, area);
    runs
}

fn type_demand(trace: &Trace, fleet: &Fleet, set: TypeSet, hours: Vec<Hours>) -> TypeDemand {
    let of_set = fleet.nodes.iter().filter(|node| set.contains(node.kind));
    let capacity: u64 = of_set.map(|node| u64::from(node.accelerators)).sum();
    let ratio = |accelerators: f64| if capacity == 0 { 0.0 } else { accelerators / capacity as f64 };
    let busiest = hours.iter().max_by(|a, b| a.accelerators.total_cmp(&b.accelerators).then(b.from.cmp(&a.from)));
    let (first, last) = (hour_of(trace.jobs.first()), hour_of(trace.jobs.last()));
    let within = hours.iter().map(|run| (overlap(run, first, last), run.accelerators));
    let mean = within.map(|(count, accelerators)| count as f64 * accelerators).sum::<f64>() / (last - first + 1) as f64;
    TypeDemand {
        types: names(fleet, set),
        capacity,
        mean_ratio: ratio(mean),
        peak_ratio: ratio(busiest.map_or(0.0, |run| run.accelerators)),
        peak_hour: busiest.map_or(0, |run| run.from),
        hours_above: hours.iter().filter(|run| run.accelerators > capacity as f64).map(|run| run.count).sum(),
        hours,
    }
}

fn hour_of(job: Option<&crate::model::TraceJob>) -> u64 {
    job.map_or(0, |job| job.submit.0 / HOUR_US)
}

/// Hours of the run within `first..=last`.
fn overlap(run: &Hours, first: u64, last: u64) -> u64 {
    (run.from + run.count).min(last + 1).saturating_sub(run.from.max(first))
}

fn names(fleet: &Fleet, set: TypeSet) -> String {
    if set.0 == known(fleet) {
        return "all".into();
    }
    let named = fleet.types.iter().enumerate().filter(|(i, _)| set.contains(TypeId(*i as u8)));
    named.map(|(_, name)| name.as_str()).collect::<Vec<_>>().join("|")
}
