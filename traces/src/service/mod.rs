//! Inference services: a load over time, the replicas that it takes, and these as jobs.
//!
//! A replica is a job of the service's own tenant: submitted when it is needed, withdrawn when it is not any more. Whatever
//! schedules, records or replays jobs needs to know nothing else of services.

mod load;

pub use load::{Load, Rhythm, Throughput};

use crate::import::ImportError;
use crate::model::{Outcome, Trace, TraceJob};
use crate::runlog::ServiceInfo;
use policies::{Demand, Span, Time};

/// How many replicas a load takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scaling {
    /// Replicas are added until they could serve this much more than the load, in thousandths of it.
    pub headroom_milli: u32,
    /// At least so many.
    pub replicas_min: u32,
    /// A replica is given up when none of the time this long would have taken it.
    pub down_after: Span,
}

/// A service.
#[derive(Clone, Debug, PartialEq)]
pub struct Service {
    /// Its name; also that of its tenant.
    pub name: String,
    /// Its tier, 0 the best.
    pub tier: u8,
    /// What a replica holds. Its types are the fleet's.
    pub demand: Demand,
    /// The latency objective, in words.
    pub objective: String,
    /// For how long a replica runs before it answers the first request.
    pub start_up: Span,
    /// When it begins.
    pub from: Time,
    /// For how long it goes on.
    pub lasts: Span,
    /// What it is asked.
    pub load: Load,
    /// How it follows that.
    pub scaling: Scaling,
}

impl Service {
    /// Adds the service's replicas to the trace's jobs, and its tenant to the tenants. A replica's duration is how long it is
    /// needed. Noise comes from `seed`.
    ///
    /// # Errors
    /// A file of requests that cannot be used.
    pub fn add_to(&self, trace: &mut Trace, seed: u64) -> Result<ServiceInfo, ImportError> {
        let load_milli = self.load.replicas_milli(&self.name, self.lasts, seed)?;
        let tenant = trace.tenants.len() as u32;
        trace.tenants.push(self.name.clone());
        let needed = self.scaling.replicas(&load_milli, self.load.bin);
        let at = |bin: usize| self.from + Span(self.load.bin.0 * bin as u64);
        let replicas = intervals(&needed).into_iter().enumerate();
        trace.jobs.extend(replicas.map(|(number, (from, to))| TraceJob {
            id: format!("{}/{}", self.name, number + 1).into(),
            submit: at(from),
            duration: at(to).since(at(from)),
            demand: self.demand,
            tenant,
            priority: 0,
            tier: self.tier,
            estimate: None,
            outcome: Outcome::Cancelled,
            recorded_start: None,
            label: 0,
        }));
        trace.jobs.sort_by_key(|job| job.submit);
        Ok(ServiceInfo {
            name: self.name.clone(),
            tenant,
            objective: self.objective.clone(),
            accelerators: self.demand.accelerators,
            start_up: self.start_up,
            from: self.from,
            bin: self.load.bin,
            load_milli,
        })
    }
}

impl Scaling {
    /// Replicas that are asked for in each bin. The load of a bin is known when it is over: what is asked for follows the
    /// load of the bin before, and the headroom must do until then.
    pub fn replicas(&self, load_milli: &[u32], bin: Span) -> Vec<u32> {
        let kept = self.down_after.0.div_ceil(bin.0.max(1)) as usize;
        let seen = |i: usize| load_milli[i.saturating_sub(1)];
        let wanted: Vec<u32> = (0..load_milli.len())
            .map(|i| {
                let with_headroom = u64::from(seen(i)) * u64::from(1000 + self.headroom_milli);
                (with_headroom.div_ceil(1_000_000) as u32).max(self.replicas_min)
            })
            .collect();
        highest_of_last(&wanted, kept + 1)
    }
}

/// At each position the largest of the last `window` values: O(n).
fn highest_of_last(values: &[u32], window: usize) -> Vec<u32> {
    let mut candidates: std::collections::VecDeque<usize> = std::collections::VecDeque::new();
    let mut highest = Vec::with_capacity(values.len());
    for (i, &value) in values.iter().enumerate() {
        while candidates.back().is_some_and(|&other| values[other] <= value) {
            candidates.pop_back();
        }
        candidates.push_back(i);
        if candidates.front().is_some_and(|&first| first + window <= i) {
            candidates.pop_front();
        }
        highest.push(values[candidates[0]]);
    }
    highest
}

/// From which bin until which each replica is needed, in order of the first. When fewer are needed the youngest goes.
fn intervals(needed: &[u32]) -> Vec<(usize, usize)> {
    let (mut began, mut over) = (Vec::new(), Vec::new());
    for (bin, &count) in needed.iter().chain([&0]).enumerate() {
        while began.len() > count as usize {
            over.extend(began.pop().map(|from| (from, bin)));
        }
        began.resize(count as usize, bin);
    }
    over.sort_by_key(|&(from, to)| (from, std::cmp::Reverse(to)));
    over
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_youngest_replica_goes_first() {
        assert_eq!(intervals(&[1, 3, 2, 2, 3, 0]), [(0, 5), (1, 5), (1, 2), (4, 5)]);
        assert_eq!(intervals(&[]), []);
    }

    #[test]
    fn replicas_follow_what_was_seen_and_go_late() {
        let scaling = Scaling { headroom_milli: 100, replicas_min: 1, down_after: Span(20) };
        let load = [0, 900, 950, 2000, 100, 0, 0, 0];
        // 950 with a tenth more is one and a bit; 2000 is seen in the bin after, and felt for two more.
        assert_eq!(scaling.replicas(&load, Span(10)), [1, 1, 1, 2, 3, 3, 3, 1]);
    }

    #[test]
    fn the_highest_of_a_window_is_found_as_by_looking_at_all() {
        let values: Vec<u32> = (0..200u32).map(|i| i * 7919 % 31).collect();
        for window in [1, 2, 7, 300] {
            let slow: Vec<u32> =
                (0..values.len()).map(|i| *values[(i + 1).saturating_sub(window)..=i].iter().max().unwrap()).collect();
            assert_eq!(highest_of_last(&values, window), slow);
        }
    }
}
