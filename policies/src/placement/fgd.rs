//! Fragmentation gradient descent.

use super::free_shape::FreeShape;
use super::scored::{Candidate, Score};
use crate::capacity::Capacity;
use crate::ids::{NodeId, TypeId};
use crate::job::{Demand, TypeSet, WHOLE_MILLI};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Puts a demand where it adds least to the fragmentation of the node, or takes most away.
///
/// Fragmentation is measured by the expected workload: of what is free on a node's accelerators, the part that a job drawn from
/// the workload cannot use, because the node lacks accelerators or processors for it or has accelerators of a wrong type, or
/// because too little is free on that accelerator. Weng et al., "Beware of Fragmentation: Scheduling GPU-Sharing Workloads with
/// Fragmentation Gradient Descent" (ATC '23, sections 4 and 5); host memory does not count. The score is the sigmoid of
/// the gradient in accelerators, as in the published simulator.
///
/// The workload is that of the jobs submitted so far, taken in anew whenever their number has doubled; or, with a prior, the one
/// that [`expect`](super::Placement::expect) told, as in the paper's experiments.
#[derive(Clone, Serialize, Deserialize)]
pub struct Fgd {
    prior: bool,
    coverage: f64,
    steps: u16,
    jobs: BTreeMap<Typical, u64>,
    observed: u64,
    /// How many jobs must have been observed before the workload is computed anew; `u64::MAX` once it was told.
    renew_at: u64,
    workload: Workload,
}

/// Jobs that are the same to fragmentation. The order breaks ties among equally frequent ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Typical {
    cpu_milli: u32,
    milli: u16,
    accelerators: u32,
    types: TypeSet,
}

impl Fgd {
    /// `prior`: whether the workload is told beforehand (see [`Fgd`]). It is made of the most frequent demands that make up
    /// `coverage` of all jobs, in `(0, 1]`; for `steps` see [`Score::steps`].
    pub fn new(prior: bool, coverage: f64, steps: u16) -> Fgd {
        let workload = Workload::default();
        Fgd { prior, coverage, steps, jobs: BTreeMap::new(), observed: 0, renew_at: 1, workload }
    }

    fn add(&mut self, demand: &Demand, jobs: u64) {
        let Demand { cpu_milli, milli, accelerators, types, .. } = *demand;
        let key = if accelerators == 0 {
            Typical { cpu_milli, milli: 0, accelerators, types: TypeSet::ANY }
        } else {
            Typical { cpu_milli, milli, accelerators, types }
        };
        *self.jobs.entry(key).or_default() += jobs;
    }

    fn renew(&mut self) {
        let mut typical: Vec<(u64, Typical)> = self.jobs.iter().map(|(&job, &count)| (count, job)).collect();
        typical.sort_unstable_by(|a, b| b.cmp(a));
        let total: u64 = typical.iter().map(|(count, _)| count).sum();
        let mut covered = 0;
        let enough = self.coverage * total as f64;
        typical.retain(|(count, _)| {
            let wanted = (covered as f64) < enough;
            covered += if wanted { *count } else { 0 };
            wanted
        });
        self.workload = Workload::new(&typical);
    }

    /// The score of a node whose fragmentation was `before`, by what it has afterwards.
    fn by_gradient(&self, candidate: &Candidate<'_>, after: &FreeShape) -> u16 {
        let cpu = free_cpu(candidate.capacity, candidate.node);
        let cpu = cpu.map(|free| free.saturating_sub(candidate.demand.cpu_milli_for(candidate.count)));
        let kind = candidate.capacity.fleet().node(candidate.node).kind;
        let change = candidate.standing - self.workload.fragmentation(after, cpu, kind);
        (sigmoid(change / f64::from(WHOLE_MILLI)) * f64::from(self.steps)) as u16
    }

    /// The scores of the accelerators on which a single share may go, by what is free on them.
    fn by_free<'a>(&'a self, candidate: &'a Candidate<'_>, shape: &'a FreeShape) -> impl Iterator<Item = (u16, u16)> + 'a {
        let milli = candidate.demand.milli;
        let roomy = shape.iter().filter(move |&(free, _)| free >= milli);
        roomy.map(move |(free, _)| (free, self.by_gradient(candidate, &shape.with_share(free, milli))))
    }
}

fn is_single_share(candidate: &Candidate<'_>) -> bool {
    let named = !candidate.capacity.fleet().node(candidate.node).is_fungible();
    candidate.count == 1 && candidate.demand.milli < WHOLE_MILLI && named
}

fn free_cpu(capacity: &Capacity, node: NodeId) -> Option<u32> {
    Some(capacity.node_free_cpu_milli(node)).filter(|&free| free != u32::MAX)
}

impl Score for Fgd {
    crate::saved_by_serde!();

    fn steps(&self) -> u16 {
        self.steps
    }

    fn standing(&self, capacity: &Capacity, node: NodeId) -> f64 {
        let kind = capacity.fleet().node(node).kind;
        self.workload.fragmentation(&FreeShape::of(capacity, node), free_cpu(capacity, node), kind)
    }

    fn score(&self, candidate: &Candidate<'_>) -> u16 {
        let shape = FreeShape::of(candidate.capacity, candidate.node);
        if is_single_share(candidate) {
            return self.by_free(candidate, &shape).map(|(_, score)| score).max().unwrap_or(0);
        }
        self.by_gradient(candidate, &shape.after(candidate))
    }

    fn devices(&mut self, candidate: &Candidate<'_>) -> Option<u64> {
        if !is_single_share(candidate) {
            return None;
        }
        let shape = FreeShape::of(candidate.capacity, candidate.node);
        let best = self.by_free(candidate, &shape).map(|(_, score)| score).max()?;
        let among: Vec<u16> =
            self.by_free(candidate, &shape).filter(|&(_, score)| score == best).map(|(free, _)| free).collect();
        let free = candidate.capacity.device_free_milli(candidate.node);
        free.iter().position(|free| among.contains(free)).map(|device| 1 << device)
    }

    fn wants_prior(&self) -> bool {
        self.prior
    }

    fn expect(&mut self, workload: &[(Demand, u32)]) {
        self.jobs.clear();
        workload.iter().for_each(|(demand, jobs)| self.add(demand, u64::from(*jobs)));
        self.renew_at = u64::MAX;
        self.renew();
    }

    fn observe(&mut self, demand: &Demand) -> bool {
        if self.renew_at == u64::MAX {
            return false;
        }
        self.add(demand, 1);
        self.observed += 1;
        if self.observed < self.renew_at {
            return false;
        }
        self.renew_at = self.observed * 2;
        self.renew();
        true
    }
}

/// The expected workload, arranged so that a node's fragmentation is one pass over the distinct accelerator demands.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Workload {
    /// Distinct accelerator demands `(thousandths of each, accelerators)`, ascending.
    shapes: Vec<(u16, u32)>,
    /// Distinct processor demands, ascending.
    cpus: Vec<u32>,
    /// Per accelerator type, or one for all if no job minds: `[r * shapes + s]` is the part of all jobs that have shape `s`,
    /// one of the first `r` processor demands, and accept the type.
    parts: Vec<Vec<f64>>,
}

impl Workload {
    fn new(typical: &[(u64, Typical)]) -> Workload {
        let distinct = |values: &mut dyn Iterator<Item = (u16, u32)>| {
            let mut values: Vec<_> = values.collect();
            values.sort_unstable();
            values.dedup();
            values
        };
        let shapes = distinct(&mut typical.iter().map(|(_, job)| (job.milli, job.accelerators)).filter(|s| s.1 > 0));
        let cpus = distinct(&mut typical.iter().map(|(_, job)| (0, job.cpu_milli)));
        let cpus: Vec<u32> = cpus.into_iter().map(|(_, cpu)| cpu).collect();
        let total: u64 = typical.iter().map(|(count, _)| count).sum();
        let kinds = if typical.iter().all(|(_, job)| job.types == TypeSet::ANY) { 1 } else { 64 };
        let part = |kind: u8| {
            let mut part = vec![0.0; (cpus.len() + 1) * shapes.len()];
            let accepts = |(_, job): &&(u64, Typical)| job.types.contains(TypeId(kind)) && job.accelerators > 0;
            for (count, job) in typical.iter().filter(accepts) {
                let shape = shapes.partition_point(|&s| s < (job.milli, job.accelerators));
                let rank = cpus.partition_point(|&cpu| cpu < job.cpu_milli);
                for rank in rank + 1..=cpus.len() {
                    part[rank * shapes.len() + shape] += *count as f64 / total as f64;
                }
            }
            part
        };
        let parts = (0..kinds).map(part).collect();
        Workload { shapes, cpus, parts }
    }

    /// Thousandths free that the workload cannot use, in expectation. `cpu_milli`: `None` if nobody counts processors.
    fn fragmentation(&self, free: &FreeShape, cpu_milli: Option<u32>, kind: TypeId) -> f64 {
        let total = free.total();
        let Some(parts) = self.parts.get(kind.index().min(self.parts.len().saturating_sub(1))) else {
            return total as f64;
        };
        let rank = cpu_milli.map_or(self.cpus.len(), |free| self.cpus.partition_point(|&cpu| cpu <= free));
        let parts = &parts[rank * self.shapes.len()..];
        let mut have = free.iter().map(|(_, count)| count).sum::<u32>();
        let (mut usable, mut useful) = (total, 0.0);
        let mut smaller = free.iter().peekable();
        for (&(milli, accelerators), part) in self.shapes.iter().zip(parts) {
            while let Some((free, count)) = smaller.next_if(|&(free, _)| free < milli) {
                have -= count;
                usable -= u64::from(free) * u64::from(count);
            }
            if have >= accelerators {
                useful += part * usable as f64;
            }
        }
        total as f64 - useful
    }
}

/// `1 / (1 + exp(-x))`, from basic operations only: the system's `exp` may differ in the last digit from machine to machine, and
/// orders must not.
fn sigmoid(x: f64) -> f64 {
    let x = x.clamp(-700.0, 700.0);
    let twos = (-x / std::f64::consts::LN_2).round();
    let rest = -x - twos * std::f64::consts::LN_2;
    let exp_rest = (1..=16).rev().fold(1.0, |sum, i| 1.0 + sum * rest / f64::from(i));
    1.0 / (1.0 + exp_rest * f64::from_bits(((1023 + twos as i64) as u64) << 52))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The definition of the paper, job by job and accelerator by accelerator (section 4.2).
    fn fragmentation(free: &[u16], cpu_milli: u32, kind: TypeId, jobs: &[(u64, Typical)]) -> f64 {
        let total: u64 = jobs.iter().map(|(count, _)| count).sum();
        let all: u32 = free.iter().map(|&f| u32::from(f)).sum();
        let of_job = |job: &Typical| {
            let roomy = free.iter().filter(|&&f| f >= job.milli).count() as u32;
            let fits =
                job.accelerators > 0 && job.types.contains(kind) && roomy >= job.accelerators && cpu_milli >= job.cpu_milli;
            if fits { free.iter().filter(|&&f| f < job.milli).map(|&f| u32::from(f)).sum() } else { all }
        };
        jobs.iter().map(|(count, job)| *count as f64 / total as f64 * f64::from(of_job(job))).sum()
    }

    fn typical() -> impl Strategy<Value = (u64, Typical)> {
        let types = prop_oneof![Just(TypeSet::ANY), Just(TypeSet::only(TypeId(0))), Just(TypeSet::only(TypeId(1)))];
        let shape = prop_oneof![Just((0, 0)), (1u16..10).prop_map(|m| (m * 100, 1)), (1u32..9).prop_map(|n| (1000, n))];
        (1u64..20, 0u32..8, shape, types).prop_map(|(count, cpu, (milli, accelerators), types)| {
            (count, Typical { cpu_milli: cpu * 1000, milli, accelerators, types })
        })
    }

    proptest! {
        #[test]
        fn fragmentation_is_that_of_the_definition(
            free in proptest::collection::vec((0u16..=10).prop_map(|f| f * 100), 1..9),
            cpu in 0u32..9_000,
            kind in 0u8..2,
            jobs in proptest::collection::vec(typical(), 1..20),
        ) {
            let shape = FreeShape::from_free(&free);
            let found = Workload::new(&jobs).fragmentation(&shape, Some(cpu), TypeId(kind));
            prop_assert!((found - fragmentation(&free, cpu, TypeId(kind), &jobs)).abs() < 1e-6);
        }
    }

    #[test]
    fn sigmoid_agrees_with_the_library() {
        for x in -8000..8000 {
            let x = f64::from(x) / 100.0;
            let expected = 1.0 / (1.0 + (-x).exp());
            assert!((sigmoid(x) - expected).abs() <= 1e-13 * expected, "{x}: {} {expected}", sigmoid(x));
        }
        assert_eq!(sigmoid(0.0), 0.5);
        assert!(sigmoid(1e9) == 1.0 && sigmoid(-1e9) < 1e-300);
    }

    #[test]
    fn the_workload_is_made_of_the_most_frequent_demands() {
        let job = |n| Demand::whole(n);
        let mut fgd = Fgd::new(true, 0.9, 100);
        assert!(fgd.wants_prior());
        fgd.expect(&[(job(1), 60), (job(2), 30), (job(4), 9), (job(8), 1)]);
        assert_eq!(fgd.workload.shapes, [(1000, 1), (1000, 2)]);
        assert!(!fgd.observe(&job(8)), "what was told is not overruled");
        let mut fgd = Fgd::new(false, 1.0, 100);
        assert!(!fgd.wants_prior());
        let renewed: Vec<u32> = (1..=20).filter(|&n| fgd.observe(&job(n))).collect();
        assert_eq!(renewed, [1, 2, 4, 8, 16]);
        assert_eq!(fgd.workload.shapes.len(), 16);
    }
}
