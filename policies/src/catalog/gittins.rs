//! The Gittins index, for when the distribution of durations is known but no single one.

use super::{Entry, Parameter, Policy, Spec, SpecError};
use crate::attained::{Attained, Index, Stand, Style, Unit};
use crate::time::Span;
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;
use std::str::FromStr;

/// Bounds double, so the last is about 10^12 times the first.
const BINS: usize = 41;

pub(super) const ENTRY: Entry = Entry {
    name: "gittins",
    about: "highest Gittins index of attained service first, preemptive (Aalto et al., QUESTA '09; Tiresias, NSDI '19, section 4.2)",
    parameters: &[
        Parameter {
            key: "first",
            default: "60",
            about: "attained service at which a job is ranked anew for the first time; then at each doubling; in units of `service`",
        },
        Unit::PARAMETER,
        Parameter {
            key: "given",
            default: "",
            about: "services of jobs that are known beforehand, separated by colons, in units of `service`",
        },
        Parameter { key: "learn", default: "true", about: "learn from the jobs that finish" },
    ],
};

pub(super) fn make(spec: &Spec) -> Result<Box<dyn Policy>, SpecError> {
    let first: f64 = spec.get_where("first", "a number of seconds, at least 0.001", |s: &f64| *s >= 0.001)?;
    let first = Span::from_secs_f64(first).unwrap_or(Span::MAX).0.min(u64::MAX >> BINS);
    let Services(given) = spec.get("given", "numbers of seconds, separated by colons")?;
    let mut table = Table::new(first, spec.get("learn", "true or false")?);
    for service in given {
        table.count(service);
    }
    table.rank();
    let style = Style {
        unit: Unit::of(spec)?,
        by_submission: false,
        eager: false,
        every: Span::ZERO,
        by_count: false,
        upstream_jumps: false,
    };
    Ok(Box::new(Attained::new(table, style)))
}

struct Services(Vec<u64>);

impl FromStr for Services {
    type Err = ();

    fn from_str(text: &str) -> Result<Services, ()> {
        let micros = |s: &str| s.trim().parse().ok().and_then(Span::from_secs_f64).map(|span| span.0).ok_or(());
        text.split(':').filter(|s| !s.trim().is_empty()).map(micros).collect::<Result<_, _>>().map(Services)
    }
}

/// The Gittins index at the lower bound of each bin of attained service, from the services of finished jobs.
///
/// The index of a job that has attained a is the largest ratio, over all d > 0, of the chance that it is done within d more to
/// the service that it is expected to take of these d. It is computed where bins begin, with d up to where bins begin, and a
/// job has the index of its bin. Bins of which nothing is known come last, lower ones first: without any knowledge the policy
/// is discretised least attained service.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Table {
    /// Upper bounds, in microseconds or accelerator-microseconds.
    bounds: Vec<u64>,
    /// Jobs that were done in each bin.
    counts: Vec<u64>,
    /// Their services.
    sums: Vec<u128>,
    /// Place of each bin in the order; 0 is the best.
    places: Vec<u64>,
    learns: bool,
    learned: u64,
    /// How many must have been learned before the order is found anew.
    next: u64,
}

impl Table {
    fn new(first: u64, learns: bool) -> Table {
        let mut bounds: Vec<u64> = (0..BINS as u32 - 1).map(|k| first << k).collect();
        bounds.push(u64::MAX);
        let places = (0..BINS as u64).collect();
        Table { bounds, counts: vec![0; BINS], sums: vec![0; BINS], places, learns, learned: 0, next: 1 }
    }

    fn count(&mut self, service: u64) {
        let bin = self.bounds.partition_point(|&bound| bound <= service).min(BINS - 1);
        self.counts[bin] += 1;
        self.sums[bin] += u128::from(service);
    }

    /// Finds the order of the bins; true if it has changed.
    fn rank(&mut self) -> bool {
        let indices: Vec<(u64, u128)> = (0..BINS).map(|bin| self.index(bin)).collect();
        let mut order: Vec<usize> = (0..BINS).collect();
        // Stable: lower bins first among equals.
        order.sort_by(|&a, &b| {
            let ((done_a, cost_a), (done_b, cost_b)) = (indices[a], indices[b]);
            Reverse(u128::from(done_a) * cost_b).cmp(&Reverse(u128::from(done_b) * cost_a))
        });
        let mut places = vec![0; BINS];
        for (place, &bin) in order.iter().enumerate() {
            places[bin] = place as u64;
        }
        std::mem::replace(&mut self.places, places.clone()) != places
    }

    /// The index at the beginning of `bin`, as a ratio: jobs done to service that was spent.
    fn index(&self, bin: usize) -> (u64, u128) {
        let from = u128::from(bin.checked_sub(1).map_or(0, |b| self.bounds[b]));
        let mut alive: u64 = self.counts[bin..].iter().sum();
        let (mut done, mut spent) = (0, 0);
        let mut best = (0, 1);
        for end in bin..BINS {
            done += self.counts[end];
            alive -= self.counts[end];
            spent += self.sums[end] - u128::from(self.counts[end]) * from;
            let cost = (spent + u128::from(alive) * (u128::from(self.bounds[end]) - from)).max(1);
            if u128::from(done) * best.1 > u128::from(best.0) * cost {
                best = (done, cost);
            }
            if alive == 0 {
                break;
            }
        }
        best
    }
}

impl Index for Table {
    fn stand(&self, level: u32, service: u64, _: u64) -> Stand {
        let bin = level as usize;
        let bin = bin + usize::from(bin + 1 < BINS && service >= self.bounds[bin]);
        Stand { rank: self.places[bin], level: bin as u32, until: self.bounds[bin] }
    }

    /// The order is found anew each time that an eighth more is known: the cost per job is constant in the long run.
    fn learn(&mut self, service: u64) -> bool {
        if !self.learns {
            return false;
        }
        self.count(service);
        self.learned += 1;
        if self.learned < self.next {
            return false;
        }
        self.next = self.learned + (self.learned / 8).max(1);
        self.rank()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(services: &[u64]) -> Table {
        let mut table = Table::new(10, true);
        services.iter().for_each(|&s| table.count(s));
        table.rank();
        table
    }

    #[test]
    fn knows_nothing_and_is_least_attained_service() {
        assert_eq!(table(&[]).places, (0..BINS as u64).collect::<Vec<_>>());
    }

    #[test]
    fn index_is_the_best_ratio() {
        // Half are done after 1, half after 15: stopping at 10 gives 1 per 1 + 10, going on to the end 2 per 1 + 15.
        let table = table(&[1, 15]);
        assert_eq!(table.index(0), (2, 16));
        // Who has attained 10 is done after 5 more.
        assert_eq!(table.index(1), (1, 5));
        assert_eq!(table.places[..3], [1, 0, 2]);
    }

    #[test]
    fn decreasing_hazard_is_least_attained_service() {
        // Pareto-like: of those that survive a bound half are done before the next. The first two bins are equally wide.
        let services: Vec<u64> = (0..8u32).flat_map(|k| vec![(10 << k) - 5; 1 << (8 - k)]).collect();
        assert!(table(&services).places[1..8].is_sorted());
    }

    #[test]
    fn equal_services_run_to_their_end() {
        // All take 100: the longer a job has run, the nearer it is to its end.
        let table = table(&[100; 5]);
        assert_eq!(table.places[..5], [4, 3, 2, 1, 0]);
    }
}
